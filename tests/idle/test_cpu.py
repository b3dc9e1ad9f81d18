"""Processor time as a sign of life: amounts over a period, a group or one process, and what is missing."""

from __future__ import annotations

from typing import Any

import pytest

from launcher.idle.model import Life, Moment, Sign
from launcher.idle.signals.cpu import CpuSignal
from launcher.values import Known, Reading, Unknown

PERIOD_S = 10.0


def group(seconds: float, busiest: Any = None, processes: int = 1, stopped: int = 0) -> dict[str, Any]:
    return {"seconds": seconds, "busiest": busiest, "processes": processes, "stopped": stopped}


def job(seconds: float, since: float = 1.0, **more: Any) -> Known[Any]:
    return Known({"since": since, "groups": {"job": group(seconds, **more)}})


def machine(kernels: float, others: float, busiest: Any = None, since: float = 1.0) -> Known[Any]:
    return Known({"since": since, "groups": {"kernels": group(kernels), "others": group(others, busiest)}})


def told(*steps: tuple[float, Reading[Any]], period_s: float = PERIOD_S) -> list[Reading[Life] | None]:
    signal = CpuSignal(period_s)
    return [signal.take(reading, Moment(at, at, at)) for at, reading in steps]


def last_alive(*steps: tuple[float, Reading[Any]], period_s: float = PERIOD_S) -> float:
    said = told(*steps, period_s=period_s)[-1]
    assert isinstance(said, Known)
    return said.value.last_alive


def detail(*steps: tuple[float, Reading[Any]]) -> str:
    said = told(*steps)[-1]
    assert isinstance(said, Known)
    return str(said.value.detail)


def test_the_first_reading_promises_nothing_about_before() -> None:
    """Whatever was used before, nobody knows when: alive at the first sample, and not at the next."""
    assert last_alive((100, job(5000.0))) == 100
    assert last_alive((100, job(5000.0)), (110, job(5000.0))) == 100


@pytest.mark.parametrize(("used", "alive"), [(0.49, False), (0.5, True), (8.0, True)])
def test_a_job_lives_from_5_percent_of_a_core(used: float, alive: bool) -> None:
    assert last_alive((100, job(3.0)), (110, job(3.0 + used))) == (110 if alive else 100)


@pytest.mark.parametrize(
    ("kernels", "others", "alive"),
    [(0.49, 0.99, False), (0.5, 0.0, True), (0.0, 0.99, False), (0.0, 1.0, True)],
)
def test_kernels_live_from_5_percent_and_another_session_from_10(
    kernels: float, others: float, alive: bool
) -> None:
    assert last_alive((100, machine(0, 0)), (110, machine(kernels, others))) == (110 if alive else 100)


def test_a_shorter_interval_is_measured_by_the_nominal_period() -> None:
    """What counts is the amount: 0.3 s within 2 s are no life at a period of 10 s."""
    assert last_alive((100, job(0)), (102, job(0.3))) == 100


def test_lost_samples_merge_and_never_hide_life() -> None:
    """Two intervals of 4 % each are life when the sample between them is lost: later, never earlier."""
    assert last_alive((100, job(0)), (110, job(0.4)), (120, job(0.8))) == 100
    assert last_alive((100, job(0)), (120, job(0.8))) == 120


def test_one_lost_reading_is_made_good_for() -> None:
    """The total says that nothing happened while it could not be read."""
    steps = ((100.0, job(7)), (110.0, Unknown("timeout")), (120.0, Unknown("timeout")))
    assert told(*steps)[1:] == [Unknown("timeout")] * 2
    assert last_alive(*steps, (130, job(7))) == 100
    assert last_alive(*steps, (130, job(8))) == 130


def test_unknown_at_first_is_alive_until_it_is_known() -> None:
    assert last_alive((100, Unknown("timeout")), (110, job(7)), (120, job(7))) == 110


@pytest.mark.parametrize("again", [job(7, since=2.0), job(9, since=2.0), job(3)])
def test_totals_that_began_anew_are_alive_once(again: Known[Any]) -> None:
    """Nobody knows what was used between the two series; and then they are compared again."""
    assert last_alive((100, job(7)), (110, job(7)), (150, again)) == 150
    assert last_alive((100, job(7)), (150, again), (160, again)) == 150


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        [],
        {},
        {"since": 1.0},
        {"since": 1.0, "groups": {"job": 3}},
        {"since": "now", "groups": {"job": group(1)}},
        {"since": 1.0, "groups": {"job": group(float("nan"))}},
        {"since": 1.0, "groups": {"job": group(-1)}},
        {"since": 1.0, "groups": {"job": group(True)}},
        {"since": 1.0, "groups": {"job": group(1, busiest=[1, 2, 3])}},
        {"since": 1.0, "groups": {"job": group(1, busiest="me")}},
        {"since": 1.0, "groups": {"job": group(1, stopped=0.5)}},
    ],
)
def test_nonsense_is_unknown_and_changes_nothing(value: Any) -> None:
    assert told((100, job(7)), (110, Known(value)))[-1] == Unknown("nonsense")
    assert last_alive((100, job(7)), (110, Known(value)), (120, job(7))) == 100


def test_the_newest_life_is_kept() -> None:
    """A moment that goes back takes nothing back."""
    assert last_alive((100, job(0)), (110, job(5)), (105, job(9)), (120, job(9))) == 110


def test_at_a_short_period_one_tick_of_the_clock_is_no_life() -> None:
    """A scaled scene: 5 % of 0.1 s are half a tick, and a sleeper's total grows by whole ones."""
    assert last_alive((100, job(0)), (100.1, job(0.01)), period_s=0.1) == 100
    assert last_alive((100, job(0)), (100.1, job(0.02)), period_s=0.1) == 100.1


def test_the_detail_names_the_process() -> None:
    quiet = (100.0, job(0))
    assert (
        detail(quiet, (110, job(9.7, busiest=[1234, "python", 9.7])))
        == "process 1234 (python): 97 % of a core"
    )
    assert (
        detail(quiet, (110, job(9.7, busiest=[1234, "python", 4.0])))
        == "the job: 97 % of a core; process 1234 (python): 40 % of a core"
    )
    assert detail(quiet, (110, job(0))) == "the job: 0.0 % of a core"
    assert detail(quiet, (110, job(0, processes=0))) == "no process of the job"


def test_the_detail_says_that_a_process_is_stopped() -> None:
    assert (
        detail((100, job(0)), (110, job(0, stopped=1)))
        == "the job: 0.0 % of a core; 1 process is stopped (T)"
    )
    assert "3 processes are stopped (T)" in detail((100, job(0)), (110, job(0, processes=4, stopped=3)))


def test_the_detail_of_a_machine() -> None:
    before = (100.0, machine(0, 0))
    assert (
        detail(before, (110, machine(0.1, 2, [5, "make", 2.0])))
        == "notebook kernels: 1.0 % of a core; process 5 (make): 20 % of a core"
    )
    assert (
        detail(before, (110, machine(0.1, 2, [5, "make", 0.5])))
        == "notebook kernels: 1.0 % of a core; process 5 (make) and others of its session: 20 % of a core"
    )
    nobody = Known({"since": 1.0, "groups": {"kernels": group(0, processes=0), "others": group(0)}})
    assert detail(before, (110, nobody)) == "0.0 % of a core"


def test_what_counts_is_said_of_what_is_read() -> None:
    signal = CpuSignal(PERIOD_S)
    assert signal.sign is Sign.CPU
    assert str(signal.counts) == (
        "5 % of a core and more in notebook kernels, or 10 % in the processes of another session"
    )
    signal.take(job(0), Moment(1, 1, 1))
    assert str(signal.counts) == "5 % of a core and more"
