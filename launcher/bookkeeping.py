"""Where a guard writes down how far its run has come. None of it may stop the run or its release."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from launcher.busy import busy_elsewhere
from launcher.children import call_in_child
from launcher.clock import iso_utc
from launcher.flushing import DEADLINE_S as FLUSH_S
from launcher.gpu_check import left_on_gpus
from launcher.guard import meeting
from launcher.guard.folder import make_durable, write_json
from launcher.guard.sideline import InTurn
from launcher.ledger.confirming import confirm, note_gone
from launcher.ledger.courier import DEADLINE_S, HUNG, Courier
from launcher.ledger.mirror import MIRRORED, RECEIPT, Name, Place, Written, highest_number, mirror_of, written
from launcher.ledger.model import RELEASE, LedgerUnusable, Row, State
from launcher.ledger.place import remote_of
from launcher.ledger.spool import new_entry
from launcher.ledger.store import Ledger
from launcher.masking import mask_json
from launcher.places import DRIVE, is_under
from launcher.probes import nvml
from launcher.record import reading_json
from launcher.release.interface import ReleaseStatus
from launcher.release.lease import boot_id
from launcher.values import Known, Unknown
from launcher.words import reason, words

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.clock import Clock
    from launcher.guard.folder import RunFolder
    from launcher.guard.sampler import GpuMeter
    from launcher.guard.sideline import Sideline
    from launcher.noted import Noted
    from launcher.plan import Plan
    from launcher.probes.model import GpuHolder
    from launcher.record import RunRecord
    from launcher.values import Reading
    from launcher.words import Text

# How long a file on Drive or another network may take to be written.
REMOTE_DEADLINE_S = DEADLINE_S
# How many names of files a row of the ledger has.
_SHOWN = 20


class Book:
    """The ledger, the run's result.json, and `--result`; `warn` says once what cannot be written."""

    def __init__(
        self, plan: Plan, folder: RunFolder, noted: Noted, clock: Clock, warn: Callable[[Text], None]
    ) -> None:
        self._plan, self._folder, self._record = plan, folder, noted.record
        self._clock, self._warn = clock, warn
        self._warned = False
        # Noted, so that a row is neither lost with a guard nor written twice by the one after it.
        self._rows, self._noted = noted.rows, noted
        self._host = os.uname().nodename
        self._ledger = self._open_ledger()
        # A file system that hangs must not hang the end of the run.
        self._remote = remote_of((folder.path, plan.result.path))
        self._stuck = False
        mirror = mirror_of(plan.spec)
        self.courier = None if mirror is None else self._open_mirror(mirror)

    def _open_mirror(self, mirror: str) -> Courier:
        """The way to it. Who takes a run over offers again what the guard before may not have written."""
        noted, again = self._noted, self._noted.numbered > 0
        if not again and os.path.exists(self._folder.plan):
            self._offer_again(mirror)
        self._offer_receipt_again()
        place = Place(mirror, DRIVE if is_under(mirror, DRIVE) else "", noted.mirror_device)
        own, host = boot_id(), self._host

        def changed(device: int) -> None:
            noted.mirror_device = device

        def failed(why: str) -> None:
            told = words("it does not answer") if why == HUNG else reason(why)
            self._warn(
                words("the mirror of the ledger in {folder} takes nothing: {why}", folder=mirror, why=told)
            )

        return Courier(
            place,
            noted.mirror_rows,
            self._clock,
            self._folder.run_id,
            look=lambda: confirm(mirror, own, host, time.time()),
            changed=changed,
            failed=failed,
            lost=lambda why: self._warn(words("{name}: {why}", name=self._folder.receipt, why=reason(why))),
            again=again or noted.numbered > 0,
        )

    def _offer_again(self, mirror: str) -> None:
        """Both guards of this run are gone: what they had told is in the ledger, or in the mirror."""
        # The ledger may be unusable, and never knew of receipts. No job runs that this could delay.
        there = call_in_child(lambda: highest_number(mirror, self._folder.run_id), deadline_s=DEADLINE_S)
        if isinstance(there, Known):
            self._noted.numbered = max(self._noted.numbered, int(there.value))
        rows: list[Row] = []
        with suppress(LedgerUnusable):
            rows = [] if self._ledger is None else self._ledger.rows(self._folder.run_id)
        for row in rows:
            number = row.facts.get("number")
            if isinstance(number, int):
                self._noted.numbered = max(self._noted.numbered, number)
                self._noted.mirror_rows.append(written(row._replace(seq=number), self._host))

    def _offer_receipt_again(self) -> None:
        """A receipt is neither in the ledger nor always noted: its number is in itself."""
        number = _read_json(self._folder.receipt).get("number")
        if isinstance(number, int):
            self._noted.numbered = max(self._noted.numbered, number)
            name = Name(self._folder.run_id, number, RECEIPT)
            self._noted.mirror_rows.append(Written(str(name), copy_of=self._folder.receipt))

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
        """A row for the ledger and its mirror, as of now; it is written with the next `flush`."""
        wall = self._clock.wall()
        told = dict(mask_json({**self._known(state), **facts}, self._plan.secrets))
        if self.courier is not None and state in MIRRORED:
            told = self._mirror(state, wall, told)
        self._rows.append(new_entry(self._folder.run_id, state, wall, boot_id(), told))

    def _mirror(self, state: State, wall: float, told: dict[str, Any]) -> dict[str, Any]:
        """A row for the mirror; its facts, with its number."""
        told = {"number": self._next_number(), **told}
        row = Row(self._folder.run_id, self._noted.numbered, wall, boot_id(), state, told)
        self._noted.mirror_rows.append(written(row, self._host))
        return told

    def receipt(self, *, asked: bool = True) -> None:
        """The run's receipt with what is known now, in its folder and, with the next `flush`, in the mirror.

        What was saved stays in it. Where it is written before an answer has come, or before the release was
        `asked` for, `final` is False.
        """
        path = self._folder.receipt
        before = _read_json(path)
        if self.courier is None and not before:
            return
        release = self._record.release
        told: dict[str, Any] = {"manifest": [], **before, **self.document()}
        told.update(_asked(self._plan))
        told["written"], told["boot_id"], told["host"] = iso_utc(self._clock.wall()), boot_id(), self._host
        told["final"] = asked and release is not None and release.status is not ReleaseStatus.REQUESTED
        if self.courier is None:
            self._write_json(path, told)
            return
        told["number"] = self._next_number()
        name = str(Name(self._folder.run_id, self._noted.numbered, RECEIPT))
        # Copied, because a manifest may be long. Where there is no room for it here, there may be there.
        there = self._write_json(path, told)
        row = Written(name, copy_of=path) if there else Written(name, json.dumps(told, indent=2) + "\n")
        self._noted.mirror_rows.append(row)

    def _next_number(self) -> int:
        self._noted.numbered += 1
        return self._noted.numbered

    def _known(self, state: State) -> dict[str, Any]:
        """What of the record a row of this state tells."""
        record, plan = self._record, self._plan
        if state is State.PLANNED:
            rate = None if plan.rate is None else asdict(plan.rate)
            told = {"platform": plan.platform.kind.value, "host": self._host, "rate": rate, **_story(record)}
            return {**told, **_belongs(plan, record)}
        if state is State.STARTED:
            return _story(record)
        if state is State.ENDED:
            return {**_story(record), **_end(record)}
        if state is State.SAVED:
            return {"saved": [_in_short(row.as_json()) for row in record.saved]}
        if state is State.DONE or state in RELEASE:
            return {
                **({} if record.release is None else record.release.as_json()),
                # What was not saved, or not released, makes another code of a job that went well.
                "exit_code": record.exit_code,
                "decided_by": record.decided_by,
                **_asked(plan),
                "confirm_s": plan.spec.release.confirm_s,
                "give_up_after_s": plan.timing.give_up_after_s,
                # In which nothing is heard of a run that is about to ask.
                "unmount_s": FLUSH_S if plan.platform.drive_mounted else 0.0,
            }
        return {}

    def flush(self) -> None:
        """Write the rows. Nobody waits for this but a request that they have to precede."""
        if self._ledger is None or not self._rows or self._ledger.write_entries(self._rows):
            self._rows.clear()
        self.send()

    def send(self) -> None:
        """Have the rows of the mirror carried there; nobody waits for it."""
        if self.courier is not None:
            self.courier.send()

    def beside(self, other: Sideline | None) -> tuple[Sideline, ...]:
        """What goes on beside the job: `other`, and what is carried to the mirror, one at a time."""
        if self.courier is None:
            return () if other is None else (other,)
        courier = self.courier.beside()
        return (courier,) if other is None else (InTurn(courier, other),)

    def settle(self) -> None:
        """Write the rows, and wait a while until the mirror has them too: the machine may be gone next."""
        self.flush()
        if self.courier is not None:
            self.courier.settle()

    def leave_mirror(self, seconds: float) -> None:
        """Its folder is unmounted now, in at most so many seconds, and then the release is asked for.

        The mirror is told that while it can be; what comes now only the ledger of this machine hears.
        """
        if self.courier is None:
            return
        told = {"status": "requested", "reason": "unmounted-first", "unmount_s": seconds}
        facts = mask_json({**self._known(State.REQUESTED), **told}, self._plan.secrets)
        self._mirror(State.REQUESTED, self._clock.wall(), dict(facts))
        self.receipt(asked=False)
        self.courier.settle()
        self.courier.leave()

    def return_to_mirror(self) -> None:
        """It is not asked for after all: what became of it goes there, if the folder is still there."""
        if self.courier is not None:
            self.courier.come_back()

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
        self.settle()
        for path in (self._folder.log, self._folder.result, self._folder.path):
            make_durable(path)

    def _write_json(self, path: str, document: dict[str, Any]) -> bool:
        """Is it there now? That it is not is said once."""
        try:
            write_json(path, document, durable=False)
        except OSError as error:
            if not self._warned:
                self._warned = True
                self._warn(words("{name}: {why}", name=path, why=reason(error.strerror)))
            return False
        return True

    def close(self) -> None:
        """What is still unwritten goes beside the ledger."""
        self.flush()
        if self.courier is not None:
            self.courier.finish()
        if self._ledger is not None:
            self._note_lost()
            self._ledger.close()

    def _note_lost(self) -> None:
        """Runs of an earlier boot that never came to their end: their machine is gone."""
        if self._ledger is None:
            return
        now = self._clock.wall()
        for run in self._ledger.unfinished():
            note_gone(self._ledger, run, boot_id(), now)

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
        own = self._plan.kernel if attended else None
        return busy_elsewhere(self._plan.environ, own, self._clock.wall())

    def gpu_processes_left(self) -> Reading[tuple[GpuHolder, ...]]:
        """Who holds GPU memory and did not before the job."""
        if not self._plan.meters_gpu:
            return Known(())
        return left_on_gpus(self._plan.gpu_holders)


def _story(record: RunRecord) -> dict[str, Any]:
    """The run that this one goes on from, and the first of them."""
    return {"story": record.story or record.run_id, "resumed_from": record.resumed_from}


def _belongs(plan: Plan, record: RunRecord) -> dict[str, Any]:
    """The queue that a run is one of, and the key that it has used up."""
    told = {"once": plan.options.once, "queue": record.queue}
    return {name: value for name, value in told.items() if value}


def _end(record: RunRecord) -> dict[str, Any]:
    report = record.report
    return {
        "outcome": record.outcome,
        "exit_code": record.exit_code,
        "decided_by": record.decided_by,
        "duration_s": None if report is None else round(report.duration_s, 3),
        "compute_units": reading_json(record.compute_units),
        **({} if record.stalled is None else {"stalled": record.stalled.as_json()}),
        **({"stalls": record.stalls} if record.stalls else {}),
    }


def _in_short(saved: dict[str, Any]) -> dict[str, Any]:
    """A row of `saved`; of many names only the first."""
    return {name: told[:_SHOWN] if isinstance(told, list) else told for name, told in saved.items()}


def _asked(plan: Plan) -> dict[str, Any]:
    """Who asked for the release, and when it was to come."""
    when = plan.spec.release.when
    return {"asked_by": "release.when" if when else "default", "asked_when": when.value if when else None}


def _read_json(path: str) -> dict[str, Any]:
    """What is in the file; nothing where that cannot be told."""
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
