"""The attempts of a run that nobody guards any more, from what its guards had written down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher.clock import wall_of
from launcher.guard.model import Attempt, Lost
from launcher.ledger.model import State, is_amount
from launcher.spec.model import RetryOn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from launcher.guard.folder import RunFolder
    from launcher.ledger.model import Row


def attempts_in(rows: Sequence[Row]) -> tuple[Attempt, ...]:
    """Those whose end is known: each that another was to follow, and the last one of a run that has ended."""
    again = [row.facts for row in rows if row.state is State.RETRYING]
    last = [row.facts.get("last_attempt") for row in rows if row.state is State.ENDED]
    return tuple(_attempt(facts) for facts in (*again, *last) if isinstance(facts, dict))


def attempts_begun(rows: Sequence[Row], folder: RunFolder) -> int:
    """How many there were, one that nobody saw the end of included."""
    started = [_whole(row.facts.get("attempt")) or 1 for row in rows if row.state is State.STARTED]
    return max(folder.noted_attempt(), len(attempts_in(rows)), *started, 0)


def lost_attempt(rows: Sequence[Row], number: int, otherwise: float) -> Attempt:
    """One that was lost with its guards; it began at `otherwise` (wall time) where no row tells."""
    began = [
        row.wall for row in rows if row.state is State.STARTED and (row.facts.get("attempt") or 1) == number
    ]
    at = began[-1] if began else otherwise
    return Attempt(number, Lost.name, int(Lost.exit_code), RetryOn.LOST.value, at, None)


def _attempt(facts: Mapping[str, Any]) -> Attempt:
    kind = facts.get("class")
    return Attempt(
        _whole(facts.get("attempt")),
        str(facts.get("outcome")),
        _whole(facts.get("exit_code")),
        kind if isinstance(kind, str) else None,
        wall_of(facts.get("started")) or 0.0,
        _seconds(facts.get("duration_s")),
        _seconds(facts.get("next_in_s")),
    )


def _whole(value: object) -> int:
    return value if isinstance(value, int) and is_amount(value) else 0


def _seconds(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and is_amount(value) else None
