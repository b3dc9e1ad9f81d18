"""Runs that lost both their watcher and their guard.

The next call of anybody finds them, and leaves a guard behind that brings them to their end.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from launcher.again import may_start
from launcher.clock import SystemClock, wall_of
from launcher.course import NOTE, Course
from launcher.events import Said
from launcher.guard import orphans, watcher
from launcher.guard.channel import Channel
from launcher.guard.desk import Desk
from launcher.guard.folder import RunFolder
from launcher.guard.model import (
    CouldNotStart,
    Failed,
    Interrupted,
    Outcome,
    OverLimit,
    SetupFailed,
    Signalled,
    Stalled,
    Succeeded,
)
from launcher.guard.viewer import Viewer
from launcher.ledger.model import RELEASE, LedgerUnusable, Row, State
from launcher.ledger.recover import Step, next_step
from launcher.ledger.store import Ledger
from launcher.lost_attempts import attempts_begun, attempts_in, lost_attempt
from launcher.noted import Noted
from launcher.plan import plan_from_json
from launcher.queue_plan import QueuePlan, asked_of
from launcher.release import lease, marks
from launcher.release.interface import FALLS_TO_IDLE, ReleaseResult, ReleaseStatus
from launcher.results import recall
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from launcher.clock import Clock
    from launcher.events import Audience
    from launcher.guard.model import Attempt
    from launcher.guard.watcher import Egg, Seat
    from launcher.plan import Plan
    from launcher.record import RunRecord
    from launcher.release.marks import RunNote
    from launcher.words import Text

# After these the release was begun already, and goes on with its own nonce.
BEGUN = (Step.ASK_AGAIN, Step.LOOK_AGAIN)


def find_lost() -> list[RunNote]:
    """Runs of this boot that nobody guards, whoever they belong to."""
    return [note for note, guarded in marks.runs() if not guarded]


def may_take(note: RunNote) -> bool:
    """Is it ours to end? A run of another user is that user's, or root's."""
    return os.geteuid() in (0, note.uid)


def look_after(environ: Mapping[str, str], audience: Audience) -> None:
    """Whatever this call is about: bring to their end the runs that nobody guards any more, and say so."""
    for note in find_lost():
        if not may_take(note):
            continue
        text = _told(note)
        try:
            bring_to_end(note, environ).connection.close()
        except OSError:
            text = words(
                "the run {run_id} has lost its guard, and no process can be created", run_id=note.run_id
            )
        audience.tell(Said(text, warning=True))


def _told(note: RunNote) -> Text:
    if note.watch:
        return words("the watch {run_id} was killed; it goes on, and counts anew", run_id=note.run_id)
    if asked_of(os.path.join(note.home, "runs", note.run_id)) is not None:
        return words(
            "the queue {run_id} has lost its guard: it was killed. What runs of it goes on to its end, "
            "nothing else is started, and then the runtime is released if that was asked for",
            run_id=note.run_id,
        )
    return words(
        "the run {run_id} ({name}) has lost its guard: it was killed. What is left of the job is being "
        "ended; then its outputs are saved, and the runtime is released if that was asked for",
        run_id=note.run_id,
        name=note.name,
    )


def bring_to_end(note: RunNote, environ: Mapping[str, str]) -> Egg:
    """Leave a guard behind that ends the run, saves, and releases. Raises OSError."""
    return watcher.start(partial(_work, note, dict(environ)))


def _work(note: RunNote, environ: dict[str, str], seat: Seat) -> None:
    same_user = os.geteuid() == note.uid
    environ = _environ(environ, note.uid)
    _become(note.uid)
    kept = seat.kept.get(NOTE)
    path = os.path.join(lease.FOLDER, marks.file_name(note))
    own = marks.take_over(note) if kept is None else marks.Announced(path, kept)
    if own is None:
        return  # Somebody else was quicker.
    for descriptor in own.fds:
        seat.keep(NOTE, descriptor)
    if not seat.streams_taken:
        seat.take_streams()
    folder = RunFolder(os.path.join(note.home, "runs", note.run_id))
    try:
        with open(folder.plan, encoding="utf-8") as file:
            plan = plan_from_json(json.load(file), environ)
    except (OSError, ValueError, KeyError, TypeError):
        # Its folder is gone, or it died before it had written anything: there is nothing that could be saved.
        _end_unknown(note, own)
        return
    desk = Desk(Viewer(Channel(seat.client), seat.notes))
    if note.watch:
        _watch_on(plan, seat, desk, own, LostRun.read(note, plan, folder))
        return
    if (queue := asked_of(folder.path)) is not None:
        _queue_on(QueuePlan(plan, queue), seat, desk, own, LostRun.read(note, plan, folder))
        return
    course = Course(plan, seat, desk, SystemClock())
    if (noted := seat.notes.read()) is not None and noted.progress is not None:
        course.go()  # A guard before us has started the job once more.
        return
    lost = LostRun.read(note, plan, folder)
    if not may_start(plan, same_user=same_user):
        lost = replace(lost, last_try=True)
    course.take_up_lost(own, lost)


def _queue_on(plan: QueuePlan, seat: Seat, desk: Desk, own: marks.Announced, lost: LostRun) -> None:
    """Its runs go on to their end, no other is started, and then it is released by the rules."""
    from launcher.queueing import QueueCourse

    QueueCourse(plan, seat, desk, SystemClock()).take_up_lost(own, lost)


def _watch_on(plan: Plan, seat: Seat, desk: Desk, own: marks.Announced, lost: LostRun) -> None:
    """It counts anew; a release that had been asked for goes on."""
    from launcher.watch_plan import FILE, WatchPlan, asked_from_json
    from launcher.watching import Watch

    try:
        with open(os.path.join(lost.folder, FILE), encoding="utf-8") as file:
            asked = asked_from_json(json.load(file))
    except (OSError, ValueError, KeyError, TypeError):
        own.withdraw()  # It died before it had written down what it was asked.
        return
    recall(lost.record, RunFolder(lost.folder), saved=True)
    lost.record.release = lost.release or lost.before
    noted = Noted(lost.folder, own.path, lost.record, planned=True, decided=lost.ended, before=lost.before)
    Watch(WatchPlan(plan, asked), seat, desk, SystemClock()).take_up_lost(own, noted)


def _environ(environ: dict[str, str], uid: int) -> dict[str, str]:
    """Root's own environment is not for what another user's run starts at its end."""
    if os.geteuid() == uid:
        return environ
    import pwd

    return {"PATH": environ.get("PATH", os.defpath), "HOME": pwd.getpwuid(uid).pw_dir}


def _become(uid: int) -> None:
    """Root ends the run of another user as that user: what the run's files say is that user's word only."""
    if os.geteuid() == uid:
        return
    import pwd

    user = pwd.getpwuid(uid)
    os.initgroups(user.pw_name, user.pw_gid)
    os.setgid(user.pw_gid)
    os.setuid(uid)


def _end_unknown(note: RunNote, own: marks.Announced) -> None:
    """All that is known of this run is its id."""
    desk = Desk(None)
    orphans.end(note.run_id, (), 0, grace_s=30.0, clock=SystemClock(), desk=desk)
    own.withdraw()


@dataclass(frozen=True, slots=True)
class LostRun:
    """What is known of such a run: from its plan, its ledger, and its last result.json.

    `before` is how its release stood last, with its nonce; `release` is the same where it goes on from there.
    `lost_at` is the attempt that was lost with its guards, if one was; `set_up`: its `setup` was done with.
    `last_try`: who calls may not start it again.
    """

    run_id: str
    folder: str
    record: RunRecord
    outcome: Outcome | None
    release: ReleaseResult | None
    before: ReleaseResult | None
    sessions: tuple[int, ...]
    files_since_ns: int
    planned: bool
    ended: bool
    idle_reason: str
    lost_at: Attempt | None = None
    set_up: bool = False
    last_try: bool = False

    @classmethod
    def read(cls, note: RunNote, plan: Plan, folder: RunFolder) -> LostRun:
        """Never raises: what cannot be read is not known."""
        rows = _rows(note.home, note.run_id)
        last = rows[-1] if rows else None
        step = next_step(last, guarded=False, same_boot=True)
        started = [row.facts for row in rows if row.state is State.STARTED]
        ended = next((row.facts for row in reversed(rows) if row.state is State.ENDED), None)
        before, begun = _release(rows), step in BEGUN
        if before is not None and not begun:
            before = replace(before, status=ReleaseStatus.HELD)  # It begins anew, with a countdown.
        record = plan.record
        record.run_id, record.log = note.run_id, folder.log
        record.started_wall = _started(folder)
        record.attempt_log = attempts_in(rows)
        record.attempts = attempts_begun(rows, folder)
        return cls(
            note.run_id,
            folder.path,
            record,
            _outcome(ended) if ended else None,
            before if begun else None,
            before,
            tuple(_number(facts.get("session")) for facts in started if facts.get("session")),
            _files_since(started, folder),
            bool(rows),
            ended is not None,
            _idle_reason(rows),
            lost_at=_lost_at(rows, record, ended=ended is not None),
            set_up=any(facts.get("step") == "run" for facts in started),
        )

    def age_s(self, clock: Clock) -> float:
        """Seconds since it was started, as far as the wall clock tells."""
        began = self.record.started_wall
        return 0.0 if began is None else max(0.0, clock.wall() - began)

    def end_job(self, grace_s: float, clock: Clock, desk: Desk) -> tuple[int, tuple[int, ...]]:
        """End what is left of the job; (how many processes there were, which cannot be ended)."""
        began = self.record.started_wall
        ticks = 0 if began is None else _ticks_at(began - 60.0, clock)
        stopped, survivors = orphans.end(
            self.run_id, self.sessions, ticks, grace_s=grace_s, clock=clock, desk=desk
        )
        return stopped, tuple(survivors)


def _lost_at(rows: Sequence[Row], record: RunRecord, *, ended: bool) -> Attempt | None:
    """None between two attempts, and where the job had not begun, or had ended."""
    if ended or record.attempts <= len(record.attempt_log):
        return None
    return lost_attempt(rows, record.attempts, record.started_wall or 0.0)


def files_since(home: str, run_id: str) -> int:
    """From when on (epoch nanoseconds, the files' clock) what was changed was changed by this run's job."""
    folder = RunFolder(os.path.join(home, "runs", run_id))
    return _files_since([row.facts for row in _rows(home, run_id) if row.state is State.STARTED], folder)


def _files_since(started: Sequence[Mapping[str, Any]], folder: RunFolder) -> int:
    return max((_number(facts.get("files_since_ns")) for facts in started), default=_made(folder))


def _rows(home: str, run_id: str) -> list[Row]:
    try:
        ledger = Ledger.open(home, lease.boot_id(), read_only=True)
    except LedgerUnusable:
        return []
    try:
        return list(ledger.rows(run_id))
    except LedgerUnusable:
        return []
    finally:
        ledger.close()


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _made(folder: RunFolder) -> int:
    """When the run was planned (epoch nanoseconds): of what is older, nothing is from its job."""
    try:
        return os.stat(os.path.join(folder.path, "job.yaml")).st_mtime_ns
    except OSError:
        return 0


def _ticks_at(wall: float, clock: Clock) -> int:
    """The clock of /proc/PID/stat at that time."""
    ago = max(0.0, clock.wall() - wall)
    return max(0, int((marks.boottime() - ago) * os.sysconf("SC_CLK_TCK")))


def _started(folder: RunFolder) -> float | None:
    with suppress(OSError, ValueError, TypeError, KeyError), open(folder.result, encoding="utf-8") as file:
        return wall_of(json.load(file)["started"])
    return None


def _outcome(facts: Mapping[str, Any]) -> Outcome | None:
    """The outcome that an `ended` row tells of."""
    code = _number(facts.get("exit_code"))
    outcomes: dict[object, Outcome] = {
        "succeeded": Succeeded(),
        "failed": Failed(code),
        "signalled": Signalled(code - 128),
        "setup_failed": SetupFailed(code),
        "over_limit": OverLimit(0.0),
        "stalled": Stalled(0.0),
        "could_not_start": CouldNotStart(code, ""),
        "interrupted": Interrupted(code - 128),
    }
    return outcomes.get(facts.get("outcome"))


def _idle_reason(rows: Sequence[Row]) -> str:
    """Why its release waited for idleness, if it did: so it goes on waiting."""
    reasons = (row.facts.get("reason") for row in rows if row.state is State.HELD)
    return next((str(reason) for reason in reasons if reason in FALLS_TO_IDLE), "")


def _release(rows: Sequence[Row]) -> ReleaseResult | None:
    """How the release stood last; a hold after a request keeps the nonce of that."""
    about = [row for row in rows if row.state in RELEASE]
    if not about:
        return None
    last = about[-1].state
    nonces = [row.facts.get("nonce") for row in about]
    nonce = next((nonce for nonce in reversed(nonces) if isinstance(nonce, str)), None)
    if last is State.FAILED and nonce is None:
        return None  # There was nobody to ask.
    # Of a row that says more than a status, such as still-here, the last answer was that it was accepted.
    status = _STATUSES.get(last, ReleaseStatus.ACCEPTED)
    return ReleaseResult(status, last.value, nonce=nonce)


_STATUSES = {
    State.REQUESTED: ReleaseStatus.REQUESTED,
    State.FAILED: ReleaseStatus.FAILED,
}
