"""What the ledger holds: states, rows, runs, and which state may follow which. Pure."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class State(str, Enum):
    """How far a run has come. The values are in every ledger ever written, and never change."""

    PLANNED = "planned"
    STARTED = "started"
    ENDED = "ended"
    SAVING = "saving"
    SAVED = "saved"
    HELD = "held"
    REQUESTED = "requested"
    ACCEPTED = "accepted"
    STILL_HERE = "still-here"
    FAILED = "failed"
    KEPT = "kept"
    CONFIRMED = "confirmed"
    LOST = "lost"
    DONE = "done"


FINAL = frozenset({State.CONFIRMED, State.LOST, State.DONE})

# What is told of a release; the last of them is how it stands.
RELEASE = frozenset(
    {
        State.HELD,
        State.KEPT,
        State.REQUESTED,
        State.ACCEPTED,
        State.STILL_HERE,
        State.FAILED,
        State.CONFIRMED,
    }
)

# What may end a run that has ended its job, from wherever it is.
_GIVEN_UP = frozenset({State.DONE, State.LOST})
# Where the rules about a release lead: asked for, held back, or kept.
_DECIDED = frozenset({State.REQUESTED, State.HELD, State.KEPT})
# An answer may be missing, and the machine gone all the same.
_UNANSWERED = _DECIDED | _GIVEN_UP | {State.CONFIRMED}

LEGAL: dict[State, frozenset[State]] = {
    # Planned and ended: the command could not start, or the run was refused.
    State.PLANNED: frozenset({State.STARTED, State.ENDED, State.LOST}),
    # Started again: `run` after `setup`, and every attempt.
    State.STARTED: frozenset({State.STARTED, State.ENDED, State.LOST}),
    State.ENDED: _DECIDED | _GIVEN_UP | {State.SAVING},
    # Saving again: whoever did it first was lost.
    State.SAVING: _DECIDED | _GIVEN_UP | {State.SAVING, State.SAVED},
    # What was saved is said before it is decided about the release, and lost with whoever said it.
    State.SAVED: _DECIDED | _GIVEN_UP | {State.SAVING},
    State.HELD: _DECIDED | _GIVEN_UP | {State.SAVING},
    State.KEPT: _DECIDED | _GIVEN_UP | {State.SAVING},
    # Requested again: with the same nonce, by whoever found the first request without an answer.
    State.REQUESTED: _UNANSWERED | {State.ACCEPTED, State.FAILED},
    # It was asked for again, and again, and then it was accepted.
    State.FAILED: _UNANSWERED | {State.FAILED, State.ACCEPTED},
    State.ACCEPTED: _UNANSWERED | {State.STILL_HERE},
    State.STILL_HERE: _UNANSWERED | {State.STILL_HERE},
    # A look from outside may still find out how it went.
    State.LOST: frozenset({State.CONFIRMED}),
    State.CONFIRMED: frozenset(),
    State.DONE: frozenset(),
}


class LedgerUnusable(Exception):
    """The ledger cannot be opened or read; no reason to end a run. `reason` is a stable code.

    `absent`, `no-folder`, `read-only`, `not-ours`, `not-a-file`, `symlink`, `network-file-system`,
    `newer-schema`, `corrupt`, `no-wal`; and, which may pass, `locked`, `disk-full`, `io-error`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Row(NamedTuple):
    """One thing that happened to a run. `seq` counts from 1, `wall` is in seconds since 1970."""

    run_id: str
    seq: int
    wall: float
    boot_id: str
    state: State
    facts: dict[str, object]


class Run(NamedTuple):
    """One run in short. `wall` is its first row's.

    `facts` are those of planned, started and ended, later ones over earlier ones.
    """

    run_id: str
    name: str | None
    wall: float
    last: Row
    facts: dict[str, object]


def summary(rows: Sequence[Row]) -> Run:
    """The rows of one run, at least one and in order, in short."""
    facts: dict[str, object] = {}
    for row in rows:
        if row.state in (State.PLANNED, State.STARTED, State.ENDED):
            facts.update(row.facts)
    name = facts.get("name")
    return Run(rows[0].run_id, name if isinstance(name, str) else None, rows[0].wall, rows[-1], facts)


def problems(rows: Sequence[Row]) -> list[str]:
    """What the rows of one run, in the order of the ledger, could not be if all went by the rules.

    For tests: the store itself records what happened, legal or not.
    """
    found = []
    before: Row | None = None
    for place, row in enumerate(rows, start=1):
        if row.seq != place:
            found.append(f"row {place} has number {row.seq}")
        if row.run_id != rows[0].run_id:
            found.append(f"row {place} belongs to {row.run_id}, not to {rows[0].run_id}")
        if before is None and row.state is not State.PLANNED:
            found.append(f"row {place} is {row.state.value}: a run begins with planned")
        if before is not None and row.state not in LEGAL[before.state]:
            found.append(f"row {place} is {row.state.value} after {before.state.value}")
        before = row
    return found
