"""What is said about the runs of a queue. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher.words import listed, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.events import RunOfQueue
    from launcher.words import Text


def run_of_queue(event: RunOfQueue) -> Text:
    """One line: a run of a queue starts, or has ended."""
    told: dict[str, Any] = {"number": event.number, "count": event.count, "name": event.name}
    if event.exit_code is None:
        return words("{number} of {count}: {name} starts, run {run_id}", run_id=event.run_id or "-", **told)
    if event.run_id is None:
        told["code"] = event.exit_code
        return words("{number} of {count}: {name} was not started (exit code {code})", **told)
    if event.exit_code == 0:
        return words("{number} of {count}: {name} succeeded", **told)
    return words("{number} of {count}: {name} has ended (exit code {code})", code=event.exit_code, **told)


def runs_of_queue(runs: Sequence[object]) -> Text:
    """How far a queue is, from `runs` of its document."""
    rows = [row for row in runs if isinstance(row, dict)]
    over = sum(row.get("stands") == "ended" for row in rows)
    going = [str(row.get("job")) for row in rows if row.get("stands") in ("starting", "running")]
    said = words("{over} of {count} runs have ended", over=over, count=len(rows))
    if not going:
        return said
    return words("{said}; at work: {names}", said=said, names=listed(going))
