"""Which state may follow which, and what tests say about rows that break the rules."""

from __future__ import annotations

import itertools
import random

import pytest

from launcher.ledger.model import FINAL, LEGAL, Row, State, problems, summary


def rows(*states: State) -> list[Row]:
    return [Row("run", seq, 1e9, "boot-1", state, {}) for seq, state in enumerate(states, start=1)]


def way_to(state: State) -> list[State]:
    """The shortest legal way from planned to a state."""
    ways = {State.PLANNED: [State.PLANNED]}
    for known in ways_in_order(ways):
        if known[-1] is state:
            return known
    raise AssertionError(f"no run ever gets to {state}")


def ways_in_order(ways: dict[State, list[State]]) -> list[list[State]]:
    queue = list(ways.values())
    for way in queue:
        for following in sorted(LEGAL[way[-1]]):
            if following not in ways:
                ways[following] = [*way, following]
                queue.append(ways[following])
    return queue


def test_every_state_has_its_successors() -> None:
    """The table is complete."""
    assert set(LEGAL) == set(State)


@pytest.mark.parametrize("state", State)
def test_every_state_is_reached_and_left(state: State) -> None:
    """A run gets to each state, and from each that is not final on to the end."""
    assert problems(rows(*way_to(state))) == []
    if state not in FINAL:
        assert FINAL & LEGAL[state]


@pytest.mark.parametrize(("before", "after"), list(itertools.product(State, State)))
def test_a_step_is_a_problem_unless_the_table_has_it(before: State, after: State) -> None:
    """Each of the 169 steps."""
    found = problems(rows(*way_to(before), after))
    assert (found == []) == (after in LEGAL[before])
    assert all(f"is {after.value} after {before.value}" in problem for problem in found)


def test_the_rules_that_releases_rest_on() -> None:
    """No request before the job has ended, none after the end, none accepted that was not sent."""
    before = {state for state, following in LEGAL.items() if State.REQUESTED in following}
    assert before.isdisjoint({State.PLANNED, State.STARTED, *FINAL})
    # What was said to have failed goes on being asked for, without another row each time.
    sent = {State.REQUESTED, State.FAILED}
    assert {state for state, following in LEGAL.items() if State.ACCEPTED in following} == sent
    # It fails without a request where there is nobody to ask, but not before the job has ended.
    assert {state for state, following in LEGAL.items() if State.FAILED in following} == before
    assert LEGAL[State.DONE] == frozenset()


def test_any_legal_walk_is_no_problem() -> None:
    """A thousand random runs by the table."""
    chance = random.Random(1)
    for _ in range(1000):
        walk = [State.PLANNED]
        while LEGAL[walk[-1]] and len(walk) < 30:
            walk.append(chance.choice(sorted(LEGAL[walk[-1]])))
        assert problems(rows(*walk)) == []


def test_gaps_foreign_rows_and_wrong_beginnings_are_problems() -> None:
    """Numbers without a gap from 1, one run, planned first."""
    good = rows(State.PLANNED, State.STARTED, State.ENDED)
    assert problems(good[:1] + good[2:]) == ["row 2 has number 3"]
    assert problems([good[0], good[1]._replace(run_id="other")]) == ["row 2 belongs to other, not to run"]
    assert problems(rows(State.STARTED)) == ["row 1 is started: a run begins with planned"]
    assert problems([]) == []


def test_a_run_in_short() -> None:
    """Name and facts come from the beginning and the end of the job, not from the release."""
    found = rows(State.PLANNED, State.STARTED, State.ENDED, State.HELD)
    facts: list[dict[str, object]] = [{"name": "a"}, {"pid": 1}, {"outcome": "failed"}, {"reason": "unsaved"}]
    run = summary([row._replace(facts=fact) for row, fact in zip(found, facts, strict=True)])
    assert (run.run_id, run.name, run.wall) == ("run", "a", 1e9)
    assert run.facts == {"name": "a", "pid": 1, "outcome": "failed"}
    assert run.last.facts == {"reason": "unsaved"}
    assert summary(found[:1]).name is None
