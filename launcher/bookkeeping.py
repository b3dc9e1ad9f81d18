"""Where a guard writes down how far its run has come. None of it may stop the run or its release."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from launcher.children import call_in_child
from launcher.gpu_check import left_on_gpus
from launcher.guard import meeting
from launcher.guard.folder import make_durable, write_json
from launcher.ledger.model import LedgerUnusable, State
from launcher.ledger.place import file_system_of, is_network
from launcher.ledger.recover import Step, next_step
from launcher.ledger.spool import new_entry
from launcher.ledger.store import Ledger
from launcher.masking import mask_json
from launcher.probes import kernels, nvml
from launcher.release.lease import boot_id
from launcher.values import Known, Unknown
from launcher.words import reason, words

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.clock import Clock
    from launcher.guard.folder import RunFolder
    from launcher.guard.sampler import GpuMeter
    from launcher.noted import Noted
    from launcher.plan import Plan
    from launcher.probes.model import GpuHolder
    from launcher.values import Reading
    from launcher.words import Text

# How long a file on Drive or another network may take to be written.
REMOTE_DEADLINE_S = 10.0
# Meanwhile nobody is answered.
KERNELS_DEADLINE_S = 1.5


class Book:
    """The ledger, the run's result.json, and `--result`; `warn` says once what cannot be written."""

    def __init__(
        self, plan: Plan, folder: RunFolder, noted: Noted, clock: Clock, warn: Callable[[Text], None]
    ) -> None:
        self._plan, self._folder, self._record = plan, folder, noted.record
        self._clock, self._warn = clock, warn
        self._warned = False
        # Noted, so that a row is neither lost with a guard nor written twice by the one after it.
        self._rows = noted.rows
        self._ledger = self._open_ledger()
        # A file system that hangs must not hang the end of the run.
        self._remote = _remote_of((folder.path, plan.result.path))
        self._stuck = False

    def _open_ledger(self) -> Ledger | None:
        try:
            ledger = Ledger.open(self._plan.home, boot_id())
        except LedgerUnusable as error:
            self._record.ledger = error.reason
            self._warn(
                words("the ledger cannot be used ({reason}); the run goes on without it", reason=error.reason)
            )
            return None
        if ledger.moved_aside:
            self._warn(
                words(
                    "the ledger was damaged; it is now {path}, and a new one was begun",
                    path=ledger.moved_aside,
                )
            )
        return ledger

    def plan_written(self) -> None:
        """For whoever finds this run without a guard."""
        self._write_json(self._folder.plan, self._plan.as_json())

    def note(self, state: State, **facts: Any) -> None:
        """A row for the ledger, as of now; it is written with the next `flush`."""
        told = mask_json(facts, self._plan.secrets)
        self._rows.append(new_entry(self._folder.run_id, state, self._clock.wall(), boot_id(), told))

    def flush(self) -> None:
        """Write the rows. Nobody waits for this but a request that they have to precede."""
        if self._ledger is None or not self._rows or self._ledger.write_entries(self._rows):
            self._rows.clear()

    def write(self) -> None:
        """The record as it stands, for people and scripts."""
        if not self._remote:
            self._write_files()
        elif not self._stuck:
            answer = call_in_child(self._write_files, deadline_s=REMOTE_DEADLINE_S)
            self._stuck = isinstance(answer, Unknown) and answer.reason == "timeout"
            if self._stuck:
                told = words(
                    "{name} takes nothing any more: what happens is not written there", name=self._remote
                )
                self._warn(told)

    def _write_files(self) -> None:
        self._write_json(self._folder.result, self.document())
        self._plan.result.write(self._record)

    def document(self) -> dict[str, Any]:
        """The record as JSON, without secrets."""
        return dict(mask_json(self._record.as_json(), self._plan.secrets))

    def make_durable(self) -> None:
        """A release may cut the power next."""
        self.flush()
        for path in (self._folder.log, self._folder.result, self._folder.path):
            make_durable(path)

    def _write_json(self, path: str, document: dict[str, Any]) -> None:
        try:
            write_json(path, document, durable=False)
        except OSError as error:
            if not self._warned:
                self._warned = True
                self._warn(words("{name}: {why}", name=path, why=reason(error.strerror)))

    def close(self) -> None:
        """What is still unwritten goes beside the ledger."""
        self.flush()
        if self._ledger is not None:
            self._note_lost()
            self._ledger.close()

    def _note_lost(self) -> None:
        """Runs of an earlier boot that never came to their end: their machine is gone."""
        if self._ledger is None:
            return
        for run in self._ledger.unfinished():
            same_boot = run.last.boot_id == boot_id()
            if next_step(run.last, guarded=False, same_boot=same_boot) is Step.NOTE_LOST:
                self._ledger.write(run.run_id, State.LOST, self._clock.wall())

    # --- what else a guard asks of its surroundings -----------------------------------------------

    def socket_path(self) -> str:
        """Where the guard can be asked. Raises OSError."""
        folder, run_id = meeting.make_folder(), self._folder.run_id
        for name in os.listdir(folder):
            if name.startswith(f"{run_id}."):  # Of a guard that was killed while it made its own.
                with suppress(OSError):
                    os.unlink(os.path.join(folder, name))
        return os.path.join(folder, run_id)

    def gpu_meter(self) -> GpuMeter | None:
        """How to read the GPUs' memory, where there are any."""
        if not self._plan.meters_gpu:
            return None
        return nvml.memory_meter

    def busy_kernel(self, *, attended: bool) -> Text:
        """A sentence about a notebook kernel that is at work; empty if none is.

        `attended`: our client still runs in its cell, and keeps the kernel of that cell busy.
        """
        own = frozenset({self._plan.kernel} if attended and self._plan.kernel else ())
        reading = kernels.read_kernels(self._plan.environ, own=own, deadline_s=KERNELS_DEADLINE_S)
        busy = kernels.busy_elsewhere(reading, now=self._clock.wall())
        if busy is None:
            return ""  # What cannot be read does not count at the end of a run.
        return words("another notebook kernel is at work ({name})", name=busy.name)

    def gpu_processes_left(self) -> Reading[tuple[GpuHolder, ...]]:
        """Who holds GPU memory and did not before the job."""
        if not self._plan.meters_gpu:
            return Known(())
        return left_on_gpus(self._plan.gpu_holders)


def _remote_of(paths: tuple[str | None, ...]) -> str:
    """The first of these that lies on Drive or another network; empty if none does."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
            mounts = file.read()
    except OSError:
        return ""
    return next((path for path in paths if path and is_network(file_system_of(path, mounts))), "")
