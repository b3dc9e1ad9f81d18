"""Save what a run leaves: its outputs, and beside the first of them its log and its receipt."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from launcher.clock import iso_utc
from launcher.events import SavingBegan
from launcher.guard.folder import RunFolder, write_json
from launcher.guard.model import Succeeded
from launcher.masking import mask_json
from launcher.places import resolve
from launcher.release.lease import boot_id
from launcher.saving.interface import Saved
from launcher.saving.save import save_output

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from launcher.clock import Clock
    from launcher.events import Audience
    from launcher.guard.desk import Desk
    from launcher.record import RunRecord
    from launcher.spec.model import JobSpec


@dataclass(slots=True)
class Results:
    """Saves the outputs of one run and says what became of them.

    `complete` is False when something that exists could not be saved and verified; `stopped` when a
    person pressed stop meanwhile: the first press only keeps the runtime, a second one ends the copy.
    `pressed()` is told of each.
    """

    spec: JobSpec
    folder: RunFolder
    inbox: Desk
    clock: Clock
    audience: Audience
    secrets: Collection[str]
    complete: bool = True
    failed: tuple[Saved, ...] = ()
    pressed: Callable[[], None] = lambda: None
    _presses: int = 0
    _manifest: list[dict[str, object]] = field(default_factory=list)

    @property
    def stopped(self) -> bool:
        """Did a person press stop while we saved?"""
        return self._presses > 0

    def save(self, record: RunRecord) -> None:
        """Copy everything; `record.saved` and `record.log_saved_to` say how it went."""
        record.saved = tuple(self._save_one(output.path, output.to) for output in self.spec.outputs)
        succeeded = record.report is not None and isinstance(record.report.outcome, Succeeded)
        self._save_evidence(record)
        # A job that did not succeed may never have come to its outputs: nothing is lost by that.
        self.failed = tuple(
            row for row in record.saved if not row.complete and (succeeded or not row.missing)
        )
        self.complete = not self.failed

    def _abort(self) -> bool:
        if self.inbox.take_stop() is not None:
            self._presses += 1
            self.pressed()
        return self._presses > 1

    def _save_one(self, path: str, to: str) -> Saved:
        source = resolve(path, self.spec.workdir)
        self.audience.tell(SavingBegan(path, to))
        saved = self._copy(source, resolve(to, self.spec.workdir))
        self._manifest += [
            {"path": file.path, "bytes": file.size, "sha256": file.sha256} for file in saved.files
        ]
        return saved

    def _copy(self, source: str, target: str, name: str = "") -> Saved:
        return save_output(source, target, token=self.folder.run_id, abort=self._abort, name=name)

    def _save_evidence(self, record: RunRecord) -> None:
        """The log and the receipt, under names that tell the run, beside the first output."""
        target = resolve(self.spec.outputs[0].to, self.spec.workdir)
        name = f"colab-run-{self.folder.run_id}"
        saved_log = self._copy(self.folder.log, target, f"{name}.log")
        if saved_log.complete:
            record.log_saved_to = os.path.join(target, f"{name}.log")
        try:
            write_json(self.folder.receipt, self._receipt(record))
            saved_receipt = self._copy(self.folder.receipt, target, f"{name}.receipt.json")
        except OSError as error:
            why = error.strerror or str(error)
            saved_receipt = Saved(self.folder.receipt, target, failures=((self.folder.receipt, why),))
        record.saved += tuple(row for row in (saved_log, saved_receipt) if not row.complete)

    def _receipt(self, record: RunRecord) -> dict[str, object]:
        """What was asked, what happened, and every file that was saved with its sha256."""
        document = record.as_json()
        document["asked_by"] = "release.when" if self.spec.release.when else "default"
        document["written"] = iso_utc(self.clock.wall())
        document["boot_id"] = boot_id()
        document["manifest"] = self._manifest
        return dict(mask_json(document, self.secrets))
