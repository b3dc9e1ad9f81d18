"""What is to be done about a run that nobody guards: every case there is."""

from __future__ import annotations

import pytest

from launcher.ledger.model import LEGAL, Row, State
from launcher.ledger.recover import Step, next_step

# Spelled out, not derived: unguarded, on the machine that it ran on.
HERE = {
    None: Step.END_JOB,
    State.PLANNED: Step.END_JOB,
    State.STARTED: Step.END_JOB,
    State.RETRYING: Step.END_JOB,
    State.ENDED: Step.SAVE,
    State.SAVING: Step.SAVE,
    State.SAVED: Step.SAVE,
    State.HELD: Step.RELEASE,
    State.KEPT: Step.RELEASE,
    State.REQUESTED: Step.ASK_AGAIN,
    State.FAILED: Step.ASK_AGAIN,
    State.ACCEPTED: Step.LOOK_AGAIN,
    State.STILL_HERE: Step.LOOK_AGAIN,
    State.CONFIRMED: Step.NOTHING,
    State.LOST: Step.NOTHING,
    State.DONE: Step.NOTHING,
}
# On another machine, or after a reboot, there is nothing left to act on.
ELSEWHERE = {
    state: Step.NOTHING if state is None or step is Step.NOTHING else Step.NOTE_LOST
    for state, step in HERE.items()
}
# It was asked to go, and it is gone.
ELSEWHERE |= {State.REQUESTED: Step.NOTE_CONFIRMED, State.ACCEPTED: Step.NOTE_CONFIRMED}
EVERY = [None, *State]
# The row that each step writes first, where it writes one.
WRITES = {
    Step.NOTE_LOST: State.LOST,
    Step.NOTE_CONFIRMED: State.CONFIRMED,
    Step.END_JOB: State.ENDED,
    Step.SAVE: State.SAVING,
    Step.RELEASE: State.REQUESTED,
    Step.ASK_AGAIN: State.REQUESTED,
    Step.LOOK_AGAIN: State.STILL_HERE,
}


def row(state: State | None) -> Row | None:
    return None if state is None else Row("run", 1, 1e9, "boot-1", state, {})


@pytest.mark.parametrize("state", EVERY)
@pytest.mark.parametrize("same_boot", [True, False])
def test_a_guarded_run_is_left_alone(state: State | None, same_boot: bool) -> None:
    """Somebody holds the lease: nothing to do, whatever the ledger says."""
    assert next_step(row(state), guarded=True, same_boot=same_boot) is Step.NOTHING


@pytest.mark.parametrize("state", EVERY)
def test_an_unguarded_run_is_taken_up_where_it_was(state: State | None) -> None:
    """The end of the job before saving, saving before the release, and no step twice for nothing."""
    assert next_step(row(state), guarded=False, same_boot=True) is HERE[state]


@pytest.mark.parametrize("state", EVERY)
def test_a_run_of_another_boot_is_only_noted(state: State | None) -> None:
    """No process is ended and no release asked for on account of a machine that is gone."""
    assert next_step(row(state), guarded=False, same_boot=False) is ELSEWHERE[state]


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("same_boot", [True, False])
def test_what_a_step_writes_is_legal(state: State, same_boot: bool) -> None:
    """The two tables agree: recovery never writes a row that the state machine forbids."""
    step = next_step(row(state), guarded=False, same_boot=same_boot)
    if step in WRITES:
        assert WRITES[step] in LEGAL[state]
