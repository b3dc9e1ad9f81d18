"""Copy everything of a run that exists only on this machine to one place, wherever it lies.

A folder of links is made, which the copy follows: so the files keep their places under the workdir.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from launcher.orders import Teller
from launcher.places import DRIVE
from launcher.saving.model import Order, Target, TargetKind
from launcher.saving.save import Onlooker, save_output

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from launcher.clock import Clock
    from launcher.events import Audience
    from launcher.guard.desk import Desk
    from launcher.guard.folder import RunFolder
    from launcher.holds import Hold
    from launcher.plan import Plan
    from launcher.record import RunRecord
    from launcher.saving.interface import Saved

ON_DRIVE = os.path.join(DRIVE, "MyDrive", "colab-run")


def archive(
    plan: Plan,
    folder: RunFolder,
    hold: Hold,
    record: RunRecord,
    clock: Clock,
    desk: Desk,
    audience: Audience,
) -> Saved:
    """What a hold is about, to Drive. A press of stop ends it."""
    target = Target(TargetKind.FOLDER, ON_DRIVE)
    order = order_for_all(plan, folder, target, hold.files, (path for path, _ in hold.outputs))
    teller = Teller(record, audience, clock, order)
    try:
        return copy_all(order, plan.environ, Onlooker(lambda: desk.take_stop() is not None, teller))
    finally:
        teller.over()


def order_for_all(
    plan: Plan, folder: RunFolder, target: Target, files: Iterable[str], outputs: Iterable[str]
) -> Order:
    """`files` lie under the workdir, `outputs` are absolute. Raises OSError."""
    tree = os.path.join(folder.path, "archive")
    _remove(tree)
    workdir = plan.spec.workdir
    places = {path: os.path.join(workdir, path) for path in files}
    places.update({_place(path, workdir): path for path in outputs})
    for place, real in sorted(places.items()):
        link = os.path.join(tree, place)
        if not os.path.lexists(real) or os.path.lexists(link):
            continue  # Gone meanwhile; or in a folder that is taken as a whole.
        os.makedirs(os.path.dirname(link), exist_ok=True)
        os.symlink(real, link)
    return Order(tree, target, f"{plan.spec.name}-{folder.run_id}", folder.run_id, folder.run_id)


def copy_all(order: Order, environ: Mapping[str, str], onlooker: Onlooker) -> Saved:
    """Copy, then take the links away."""
    try:
        return save_output(order, environ, onlooker)
    finally:
        _remove(order.source)


def _place(path: str, workdir: str) -> str:
    """Where in the archive an output goes: as under the workdir, or by its name alone."""
    inside = os.path.relpath(path, workdir)
    return os.path.basename(path) if inside.startswith("..") else inside


def _remove(tree: str) -> None:
    """A tree of our own links and folders; what a link leads to is not touched."""
    for folder, folders, files in os.walk(tree, topdown=False):
        for name in (*files, *folders):
            path = os.path.join(folder, name)
            if os.path.islink(path):
                os.unlink(path)
            else:
                os.rmdir(path)
    if os.path.isdir(tree):
        os.rmdir(tree)
