"""A queue: runs one after the other, or a few at a time, and one release at the end. What its guard does.

It is a run whose job is to start runs: the same lease, note, ledger, recovery and release. Each run is an
ordinary detached run of its own, with a watcher and a guard of its own, that releases nothing.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from launcher import holds
from launcher.after_job import AfterJob
from launcher.archive import archive
from launcher.course import Course
from launcher.events import Said
from launcher.guard.channel import BEGUN
from launcher.guard.folder import write_json
from launcher.guard.model import Lost, Outcome, RunReport
from launcher.ledger.model import State
from launcher.queue_plan import FILE, KIND
from launcher.queue_runs import QueueRuns
from launcher.release.interface import ReleaseResult, ReleaseStatus
from launcher.release_rows import EARLIER_RUN
from launcher.unsaved_files import after_hold
from launcher.values import Unknown
from launcher.words import words

if TYPE_CHECKING:
    from launcher.clock import Clock
    from launcher.events import Event
    from launcher.guard.desk import Desk
    from launcher.guard.watcher import Seat
    from launcher.lost import LostRun
    from launcher.noted import Noted
    from launcher.queue_plan import QueuePlan
    from launcher.release import lease, marks
    from launcher.results import Results


class QueueCourse(Course):
    """One queue from its lease to the last word on the runtime."""

    def __init__(self, plan: QueuePlan, seat: Seat, desk: Desk, clock: Clock) -> None:
        super().__init__(plan.plan, seat, desk, clock)
        self.asked = plan.asked

    def go(self) -> None:
        """Everything. Raises BeingReleased and StateFolderError before anything is started."""
        noted = self.seat.notes.read()
        if noted is None or noted.report is None:
            self._begin(noted)
            queue = self._runs()
            queue.go()
            self._note_report(self._report(queue, queue.outcome))
        else:
            self._take_up(noted)
        self._after().go()

    def give_up(self, grace_s: float) -> None:
        """We have a bug. The runs have guards of their own and end as they do; nothing follows them."""
        if self.noted.report is None:
            self._note_report(self._lost_report())
        self._after().go()

    # --- beginning, and taking up -------------------------------------------------------------------

    def _begin(self, noted: Noted | None) -> None:
        super()._begin(noted)
        self._let_go_of_streams()
        record = self.noted.record
        if record.started_wall is None:
            record.started_wall = self.clock.wall()

    def _write_plan(self) -> None:
        super()._write_plan()
        with suppress(OSError):  # Then it cannot be found without a guard; the book says what is wrong.
            write_json(os.path.join(self.folder.path, FILE), self.asked.as_json())

    def _resume(self, noted: Noted, own: marks.Announced, held: lease.Lease) -> None:
        self._let_go_of_streams()
        super()._resume(noted, own, held)

    def _let_go_of_streams(self) -> None:
        if not self.seat.streams_taken:
            self.seat.take_streams()

    def _runs(self) -> QueueRuns:
        return QueueRuns(
            self.plan, self.asked, self.desk, self.noted, self.folder, self._changed, self._begun
        )

    def _changed(self, event: Event | None) -> None:
        """One of the runs stands otherwise than before: it is noted, written down and told."""
        self._tell_record()
        self._note()
        self.book.write()
        self.book.send()
        if event is not None:
            self.tell(event)

    def _tell_record(self) -> None:
        pairs = zip(self.noted.queue, self.asked.items, strict=False)
        self.noted.record.queue_runs = tuple(
            one.as_json(number, item) for number, (one, item) in enumerate(pairs)
        )

    def _begun(self) -> None:
        """The first of the runs is really at work."""
        record = self.noted.record
        if record.state != "started":
            record.state, record.attempts = "started", 1
            self.book.note(State.STARTED, kind=KIND)
            self._note()
            self.book.write()
            self.book.flush()
        if self.desk.viewer is not None:
            self.desk.viewer.tell(BEGUN, record)

    # --- the end ------------------------------------------------------------------------------------

    def _report(self, queue: QueueRuns, outcome: Outcome) -> RunReport:
        began = self.noted.record.started_wall or self.clock.wall()
        return RunReport(
            outcome=outcome,
            started_wall=began,
            files_since_ns=0,
            duration_s=max(0.0, self.clock.wall() - began),
            peak_ram_bytes=Unknown("queue"),
            peak_gpu_bytes=Unknown("queue"),
            ended_by_person=queue.by_person,
            survivors=tuple(pid for one in self.noted.queue for pid in _survivors(one.told)),
        )

    def _lost_report(
        self, files_since_ns: int = 0, stopped: int = 0, survivors: tuple[int, ...] = ()
    ) -> RunReport:
        """The runs that go on are waited for; those that have not begun do not begin."""
        if self.noted.queue_stopped is None and os.path.lexists(self.folder.stopped):
            self.noted.queue_stopped = signal.SIGINT  # By which signal, nobody knows any more.
        queue = self._runs()
        queue.finish()
        outcome = queue.outcome if queue.by_person else Lost()
        return self._report(queue, outcome)

    def _again_after(self, lost: LostRun, report: RunReport) -> RunReport:
        """Its runs are tried again by their own guards, if by anybody."""
        return report

    def _after(self) -> AfterJob:
        self.desk.status = self._status
        after = QueueAfter(
            self.plan,
            self.desk,
            self.clock,
            self.noted,
            self.folder,
            self._own,
            self._lease,
            self.book,
            self._note,
            self.tell,
        )
        after.runs = [one.run_id for one in self.noted.queue if one.run_id is not None]
        return after


def _survivors(told: dict[str, object]) -> tuple[int, ...]:
    """Processes of a run that nobody could end: they keep the runtime, as they do after a run."""
    pids = told.get("survivors")
    return tuple(pid for pid in pids if isinstance(pid, int)) if isinstance(pids, list) else ()


class QueueAfter(AfterJob):
    """What comes after the last run. What its runs hold, the queue waits for."""

    runs: list[str]

    def _held(self, results: Results) -> ReleaseResult | None:
        own = self.hold
        if own is not None:
            release, now = self.plan.spec.release, self.clock.wall()
            own = replace(own, until_wall=now + release.hold_s, then=after_hold(self.plan).value)
            return holds.held_until(own, complete=not own.outputs)
        earlier = holds.waiting(self.plan.target, self.clock.wall())
        return ReleaseResult(ReleaseStatus.HELD, EARLIER_RUN, earlier) if earlier else None

    @property
    def hold(self) -> holds.Hold | None:
        """The first of the runs' holds that still says something."""
        return next(iter(self._holds()), None)

    def _holds(self) -> list[holds.Hold]:
        now = self.clock.wall()
        found = (holds.of_run(self.plan.target, run_id) for run_id in self.runs)
        return [hold for hold in found if hold is not None and hold.sentence(now)]

    def archive(self) -> bool:
        """To Drive with what exists only here, run by run; False: it stays, for that could not be done."""
        record = self.noted.record
        for hold in self._holds():
            self.tell(Said(words("what exists only here is being copied to Drive")))
            plan = replace(self.plan, spec=replace(self.plan.spec, workdir=hold.workdir))
            saved = archive(plan, hold.run_id, hold, record, self.clock, self.desk, self)
            record.saved += (saved,)
            if not saved.complete:
                why = words("it could not be copied to Drive: {why}", why=saved.why)
                self.note_release(ReleaseResult(ReleaseStatus.HELD, "archive-failed", why))
                return False
            with suppress(OSError):
                holds.clear(self.plan.target, hold.run_id)
        self.book.write()
        return True
