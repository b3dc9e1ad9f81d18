"""Save what a run leaves: its outputs, and beside the first of them its log and its receipt."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from launcher import preflight
from launcher.clock import iso_utc
from launcher.events import SavingBegan
from launcher.guard.folder import RunFolder, write_json
from launcher.guard.model import Succeeded
from launcher.masking import mask_json
from launcher.release.lease import boot_id
from launcher.saving.interface import Saved
from launcher.saving.save import save_output

if TYPE_CHECKING:
    from collections.abc import Collection

    from launcher.clock import Clock
    from launcher.events import Audience
    from launcher.guard.inbox import Inbox
    from launcher.record import RunRecord
    from launcher.spec.model import JobSpec


@dataclass(slots=True)
class Results:
    """Saves the outputs of one run and says what became of them.

    `complete` is False when something that exists could not be saved and verified; `stopped` when a
    person pressed stop meanwhile: the first press only keeps the runtime, a second one ends the copy.
    """

    spec: JobSpec
    folder: RunFolder
    inbox: Inbox
    clock: Clock
    audience: Audience
    secrets: Collection[str]
    complete: bool = True
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
        # A job that did not succeed may never have come to its outputs: nothing is lost by that.
        self.complete = all(row.complete or (row.missing and not succeeded) for row in record.saved)
        self._save_evidence(record)

    def _abort(self) -> bool:
        if self.inbox.take_stop() is not None:
            self._presses += 1
        return self._presses > 1

    def _save_one(self, path: str, to: str) -> Saved:
        source = preflight.resolve(path, self.spec.workdir)
        self.audience.tell(SavingBegan(path, to))
        saved = self._copy(source, preflight.resolve(to, self.spec.workdir), self.folder.run_id)
        self._manifest += [
            {"path": file.path, "bytes": file.size, "sha256": file.sha256} for file in saved.files
        ]
        return saved

    def _copy(self, source: str, target: str, token: str) -> Saved:
        return save_output(source, target, token=token, abort=self._abort)

    def _save_evidence(self, record: RunRecord) -> None:
        """The log and the receipt, under names that tell the run, beside the first output."""
        target = preflight.resolve(self.spec.outputs[0].to, self.spec.workdir)
        name = f"colab-run-{self.folder.run_id}"
        log, receipt = (os.path.join(self.folder.path, name + end) for end in (".log", ".receipt.json"))
        try:
            os.link(self.folder.log, log)
            saved_log = self._copy(log, target, name)
            if saved_log.complete:
                record.log_saved_to = os.path.join(target, f"{name}.log")
            write_json(receipt, self._receipt(record))
            saved_receipt = self._copy(receipt, target, name)
        except OSError as error:
            saved_log = saved_receipt = Saved(log, target, failures=((log, error.strerror or str(error)),))
        finally:
            for path in (log, receipt):
                if os.path.lexists(path):
                    os.unlink(path)
        lost = [row for row in (saved_log, saved_receipt) if not row.complete]
        if lost:
            self.complete = False
            record.saved += tuple(lost)

    def _receipt(self, record: RunRecord) -> dict[str, object]:
        """What was asked, what happened, and every file that was saved with its sha256."""
        document = record.as_json()
        document["asked_by"] = "release.when" if self.spec.release.when else "default"
        document["written"] = iso_utc(self.clock.wall())
        document["boot_id"] = boot_id()
        document["manifest"] = self._manifest
        return dict(mask_json(document, self.secrets))
