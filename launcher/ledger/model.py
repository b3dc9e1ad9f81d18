"""What the ledger holds: states, rows, runs, and which state may follow which. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from launcher.clock import iso_utc
from launcher.values import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from launcher.values import Reading

T = TypeVar("T")
NOT_TOLD = Unknown("not-told")


class State(str, Enum):
    """How far a run has come. The values are in every ledger ever written, and never change."""

    PLANNED = "planned"
    STARTED = "started"
    RETRYING = "retrying"
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

# What `done` says of a release whose last row is no status of one.
_SAYS = {State.STILL_HERE: "failed"}
# What may end a run that has ended its job, from wherever it is.
_GIVEN_UP = frozenset({State.DONE, State.LOST})
# Where the rules about a release lead: asked for, held back, kept, or failed, for there is nobody to ask.
_DECIDED = frozenset({State.REQUESTED, State.HELD, State.KEPT, State.FAILED})
# An answer may be missing, and the machine gone all the same.
_UNANSWERED = _DECIDED | _GIVEN_UP | {State.CONFIRMED}

LEGAL: dict[State, frozenset[State]] = {
    # Planned and ended, or retrying: the command could not start, or the run was refused.
    State.PLANNED: frozenset({State.STARTED, State.RETRYING, State.ENDED, State.LOST}),
    # Started again: `run` after `setup`.
    State.STARTED: frozenset({State.STARTED, State.RETRYING, State.ENDED, State.LOST}),
    # Another attempt follows; until then it may be stopped, and it may not start either.
    State.RETRYING: frozenset({State.STARTED, State.RETRYING, State.ENDED, State.LOST}),
    State.ENDED: _DECIDED | _GIVEN_UP | {State.SAVING},
    # Saving again: whoever did it first was lost.
    State.SAVING: _DECIDED | _GIVEN_UP | {State.SAVING, State.SAVED},
    # What was saved is said before it is decided about the release, and lost with whoever said it.
    State.SAVED: _DECIDED | _GIVEN_UP | {State.SAVING},
    State.HELD: _DECIDED | _GIVEN_UP | {State.SAVING},
    State.KEPT: _DECIDED | _GIVEN_UP | {State.SAVING},
    # Requested again: with the same nonce, by whoever found the first request without an answer.
    State.REQUESTED: _UNANSWERED | {State.ACCEPTED},
    # It was asked for again, and again, and then it was accepted.
    State.FAILED: _UNANSWERED | {State.ACCEPTED},
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


class SavedInAll(NamedTuple):
    """All outputs of a run together. `complete`: whatever there was is safe; `to`: where it went."""

    files: int
    size: int
    complete: bool
    to: tuple[str, ...]


class ReleaseTold(NamedTuple):
    """The last that is known of a release. `status` and `reason` are codes, `at` is wall time.

    A status is that of a row (`still-here` among them), or what the run's document says. `by` is the host
    that confirmed it, `heard`: it had been accepted before, and not only been asked for.
    """

    status: str
    reason: str
    at: float | None = None
    http_status: int | None = None
    attempts: int = 0
    asked_by: str | None = None
    by: str | None = None
    heard: bool = False


@dataclass(frozen=True, slots=True)
class PastRun:
    """One run as `history` shows it, whoever told of it.

    `began` is wall time, `rate_checked` the date of the rate that `units` were reckoned with. `places` are
    `local` or the folders of mirrors; `receipt` is the path of its last receipt. `guarded`: somebody on this
    machine looks after it. `kind` is `run`, or `watch` for what never had a job.
    """

    run_id: str
    name: str
    story: str
    resumed_from: str | None
    state: str
    guarded: bool
    began: Reading[float]
    outcome: Reading[str | None]
    exit_code: Reading[int | None]
    duration_s: Reading[float | None]
    units: Reading[float]
    rate_checked: str | None
    saved: Reading[SavedInAll]
    release: Reading[ReleaseTold]
    platform: Reading[str]
    host: Reading[str]
    boot_id: Reading[str]
    places: tuple[str, ...]
    receipt: Reading[str]
    kind: str = "run"
    attempts: Reading[int | None] = NOT_TOLD

    def as_json(self) -> dict[str, object]:
        """One row of `history --json`."""
        began = Known(iso_utc(self.began.value)) if isinstance(self.began, Known) else self.began
        return {
            "run_id": self.run_id,
            "job": self.name,
            "kind": self.kind,
            "story": self.story,
            "resumed_from": self.resumed_from,
            "state": self.state,
            "guarded": self.guarded,
            "started": _told(began),
            "outcome": _told(self.outcome),
            "exit_code": _told(self.exit_code),
            "attempts": _told(self.attempts),
            "duration_s": _told(self.duration_s),
            "compute_units": _told(self.units),
            "rate_checked": self.rate_checked,
            "saved": _told(self.saved, _saved_json),
            "release": _told(self.release, _release_json),
            "platform": _told(self.platform),
            "host": _told(self.host),
            "boot_id": _told(self.boot_id),
            "known_from": list(self.places),
            "receipt": _told(self.receipt),
        }


def _told(reading: Reading[T], as_json: Callable[[T], object] = lambda value: value) -> object:
    return as_json(reading.value) if isinstance(reading, Known) else {"unknown": reading.reason}


def _saved_json(saved: SavedInAll) -> object:
    return {"files": saved.files, "bytes": saved.size, "complete": saved.complete, "to": list(saved.to)}


def _release_json(release: ReleaseTold) -> object:
    at = None if release.at is None else iso_utc(release.at)
    return {**release._asdict(), "at": at}


def of_release(rows: Sequence[Row]) -> tuple[str, Row] | None:
    """The status that counts, and the row that tells it; `rows` of one run, in order.

    A run that is done may say what no row before it did: that another run's release was accepted, say.
    """
    last: Row | None = None
    for row in rows:
        status = row.facts.get("status")
        if row.state in RELEASE:
            last = row
        elif row.state is State.DONE and isinstance(status, str):
            same = last is not None and status in (last.state.value, _SAYS.get(last.state))
            last = last if same else row
    if last is None:
        return None
    return (str(last.facts["status"]) if last.state is State.DONE else last.state.value), last


def is_amount(value: object) -> bool:
    """Is it a number that a row may have? Files come from other machines, and may hold any."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value < 2**63  # Neither is NaN.


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
