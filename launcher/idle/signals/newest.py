"""What signals share that know when something was last alive: times of the epoch, and what was unknown."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from launcher.idle.model import Life
from launcher.values import Known

if TYPE_CHECKING:
    from launcher.idle.model import Moment
    from launcher.words import Text

NONSENSE = "nonsense"


def on_monotonic(epoch: float, moment: Moment) -> float:
    """A time of the epoch on CLOCK_MONOTONIC, by the clocks of `moment`; what is in the future is now."""
    return min(moment.at, moment.at - (moment.wall - epoch))


class Newest:
    """The newest life ever seen, on CLOCK_MONOTONIC."""

    def __init__(self) -> None:
        self._at: float | None = None
        self._unknown_at: float | None = None
        # The last time of the epoch that was taken, if it was not the future then.
        self._epoch: float | None = None

    def alive(self, at: float) -> None:
        """Something was alive then."""
        self._at = at if self._at is None else max(self._at, at)

    def alive_at_epoch(self, epoch: float, moment: Moment) -> None:
        """Something was alive at this time of the epoch. Told again it stays where it was.

        The two clocks are never read at once, and one may be set: the same time must not wander.
        """
        if epoch == self._epoch:
            return
        at = on_monotonic(epoch, moment)
        self._epoch = epoch if at < moment.at else None
        self.alive(at)

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
