"""Save and restore outputs, each in a child that can be killed: a dead mount hangs whoever touches it.

Which engine is used is a matter of the target: `folder.py` for every mounted folder, `remote/` for what is
reached through a tool. Both are imported before the job starts (`get_ready`), in the guard.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from launcher.children import call_in_child
from launcher.saving.interface import Restored, Saved, SavedFile
from launcher.saving.meter import Meter
from launcher.saving.model import TargetKind
from launcher.values import Known, Unknown
from launcher.words import spelled, words

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from launcher.saving.meter import Reading as Metered
    from launcher.saving.model import Order, Target
    from launcher.values import Reading
    from launcher.words import Text

# A large checkpoint on a slow target may take hours; a target that takes nothing for so long is dead.
STALL_S = 300.0
LONGEST_COPY_S = 24 * 3600.0
_FOLDER, _RESTORE = "launcher.saving.folder", "launcher.saving.restore"
_REMOTE = "launcher.saving.remote.engine"


def get_ready(kinds: Collection[TargetKind]) -> None:
    """Import what these targets need: later the package may be another one."""
    for kind in kinds:
        for name in (_FOLDER, _RESTORE) if kind is TargetKind.FOLDER else (_REMOTE,):
            import_module(name)


@dataclass(slots=True)
class Onlooker:
    """Who waits for a copy. `stop()` is asked a few times a second whether to give up.

    `progress` is told how far it is, as often. `stall_s`: after so long without a sign of life it is over.
    """

    stop: Callable[[], bool] = lambda: False
    progress: Callable[[Metered], None] = lambda reading: None
    stall_s: float = STALL_S
    stalled: bool = False
    _ticks: int = -1
    _since: float = field(default_factory=time.monotonic)

    def abort(self, meter: Meter) -> bool:
        """For `call_in_child`."""
        reading, now = meter.read(), time.monotonic()
        if reading.ticks != self._ticks:
            self._ticks, self._since = reading.ticks, now
        self.stalled = now - self._since > self.stall_s
        self.progress(reading)
        return self.stop() or self.stalled

    def why(self, answer: object) -> Text:
        """Why there is no report."""
        if self.stalled:
            return words("nothing was taken for {time}", time=spelled(self.stall_s))
        why = getattr(answer, "detail", "") or getattr(answer, "reason", "")
        return words("the copy did not finish: {why}", why=why)


def save_output(order: Order, environ: Mapping[str, str], onlooker: Onlooker) -> Saved:
    """Save one output as a whole; what could not be saved is in the answer."""
    shown = order.target.shown
    # Looked for in the child too: a dead mount hangs whoever asks.
    answer = _in_child(lambda meter: save_there(order, meter, environ), onlooker)
    if answer == Known(None):
        return Saved(order.source, shown, missing=True)
    return _saved(order.source, shown, answer, onlooker)


def save_file(
    path: str, target: Target, name: str, run_id: str, environ: Mapping[str, str], onlooker: Onlooker
) -> Saved:
    """One file, such as the log, under `name` at the target."""

    def work(meter: Meter) -> dict[str, Any]:
        if target.kind is TargetKind.FOLDER:
            from launcher.saving.folder import copy_file

            return copy_file(path, target.text, name, run_id, meter).as_dict()
        from launcher.saving.remote.engine import put_file

        return put_file(path, target, name, meter, environ).as_dict()

    return _saved(path, target.shown, _in_child(work, onlooker), onlooker)


def save_there(order: Order, meter: Meter, environ: Mapping[str, str]) -> dict[str, Any] | None:
    """The same for a caller who is in a child already; None where there is nothing to save yet."""
    return save_here(order, meter, environ) if os.path.lexists(order.source) else None


def save_here(order: Order, meter: Meter, environ: Mapping[str, str]) -> dict[str, Any]:
    """In this process: for a child."""
    if order.target.kind is TargetKind.FOLDER:
        from launcher.saving.folder import save_to_folder

        return save_to_folder(order, meter).as_dict()
    from launcher.saving.remote.engine import save_remote

    return save_remote(order, meter, environ).as_dict()


def restore_output(order: Order, environ: Mapping[str, str], onlooker: Onlooker) -> Restored:
    """Copy the last complete save back to `order.source`, or say why not; nothing half is left there."""

    def work(meter: Meter) -> dict[str, Any]:
        if order.target.kind is TargetKind.FOLDER:
            from launcher.saving.restore import restore_from_folder

            return restore_from_folder(order, meter).as_dict()
        from launcher.saving.remote.engine import restore_remote

        return restore_remote(order, meter, environ).as_dict()

    shown = order.target.shown
    answer = _in_child(work, onlooker)
    if not isinstance(answer, Known):
        return Restored(order.source, shown, found=True, why=onlooker.why(answer))
    told = answer.value
    first = told["failures"][0] if told["failures"] else None
    return Restored(
        order.source,
        shown,
        found=told["found"],
        complete=told["complete"],
        files=told["files"],
        size=told["size"],
        run_id=told["run_id"],
        story=told["story"],
        saved=told["saved"],
        why="" if first is None else words("{path}: {why}", path=first[0], why=first[1]),
    )


def _in_child(work: Callable[[Meter], dict[str, Any] | None], onlooker: Onlooker) -> Reading[Any]:
    meter = Meter()
    try:
        for _ in range(2):
            answer = call_in_child(
                lambda: work(meter), deadline_s=LONGEST_COPY_S, abort=lambda: onlooker.abort(meter)
            )
            if answer != Unknown("crashed"):
                return answer
            # Somebody killed it: no reason to keep the machine.
        return answer
    finally:
        meter.close()


def _saved(path: str, to: str, answer: Reading[Any], onlooker: Onlooker) -> Saved:
    if not isinstance(answer, Known):
        return Saved(path, to, failures=((path, onlooker.why(answer)),))
    return saved_from(path, to, answer.value)


def saved_from(path: str, to: str, report: Mapping[str, Any]) -> Saved:
    """What a SaveReport says, as it came through a pipe."""
    return Saved(
        path,
        to,
        files=tuple(SavedFile(*row) for row in report["files"]),
        failures=tuple((row[0], row[1]) for row in report["failures"]),
        skipped=tuple(report["skipped"]),
        verified=report["verified"],
        copied=report["copied"],
        unsettled=tuple(report["unsettled"]),
    )
