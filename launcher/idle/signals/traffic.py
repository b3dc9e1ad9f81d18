"""Life by bytes to and from disks and networks, above what is always there. Pure.

*Background* is a low quantile of the rates of the last hours: what nearly every interval has. Bursts of work
do not move it. Steady work does, so it is learnt slowly and within narrow bounds: from an hour on, whatever
the period. Until then the lower bound holds. More than the upper bound is always life, less than the lower
never is.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from launcher.idle.model import Life, Moment, Sign
from launcher.idle.signals.totals import (
    NONSENSE,
    Busiest,
    Grower,
    Growth,
    Totals,
    busiest_of,
    groups_of,
    named,
    number,
    whole,
)
from launcher.values import Known, Reading, Unknown, format_size
from launcher.words import alternated, counted, words

if TYPE_CHECKING:
    from launcher.words import Text

# Rates are learnt over intervals of so many seconds at least: nothing is learnt before an hour was seen, and
# what was learnt is forgotten after two.
INTERVAL_S, LEARNS_FROM, MEMORY = 15.0, 240, 480
QUANTILE = 0.1
TIMES = 2.0
# Bytes a second: (never life below, always life from). A slow download has more than the upper one.
NETWORK_BOUNDS = (20e3, 60e3)
DISK_BOUNDS = (50e3, 200e3)


class _Traffic:
    """What both have in common: a threshold that learns, in bytes over one nominal period."""

    def __init__(self, period_s: float, bounds: tuple[float, float]) -> None:
        self._period_s, self._bounds = period_s, bounds
        self._rates: deque[float] = deque(maxlen=MEMORY)
        # What is not yet an interval: bytes and seconds.
        self._moved, self._seconds = 0.0, 0.0
        self._grower = Grower()
        self._last_alive = float("-inf")

    @property
    def counts(self) -> Text:
        """The rate that is life now, and what was learnt."""
        rate = _rate(self.threshold)
        if not (background := self.background):
            return words("{rate} and more", rate=rate)
        return words("{rate} and more ({background} is usual here)", rate=rate, background=_rate(background))

    @property
    def background(self) -> float:
        """Bytes a second that are always there; 0 until enough was seen."""
        if len(self._rates) < LEARNS_FROM:
            return 0.0
        return sorted(self._rates)[int(QUANTILE * len(self._rates))]

    @property
    def threshold(self) -> float:
        """Bytes a second that are life."""
        least, most = self._bounds
        return min(max(TIMES * self.background, least), most)

    def _judge(self, totals: Totals, moment: Moment) -> Growth | None:
        """What became of the totals since the reading before; None where there is none to compare with."""
        growth = self._grower.take(totals, moment.at)
        if growth is None:
            self._last_alive = max(self._last_alive, moment.at)
            return None
        if growth.together >= self.threshold * self._period_s:
            self._last_alive = max(self._last_alive, moment.at)
        self._learn(growth)
        return growth

    def _learn(self, growth: Growth) -> None:
        self._moved += growth.together
        self._seconds += growth.seconds
        if self._seconds >= INTERVAL_S:
            self._rates.append(self._moved / self._seconds)
            self._moved, self._seconds = 0.0, 0.0


class NetworkSignal(_Traffic):
    """Alive above 20 to 60 kB/s over one period, depending on what is usual here."""

    sign = Sign.NETWORK

    def __init__(self, period_s: float) -> None:
        super().__init__(period_s, NETWORK_BOUNDS)
        self._seen = False

    def take(self, reading: Reading[Any], moment: Moment) -> Reading[Life] | None:
        """What is known after a reading of probes/life/network.py; None without any network."""
        if isinstance(reading, Unknown):
            return reading
        try:
            interfaces = reading.value["interfaces"]
            totals = Totals({name: number(total) for name, total in interfaces.items()})
        except (ValueError, TypeError, KeyError, AttributeError):
            return Unknown(NONSENSE)
        self._seen = self._seen or bool(totals.of)
        if not self._seen:
            return None
        growth = self._judge(totals, moment)
        detail = _rate(growth.together / growth.seconds) if growth else ""
        return Known(Life(self._last_alive, detail))


class DiskSignal(_Traffic):
    """Alive above 50 to 200 kB/s over one period, depending on what is usual here."""

    sign = Sign.DISK

    def __init__(self, period_s: float) -> None:
        super().__init__(period_s, DISK_BOUNDS)

    def take(self, reading: Reading[Any], moment: Moment) -> Reading[Life] | None:
        """What is known after a reading of probes/life/processes.py; None where the kernel counts nothing."""
        if isinstance(reading, Unknown):
            return reading
        if reading.value is None:
            return None
        try:
            since, groups = groups_of(reading.value)
            totals = Totals({name: number(group.get("bytes")) for name, group in groups.items()}, since)
            unreadable = sum(whole(group.get("unreadable")) for group in groups.values())
            busy = [found for group in groups.values() if (found := busiest_of(group))]
        except ValueError:
            return Unknown(NONSENSE)
        growth = self._judge(totals, moment)
        return Known(Life(self._last_alive, _disk_detail(growth, busy, unreadable) if growth else ""))


def _disk_detail(growth: Growth, busy: list[Busiest], unreadable: int) -> Text:
    parts: list[Text] = [_rate(growth.together / growth.seconds)]
    if busy and growth.together:
        most = max(busy, key=lambda process: process.amount)
        parts.append(named(most, _rate(most.amount / growth.seconds)))
    if unreadable:
        parts.append(
            counted(
                "{count} process of another user is not seen",
                "{count} processes of other users are not seen",
                unreadable,
            )
        )
    return alternated(parts)


def _rate(rate: float) -> Text:
    return words("{size}/s", size=format_size(round(rate)))
