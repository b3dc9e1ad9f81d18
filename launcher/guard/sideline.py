"""What else a supervisor looks after while the job runs: work of ours, in a child of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Sideline(Protocol):
    """Work beside the job, in at most one child at a time; it never makes the job wait."""

    @property
    def pid(self) -> int:
        """Its child, which is no process of the job; 0 while there is none."""

    def due_in(self) -> float | None:
        """Seconds until `tend` wants to be called; None: never."""

    def tend(self, forking: Callable[[], None]) -> bool:
        """Start what is due, look at what goes on; True when a child was started, after `forking()`."""

    def ended(self) -> None:
        """Its child has ended, and nobody has reaped it yet: that is done here."""

    def stop(self) -> None:
        """End the child, if there is one: the job is over."""


class Nothing:
    """No such work."""

    pid = 0

    def due_in(self) -> float | None:
        """Never."""
        return None

    def tend(self, forking: Callable[[], None]) -> bool:
        """Nothing."""
        return False

    def ended(self) -> None:
        """Nothing."""

    def stop(self) -> None:
        """Nothing."""


class InTurn:
    """Several such works, with one child at a time among them."""

    def __init__(self, *works: Sideline) -> None:
        self._works = works

    def _busy(self) -> Sideline:
        return next((work for work in self._works if work.pid), Nothing())

    @property
    def pid(self) -> int:
        """The child of whichever has one."""
        return self._busy().pid

    def due_in(self) -> float | None:
        """Until the one that is busy wants to be called; else the first of them."""
        works = (self._busy(),) if self.pid else self._works
        return min((wait for work in works if (wait := work.due_in()) is not None), default=None)

    def tend(self, forking: Callable[[], None]) -> bool:
        """The one that is busy, if one is; else each in turn, until one has started a child."""
        if self.pid:
            return self._busy().tend(forking)
        return any(work.tend(forking) for work in self._works)

    def ended(self) -> None:
        """Whose child it was."""
        self._busy().ended()

    def stop(self) -> None:
        """All of them."""
        for work in self._works:
            work.stop()
