"""Everything that goes on beside the job, each work in a child of its own; none of them is the job's."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.guard.family import Family
    from launcher.guard.sideline import Sideline


class Beside:
    """Looks after every work in its turn; none waits for another."""

    def __init__(self, works: Sequence[Sideline], family: Family) -> None:
        self._works, self._family = tuple(works), family

    def adopt(self) -> None:
        """What is on its way since before the job is known for what it is."""
        for work in self._works:
            if work.pid:
                self._family.helped_by(work.pid)

    def due_in(self) -> float | None:
        """Seconds until the first of them wants to be looked after; None: never."""
        return min((wait for work in self._works if (wait := work.due_in()) is not None), default=None)

    def tend(self) -> None:
        """Have each of them start what is due, and look at what goes on."""
        for work in self._works:
            before = work.pid
            if work.tend(self._family.before_start):
                self._family.helped_by(work.pid)
            self._family.started()
            if before and before != work.pid:
                self._family.without(before)

    def take_ended(self, pid: int) -> bool:
        """A child has ended, and nobody has reaped it yet; False where it belongs to none of them."""
        work = next((work for work in self._works if work.pid == pid), None)
        if work is None:
            return False
        work.ended()
        self._family.reaped(pid)
        return True

    def leave(self) -> None:
        """The job is over: end their children."""
        for work in self._works:
            pid = work.pid
            work.stop()
            if pid:
                self._family.without(pid)
