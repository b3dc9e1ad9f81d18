"""The GPUs of one run, from the start of its job to the end of it; in the guard, and kept by its watcher."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from launcher import gpu_claims
from launcher.errors import GpusTaken, StateFolderError
from launcher.gpu_choice import VISIBLE, claim_gpus
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from launcher.guard.desk import Desk
    from launcher.guard.watcher import Seat
    from launcher.noted import Noted
    from launcher.plan import Plan
    from launcher.words import Text

LABEL = "gpu"
# How often it is looked whether a GPU that another run has is free.
LOOK_S = 0.5


class GpuHold:
    """Claims beside the leases: see gpu_claims."""

    def __init__(self, plan: Plan, seat: Seat) -> None:
        self._plan, self._seat = plan, seat
        self._held: tuple[int, ...] = ()

    def claim(self, noted: Noted, run_id: str, desk: Desk, say: Callable[[Text], None]) -> int | None:
        """Take what the job asks for, and note it; once for each run. The signal of a person who stops this.

        Raises GpusTaken, StateFolderError: then nothing is held.
        """
        wish, told = self._plan.gpus, False
        if wish is None or noted.gpus is not None:
            return None
        # Those of a guard before us that took them, and could not say so any more; or of a lost run.
        self.let_go()
        while True:
            try:
                claimed = claim_gpus(wish, run_id, shared=self._plan.spec.resources.gpu_sharing)
                break
            except GpusTaken as error:
                # By who asked at the same moment, or by a run of our queue that is just ending.
                if time.monotonic() >= self._plan.wait_until:
                    raise
                if not told:
                    told = True
                    say(words("{what}; waiting", what=error.said))
            desk.wait(LOOK_S)
            if (number := desk.take_stop()) is not None:
                return number
        self._held = claimed.descriptors
        for number, descriptor in enumerate(self._held):
            self._seat.keep(f"{LABEL} {number}", descriptor)
        noted.gpus, noted.visible = claimed.uuids, claimed.visible
        noted.record.gpus = claimed.uuids
        return None

    def keep_from_others(self, uuids: Sequence[str], run_id: str) -> None:
        """A lost run's job may still work on these: nobody gets one before it has been ended.

        What somebody has taken already is that run's.
        """
        with suppress(StateFolderError):
            found = [gpu_claims.take(uuid, run_id) for uuid in uuids]
            self._held = tuple(descriptor for descriptor in found if descriptor is not None)

    def let_go(self) -> None:
        """The job is over: others may have them."""
        kept = [label for label in self._seat.kept if label.startswith(f"{LABEL} ")]
        for label in {*kept, *(f"{LABEL} {number}" for number in range(len(self._held)))}:
            if label in self._seat.kept:
                os.close(self._seat.kept[label])
            self._seat.drop(label)
        for descriptor in self._held:
            os.close(descriptor)
        self._held = ()


def seen_by_job(plan: Plan, noted: Noted) -> dict[str, str]:
    """What of its environment says which GPUs it has; nothing where that stays as it was."""
    return {} if noted.visible is None or VISIBLE in dict(plan.spec.env) else {VISIBLE: noted.visible}
