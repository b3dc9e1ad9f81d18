"""What is to be done about a run that nobody guards, from the last thing that is known of it. Pure."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from launcher.ledger.model import FINAL, State

if TYPE_CHECKING:
    from launcher.ledger.model import Row


class Step(Enum):
    """Where to take the run up. Each step leads on to those after it, by the rules of a release."""

    NOTHING = "nothing"  # It is finished, or somebody guards it.
    NOTE_LOST = "note-lost"  # The machine that it ran on is gone.
    NOTE_CONFIRMED = "note-confirmed"  # It was asked to go, and is gone.
    END_JOB = "end-job"  # End what is left of the job, save, decide about the release.
    SAVE = "save"  # Save, decide about the release.
    RELEASE = "release"  # Decide about the release.
    ASK_AGAIN = "ask-again"  # A request went out, or may have, and nobody accepted it.
    LOOK_AGAIN = "look-again"  # It was accepted: is the machine still here?


# The last that was heard of the machine is that it was asked to go.
ASKED = frozenset({State.REQUESTED, State.ACCEPTED})

_STEPS: dict[State, Step] = {
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
}


def next_step(last: Row | None, *, guarded: bool, same_boot: bool) -> Step:
    """What to do about a run whose last row is `last`; None: its dead lease is all that is known.

    `guarded`: a living process holds the run's lease. `same_boot`: the boot id of the row (or of the
    lease) is the one of this machine.
    """
    if guarded or (last is not None and last.state in FINAL):
        return Step.NOTHING
    if last is None:
        # The ledger could not be written. Unknown counts as alive, as far as this machine goes.
        return Step.END_JOB if same_boot else Step.NOTHING
    if not same_boot:
        return Step.NOTE_CONFIRMED if last.state in ASKED else Step.NOTE_LOST
    return _STEPS[last.state]
