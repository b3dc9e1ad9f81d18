"""The attempts at a run's job, each under the supervisor, and the pauses between them. Runs in the guard.

After each attempt it is decided whether another one follows (guard/retry.py). What was decided is noted in
one piece with its row for the ledger: whoever takes over finds an attempt at work, a pause, or an end.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from launcher.budget import ends_by, limits_of
from launcher.checkpoints import checkpoints_of
from launcher.clock import suspended_s
from launcher.events import Said
from launcher.gpu_hold import seen_by_job
from launcher.guard import oom, retry
from launcher.guard.channel import BEGUN
from launcher.guard.command import job_environment, script_argv
from launcher.guard.connect import connect
from launcher.guard.desk import KILL, PRESS, TYPED, WINDOW
from launcher.guard.gpu_memory import said_out_of_memory, tail_of
from launcher.guard.model import Attempt, Failed, Interrupted, RunPlan, Signalled
from launcher.guard.progress import Progress
from launcher.guard.streams import StreamMode
from launcher.guard.supervise import Watchers, supervise
from launcher.guard.watcher import NEVER
from launcher.ledger.model import State
from launcher.release import marks
from launcher.restoring import told_to_job
from launcher.retry_words import again_said, begins_said, not_again_said
from launcher.spec.model import RetryOn
from launcher.stalling import stalling_of
from launcher.values import Known
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from launcher.bookkeeping import Book
    from launcher.clock import Clock
    from launcher.events import Event
    from launcher.guard.desk import Desk
    from launcher.guard.folder import RunFolder
    from launcher.guard.model import Outcome, OverLimit, RunReport
    from launcher.guard.streams import Streams
    from launcher.guard.watcher import Seat
    from launcher.noted import Noted
    from launcher.plan import Plan
    from launcher.values import Reading
    from launcher.words import Text


@dataclass(slots=True)
class Attempts:
    """From the first start of the job to the end of its last process.

    `note()` makes what is noted known to whoever takes over; `tell` is for the client, if there still is one.
    """

    plan: Plan
    seat: Seat
    desk: Desk
    clock: Clock
    noted: Noted
    folder: RunFolder
    book: Book
    note: Callable[[], None]
    tell: Callable[[Event], None]
    _stop_noted: bool = field(default=False, init=False)

    def go(self, progress: Progress | None) -> RunReport:
        """The report of the run. With `progress` a guard before us has begun, and this goes on from there."""
        options = self.plan.options
        mode = StreamMode(json=options.json, tty=options.tty, detached=options.detach)
        streams = connect(self.folder.log, mode, self.desk, self.seat, self._warn)
        progress = progress or self._first()
        try:
            while True:
                if self.noted.again_at is not None:
                    if (ended := self._pause(progress, streams)) is not None:
                        return self._ended_between(ended, progress)
                    progress = self._next(progress, streams)
                report = self._attempt(progress, streams)
                if not self._goes_on(report, progress, streams):
                    return report
        finally:
            streams.close()

    # --- one attempt ------------------------------------------------------------------------------

    def _first(self) -> Progress:
        kills = oom.read_counters(oom.counter_files(self.plan.environ))
        now, wall = self.clock.monotonic(), self.clock.wall()
        files, slept = self.clock.file_tick_ns(), suspended_s()
        return Progress(now, wall, files, kills, suspended=slept, began=now, began_wall=wall)

    def _next(self, before: Progress, streams: Streams) -> Progress:
        """The attempt after the pause; with this note the pause is over."""
        kills = oom.read_counters(oom.counter_files(self.plan.environ))
        now, wall = self.clock.monotonic(), self.clock.wall()
        progress = before.next_attempt(now, wall, kills, streams.log.end)
        self.noted.again_at, self.noted.progress = None, progress
        record = self.noted.record
        record.again_wall, record.stalled = None, None
        record.processes.clear()
        self.note()
        self.tell(Said(begins_said(progress.attempt, self._settings())))
        return progress

    def _attempt(self, progress: Progress, streams: Streams) -> RunReport:
        saving = checkpoints_of(self.plan, self.noted, self.clock, self, self.book.write)
        stalling = stalling_of(
            self.plan, self.folder, self.noted, self.clock, self, self.note, self.book.write
        )
        report = supervise(
            self._run_plan(progress.attempt),
            clock=self.clock,
            desk=self.desk,
            seat=self.seat,
            streams=streams,
            watchers=Watchers(
                note=self._note_progress,
                begun=self._begun,
                say=lambda text: self.tell(Said(text)),
                warn=self._warn,
                save_s=lambda: sum(self._saves()),
            ),
            gpu_meter=self.book.gpu_meter(),
            progress=progress,
            sidelines=(*self.book.beside(saving), *stalling.sidelines),
            stalled=stalling.found,
            may_follow=self._may_follow,
        )
        report = self._with_gpu_memory(report, progress)
        return report if self.noted.so_far is None else _together(self.noted.so_far, report)

    def _run_plan(self, attempt: int) -> RunPlan:
        spec, run_id = self.plan.spec, self.folder.run_id
        told = {"COLAB_RUN_OOMS": str(self._ooms), **told_to_job(self.noted.record), **self._settings()}
        told |= seen_by_job(self.plan, self.noted)
        return RunPlan(
            run_id=run_id,
            run=self.plan.argv,
            setup=None if spec.setup is None or self.noted.set_up else script_argv(spec.setup, spec.name),
            env=job_environment(
                spec,
                self.plan.environ,
                run_id=run_id,
                run_dir=self.folder.path,
                attempt=attempt,
                more=told,
            ),
            workdir=spec.workdir,
            log_path=self.folder.log,
            max_duration_s=spec.max_duration_s,
            stop_grace_s=spec.stop_grace_s,
            leftovers=spec.leftovers,
            budget_s=limits_of(spec, self.plan.rate).budget_s,
        )

    @property
    def _ooms(self) -> int:
        """How often memory ran out so far."""
        return sum(row.kind == RetryOn.OOM.value for row in self.noted.record.attempt_log)

    def _settings(self) -> dict[str, str]:
        """What `env_on_oom` changes now."""
        return retry.changed_environment(self.plan.spec.retry, self._ooms)

    def _with_gpu_memory(self, report: RunReport, progress: Progress) -> RunReport:
        """It has failed, and the last that it said is that a GPU has no memory left."""
        if report.out_of_memory is not None or not isinstance(report.outcome, Failed | Signalled):
            return report
        said = said_out_of_memory(tail_of(self.folder.log, progress.log_from))
        if not said:
            return report
        return replace(report, out_of_memory=words("the job said `{text}`", text=said), of_gpu=True)

    # --- between two ------------------------------------------------------------------------------

    def _may_follow(self, progress: Progress) -> bool:
        return retry.may_follow(
            self.plan.spec.retry,
            progress.attempt - 1,
            progress.outcome,
            by_person=progress.pressed_at is not None,
        )

    def _goes_on(self, report: RunReport, progress: Progress, streams: Streams) -> bool:
        """Decide, and note it; False: that was the last attempt."""
        policy, record, outcome = self.plan.spec.retry, self.noted.record, report.outcome
        end = retry.End(
            outcome,
            out_of_memory=report.out_of_memory is not None,
            by_person=report.ended_by_person,
            survivors=bool(report.survivors),
            left_s=self._left_s(progress),
            cut_off=-1 in streams.stdio,
        )
        restarts = progress.attempt - 1
        decided = retry.decide(policy, restarts, end, self.folder.run_id)
        after_s = decided.after_s if isinstance(decided, retry.Again) else None
        row = self._row(end, progress, after_s)
        record.attempt_log += (row,)
        record.attempts = progress.attempt
        if isinstance(decided, retry.Stop):
            self.noted.not_again = "" if decided.why == "no-policy" else decided.why
            if decided.why == "used-up":
                self.tell(Said(not_again_said(row, report, policy.max_restarts)))
            return False
        self.noted.set_up = self.noted.set_up or progress.step == "run"
        self.tell(Said(again_said(row, report, restarts + 1, policy.max_restarts)))
        self._note_again(report, row, decided.after_s)
        return True

    def follow_lost(self, report: RunReport, row: Attempt | None, *, set_up: bool, against: str) -> bool:
        """Does another attempt follow one that was lost with its guards? `row` None: they waited for one.

        It is noted then, as after any other attempt; `go` takes it from there. `against` is why we may not
        start one, or empty.
        """
        record, policy = self.noted.record, self.plan.spec.retry
        started = self.clock.monotonic() - max(0.0, self.clock.wall() - report.started_wall)
        # For how long it was suspended is part of `started`: those seconds are by the wall.
        progress = Progress(
            started,
            report.started_wall,
            report.files_since_ns,
            {},
            attempt=record.attempts,
            suspended=suspended_s(),
        )
        end = retry.End(
            report.outcome,
            by_person=report.ended_by_person,
            survivors=bool(report.survivors),
            left_s=self._left_s(progress),
        )
        # A restart that was decided, and never made, is decided once more, by the same figures.
        decided = retry.decide(policy, max(0, progress.attempt - 1), end, self.folder.run_id)
        after_s = decided.after_s if isinstance(decided, retry.Again) and not against else None
        if row is not None:
            row = replace(row, next_in_s=after_s)
            record.attempt_log += (row,)
        if isinstance(decided, retry.Stop) or against:
            why = decided.why if isinstance(decided, retry.Stop) else against
            self.noted.not_again = "" if why == "no-policy" else why
            return False
        self.noted.set_up, self.noted.progress = set_up, progress
        # What was waited for has been waited for long enough.
        self._note_again(report, row, 0.0 if row is None else decided.after_s)
        return True

    def _note_again(self, report: RunReport, row: Attempt | None, after_s: float) -> None:
        """Another attempt follows: from this note on nobody repeats the one that has ended."""
        self.noted.so_far = report
        self.noted.again_at = self.clock.monotonic() + after_s
        self.noted.record.again_wall = self.clock.wall() + after_s
        if row is not None:
            self.book.note(State.RETRYING, **row.as_json())
        self.note()
        self.book.write()
        self.book.flush()

    def _row(self, end: retry.End, progress: Progress, next_in_s: float | None) -> Attempt:
        began = progress.started if progress.began is None else progress.began
        return Attempt(
            progress.attempt,
            end.outcome.name,
            int(end.outcome.exit_code),
            None if end.kind is None else end.kind.value,
            progress.started_wall if progress.began_wall is None else progress.began_wall,
            self.clock.monotonic() - began,
            next_in_s,
        )

    def _left_s(self, progress: Progress) -> float | None:
        limit = self._limit(progress)
        return None if limit is None else limit[0]

    def _limit(self, progress: Progress) -> tuple[float, OverLimit] | None:
        limits = limits_of(self.plan.spec, self.plan.rate, self._saves())
        return limits.left(*progress.passed(self.clock.monotonic(), suspended_s()))

    def _saves(self) -> Iterator[float]:
        return (row.took_s for row in self.noted.record.checkpoints.values())

    def _pause(self, progress: Progress, streams: Streams) -> Outcome | None:
        """Until the next attempt is due; or how the run ends instead."""
        due = self.noted.again_at or 0.0
        self.seat.expect_end_before(time.monotonic() + max(0.0, due - self.clock.monotonic()))
        try:
            while True:
                for asked in self.desk.take():
                    if asked.what in (PRESS, KILL):
                        progress.pressed_at = self.clock.monotonic()
                        self._note_progress(progress)
                        return Interrupted(asked.number)
                    if asked.what == TYPED:
                        streams.type(asked.data)
                    elif asked.what == WINDOW:
                        streams.resize(asked.data)
                now, limit = self.clock.monotonic(), self._limit(progress)
                if limit is not None and limit[0] <= 0:
                    return limit[1]
                if now >= due:
                    return None
                self.desk.wait(due - now if limit is None else min(due - now, limit[0]))
        finally:
            self.seat.expect_end_before(NEVER)

    def _ended_between(self, outcome: Outcome, progress: Progress) -> RunReport:
        """The next attempt is not begun; the last one was never what ended the run."""
        so_far = self.noted.so_far
        if so_far is None:
            raise AssertionError("a pause follows an attempt")
        self.noted.record.again_wall = None
        return replace(
            so_far,
            outcome=outcome,
            duration_s=self.clock.monotonic() - progress.started,
            out_of_memory=None,
            of_gpu=False,
            ended_by_person=progress.pressed_at is not None,
        )

    # --- for the supervisor -----------------------------------------------------------------------

    def _warn(self, text: Text) -> None:
        self.tell(Said(text, warning=True))

    def _note_progress(self, progress: Progress) -> None:
        record = self.noted.record
        if progress.pressed_at is not None and not self._stop_noted:
            self._stop_noted = True
            self.folder.note_stop()
        self.noted.progress = progress
        if progress.main is not None:
            record.processes[progress.step] = progress.main
            if self.plan.spec.retry.max_restarts > 0:
                self.folder.note_attempt(progress.attempt)
        self.note()

    def _begun(self, step: str, pid: int) -> None:
        record, progress = self.noted.record, self.noted.progress
        if record.started_wall is None:
            record.started_wall = self.clock.wall()
        if progress is not None:
            now = (self.clock.wall(), marks.boottime())
            record.ends_by = ends_by(self.plan, progress.started_wall, *now)
        record.state = "started"
        record.attempts = 1 if progress is None else progress.attempt
        self.book.note(
            State.STARTED,
            step=step,
            attempt=record.attempts,
            pid=pid,
            session=_session(pid),
            files_since_ns=progress.files_since_ns if progress else 0,
        )
        self.note()
        if self.desk.viewer is not None:
            self.desk.viewer.tell(BEGUN, record)
        self.book.write()
        self.book.flush()


def _together(before: RunReport, last: RunReport) -> RunReport:
    """The report of the last attempt, with what counts over all of them."""
    return replace(
        last,
        peak_ram_bytes=_larger(before.peak_ram_bytes, last.peak_ram_bytes),
        peak_gpu_bytes=_larger(before.peak_gpu_bytes, last.peak_gpu_bytes),
        leftovers_stopped=before.leftovers_stopped + last.leftovers_stopped,
    )


def _larger(one: Reading[int], other: Reading[int]) -> Reading[int]:
    if isinstance(one, Known) and isinstance(other, Known):
        return max(one, other, key=lambda known: known.value)
    return one if isinstance(one, Known) else other


def _session(pid: int) -> int:
    """Its session; 0 where it has gone already."""
    try:
        return os.getsid(pid)
    except OSError:
        return 0
