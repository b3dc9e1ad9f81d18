"""What is said about the runs of a queue. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher.words import words

if TYPE_CHECKING:
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
