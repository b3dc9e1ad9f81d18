"""What a sign of life is to everybody else: a reader that asks the machine, and a signal that judges it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from launcher.idle.model import Life, Moment, Sign
    from launcher.values import Reading
    from launcher.words import Text


class Reader(Protocol):
    """Asks the machine, in the sampler's child. Made before the fork or after it; may keep state."""

    def __call__(self) -> Reading[Any]:
        """A JSON value (finite numbers), or why it cannot be read. Quick: milliseconds.

        What hangs or raises costs this reading only: the child is replaced, the reading is unknown.
        """


class Signal(Protocol):
    """Judges what one reader read. Pure: the same readings in the same order give the same answers."""

    @property
    def sign(self) -> Sign:
        """Whose readings it wants."""

    @property
    def counts(self) -> Text:
        """What counts as life, with its figure, for `watch --why`."""

    def take(self, reading: Reading[Any], moment: Moment) -> Reading[Life] | None:
        """What is known after this reading; None where the machine is known to have nothing of the kind.

        Never raises for a reading's shape: what makes no sense is `Unknown("nonsense")`.
        """
