"""Which runs there are on this machine, and what can be asked of them from any shell.

Living ones are asked through their guards, whatever their state folder; runs of other users are known
by their notes only; ended ones are those of this state folder.
"""

from __future__ import annotations

import json
import os
import select
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from launcher.backing import target_of
from launcher.clock import iso_utc
from launcher.errors import NoSuchRun, NotReached, StateFolderError
from launcher.guard import control, meeting
from launcher.guard.control import Silent
from launcher.guard.folder import RunFolder, state_folder
from launcher.guard.model import Lost
from launcher.ledger.model import LedgerUnusable, State
from launcher.ledger.store import Ledger
from launcher.probes.platform import read_platform
from launcher.record import RunRow
from launcher.release import lease, marks
from launcher.values import Unknown
from launcher.watch_plan import NAME as WATCH
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from launcher.ledger.model import Run
    from launcher.release.marks import RunNote

LAST = "last"
# What is said of a run of which nobody can say any more how it ended.
LOST_CODE = int(Lost.exit_code)
LOST = {"outcome": Lost.name, "exit_code": LOST_CODE, "decided_by": Lost.decided_by}
# More than a state folder on a rented machine ever has.
ALL = 100_000
# How often a run whose guard cannot be asked is looked at.
LOOK_S = 0.1
# What the state of a run's record was when the ledger got such a row.
_RECORDED = {
    State.PLANNED: "planned",
    State.STARTED: "started",
    State.ENDED: "exited",
    State.SAVING: "saving",
    State.REQUESTED: "releasing",
    State.LOST: "exited",
}


# --- which there are ------------------------------------------------------------------------------


def rows(environ: Mapping[str, str], *, ended: int = ALL) -> list[RunRow]:
    """Every living run, and at most so many that have ended; the newest first. Never raises."""
    alive = living()
    past = _ended(environ, {row.run_id for row in alive}, ended)
    return sorted((*alive, *past), key=lambda row: row.run_id, reverse=True)


def living() -> list[RunRow]:
    """Every run of this machine that somebody guards, also where its guard does not answer."""
    notes = {note.run_id: (note, guarded) for note, guarded in marks.runs()}
    run_ids = meeting.run_ids()
    # Where nobody holds a note nobody takes over: a guard that refuses is one that was killed.
    patience = [control.PATIENCE_S if notes.get(run_id, (None, False))[1] else 0.0 for run_id in run_ids]
    found = []
    for run_id, answer in zip(run_ids, control.ask_all(run_ids, control.STATUS, patience), strict=True):
        note, guarded = notes.pop(run_id, (None, False))
        if isinstance(answer, dict):
            found.append(_answered(run_id, answer))
        elif isinstance(answer, Silent | BlockingIOError):
            found.append(_unanswered(run_id, note, getattr(answer, "pid", None)))
        elif note is not None and guarded and not _is_over(note):
            found.append(_unanswered(run_id, note, None))
        elif note is None and isinstance(answer, ConnectionRefusedError):
            meeting.forget(run_id)
    left = [note for note, guarded in notes.values() if guarded and not _is_over(note)]
    return [*found, *map(_noted, left)]


def _answered(run_id: str, told: dict[str, Any]) -> RunRow:
    pid, place = told.get("guard_pid"), told.get("folder")
    return RunRow(
        run_id,
        str(told.get("job")),
        guarded=True,
        told=told,
        place=place if isinstance(place, str) else None,
        uid=os.geteuid(),
        guard_pid=pid if isinstance(pid, int) else None,
    )


def _unanswered(run_id: str, note: RunNote | None, pid: int | None) -> RunRow:
    name, place = ("", None) if note is None else (note.name, _place(note.home, run_id))
    told = Unknown("not-answering")
    return RunRow(run_id, name, guarded=True, told=told, place=place, uid=os.geteuid(), guard_pid=pid)


def _noted(note: RunNote) -> RunRow:
    """A run whose socket is not among ours."""
    if note.uid == os.geteuid():
        return _unanswered(note.run_id, note, None)
    told = Unknown("another-user")
    return RunRow(note.run_id, note.name, guarded=True, told=told, place=None, uid=note.uid)


def _is_over(note: RunNote) -> bool:
    """Has its guard ended, or nearly so, since the note was read?"""
    record = read_record(_place(note.home, note.run_id))
    return record is not None and record.get("state") == "done"


def _place(home: str, run_id: str) -> str:
    return os.path.join(home, "runs", run_id)


def _ended(environ: Mapping[str, str], without: set[str], limit: int) -> list[RunRow]:
    try:
        home = state_folder(environ)
    except StateFolderError:
        return []
    in_ledger = {run.run_id: run for run in _ledger_runs(home, limit + len(without))}
    known = set(in_ledger)
    with suppress(OSError):
        # What the ledger missed because it could not be written.
        known.update(os.listdir(os.path.join(home, "runs")))
    newest = sorted(known - without, reverse=True)[:limit]
    return [_past(_place(home, run_id), run_id, in_ledger.get(run_id)) for run_id in newest]


def _ledger_runs(home: str, limit: int) -> list[Run]:
    try:
        ledger = Ledger.open(home, lease.boot_id(), read_only=True)
    except LedgerUnusable:
        return []
    try:
        return ledger.runs(limit)
    except LedgerUnusable:
        return []
    finally:
        ledger.close()


def _past(place: str, run_id: str, run: Run | None) -> RunRow:
    """By its last document, which has what came after the job too; else by the ledger."""
    told: Mapping[str, object] | Unknown = read_record(place) or Unknown("no-record")
    if isinstance(told, Unknown) and run is not None:
        told = _told_by_ledger(run)
    name = run.name if run is not None else None
    job = name if isinstance(told, Unknown) else told.get("job")
    return RunRow(run_id, str(job or ""), guarded=False, told=told, place=place, uid=os.geteuid())


def _told_by_ledger(run: Run) -> Mapping[str, object]:
    gone = Unknown("no-record")
    return {
        "job": run.name,
        "state": _RECORDED.get(run.last.state, "done"),
        "outcome": run.facts.get("outcome"),
        "exit_code": run.facts.get("exit_code"),
        "decided_by": gone,
        "started": iso_utc(run.wall),
        "duration_s": gone,
        "log": gone,
        "release": gone,
    }


def read_record(place: str | None) -> dict[str, Any] | None:
    """The result.json in a run's folder; None where there is none that can be read."""
    if place is None:
        return None
    try:
        with open(RunFolder(place).result, encoding="utf-8") as file:
            document = json.load(file)
    except (OSError, ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


# --- which one is meant ---------------------------------------------------------------------------


def find(typed: str, environ: Mapping[str, str]) -> RunRow:
    """The run with this id, the newest one of this name, or `last`; or the one whose id begins so.

    Raises NoSuchRun.
    """
    return choose(typed, rows(environ))


def choose(typed: str, found: list[RunRow]) -> RunRow:
    """The same among rows, the newest first. Raises NoSuchRun."""
    own = [row for row in found if row.uid == os.geteuid()]
    exact = [row for row in own if row.run_id == typed]
    # The last is one with a job.
    last = [row for row in own if not isinstance(row.get(WATCH), dict)]
    if chosen := exact or (last if typed == LAST else [row for row in own if row.job == typed]):
        return chosen[0]
    begun = [row for row in own if typed and row.run_id.startswith(typed)]
    if len(begun) == 1:
        return begun[0]
    if begun:
        raise NoSuchRun(
            words(
                "several runs begin with {typed}: {runs}",
                typed=typed,
                runs=", ".join(row.run_id for row in begun[:3]) + (", …" if len(begun) > 3 else ""),
            ),
            words("type more of it"),
        )
    others = [row for row in found if row.run_id.startswith(typed) or row.job == typed]
    if typed and others:
        raise NoSuchRun(
            words("the run {run_id} belongs to another user", run_id=others[0].run_id),
            words("only that user can ask its guard"),
        )
    if typed == LAST:
        raise NoSuchRun(words("there is no run yet"), words("start one: {command}", command="colab-run JOB"))
    raise NoSuchRun(words("there is no run {typed}", typed=typed), _instead(typed, own))


def _instead(typed: str, own: list[RunRow]) -> Any:
    import difflib  # only when something is wrong

    known = dict.fromkeys(row.job for row in own if row.job)
    near = difflib.get_close_matches(typed, known, 1)
    if near:
        return words("use {path}", path=near[0])
    return words("{command} shows what there is", command="colab-run ps --all")


# --- asking its guard -----------------------------------------------------------------------------


def stop(row: RunRow, *, kill: bool) -> bool:
    """As if a person pressed stop; False where there is nobody to be told: the run is over.

    Raises NotReached.
    """
    if not row.guarded:
        return False
    pid = row.guard_pid
    try:
        control.ask(row.run_id, {"ask": "stop", "kill": kill})
    except Silent as silent:
        pid = silent.pid
    except OSError:
        record = read_record(row.place)
        if record is not None and record.get("state") == "done":
            return False  # It ended just now.
    else:
        return True
    raise not_reached(row, pid)


def not_reached(row: RunRow, pid: int | None) -> NotReached:
    """A guard that is there."""
    if pid is None:
        return NotReached(
            words("the guard of the run {run_id} cannot be asked", run_id=row.run_id),
            words("look at it: {command}", command="colab-run ps"),
        )
    return NotReached(
        words("the guard of the run {run_id} does not answer (process {pid})", run_id=row.run_id, pid=pid),
        words("if somebody suspended it: {command}", command=f"kill -CONT {pid}"),
    )


class Awaited:
    """The end of a run, whoever guards it until then; `look_after()` brings lost runs to their end."""

    def __init__(self, row: RunRow, look_after: Callable[[], None]) -> None:
        self._row, self._look_after = row, look_after
        self._line: control.Line | None = None
        self._alone_since: float | None = None

    def look(self, seconds: float) -> Mapping[str, object] | None:
        """The run's last document, waited for so long; None if it goes on."""
        deadline = time.monotonic() + seconds
        while True:
            if self._line is None and (found := self._call()) is not None:
                return found
            left = max(0.0, deadline - time.monotonic())
            if self._line is None:
                time.sleep(min(left, LOOK_S))
            elif select.select((self._line,), (), (), left)[0] and (found := self._hear(self._line)):
                return found
            if time.monotonic() >= deadline:
                return None

    @property
    def line(self) -> control.Line | None:
        """Where the end will be told, to poll it; None while nobody can be asked."""
        return self._line

    def close(self) -> None:
        """Wait no more."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def _hear(self, line: control.Line) -> Mapping[str, object] | None:
        found = line.answer()
        if found is not None or line.broken:
            self.close()
        return found

    def _call(self) -> Mapping[str, object] | None:
        """Get through to whoever guards it now; the document where the run is over."""
        row = self._row
        if not row.guarded and row.over and not isinstance(row.told, Unknown):
            return row.told
        record = read_record(row.place)
        if record is not None and record.get("state") == "done":
            return record
        try:
            self._line = control.call(row.run_id, LOOK_S)
        except OSError:
            return self._without_guard(record or {})
        self._alone_since = None
        self._line.ask(control.WAIT)
        return None

    def _without_guard(self, record: Mapping[str, object]) -> Mapping[str, object] | None:
        """Nobody can be asked: it ends just now, is taken over, or is lost for good."""
        now = time.monotonic()
        if self._alone_since is None:
            self._alone_since = now
        note = next((pair for pair in marks.runs() if pair[0].run_id == self._row.run_id), None)
        if note is None and now - self._alone_since > control.PATIENCE_S:
            return {**record, **LOST}
        if note is not None and not note[1]:
            self._look_after()
        return None


# --- keeping the machine --------------------------------------------------------------------------


class Kept(NamedTuple):
    """For how many seconds from now nobody releases this machine: None if nothing keeps it.

    `managed`: could it be released at all, as far as we know?
    """

    seconds: float | None
    managed: bool


def keep(environ: Mapping[str, str], seconds: float) -> Kept:
    """Hold every release of this machine back; of several keeps the longest counts.

    Raises StateFolderError.
    """
    target = _target(environ)
    _marked(lambda: marks.keep(target, seconds, "keep"))
    return Kept(marks.kept(target), bool(target))


def drop_keep(environ: Mapping[str, str]) -> Kept:
    """Take every keep back that is ours to remove; what is left is another user's."""
    target = _target(environ)
    targets: Iterable[str] = {target, lease.ANY_TARGET, *(note.target for note, _ in marks.runs())}
    for one in targets:
        marks.drop_keep(one)
    return Kept(marks.kept(target), bool(target))


def _target(environ: Mapping[str, str]) -> str:
    return target_of(read_platform(environ), environ)


def _marked(write: Callable[[], None]) -> None:
    try:
        write()
    except OSError as error:
        raise lease.unusable(error) from error
