"""`colab-run save`: copy what a run made to safety now, whether it still runs, is held, or has ended."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from launcher import holds, runs
from launcher.archive import order_for_all
from launcher.checkpoints import SETTLED_S
from launcher.errors import NoSuchRun, StateFolderError, UsageError
from launcher.events import SavingBegan
from launcher.guard.folder import RunFolder
from launcher.jobs import parse_option
from launcher.lost import files_since
from launcher.orders import Teller, order_for
from launcher.plan import plan_from_json
from launcher.release import lease
from launcher.saving.model import Target, TargetKind, parse_target
from launcher.saving.save import Onlooker, save_file, save_output
from launcher.saving.unsaved import find_unsaved, identity
from launcher.spec.targets import parse_target as spec_target
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from launcher.clock import Clock
    from launcher.events import Audience
    from launcher.plan import Plan
    from launcher.record import RunRow
    from launcher.saving.interface import Saved
    from launcher.saving.model import Order


@dataclass(frozen=True, slots=True)
class SavedNow:
    """What `save` did: a row for each thing, and whether nothing of the run holds a release any more."""

    run_id: str
    rows: tuple[Saved, ...]
    lifted: bool

    @property
    def complete(self) -> bool:
        """Is everything safe that is there, and is no longer being written?"""
        return not any(row.failures for row in self.rows)


@dataclass(slots=True)
class Saver:
    """One `colab-run save`. `stop()` is asked a few times a second whether to give up."""

    environ: Mapping[str, str]
    clock: Clock
    audience: Audience
    stop: Callable[[], bool]

    def save(self, typed: str, to: str | None) -> SavedNow:
        """Save the run that is named so: where its job file says, or everything of it to `to`.

        Raises NoSuchRun, NotReached and UsageError.
        """
        target = None if to is None else _target(to)
        row = runs.find(typed, self.environ)
        plan, folder = self._plan(row)
        # No guard releases this runtime under our hands.
        with _lease(plan.target):
            return self._save(row, plan, folder, target)

    def _save(self, row: RunRow, plan: Plan, folder: RunFolder, target: Target | None) -> SavedNow:
        held = holds.of_run(plan.target, row.run_id)
        if target is not None:
            rows = self._everything(row, plan, folder, held, target)
        else:
            rows = tuple(self._declared(row, plan))
            if not rows and held is None:
                raise UsageError(
                    words("the job file of run {run_id} names no outputs", run_id=row.run_id),
                    words("say where to: {command}", command=f"colab-run save {row.run_id} --to FOLDER"),
                )
        return SavedNow(row.run_id, rows, self._lift(plan, row, held, rows, everything=target is not None))

    def _plan(self, row: RunRow) -> tuple[Plan, RunFolder]:
        if row.place is None:
            raise NoSuchRun(words("run {run_id} belongs to another user", run_id=row.run_id), "colab-run ps")
        folder = RunFolder(row.place)
        try:
            with open(folder.plan, encoding="utf-8") as file:
                return plan_from_json(json.load(file), dict(self.environ)), folder
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise NoSuchRun(
                words("nothing is known of what run {run_id} was to save", run_id=row.run_id),
                words("copy its files by hand; its folder is {folder}", folder=row.place),
            ) from error

    def _declared(self, row: RunRow, plan: Plan, to: Target | None = None) -> list[Saved]:
        """The outputs, as at the end of a run; of one that still runs, what is complete."""
        found = []
        for output in plan.spec.outputs:
            order = order_for(
                output,
                plan.spec.workdir,
                run_id=row.run_id,
                story=str(row.get("story") or row.run_id),
                settled_s=SETTLED_S if _runs(row) else None,
            )
            order = order if to is None else replace(order, target=to)
            self.audience.tell(SavingBegan(output.path, output.to if to is None else to.shown))
            found.append(save_output(order, self.environ, self._onlooker(plan, order)))
        return found

    def _onlooker(self, plan: Plan, order: Order) -> Onlooker:
        return Onlooker(self.stop, Teller(replace(plan.record), self.audience, self.clock, order))

    def _everything(
        self, row: RunRow, plan: Plan, folder: RunFolder, held: holds.Hold | None, target: Target
    ) -> tuple[Saved, ...]:
        """Outputs, what no output names, and the log, in one folder of its own."""
        name = f"colab-run-{row.run_id}.log"

        def log() -> Saved:
            return save_file(folder.log, target, name, row.run_id, self.environ, Onlooker(self.stop))

        if _runs(row) and plan.spec.outputs:
            # Each for itself: as one tree, an output would be complete when nothing at all is written to it.
            return (*self._declared(row, plan, _below(target, f"{plan.spec.name}-{row.run_id}")), log())
        outputs = [order_for(one, plan.spec.workdir, run_id="", story="").source for one in plan.spec.outputs]
        files = held.files if held is not None else self._made(row, plan)
        order = order_for_all(plan, row.run_id, target, files, outputs)
        if not order.parts:
            raise UsageError(
                words(
                    "run {run_id} has made no files under {folder}",
                    run_id=row.run_id,
                    folder=plan.spec.workdir,
                )
            )
        if _runs(row):
            order = replace(order, settled_s=SETTLED_S)
        self.audience.tell(SavingBegan(plan.spec.name, target.shown))
        everything = save_output(order, self.environ, self._onlooker(plan, order))
        return (everything, log())

    def _made(self, row: RunRow, plan: Plan) -> tuple[str, ...]:
        """What the run made in its workdir, where nothing asked for that before."""
        if plan.spec.outputs:
            return ()
        mine = (identity(row.place or ""), identity(plan.home))
        without = frozenset(key for key in mine if key is not None)
        unsaved = find_unsaved(plan.spec.workdir, files_since(plan.home, row.run_id), without=without)
        return tuple(path for path, _ in unsaved.files)

    def _lift(
        self, plan: Plan, row: RunRow, held: holds.Hold | None, rows: tuple[Saved, ...], *, everything: bool
    ) -> bool:
        """Is there nothing left of this run that would speak against a release?"""
        if not _runs(row):
            holds.lift(plan.target, rows)
        if everything and all(one.complete for one in rows):
            with suppress(OSError):
                holds.clear(plan.target, row.run_id)
        left = holds.of_run(plan.target, row.run_id)
        return held is not None and (left is None or not left.sentence(self.clock.wall()))


def _target(to: str) -> Target:
    """As `to` of a job file is read. Raises UsageError."""
    text = parse_option("--to", to.strip(), spec_target) if to.strip() else None
    if text is None:
        raise UsageError(
            words("--to names no place"), words("write a folder, or a target such as gs://BUCKET/PATH")
        )
    return parse_target(text, os.getcwd())


@contextmanager
def _lease(target: str) -> Iterator[None]:
    """As a run holds it; where that cannot be had, results are saved all the same."""
    held = None
    with suppress(StateFolderError):
        held = lease.hold_shared(target)
    try:
        yield
    finally:
        if held is not None:
            held.close()


def _runs(row: RunRow) -> bool:
    return row.get("state") in ("planned", "started")


def _below(target: Target, name: str) -> Target:
    """A folder in it; what a command does with a name is its own affair."""
    if target.kind is TargetKind.COMMAND:
        return target
    return Target(target.kind, f"{target.text.rstrip('/')}/{name}")
