"""Save what a run leaves: its outputs, and beside the first of them its log and its receipt."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from launcher.clock import iso_utc
from launcher.events import SavingBegan
from launcher.guard.folder import RunFolder, write_json
from launcher.guard.model import Succeeded
from launcher.masking import mask_json
from launcher.orders import Teller, order_for
from launcher.release.interface import DriveFlush
from launcher.release.lease import boot_id
from launcher.saving.interface import Checkpoint, Restored, Saved, SavedFile
from launcher.saving.model import TargetKind, parse_target
from launcher.saving.save import Onlooker, save_file, save_output

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from launcher.clock import Clock
    from launcher.events import Audience
    from launcher.plan import Plan
    from launcher.record import RunRecord
    from launcher.saving.model import Target
    from launcher.spec.model import Output

    class Stops(Protocol):
        """What a save needs of a desk; asked a few times a second."""

        def take_stop(self) -> int | None:
            """A new press of stop, if there was one."""


@dataclass(slots=True)
class Results:
    """Saves the outputs of one run and says what became of them.

    `complete` is False when something that exists could not be saved and verified; `stopped` when a
    person pressed stop meanwhile: the first press only keeps the runtime, a second one ends the copy.
    `pressed()` is told of each. `with_log`: the log is saved as well. `of_a_job` False: there is no job that
    may not have come to its outputs, so one that is missing is one that could not be saved; and nobody has
    to be asked twice, the first press ends the copy.
    """

    plan: Plan
    folder: RunFolder
    inbox: Stops
    clock: Clock
    audience: Audience
    complete: bool = True
    failed: tuple[Saved, ...] = ()
    pressed: Callable[[], None] = lambda: None
    with_log: bool = True
    of_a_job: bool = True
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
        wanted = succeeded or not self.of_a_job
        self.failed = tuple(row for row in record.saved if not row.complete and (wanted or not row.missing))
        self.complete = not self.failed
        if self.with_log:
            self._save_log(record)

    def _abort(self) -> bool:
        if self.inbox.take_stop() is not None:
            self._presses += 1
            self.pressed()
        return self._presses > (1 if self.of_a_job else 0)

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


# --- for whoever ends a run that has lost its guard -------------------------------------------------


def recall(record: RunRecord, folder: RunFolder, *, saved: bool) -> None:
    """Fill in what its guard had written down: the story that it belongs to, what was restored and saved.

    `saved`: the last save as well, which will not be made again. What cannot be read stays unknown.
    """
    told = _read(folder.result)
    with suppress(KeyError, TypeError):
        if isinstance(told["story"], str):
            record.story, record.resumed_from = told["story"], told.get("resumed_from")
        record.gpus = tuple(map(str, told.get("gpus", ())))
        record.restored = tuple(_restored(row) for row in told.get("restored", ()))
        record.checkpoints = {row["path"]: _checkpoint(row) for row in told.get("checkpoints", ())}
    if saved:
        receipt = _read(folder.receipt)
        with suppress(KeyError, TypeError):
            record.saved = _saved_rows(told["saved"], receipt.get("manifest", []))
            record.log_saved_to = told["log_saved_to"]
            drive = told.get("drive")
            record.drive = drive and DriveFlush(drive["status"], drive["seconds"], drive["detail"])


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _restored(row: dict[str, Any]) -> Restored:
    return Restored(
        row["path"],
        row["from"],
        found=row["found"],
        complete=row["complete"],
        files=row["files"],
        size=row["bytes"],
        run_id=row["run_id"] or "",
        saved=row["saved"] or "",
        in_place=row["in_place"],
        why=row["why"] or "",
    )


def _checkpoint(row: dict[str, Any]) -> Checkpoint:
    known = {name: row[name] for name in ("path", "to", "saved", "files")}
    return Checkpoint(size=row["bytes"], waiting=row["still_being_written"], why=row["why"] or "", **known)


def _saved_rows(rows: list[dict[str, Any]], manifest: list[dict[str, Any]]) -> tuple[Saved, ...]:
    """The receipt's manifest has the files of one row after the other."""
    files = iter([SavedFile(file["path"], file["bytes"], file["sha256"]) for file in manifest])
    return tuple(
        Saved(
            row["path"],
            row["to"],
            files=tuple(file for _, file in zip(range(row["files"]), files, strict=False)),
            failures=tuple((failure["path"], failure["why"]) for failure in row["failures"]),
            missing=row["missing"],
            skipped=tuple(row["skipped"]),
            verified=row["verified"],
            copied=row["copied_bytes"],
        )
        for row in rows
    )
