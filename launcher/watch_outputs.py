"""The outputs of a watch: what they hold, so that nothing goes that was written after they were saved."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

from launcher.children import call_in_child
from launcher.idle.model import Sign
from launcher.orders import order_for
from launcher.places import DRIVE, is_under, resolve
from launcher.release import lease
from launcher.saving.model import TargetKind, parse_target
from launcher.values import Known
from launcher.watch_senses import OURS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from launcher.plan import Plan
    from launcher.saving.model import Order

# Who cannot list an output by then cannot say that it is what was saved.
DEADLINE_S = 600.0


class Outputs:
    """What the outputs of `plan` hold. What lies on Drive is left out: it does not go with the machine."""

    def __init__(self, plan: Plan) -> None:
        spec = plan.spec
        orders = [order_for(one, spec.workdir, run_id="", story="") for one in spec.outputs]
        self._orders = [order for order in orders if not is_under(os.path.realpath(order.source), DRIVE)]
        self._saved: str | None = None

    def look(self, abort: Callable[[], bool]) -> str | None:
        """A digest of every file's place, size, times and inode; None where that cannot be said.

        In a child, for a dead mount hangs whoever looks; `abort()` is asked a few times a second.
        """
        answer = call_in_child(lambda: _digest(self._orders), deadline_s=DEADLINE_S, abort=abort)
        return str(answer.value) if isinstance(answer, Known) else None

    def saved(self, digest: str | None) -> None:
        """They have been saved as they were at that look; None: not all of them."""
        self._saved = digest

    def changed(self, abort: Callable[[], bool]) -> bool:
        """Is there anything now that may not have been saved?"""
        if not self._orders:
            return False
        return self._saved is None or self.look(abort) != self._saved


def _digest(orders: list[Order]) -> str:
    from launcher.saving.listing import list_output  # Whoever has outputs got ready for a save.

    digest = hashlib.sha256()
    for order in orders:
        found = list_output(order, _targets(order))
        files: list[Any] = [(entry.path, entry.identity) for entry in found.files]
        digest.update(repr((order.source, files, found.links, found.folders)).encode("utf-8", "replace"))
    return digest.hexdigest()


def _targets(order: Order) -> frozenset[str]:
    """What a save writes itself is no part of an output, though it may lie in it."""
    if order.target.kind is not TargetKind.FOLDER:
        return frozenset()
    from launcher.saving.layout import Layout

    layout = Layout(order.target.text, order.name)
    ours = os.path.dirname(layout.ours)
    return frozenset(map(os.path.realpath, (layout.folder, layout.root, ours)))


def written_by_us(plan: Plan, record: str | None) -> tuple[str, ...]:
    """Files and folders in which a change is no sign of life; `record` is the file of the recording."""
    recorded = () if record is None else (record,)
    return (*target_folders(plan), plan.home, lease.FOLDER, *recorded)


def target_folders(plan: Plan) -> tuple[str, ...]:
    """The folders that outputs are saved into."""
    workdir = plan.spec.workdir
    targets = (parse_target(one.to, workdir) for one in plan.spec.outputs)
    return tuple(resolve(one.text, workdir) for one in targets if one.kind is TargetKind.FOLDER)


def signs_of_work(plan: Plan, folders: Sequence[str]) -> frozenset[Sign]:
    """What a save looks like from outside; files too, where somebody watches what we save into."""
    targets = [os.path.realpath(target) for target in target_folders(plan)]
    watched = [os.path.realpath(folder) for folder in folders]
    overlaps = any(is_under(folder, target) for folder in watched for target in targets)
    return OURS | {Sign.FILES} if overlaps else OURS
