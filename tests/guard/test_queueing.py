"""What a queue does next: held for every queue that chance makes, against what a person would say."""

from __future__ import annotations

import signal

from hypothesis import given
from hypothesis import strategies as st

from launcher.guard.model import Failed, Interrupted, Succeeded
from launcher.guard.queueing import (
    GOES_ON,
    NothingStarted,
    Place,
    Stands,
    at_once,
    is_over,
    outcome,
    to_start,
)
from launcher.release.decide import LEFT_TO_QUEUE, decide
from launcher.release.interface import ReleaseStatus
from launcher.spec.model import When

# For each group: how many at a time, and with what each of its runs will end.
GROUPS = st.lists(
    st.tuples(st.integers(1, 3), st.lists(st.sampled_from([0, 0, 0, 3, 137]), min_size=1, max_size=4)),
    min_size=1,
    max_size=4,
)


def waiting(groups: list[tuple[int, list[int]]]) -> list[Place]:
    return [Place(at, limit) for at, (limit, codes) in enumerate(groups) for _ in codes]


@given(GROUPS, st.booleans(), st.randoms(use_true_random=False), st.integers(0, 30))
def test_played_to_its_end(groups, keep_going, chance, stop_after) -> None:
    """Each is started at most once, in order, no more than its group allows; and it comes to an end."""
    codes = [code for _, ends in groups for code in ends]
    places = waiting(groups)
    started: list[int] = []
    steps, stopped = 0, False
    while not is_over(places, keep_going=keep_going, stopped=stopped):
        steps += 1
        assert steps < 200
        stopped = stopped or steps > stop_after
        for number in to_start(places, keep_going=keep_going, stopped=stopped):
            assert not stopped
            assert number not in started
            assert all(place.stands is Stands.ENDED for place in places if place.group < places[number].group)
            started.append(number)
            places[number] = replaced(places[number], Stands.RUNNING)
        going = [number for number, place in enumerate(places) if place.stands in GOES_ON]
        assert len({places[number].group for number in going}) <= 1
        assert all(len(going) <= places[number].limit for number in going)
        if going:
            number = chance.choice(going)
            places[number] = replaced(places[number], Stands.ENDED, codes[number])
    assert started == sorted(started)
    failed = [places[number].exit_code for number in started if places[number].exit_code]
    if not stopped:
        assert len(started) == len(places) or (failed and not keep_going)
        ended = outcome(places, keep_going=keep_going, stopped_by=None)
        first = next((place.exit_code for place in places if place.exit_code), 0)
        assert ended == (Failed(first) if first else Succeeded())
    assert outcome(places, keep_going=keep_going, stopped_by=signal.SIGTERM).exit_code == 143


def replaced(place: Place, stands: Stands, code: int | None = None) -> Place:
    return Place(place.group, place.limit, stands, code, begun=True)


def ended(code: int, **more: bool) -> Place:
    return Place(0, 1, Stands.ENDED, code, **{"begun": True, **more})


def test_nothing_started_is_a_refusal() -> None:
    """The code is that of the first; and a release is not asked for."""
    places = [ended(65, begun=False), Place(0, 1, Stands.NOT_STARTED)]
    assert outcome(places, keep_going=False, stopped_by=None) == NothingStarted(65)
    some = [ended(0), ended(65, begun=False)]
    assert outcome(some, keep_going=False, stopped_by=None) == Failed(65)


def test_a_person_who_ends_a_run_ends_the_queue() -> None:
    """With --keep-going they have only ended that run."""
    places = [ended(0), ended(143, by_person=True), Place(0, 1, Stands.NOT_STARTED)]
    assert outcome(places, keep_going=False, stopped_by=None) == Interrupted(signal.SIGTERM)
    assert outcome([ended(130, by_person=True)], keep_going=False, stopped_by=None).exit_code == 130
    assert outcome(places, keep_going=True, stopped_by=None) == Failed(143)


@given(st.none() | st.integers(0, 16), st.integers(0, 8), st.none() | st.integers(1, 9))
def test_how_many_at_once(gpus: int | None, each: int, asked: int | None) -> None:
    """At least one; never more than have GPUs of their own, unless it was asked for."""
    count = at_once(gpus, each, asked)
    assert count >= 1
    if asked is not None:
        assert count == asked
    elif each == 0:
        assert count == 1
    else:
        assert count == 1 or count * each <= (gpus or 0)


@given(st.sampled_from([*When, None]), st.booleans(), st.booleans(), st.booleans())
def test_a_run_of_a_queue_never_releases(when: When | None, managed: bool, backed: bool, kept: bool) -> None:
    """Whatever its own file says."""
    found = decide(when=when, managed=managed, backed=backed, no_release=kept, report=None, in_queue=True)  # type: ignore[arg-type]
    assert found is not None
    assert (found.status, found.reason) == (ReleaseStatus.KEPT, LEFT_TO_QUEUE)
