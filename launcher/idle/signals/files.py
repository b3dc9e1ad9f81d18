"""Files: something below the watched folders was written, made, renamed or removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher.idle.model import Sign
from launcher.idle.signals.newest import NONSENSE, Newest, number, text
from launcher.values import Reading, Unknown
from launcher.words import words

if TYPE_CHECKING:
    from launcher.idle.model import Life, Moment
    from launcher.words import Text

# A walk that takes longer says too little about now.
LONGEST_WALK_S = 600.0


class FilesSignal:
    """Alive at the newest time of change; unknown until all was seen once, and where that takes long."""

    def __init__(self) -> None:
        self._newest = Newest()
        # How many walks there were, and since when.
        self._walks: tuple[float, float] | None = None

    @property
    def sign(self) -> Sign:
        """Whose readings it wants."""
        return Sign.FILES

    @property
    def counts(self) -> Text:
        """What counts as life."""
        return words("any change")

    def take(self, reading: Reading[Any], moment: Moment) -> Reading[Life] | None:
        """What is known after this reading, see `files_reader`."""
        if isinstance(reading, Unknown):
            return reading
        try:
            cycles, path = number(reading.value["cycles"]), text(reading.value["path"])
            newest = None if reading.value["newest"] is None else number(reading.value["newest"])
        except (KeyError, TypeError, ValueError):
            return Unknown(NONSENSE)
        if newest is not None:
            self._newest.alive_at_epoch(newest, moment=moment)
        if self._walks is None or self._walks[0] != cycles:
            self._walks = (cycles, moment.at)
        if moment.at - self._walks[1] > LONGEST_WALK_S:
            return Unknown("too-many-files")
        if not cycles:
            return Unknown("not-walked-yet")
        return self._newest.life(words("newest: {path}", path=path))
