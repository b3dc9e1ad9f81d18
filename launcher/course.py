"""What happens to a run: its lease, the job, its results, the runtime, the last word. Runs in the guard.

After each step it is noted how far the run has come (for the watcher, in shared memory; for whoever
comes when both are gone, in the run's folder and in the ledger). Taking over is this same course from
there on.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from launcher.after_job import AfterJob
from launcher.attempting import Attempts
from launcher.bookkeeping import Book
from launcher.budget import ends_by, ends_by_said
from launcher.errors import BeingReleased, ColabRunError
from launcher.events import Announced, Launching, Said
from launcher.gpu_hold import GpuHold
from launcher.guard.channel import BEGUN, NAMED
from launcher.guard.connect import let_go
from launcher.guard.emergency import end_everything
from launcher.guard.folder import RunFolder, make_run_folder
from launcher.guard.model import Interrupted, Lost, Outcome, Refused, RunReport
from launcher.ledger.model import State
from launcher.noted import Noted
from launcher.once import claim
from launcher.release import lease, marks
from launcher.release.decide import when_idle
from launcher.release.interface import ReleaseStatus
from launcher.restoring import restore_outputs
from launcher.results import recall
from launcher.saving.model import TargetKind, parse_target
from launcher.saving.save import get_ready
from launcher.unsaved_files import after_hold, will_hold
from launcher.values import Unknown
from launcher.words import reason, words

if TYPE_CHECKING:
    from launcher.clock import Clock
    from launcher.events import Event
    from launcher.guard.desk import Desk
    from launcher.guard.watcher import Seat
    from launcher.lost import LostRun
    from launcher.plan import Plan
    from launcher.words import Text

NOTE, LEASE = "note", "lease"


class Course:
    """One run from its lease to the last word on the runtime."""

    def __init__(self, plan: Plan, seat: Seat, desk: Desk, clock: Clock) -> None:
        self.plan, self.seat, self.desk, self.clock = plan, seat, desk, clock
        self.spec = plan.spec
        self.desk.status = self._status
        self._gpus = GpuHold(plan, seat)

    # --- for events.Audience ----------------------------------------------------------------------

    def tell(self, event: Event) -> None:
        """To the client, if there still is one."""
        if self.desk.viewer is not None:
            self.desk.viewer.event(event)

    def _warn(self, text: Text) -> None:
        self.tell(Said(text, warning=True))

    # --- the course -------------------------------------------------------------------------------

    def go(self) -> None:
        """Everything. Raises BeingReleased and StateFolderError before anything is started."""
        noted = self.seat.notes.read()
        if noted is None or (noted.progress is None and noted.report is None):
            self._begin(noted)
        else:
            self._take_up(noted)
        if self.noted.report is None:
            self._note_report(self._attempts().go(self.noted.progress))
        self._after().go()

    def give_up(self, grace_s: float) -> None:
        """We have a bug: end what is left of the job, then do what there is to do after a job."""
        end_everything(grace_s=grace_s, clock=self.clock, desk=self.desk)
        if self.noted.report is None:
            self._note_report(self._lost_report())
        self._after().go()

    def take_up_lost(self, own: marks.Announced, lost: LostRun) -> None:
        """The run's watcher and guard are both gone; we hold its note now, and are nobody's parent."""
        recall(lost.record, RunFolder(lost.folder), saved=lost.release is not None)
        noted = Noted(lost.folder, own.path, lost.record, before=lost.before, idle_reason=lost.idle_reason)
        # Its job had ended before now; what others have said since counts more.
        noted.ended_at = marks.boottime() - lost.age_s(self.clock)
        self._resume(noted, own, lease.Lease([]))
        self._gpus.keep_from_others(lost.record.gpus, lost.run_id)
        stopped, survivors = lost.end_job(self.spec.stop_grace_s, self.clock, self.desk)
        report = self._lost_report(lost.files_since_ns, stopped, survivors)
        if lost.outcome is not None and not stopped:
            report = replace(report, outcome=lost.outcome)
        if self.desk.viewer is not None:
            self.desk.viewer.tell(BEGUN, lost.record)
            self.desk.viewer.span(1, 0, os.stat(self.folder.log).st_size)
        if not lost.planned:
            self.book.note(State.PLANNED, name=self.spec.name)
        if lost.outcome is None:
            report = self._again_after(lost, report)
        self._note_report(report, known=lost.outcome is not None)
        if lost.release is not None:
            lost.record.release, self.noted.decided = lost.release, True
            # Whoever waits for its last word has waited long enough: it has been said.
            self.noted.told = lost.release.status is not ReleaseStatus.REQUESTED
            if lost.idle_reason:
                self.noted.asked = when_idle(lost.idle_reason, words("the job is over (release.when: idle)"))
            lost.record.state = "done" if self.noted.told else "releasing"
        self._after().go()

    def _again_after(self, lost: LostRun, report: RunReport) -> RunReport:
        """`retry: {on: [lost]}`: what became of the attempts that followed; `report` where none did."""
        may = self.spec.retry.max_restarts > 0 and not lost.last_try
        # None: the machine is being handed back right now.
        held = lease.hold_shared(self.plan.target) if may else None
        if held is not None:
            self._lease = held
            self._keep_lease()
        against = "not-ours" if held is None else self._claim_again()
        attempts = self._attempts()
        if attempts.follow_lost(report, lost.lost_at, set_up=lost.set_up, against=against):
            self.noted.ended_at = None
            return attempts.go(self.noted.progress)
        return report

    def _claim_again(self) -> str:
        """The GPUs of a lost run, chosen anew; why it gets none, if others have them by now."""
        try:
            self._gpus.claim(self.noted, self.folder.run_id, self.desk, lambda text: self.tell(Said(text)))
        except ColabRunError as error:
            self._warn(error.said)
            return "gpus-taken"
        return ""

    def _after(self) -> AfterJob:
        self.desk.status = self._status
        return AfterJob(
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

    def _attempts(self) -> Attempts:
        return Attempts(
            self.plan,
            self.seat,
            self.desk,
            self.clock,
            self.noted,
            self.folder,
            self.book,
            self._note,
            self.tell,
        )

    def _lost_report(
        self, files_since_ns: int = 0, stopped: int = 0, survivors: tuple[int, ...] = ()
    ) -> RunReport:
        progress, now = self.noted.progress, self.clock.wall()
        began = self.noted.record.started_wall or now
        return RunReport(
            outcome=Lost(),
            started_wall=began,
            files_since_ns=progress.files_since_ns if progress else files_since_ns,
            duration_s=max(0.0, now - began),
            peak_ram_bytes=Unknown("lost"),
            peak_gpu_bytes=Unknown("lost"),
            ended_by_person=os.path.lexists(self.folder.stopped),
            leftovers_stopped=stopped,
            survivors=survivors,
        )

    def _begin(self, noted: Noted | None) -> None:
        """Everything before the job. With `noted` a guard before us began with it, and no second run follows.

        Raises BeingReleased, StateFolderError.
        """
        plan = self.plan
        self._hold_lease()
        # What a person kept the machine for, by pressing stop, is to run something on it.
        marks.drop_keep(plan.target, by=marks.PRESSED_STOP)
        if noted is None:
            self.folder = make_run_folder(plan.home, plan.job_file, self.clock)
            plan.record.run_id, plan.record.log = self.folder.run_id, self.folder.log
            path = os.path.join(lease.FOLDER, marks.file_name(self._run_note()))
            self.noted = Noted(self.folder.path, path, plan.record)
            self._note()
        else:
            self.noted, self.folder = noted, RunFolder(noted.folder)
        self.book = Book(plan, self.folder, self.noted, self.clock, self._warn)
        if not self.noted.planned:
            self._write_plan()
        # Whoever finds the note finds the plan, and our client knows whose end it has to look after.
        if self.desk.viewer is not None:
            self.desk.viewer.send(NAMED + self.folder.run_id.encode())
        self._announce()
        self._keep_lease()
        stopped_by = self._claim()
        self._note()
        if not self.noted.planned:
            self.book.note(State.PLANNED, name=self.spec.name)
            self.noted.planned = True
            self._note()
            self.book.write()
            self.book.send()
        self._listen()
        ends = ends_by_said(ends_by(plan, self.clock.wall(), self.clock.wall(), marks.boottime()))
        hints = (*plan.hints, ends) if ends else plan.hints
        if stopped_by is not None:
            self._get_ready()
            self._note_unbegun(Interrupted(stopped_by), self.clock.wall())
            return
        self.tell(Launching(self.spec.name, self.folder.run_id, plan.warnings, hints))
        if will_hold(plan):
            release = self.spec.release
            self.tell(Announced(release.hold_s, after_hold(plan).value, plan.rate))
        self._get_ready()
        if not self.noted.restored:
            self._restore()

    def _write_plan(self) -> None:
        self.book.plan_written()

    def _claim(self) -> int | None:
        """Be the only run of its key, of its place in a queue, and on its GPUs.

        The signal of a person who stopped it meanwhile. Raises AlreadyStarted, GpusTaken, StateFolderError.
        """
        try:
            stopped_by = self._gpus.claim(
                self.noted, self.folder.run_id, self.desk, lambda text: self.tell(Said(text))
            )
            claim(self.plan, self.folder.run_id)
        except ColabRunError:
            self._own.withdraw()
            self.folder.remove_unbegun()
            raise
        return stopped_by

    def _restore(self) -> None:
        """What an earlier run saved goes back to where the job looks for it; else the job does not start."""
        record = self.noted.record
        began, pressed = self.clock.wall(), []

        def stopped() -> bool:
            if (number := self.desk.take_stop()) is not None:
                pressed.append(number)
            return bool(pressed)

        record.restored = ()
        why = restore_outputs(self.plan, record, self.clock, self, stopped)
        self.noted.restored = True
        if pressed:
            self._note_unbegun(Interrupted(pressed[0]), began)
        elif why:
            self._warn(words("{why}: the job is not started. To start without it, remove `restore`", why=why))
            self._note_unbegun(Refused(), began)
        else:
            self._note()
            if record.restored:
                self.book.write()  # For whoever finds this run without a guard.

    def _note_unbegun(self, outcome: Outcome, began: float) -> None:
        """The run ends before its job has begun."""
        self.noted.unbegun = True
        took = max(0.0, self.clock.wall() - began)
        unknown = Unknown("not-started")
        person = isinstance(outcome, Interrupted)
        self._note_report(RunReport(outcome, began, 0, took, unknown, unknown, ended_by_person=person))

    def _hold_lease(self) -> None:
        """The one that a guard before us had, if all of it was kept. Raises as above."""
        kept = self._kept_lease()
        if NOTE in self.seat.kept:  # The last that is kept.
            self._lease = lease.Lease(kept)
            return
        held = lease.hold_shared(self.plan.target)
        if held is None:
            raise BeingReleased(
                words("this runtime is being handed back right now, so nothing was started"),
                words("connect to a new runtime and run the job there"),
            )
        self._lease = lease.Lease([*kept, *held.fds])

    def _kept_lease(self) -> list[int]:
        return [descriptor for label, descriptor in self.seat.kept.items() if label.startswith(LEASE)]

    def _run_note(self) -> marks.RunNote:
        return marks.RunNote(
            self.folder.run_id, self.plan.home, self.spec.name, os.geteuid(), self.plan.target
        )

    def _announce(self) -> None:
        if NOTE in self.seat.kept:
            self._own = marks.Announced(self.noted.note, self.seat.kept[NOTE])
            return
        try:
            self._own = marks.announce(self.plan.target, self._run_note())
        except OSError as error:
            raise lease.unusable(error) from error

    def _keep_lease(self) -> None:
        for number, descriptor in enumerate(self._lease.fds):
            self.seat.keep(f"{LEASE} {number}", descriptor)
        for descriptor in self._own.fds:
            self.seat.keep(NOTE, descriptor)

    def _take_up(self, noted: Noted) -> None:
        """The guard before us is gone: what the watcher kept is ours now."""
        own = marks.Announced(noted.note, self.seat.kept.get(NOTE, -1))
        self._resume(noted, own, lease.Lease(self._kept_lease()))
        if noted.progress is not None and noted.progress.begun and self.desk.viewer is not None:
            self.desk.viewer.tell(BEGUN, noted.record)  # Perhaps for the second time.

    def _resume(self, noted: Noted, own: marks.Announced, held: lease.Lease) -> None:
        self.noted, self.folder = noted, RunFolder(noted.folder)
        self._own, self._lease = own, held
        self._get_ready()
        self.book = Book(self.plan, self.folder, noted, self.clock, self._warn)
        self.book.flush()
        self._listen()

    def _get_ready(self) -> None:
        """What saves is imported before the job runs; an archive goes into a folder, whatever outputs do."""
        kinds = {parse_target(output.to, self.spec.workdir).kind for output in self.spec.outputs}
        if kinds or self.plan.platform.drive_mounted:
            get_ready({*kinds, TargetKind.FOLDER})

    def _listen(self) -> None:
        try:
            self.desk.listen(self.book.socket_path())
        except OSError as error:
            why = words("no other shell can ask this run: {why}", why=reason(error.strerror or str(error)))
            self._warn(why)

    def _note(self) -> None:
        self.seat.notes.write(self.noted)

    # --- the job ----------------------------------------------------------------------------------

    def _note_report(self, report: RunReport, *, known: bool = False) -> None:
        """`known`: the ledger has it already."""
        outcome, record = report.outcome, self.noted.record
        record.report, record.started_wall = report, report.started_wall
        record.outcome, record.exit_code = outcome.name, int(outcome.exit_code)
        record.decided_by = outcome.decided_by
        record.processes.clear()
        record.gpu_left = self.book.gpu_processes_left()
        record.state = "exited"
        self.noted.report = report
        if not known:
            self.book.note(State.ENDED, outcome=record.outcome, exit_code=record.exit_code, **self._retries())
        self._note()
        self._gpus.let_go()
        let_go(self.seat)

    def _retries(self) -> dict[str, object]:
        """How often the job was started, how that went the last time, and why not once more."""
        record = self.noted.record
        told: dict[str, object] = {"attempts": record.attempts}
        if self.noted.not_again:
            told["not_again"] = self.noted.not_again
        if record.attempt_log and record.attempt_log[-1].next_in_s is None:
            told["last_attempt"] = record.attempt_log[-1].as_json()
        return told

    def _status(self) -> dict[str, object]:
        """For `ps` and `stop`."""
        return {**self.book.document(), "guard_pid": os.getpid(), "folder": self.folder.path}
