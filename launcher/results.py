"""Save what a run leaves: its outputs, and beside the first of them its log and its receipt."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from launcher.clock import iso_utc
from launcher.events import SavingBegan
from launcher.guard.folder import RunFolder, write_json
from launcher.guard.model import Succeeded
from launcher.masking import mask_json
from launcher.orders import Teller, order_for
from launcher.release.lease import boot_id
from launcher.saving.interface import Saved
from launcher.saving.model import TargetKind, parse_target
from launcher.saving.save import Onlooker, save_file, save_output

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.clock import Clock
    from launcher.events import Audience
    from launcher.guard.desk import Desk
    from launcher.plan import Plan
    from launcher.record import RunRecord
    from launcher.saving.model import Target
    from launcher.spec.model import Output


@dataclass(slots=True)
class Results:
    """Saves the outputs of one run and says what became of them.

    `complete` is False when something that exists could not be saved and verified; `stopped` when a
    person pressed stop meanwhile: the first press only keeps the runtime, a second one ends the copy.
    `pressed()` is told of each.
    """

    plan: Plan
    folder: RunFolder
    inbox: Desk
    clock: Clock
    audience: Audience
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
        record.saved = tuple(self._save_one(output, record) for output in self.plan.spec.outputs)
        succeeded = record.report is not None and isinstance(record.report.outcome, Succeeded)
        # A job that did not succeed may never have come to its outputs: nothing is lost by that.
        self.failed = tuple(
            row for row in record.saved if not row.complete and (succeeded or not row.missing)
        )
        self.complete = not self.failed
        self._save_log(record)

    def _abort(self) -> bool:
        if self.inbox.take_stop() is not None:
            self._presses += 1
            self.pressed()
        return self._presses > 1

    def _save_one(self, output: Output, record: RunRecord) -> Saved:
        order = order_for(
            output,
            self.plan.spec.workdir,
            run_id=self.folder.run_id,
            story=record.story or self.folder.run_id,
        )
        self.audience.tell(SavingBegan(output.path, output.to))
        teller = Teller(record, self.audience, self.clock, order)
        saved = save_output(order, self.plan.environ, Onlooker(self._abort, teller))
        teller.over()
        self._manifest += [
            {"path": file.path, "bytes": file.size, "sha256": file.sha256} for file in saved.files
        ]
        return saved

    # --- the log and the receipt, under names that tell the run, beside the first output -------------

    def _save_log(self, record: RunRecord) -> None:
        name = f"{self._stem}.log"
        row = self._save_evidence(self.folder.log, name)
        if row.complete:
            record.log_saved_to = _place(self._beside, name)
        else:
            record.saved += (row,)

    def save_receipt(self, record: RunRecord) -> None:
        """What was asked, what happened, and every file that was saved: once more is known of it, again."""
        try:
            write_json(self.folder.receipt, self.receipt(record))
            row = self._save_evidence(self.folder.receipt, f"{self._stem}.receipt.json")
        except OSError as error:
            why = error.strerror or str(error)
            row = Saved(self.folder.receipt, self._beside.shown, failures=((self.folder.receipt, why),))
        kept = tuple(old for old in record.saved if old.path != row.path)
        record.saved = kept if row.complete else (*kept, row)

    @property
    def _stem(self) -> str:
        return f"colab-run-{self.folder.run_id}"

    @property
    def _beside(self) -> Target:
        return parse_target(self.plan.spec.outputs[0].to, self.plan.spec.workdir)

    def _save_evidence(self, path: str, name: str) -> Saved:
        onlooker = Onlooker(self._abort)
        return save_file(path, self._beside, name, self.folder.run_id, self.plan.environ, onlooker)

    def receipt(self, record: RunRecord) -> dict[str, object]:
        """Who asked for what, what came of it, and every file that was saved with its sha256."""
        document = replace(record, copying=None).as_json()
        document["asked_by"] = "release.when" if self.plan.spec.release.when else "default"
        document["written"] = iso_utc(self.clock.wall())
        document["boot_id"] = boot_id()
        document["manifest"] = self._manifest
        return dict(mask_json(document, self.plan.secrets))


def _place(target: Target, name: str) -> str:
    if target.kind is TargetKind.FOLDER:
        return os.path.join(target.text, name)
    if target.kind is TargetKind.COMMAND:
        return target.shown
    return f"{target.shown.rstrip('/')}/{name}"
