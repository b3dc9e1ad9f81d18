"""The attempts at a run's job, each under the supervisor. Runs in the guard."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from launcher.checkpoints import checkpoints_of
from launcher.events import Said
from launcher.guard.channel import BEGUN
from launcher.guard.command import job_environment, script_argv
from launcher.guard.model import RunPlan
from launcher.guard.streams import StreamMode
from launcher.guard.supervise import Watchers, supervise
from launcher.ledger.model import State
from launcher.restoring import told_to_job
from launcher.stalling import stalling_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.bookkeeping import Book
    from launcher.clock import Clock
    from launcher.events import Event
    from launcher.guard.desk import Desk
    from launcher.guard.folder import RunFolder
    from launcher.guard.model import RunReport
    from launcher.guard.progress import Progress
    from launcher.guard.watcher import Seat
    from launcher.noted import Noted
    from launcher.plan import Plan
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
        saving = checkpoints_of(self.plan, self.noted, self.clock, self, self.book.write)
        stalling = stalling_of(
            self.plan, self.folder, self.noted, self.clock, self, self.note, self.book.write
        )
        return supervise(
            self._run_plan(),
            clock=self.clock,
            desk=self.desk,
            seat=self.seat,
            mode=StreamMode(json=options.json, tty=options.tty, detached=options.detach),
            watchers=Watchers(
                note=self._note_progress,
                begun=self._begun,
                say=lambda text: self.tell(Said(text)),
                warn=self._warn,
            ),
            gpu_meter=self.book.gpu_meter(),
            progress=progress,
            sidelines=(*self.book.beside(saving), *stalling.sidelines),
            stalled=stalling.found,
        )

    def _run_plan(self) -> RunPlan:
        spec, run_id = self.plan.spec, self.folder.run_id
        return RunPlan(
            run_id=run_id,
            run=self.plan.argv,
            setup=None if spec.setup is None else script_argv(spec.setup, spec.name),
            env=job_environment(
                spec,
                self.plan.environ,
                run_id=run_id,
                run_dir=self.folder.path,
                attempt=1,
                more=told_to_job(self.noted.record),
            ),
            workdir=spec.workdir,
            log_path=self.folder.log,
            max_duration_s=spec.max_duration_s,
            stop_grace_s=spec.stop_grace_s,
            leftovers=spec.leftovers,
        )

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
        self.note()

    def _begun(self, step: str, pid: int) -> None:
        record = self.noted.record
        if record.started_wall is None:
            record.started_wall = self.clock.wall()
        record.state, record.attempts = "started", 1
        self.book.note(
            State.STARTED,
            step=step,
            pid=pid,
            session=_session(pid),
            files_since_ns=self.noted.progress.files_since_ns if self.noted.progress else 0,
        )
        self.note()
        if self.desk.viewer is not None:
            self.desk.viewer.tell(BEGUN, record)
        self.book.write()
        self.book.flush()


def _session(pid: int) -> int:
    """Its session; 0 where it has gone already."""
    try:
        return os.getsid(pid)
    except OSError:
        return 0
