"""Every order of events that the release protocol can meet, within bounds: never early, never forgotten.

The events are those of helpers.release_model; the decisions are the real `next_move`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from helpers.release_explore import explore
from helpers.release_model import Broken, Rules, Run, World
from launcher.release.protocol import Do, Move, Others, Plan, next_move

if TYPE_CHECKING:
    from launcher.release.protocol import Progress, Sight

RELEASES, STARTER = Run(due=True), Run(due=False)
ENDLESS = Rules()
GIVES_UP = Rules(plan=Plan(grace_s=1, confirm_s=1, give_up_after_s=0, repeats=1))

SCENARIOS = {
    # name: (the world at its beginning, what is explored)
    "one run, endpoint and guards fail": (World((RELEASES,), crashes=2, failures=2, sweeps=1), GIVES_UP),
    "one run, keep": (World((RELEASES,), crashes=2, failures=1, sweeps=1), Rules(veto="keep")),
    "one run, HOLD": (World((RELEASES,), crashes=2, failures=1, sweeps=1), Rules(veto="HOLD")),
    "one run, busy kernel": (World((RELEASES,), crashes=2, failures=1, sweeps=1), Rules(veto="kernel")),
    "one run, it goes and the guard stays": (
        World((RELEASES,), crashes=2, failures=1, sweeps=1),
        replace(GIVES_UP, outlives=True, veto="HOLD"),
    ),
    "a press of stop": (World((RELEASES, RELEASES), presses=1), ENDLESS),
    "two runs": (World((RELEASES, RELEASES), failures=1), Rules(veto="keep")),
    "two runs, both of one killed": (
        World((RELEASES, RELEASES), crashes=2, failures=1, sweeps=1),
        ENDLESS,
    ),
    "a late starter": (World((RELEASES, STARTER), crashes=2, failures=1, sweeps=1), Rules(veto="kernel")),
    "two runs and a late starter": (World((RELEASES, RELEASES, STARTER), crashes=1), ENDLESS),
    "both of one killed, and the sweeper": (World((RELEASES, STARTER), crashes=3, sweeps=2), ENDLESS),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_never_early_and_never_forgotten(name: str, record_property: pytest.RecordProperty) -> None:
    """No request while somebody is at work or wants the machine; at every end what is due was asked for."""
    start, rules = SCENARIOS[name]
    states = explore(start, rules)
    record_property("states", states)
    print(f"{name}: {states} states")
    assert states > 100


# --- the exploration can fail ---------------------------------------------------------------------


def without_the_lease(at: Progress, sight: Sight, plan: Plan, now: float) -> Move:
    move = next_move(at, sight, plan, now)
    return Move(Do.ASK if at.prepared else Do.PREPARE) if move.do is Do.LEASE else move


def without_a_last_look(at: Progress, sight: Sight, plan: Plan, now: float) -> Move:
    move = next_move(at, sight, plan, now)
    return Move(Do.ASK) if sight.alone and at.prepared else move


def without_preparing(at: Progress, sight: Sight, plan: Plan, now: float) -> Move:
    move = next_move(at, sight, plan, now)
    return Move(Do.ASK) if move.do is Do.PREPARE else move


def without(**blind: object) -> Rules:
    return Rules(
        next_move=lambda at, sight, plan, now: next_move(at, sight._replace(**blind), plan, now),
    )


def never_counts_down(at: Progress, sight: Sight, plan: Plan, now: float) -> Move:
    move = next_move(at, sight, plan, now)
    return Move(Do.WAIT) if move.do is Do.COUNT_DOWN else move


MUTANTS = {
    # name: (what it does wrong, the scenario, what is said of it)
    "asks without the lease": (Rules(next_move=without_the_lease), "a late starter", "between request and"),
    "asks while others are at work": (
        replace(without(others=Others.NONE), lease_excludes_runs=False),
        "two runs",
        "I1",
    ),
    "does not prepare": (Rules(next_move=without_preparing), "one run, keep", "before it has prepared"),
    "does not look again": (Rules(next_move=without_a_last_look), "one run, HOLD", "last look"),
    "does not see lost runs": (without(lost=False), "two runs, both of one killed", "I1"),
    "does not see accepted marks": (without(released=False), "two runs", "another was accepted"),
    "unlocks before the answer": (
        Rules(keeps_lease_until_answer=False),
        "a late starter",
        "between request and answer",
    ),
    "unlocks before the mark": (Rules(marks_before_unlocking=False), "two runs", "another was accepted"),
    "takes a note for the lease": (Rules(believes_over=False), "two runs, both of one killed", "I1"),
    "watcher does nothing": (
        Rules(watcher_takes_over=False),
        "one run, endpoint and guards fail",
        "I2",
    ),
    "sends before it notes": (
        Rules(notes_before_sending=False),
        "one run, endpoint and guards fail",
        "two nonces",
    ),
    "never counts down again": (Rules(next_move=never_counts_down), "one run, keep", "I2"),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_caught(name: str) -> None:
    """Break the protocol in one place, and the exploration finds the way to the harm."""
    rules, scenario, said = MUTANTS[name]
    start, original = SCENARIOS[scenario]
    with pytest.raises(Broken, match=said):
        explore(start, replace(rules, veto=original.veto))
