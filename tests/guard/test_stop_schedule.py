"""Which signal is due when: pure, with times as numbers."""

from __future__ import annotations

import signal

import pytest

from launcher.guard.stopping import Stop, Why

INT, TERM, KILL = signal.SIGINT, signal.SIGTERM, signal.SIGKILL


def course(stop: Stop, start: float) -> list[tuple[float, int]]:
    """Everything that becomes due, as (seconds after `start`, signal)."""
    steps = []
    while (at := stop.next_at()) is not None:
        if (number := stop.due(at)) is not None:
            steps.append((at - start, number))
    return steps


@pytest.mark.parametrize(
    ("why", "number", "expected"),
    [
        (Why.PERSON, INT, [(0, INT), (15, TERM), (30, KILL)]),
        (Why.PERSON, TERM, [(0, TERM), (30, KILL)]),
        (Why.LIMIT, TERM, [(0, TERM), (30, KILL)]),
        (Why.LEFTOVERS, TERM, [(0, TERM), (30, KILL)]),
        (Why.LIMIT, INT, [(0, TERM), (30, KILL)]),
    ],
)
def test_the_course_of_a_stop(why: Why, number: int, expected: list[tuple[float, int]]) -> None:
    """SIGINT only for a person's SIGINT; SIGKILL always at the end of the grace; each once."""
    assert course(Stop(why, 1000.0, 30.0, number), 1000.0) == expected


def test_nothing_is_due_early() -> None:
    """Between two steps nothing happens."""
    stop = Stop(Why.PERSON, 1000.0, 30.0, INT)
    assert stop.due(999.9) is None
    assert stop.due(1000.0) == INT
    assert stop.due(1014.9) is None
    assert stop.next_at() == 1015.0


def test_a_late_look_sends_the_last_signal_only() -> None:
    """After a pause of the machine the job gets SIGKILL, not three signals at once."""
    stop = Stop(Why.PERSON, 1000.0, 30.0, INT)
    assert stop.due(2000.0) == KILL
    assert (stop.due(2001.0), stop.next_at()) == (None, None)


def test_no_grace_is_sigkill_at_once() -> None:
    """`stop_grace: 0s`."""
    assert Stop(Why.PERSON, 1000.0, 0.0, INT).due(1000.0) == KILL


def test_a_second_press() -> None:
    """SIGKILL now, and nothing after it, whatever was still to come."""
    stop = Stop(Why.PERSON, 1000.0, 30.0, INT)
    stop.due(1000.0)
    stop.kill_now(1002.0)
    assert course(stop, 1000.0) == [(2, KILL)]


def test_a_press_during_another_stop() -> None:
    """The job gets the person's signal; the deadline is neither moved nor forgotten."""
    stop = Stop(Why.LIMIT, 1000.0, 30.0)
    stop.due(1000.0)
    stop.also(1005.0, INT)
    assert course(stop, 1000.0) == [(5, INT), (30, KILL)]
