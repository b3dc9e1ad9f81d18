"""When outputs are saved while the job runs: the pure part."""

from __future__ import annotations

import pytest

from launcher.saving.schedule import LAST_SAVE_S, Schedule


def save(schedule: Schedule, now: float, took: float = 1.0) -> tuple[int, ...]:
    """Whatever is due is saved."""
    numbers = schedule.due(now)
    schedule.began(now)
    schedule.ended(numbers, now + took, took)
    return numbers


def test_each_output_has_a_rhythm_of_its_own_that_counts_from_the_end_of_a_save() -> None:
    schedule = Schedule((10.0, None, 25.0), (), (), 100.0)
    assert schedule.next_at() == 110.0
    assert schedule.due(109.9) == ()
    assert save(schedule, 110.0, took=4.0) == (0,)
    assert schedule.next_at() == 124.0
    assert save(schedule, 125.0) == (0, 2)
    assert schedule.next_at() == 136.0


def test_without_a_rhythm_and_an_end_nothing_is_ever_due() -> None:
    schedule = Schedule((None, None), (), (), 0.0)
    assert schedule.next_at() is None
    assert schedule.due(1e9) == ()


def test_a_takeover_saves_at_once() -> None:
    assert Schedule((600.0,), (), (), 50.0, again=True).due(50.0) == (0,)


def test_before_max_duration_what_has_a_rhythm_is_saved_once_more() -> None:
    """Everything else is saved after the job anyway."""
    schedule = Schedule((3600.0, None), (1000.0,), (), 0.0)
    assert schedule.next_at() == 1000.0 - LAST_SAVE_S
    assert save(schedule, 900.0) == (0,)
    assert schedule.due(950.0) == ()
    assert not schedule.before_wall(900.0)


def test_before_a_wall_everything_is_saved_for_there_is_no_afterwards() -> None:
    schedule = Schedule((None, 7200.0), (), (1000.0,), 0.0)
    assert schedule.before_wall(880.0)
    assert save(schedule, 880.0) == (0, 1)
    assert not schedule.before_wall(900.0)
    assert schedule.due(990.0) == ()


@pytest.mark.parametrize(("took", "begins"), [(10.0, 880.0), (200.0, 600.0)])
def test_a_slow_target_gets_more_time_before_an_end(took: float, begins: float) -> None:
    """Twice as long as a save has taken."""
    schedule = Schedule((100.0,), (), (1000.0,), 0.0)
    save(schedule, 100.0, took=took)
    assert schedule.before_wall(begins)
    assert not schedule.before_wall(begins - 1.0)


def test_a_wall_that_is_near_or_past_is_no_reason_to_save_again_and_again() -> None:
    """A job that starts near the wall is saved halfway there; past walls do not count."""
    schedule = Schedule((None,), (), (30.0, -5.0), 0.0)
    assert schedule.next_at() == 15.0
    assert save(schedule, 15.0) == (0,)
    assert schedule.next_at() is None
