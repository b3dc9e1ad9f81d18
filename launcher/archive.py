"""Copy everything of a run that exists only on this machine to one place, wherever it lies."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from launcher.orders import Teller
from launcher.places import DRIVE
from launcher.saving.model import Order, Target, TargetKind
from launcher.saving.save import Onlooker, save_output

if TYPE_CHECKING:
    from collections.abc import Iterable

    from launcher.clock import Clock
    from launcher.events import Audience
    from launcher.guard.desk import Desk
    from launcher.holds import Hold
    from launcher.plan import Plan
    from launcher.record import RunRecord
    from launcher.saving.interface import Saved

ON_DRIVE = os.path.join(DRIVE, "MyDrive", "colab-run")
# What does not lie under the workdir goes in here.
OUTSIDE = "outside"


def archive(
    plan: Plan, run_id: str, hold: Hold, record: RunRecord, clock: Clock, desk: Desk, audience: Audience
) -> Saved:
    """What a hold is about, to Drive. A press of stop ends it."""
    target = Target(TargetKind.FOLDER, ON_DRIVE)
    order = order_for_all(plan, run_id, target, hold.files, (path for path, _ in hold.outputs))
    teller = Teller(record, audience, clock, order)
    try:
        return save_output(order, plan.environ, Onlooker(lambda: desk.take_stop() is not None, teller))
    finally:
        teller.over()


def order_for_all(
    plan: Plan, run_id: str, target: Target, files: Iterable[str], outputs: Iterable[str]
) -> Order:
    """`files` lie under the workdir, `outputs` are absolute. Nothing is looked at here: a mount may hang."""
    workdir = plan.spec.workdir
    parts = _parts(workdir, files, outputs)
    return Order(workdir, target, f"{plan.spec.name}-{run_id}", run_id, run_id, parts=parts)


def _parts(workdir: str, files: Iterable[str], outputs: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """(place, path), each path once and each place once: as under the workdir, else in `outside/`."""
    places: dict[str, str] = {}
    for number, path in enumerate(dict.fromkeys(outputs)):
        inside = os.path.relpath(path, workdir)
        if inside == "..":
            inside = "../" + os.path.basename(path)
        if inside.startswith("../"):
            inside = f"{OUTSIDE}/{number}-{os.path.basename(path)}"
        places["" if inside == "." else inside] = path
    folders = tuple(places)
    for path in files:
        if not any(_covers(folder, path) for folder in folders):
            places[path] = os.path.join(workdir, path)
    top = [place for place in places if not any(_covers(other, place) for other in places if other != place)]
    return tuple((place, places[place]) for place in sorted(top))


def _covers(folder: str, path: str) -> bool:
    """Is the path in what is taken as a whole?"""
    return not folder or path == folder or path.startswith(f"{folder}/")
