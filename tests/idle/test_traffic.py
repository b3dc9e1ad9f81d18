"""Disk and network as signs of life: above a background that is learnt within bounds, and nothing else."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from launcher.idle.model import Life, Moment, Sign
from launcher.idle.signals.traffic import INTERVAL_S, LEARNS_FROM, MEMORY, DiskSignal, NetworkSignal
from launcher.values import Known, Reading, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterable

PERIOD_S = 15.0
KB, MB = 1e3, 1e6


def net(moved: float, **more: float) -> Known[Any]:
    return Known({"interfaces": {"eth0": int(moved), **{name: int(total) for name, total in more.items()}}})


def disk(moved: float, since: float = 1.0, busiest: Any = None, unreadable: int = 0) -> Known[Any]:
    return Known(
        {
            "since": since,
            "groups": {"job": {"bytes": int(moved), "busiest": busiest, "unreadable": unreadable}},
        }
    )


class Series:
    """A signal that is told rates, one for each period; `at` and `total` go on from call to call."""

    def __init__(self, signal: NetworkSignal | DiskSignal) -> None:
        self.signal = signal
        self.shape = net if isinstance(signal, NetworkSignal) else disk
        self.at, self.total = 0.0, 0.0
        self.life = self.take(self.shape(0))

    def take(self, reading: Reading[Any]) -> Reading[Life] | None:
        self.life = self.signal.take(reading, Moment(self.at, self.at, self.at))
        return self.life

    def rates(self, rates: Iterable[float]) -> list[bool]:
        """For each rate, in bytes a second: did it show life?"""
        said = []
        for rate in rates:
            self.at += PERIOD_S
            self.total += rate * PERIOD_S
            self.take(self.shape(self.total))
            said.append(self.last_alive == self.at)
        return said

    @property
    def last_alive(self) -> float:
        assert isinstance(self.life, Known)
        return self.life.value.last_alive

    @property
    def detail(self) -> str:
        assert isinstance(self.life, Known)
        return str(self.life.value.detail)


def network() -> Series:
    return Series(NetworkSignal(PERIOD_S))


def disks() -> Series:
    return Series(DiskSignal(PERIOD_S))


@pytest.mark.parametrize(
    ("series", "least", "most"),
    [(network, 20 * KB, 60 * KB), (disks, 50 * KB, 200 * KB)],
    ids=["network", "disk"],
)
class TestBoth:
    def test_at_first_the_lower_bound_holds(self, series: Any, least: float, most: float) -> None:
        one = series()
        assert one.last_alive == 0
        assert one.rates([least - 1, least, 0]) == [False, True, False]
        assert one.last_alive == 2 * PERIOD_S

    def test_a_steady_chatter_becomes_the_background(self, series: Any, least: float, most: float) -> None:
        """Twice what is usual is life, one and a half times is not."""
        usual = least * 0.8
        one = series()
        one.rates([usual] * (LEARNS_FROM + 5))
        assert one.rates([usual * 1.5, usual * 2.1]) == [False, True]

    def test_nothing_is_learnt_in_less_than_an_hour(self, series: Any, least: float, most: float) -> None:
        """However often somebody looks: a download that is as slow as that is life for so long."""
        assert all(series().rates([least] * (LEARNS_FROM - 1)))
        one = type(series().signal)(1.0)
        moved = [series().shape(least * at) for at in range(3600)]
        said = [one.take(reading, Moment(at, at, at)) for at, reading in enumerate(moved)]
        assert [life.value.last_alive for life in said] == list(range(3600))
        assert LEARNS_FROM * INTERVAL_S >= 3600

    def test_more_than_the_upper_bound_is_always_life(self, series: Any, least: float, most: float) -> None:
        """However long it lasts: no work is so slow for ever."""
        assert all(series().rates([most] * (2 * MEMORY)))

    def test_less_than_the_lower_bound_is_never_life(self, series: Any, least: float, most: float) -> None:
        """Not after any silence either."""
        one = series()
        assert not any(one.rates([*([0.0] * MEMORY), *([least - 1] * MEMORY)]))

    def test_work_in_bursts_is_not_learnt(self, series: Any, least: float, most: float) -> None:
        """A burst in every second sample stays life for ever."""
        one = series()
        burst = (least + most) / 2
        said = one.rates([burst, 0.0] * MEMORY)
        assert said == [True, False] * MEMORY

    def test_work_is_seen_after_much_work(self, series: Any, least: float, most: float) -> None:
        """Hours of hard work leave a background at the upper bound at most."""
        one = series()
        one.rates([50 * most] * MEMORY)
        assert one.rates([0.0, most]) == [False, True]

    def test_background_is_forgotten(self, series: Any, least: float, most: float) -> None:
        one = series()
        one.rates([least * 0.9] * (5 * MEMORY))
        assert one.rates([least * 1.1]) == [False]
        one.rates([0.0] * (MEMORY // 5))
        assert one.rates([least * 1.1]) == [True]

    def test_the_threshold_stays_within_its_bounds(self, series: Any, least: float, most: float) -> None:
        """Whatever was seen."""
        chance = random.Random(6)
        one = series()
        for _ in range(300):
            one.rates([chance.choice((0.0, 1.0, least, most, 1e10)) * chance.random()])
            assert least <= one.signal.threshold <= most

    def test_a_gap_is_made_good_for(self, series: Any, least: float, most: float) -> None:
        """A total that has not grown says that nothing moved while it could not be read."""
        one = series()
        one.rates([0.0])
        one.at += PERIOD_S
        assert one.take(Unknown("timeout")) == Unknown("timeout")
        assert one.rates([0.0]) == [False]
        assert one.last_alive == 0

    def test_what_moved_in_a_gap_is_life_after_it(self, series: Any, least: float, most: float) -> None:
        """Amounts, not rates: half the threshold's rate over twice the period is enough."""
        one = series()
        one.at += PERIOD_S
        assert one.rates([least]) == [True]
        one.at += 3 * PERIOD_S
        assert one.rates([least * 0.9]) == [False]
        one.at += PERIOD_S
        one.total += least * 0.5 * PERIOD_S
        assert one.rates([least * 0.5]) == [True]

    def test_unknown_at_first(self, series: Any, least: float, most: float) -> None:
        signal = type(series().signal)(PERIOD_S)
        shape = series().shape
        assert signal.take(Unknown("no-proc"), Moment(5, 5, 5)) == Unknown("no-proc")
        first = signal.take(shape(7), Moment(15, 15, 15))
        assert isinstance(first, Known)
        assert first.value.last_alive == 15

    @pytest.mark.parametrize(
        "value", [7, [], {}, {"interfaces": 3, "groups": 3}, {"interfaces": {"a": -1}, "groups": {"a": {}}}]
    )
    def test_nonsense_is_unknown_and_changes_nothing(
        self, series: Any, least: float, most: float, value: Any
    ) -> None:
        one = series()
        one.at += PERIOD_S
        assert one.take(Known(value)) == Unknown("nonsense")
        assert one.rates([0.0]) == [False]


def test_an_interface_that_comes_counts_and_one_that_goes_does_not() -> None:
    one = network()
    one.at += PERIOD_S
    one.take(net(0, tun0=7.5 * MB))
    assert one.last_alive == one.at
    assert one.detail == "500 KB/s"
    one.at += PERIOD_S
    one.take(net(0))
    assert one.last_alive == PERIOD_S


def test_a_counter_that_began_anew_counts_in_full() -> None:
    one = network()
    one.rates([100 * MB])
    one.at += PERIOD_S
    one.take(net(10 * KB))
    assert one.last_alive == PERIOD_S
    one.at += PERIOD_S
    one.take(net(2 * KB, eth1=900 * KB))
    assert one.last_alive == one.at


def test_a_machine_without_network_has_no_row() -> None:
    signal = NetworkSignal(PERIOD_S)
    assert signal.take(Known({"interfaces": {}}), Moment(1, 1, 1)) is None
    assert isinstance(signal.take(net(5), Moment(2, 2, 2)), Known)
    assert isinstance(signal.take(Known({"interfaces": {}}), Moment(3, 3, 3)), Known)


def test_a_kernel_that_counts_no_disk_has_no_row() -> None:
    assert DiskSignal(PERIOD_S).take(Known(None), Moment(1, 1, 1)) is None


def test_disk_totals_that_began_anew_are_alive_once() -> None:
    one = disks()
    one.rates([0.0, 0.0])
    one.at += PERIOD_S
    one.take(disk(0, since=2.0))
    assert one.last_alive == one.at == 45
    one.at += PERIOD_S
    one.take(disk(0, since=2.0))
    assert one.last_alive == 45


@pytest.mark.parametrize("rate", [60 * KB, 99 * KB, 101 * KB])
def test_a_slow_download_is_life(rate: float) -> None:
    """For as long as it takes."""
    assert all(network().rates([rate] * (2 * MEMORY)))


@pytest.mark.parametrize("rate", [200 * KB, 300 * KB, 900 * KB])
def test_a_slow_disk_is_life(rate: float) -> None:
    """For as long as it takes."""
    assert all(disks().rates([rate] * (2 * MEMORY)))


def test_what_the_disk_shows() -> None:
    one = disks()
    assert one.detail == ""
    one.at = PERIOD_S
    one.take(disk(18 * MB, busiest=[7, "cp", 16_500_000], unreadable=2))
    assert one.detail == "1.2 MB/s; process 7 (cp): 1.1 MB/s; 2 processes of other users are not seen"
    one.at += PERIOD_S
    one.take(disk(18 * MB, unreadable=1))
    assert one.detail == "0 B/s; 1 process of another user is not seen"


def test_what_counts_is_said_with_what_was_learnt() -> None:
    one = network()
    assert one.signal.sign is Sign.NETWORK
    assert str(one.signal.counts) == "20 KB/s and more"
    one.rates([15 * KB] * LEARNS_FROM)
    assert str(one.signal.counts) == "30 KB/s and more (15 KB/s is usual here)"
    assert disks().signal.sign is Sign.DISK
