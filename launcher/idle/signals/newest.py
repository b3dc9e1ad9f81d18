"""What signals share that know when something was last alive: times of the epoch, and what was unknown."""

from __future__ import annotations

import math
from itertools import chain, islice
from typing import TYPE_CHECKING

from launcher.idle.model import Life
from launcher.values import Known

if TYPE_CHECKING:
    from launcher.idle.model import Moment
    from launcher.words import Text

NONSENSE = "nonsense"
# Of times that are still to come so many are remembered.
MOST_TO_COME = 256
# What is no further in the future is now until then: a terminal's step, a clock that is being corrected.
SOON_S = 60.0


def on_monotonic(epoch: float, moment: Moment) -> float:
    """A time of the epoch on CLOCK_MONOTONIC, by the clocks of `moment`; what is in the future is now."""
    return min(moment.at, moment.at - (moment.wall - epoch))


class Newest:
    """The newest life ever seen, on CLOCK_MONOTONIC."""

    def __init__(self) -> None:
        self._at: float | None = None
        self._unknown_at: float | None = None
        # The times of the epoch that were taken last, and those before them that are still to come.
        self._taken: frozenset[float] = frozenset()

    def alive(self, at: float) -> None:
        """Something was alive then."""
        self._at = at if self._at is None else max(self._at, at)

    def alive_at_epoch(self, *epochs: float, moment: Moment) -> None:
        """Something was alive at these times of the epoch, each of another source. Told again it stays there.

        The two clocks are never read at once, and one may be set: the same time must not wander. What is far
        in the future, since the clock was set back, is now at the first sight only, and hides nothing else.
        """
        for epoch in epochs:
            if epoch not in self._taken:
                self.alive(on_monotonic(epoch, moment))
        to_come = (epoch for epoch in self._taken if epoch > moment.wall)
        taken = (epoch for epoch in epochs if not moment.wall < epoch <= moment.wall + SOON_S)
        self._taken = frozenset(chain(taken, islice(to_come, MOST_TO_COME)))

    def unknown(self, moment: Moment) -> None:
        """It cannot be told now."""
        self._unknown_at = moment.at

    def known(self, *, made_good: bool) -> None:
        """It can be told. If it could not for a while, that while counts as alive.

        Unless it is `made_good`: what is read now also says what happened meanwhile.
        """
        while_unknown, self._unknown_at = self._unknown_at, None
        if while_unknown is not None and not made_good:
            self.alive(while_unknown)

    def life(self, detail: Text = "") -> Known[Life] | None:
        """What a signal answers; None while nothing was ever alive."""
        return None if self._at is None else Known(Life(self._at, detail))


def number(value: object) -> float:
    """A finite number. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"no number: {value!r}")
    return float(value)


def text(value: object) -> str:
    """A string. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError(f"no text: {value!r}")
    return value
