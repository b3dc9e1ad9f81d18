"""What a guard does next, one rule at a time; every order of events is test_explorer's."""

from __future__ import annotations

import pytest

from launcher.release.interface import Answer, ReleaseStatus, ReleaseTiming
from launcher.release.protocol import (
    Do,
    Others,
    Phase,
    Plan,
    Progress,
    Sight,
    after_accepted,
    after_move,
    after_prepared,
    after_refused,
    next_move,
    next_wait,
    taken_up,
)

PLAN = Plan(grace_s=120, confirm_s=120, give_up_after_s=300)
TIMING = ReleaseTiming(attempt_timeout_s=10, give_up_after_s=300, first_wait_s=1, longest_wait_s=30)
NOTHING = Sight()
COUNTING = Progress(Phase.COUNTING, due=120)
ASKING = Progress(Phase.ASKING, due=0)
HOLDING = {
    "keep": Sight(kept=True),
    "hold-file": Sight(hold_file=True),
    "another-run": Sight(others=Others.RUN),
    "lost-run": Sight(lost=True),
    "kernel-busy": Sight(busy=True),
}


@pytest.mark.parametrize("reason", HOLDING)
@pytest.mark.parametrize("at", [COUNTING, ASKING, after_refused(ASKING, "http-500", 9, 0)])
def test_whatever_speaks_against_it_holds(reason: str, at: Progress) -> None:
    """In a countdown, before the first request, between two, and at the last look under the lease."""
    for sight in (HOLDING[reason], HOLDING[reason]._replace(alone=True)):
        move = next_move(at, sight, PLAN, 0)
        assert (move.do, move.reason, move.status) == (Do.HOLD, reason, ReleaseStatus.HELD)


@pytest.mark.parametrize("reason", HOLDING)
def test_held_waits_and_then_counts_down_again(reason: str) -> None:
    """The reason is looked at again; when it is gone the whole grace passes once more before the request."""
    held = after_move(COUNTING, next_move(COUNTING, HOLDING[reason], PLAN, 50), PLAN, 50)
    assert (held.phase, held.reason) == (Phase.HELD, reason)
    assert next_move(held, HOLDING[reason], PLAN, 900).do is Do.WAIT
    move = next_move(held, NOTHING, PLAN, 1000)
    assert move.do is Do.COUNT_DOWN
    assert after_move(held, move, PLAN, 1000) == Progress(Phase.COUNTING, due=1120)


def test_a_request_needs_the_countdown_and_the_lease() -> None:
    """Countdown, lease, preparation, last look, request; while somebody else asks, it waits."""
    assert next_move(COUNTING, NOTHING, PLAN, 119).do is Do.WAIT
    assert next_move(COUNTING, Sight(alone=True), PLAN, 119).do is Do.WAIT
    assert next_move(COUNTING, NOTHING, PLAN, 120).do is Do.LEASE
    assert next_move(COUNTING, Sight(others=Others.RELEASE), PLAN, 120).do is Do.WAIT
    assert next_move(COUNTING, Sight(alone=True), PLAN, 120).do is Do.PREPARE
    assert next_move(after_prepared(COUNTING), Sight(alone=True), PLAN, 120).do is Do.ASK


def test_a_hold_undoes_the_preparation_and_a_request_does_not() -> None:
    """Somebody may have written to Drive while it held; between two requests nobody could."""
    ready = after_prepared(ASKING)
    refused = after_refused(ready, "http-500", 0, 0)
    assert next_move(refused, Sight(alone=True), PLAN, 0).do is Do.ASK
    accepted = after_accepted(refused, PLAN, 0)
    again = after_move(accepted, next_move(accepted, NOTHING, PLAN, 120), PLAN, 120)
    assert next_move(again, Sight(alone=True), PLAN, 120).do is Do.ASK
    held = after_move(ready, next_move(ready, Sight(kept=True), PLAN, 0), PLAN, 0)
    counting = after_move(held, next_move(held, NOTHING, PLAN, 0), PLAN, 0)
    assert next_move(counting, Sight(alone=True), PLAN, 120).do is Do.PREPARE


def test_what_has_gone_is_confirmed_whatever_else_there_is() -> None:
    """A guard that outlives what it handed back says so; before an accepted request nothing is believed."""
    accepted = after_accepted(ASKING, PLAN, 0)
    gone = Sight(gone=True, kept=True, busy=True, others=Others.RUN)
    move = next_move(accepted, gone, PLAN, 120)
    assert (move.do, move.status, move.reason) == (Do.DONE, ReleaseStatus.CONFIRMED, "gone")
    assert next_move(ASKING, gone, PLAN, 120).do is Do.HOLD


@pytest.mark.parametrize("at", [COUNTING, ASKING, Progress(Phase.HELD, 0, "keep")])
def test_a_press_keeps_the_runtime(at: Progress) -> None:
    """A press ends the guard, in a countdown, in a hold and between two requests, whatever else there is."""
    for sight in (Sight(stopped=True), Sight(stopped=True, alone=True, busy=True)):
        move = next_move(at, sight, PLAN, 0)
        assert (move.do, move.status, move.reason) == (Do.DONE, ReleaseStatus.KEPT, "ended-by-person")
    asked = after_accepted(ASKING, PLAN, 0)
    assert next_move(asked, Sight(stopped=True), PLAN, 0).status is ReleaseStatus.ACCEPTED


def test_one_of_two_guards_asks() -> None:
    """Who finds that another was accepted ends; whoever was accepted itself looks after the rest."""
    move = next_move(COUNTING, Sight(released=True), PLAN, 0)
    assert (move.do, move.status, move.reason) == (Do.DONE, ReleaseStatus.ACCEPTED, "another-run-released")
    assert next_move(after_accepted(ASKING, PLAN, 0), Sight(released=True), PLAN, 200).do is Do.SAY


def test_what_a_person_was_accepted_for_is_waited_for() -> None:
    """Nobody looks after it: it goes within our confirm time, or it is asked for as if nothing had been."""
    answered = Sight(answered=True)
    for at in (COUNTING, ASKING, after_refused(ASKING, "http-500", 0, 0), after_prepared(ASKING)):
        for sight in (answered, answered._replace(alone=True)):
            assert next_move(at, sight, PLAN, 120).do is Do.WAIT
        assert next_move(at, Sight(), PLAN, 120).do is Do.LEASE
    assert next_move(ASKING, answered._replace(kept=True), PLAN, 0).do is Do.HOLD
    assert next_move(ASKING, answered._replace(stopped=True), PLAN, 0).status is ReleaseStatus.KEPT
    assert next_move(after_accepted(ASKING, PLAN, 0), answered, PLAN, 200).do is Do.SAY


def test_a_runtime_that_stays_is_asked_again_and_again() -> None:
    """After `confirm`, twice that, and so on up to an hour, 8 times; then it is said that it did not work."""
    at, now, waits = after_accepted(ASKING, PLAN, 0), 0.0, []
    while True:
        waits.append(at.due - now)
        assert next_move(at, Sight(busy=True), PLAN, at.due - 0.5).do is Do.WAIT
        now = at.due
        move = next_move(at, NOTHING, PLAN, now)
        if move.do is Do.DONE:
            break
        assert (move.do, move.status, move.reason) == (Do.SAY, ReleaseStatus.ACCEPTED, "still-here")
        at = after_move(at, move, PLAN, now)
        assert next_move(at, NOTHING, PLAN, now).do is Do.LEASE
        at = after_accepted(after_move(at, next_move(at, Sight(alone=True), PLAN, now), PLAN, now), PLAN, now)
    assert waits == [120, 240, 480, 960, 1920, 3600, 3600, 3600, 3600]
    assert (move.status, move.reason) == (ReleaseStatus.FAILED, "still-here")


def test_a_run_that_starts_after_the_answer_stops_the_next_request() -> None:
    """Its lease holds; when it is over, a countdown comes before the same release is asked for again."""
    at = after_accepted(ASKING, PLAN, 0)
    move = next_move(at, HOLDING["another-run"], PLAN, 120)
    assert (move.do, move.reason) == (Do.HOLD, "another-run")
    held = after_move(at, move, PLAN, 120)
    counting = after_move(held, next_move(held, NOTHING, PLAN, 500), PLAN, 500)
    assert counting == Progress(Phase.COUNTING, due=620, accepted=1)


def test_nothing_accepted_is_said_once_and_asking_goes_on() -> None:
    """After `give_up_after` the client hears `failed`; the guard asks on."""
    ready = after_prepared(ASKING)
    at = after_move(ready, next_move(ready, Sight(alone=True), PLAN, 0), PLAN, 0)
    at = after_refused(at, "http-500", 30, 290)
    assert next_move(at, NOTHING, PLAN, 299).do is Do.WAIT
    move = next_move(at, NOTHING, PLAN, 300)
    assert (move.do, move.status, move.reason) == (Do.SAY, ReleaseStatus.FAILED, "http-500")
    at = after_move(at, move, PLAN, 300)
    assert next_move(at, NOTHING, PLAN, 300).do is Do.WAIT
    assert next_move(at, NOTHING, PLAN, 320).do is Do.LEASE


@pytest.mark.parametrize(
    ("noted", "move"),
    [
        (None, Do.WAIT),
        (ReleaseStatus.HELD, Do.WAIT),
        (ReleaseStatus.REQUESTED, Do.LEASE),
        (ReleaseStatus.FAILED, Do.LEASE),
        (ReleaseStatus.ACCEPTED, Do.WAIT),
    ],
)
def test_who_takes_over_goes_on_from_what_was_noted(noted: ReleaseStatus | None, move: Do) -> None:
    """A request that may have been sent is repeated at once, an accepted one after `confirm`."""
    at = taken_up(noted, PLAN, 50)
    assert next_move(at, NOTHING, PLAN, 50).do is move
    if move is Do.WAIT:
        assert at.due == 170


def test_waits_grow_with_full_jitter() -> None:
    """Between nothing and twice as much each time, up to the longest."""
    none = Answer(None, "timeout")
    assert [next_wait(none, number, TIMING, 30, 0.5) for number in (1, 2, 3, 6, 2000)] == [0.5, 1, 2, 15, 15]
    assert next_wait(none, 5, TIMING, 30, 0.0) == 0


def test_the_server_may_ask_for_patience() -> None:
    """Retry-After counts more than our own wait; a refusal is not asked again within seconds."""
    assert next_wait(Answer(503, "http-503", 40), 1, TIMING, 30, 0.5) == 40
    assert next_wait(Answer(503, "http-503", 0.1), 3, TIMING, 30, 0.5) == 2
    assert next_wait(Answer(403, "http-403", firm=True), 1, TIMING, 30, 0.5) == 30
