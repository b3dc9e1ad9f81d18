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
