"""Output: the job's log grows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher.idle.model import Sign
from launcher.idle.signals.newest import NONSENSE, Newest, number
from launcher.values import Reading, Unknown, format_size
from launcher.words import words

if TYPE_CHECKING:
    from launcher.idle.model import Life, Moment
    from launcher.words import Text


class OutputSignal:
    """Alive when the log was last written to; how much was written does not matter."""

    def __init__(self) -> None:
        self._newest = Newest()
        self._last: tuple[float, float] | None = None  # when it was so large

    @property
    def sign(self) -> Sign:
        """Whose readings it wants."""
        return Sign.OUTPUT

    @property
    def counts(self) -> Text:
        """What counts as life."""
        return words("any output")

    def take(self, reading: Reading[Any], moment: Moment) -> Reading[Life] | None:
        """What is known after this reading, `{"size", "written"}`."""
        if isinstance(reading, Unknown):
            return reading
        try:
            size, written = number(reading.value["size"]), number(reading.value["written"])
        except (KeyError, TypeError, ValueError):
            return Unknown(NONSENSE)
        self._newest.alive_at_epoch(written, moment=moment)
        if self._last is not None and size != self._last[1]:
            # Whatever the wall clock says: it was since then.
            self._newest.alive(self._last[0])
        self._last = (moment.at, size)
        return self._newest.life(words("{size} so far", size=format_size(int(size))))
