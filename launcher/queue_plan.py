"""What a queue was asked to do, and how its runs stand. Pure data, and the paths in its folder.

A queue has a run's folder, a lease and a note as a run has them; in the place of a job it starts runs.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from launcher.guard.queueing import Place, Stands

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.plan import Plan

KIND = "queue"
# In the folder of a queue: what it was asked, for whoever finds it without a guard.
FILE = "queue.json"
# A command that starts a run may be killed; it is started again, so often in all.
MOST_STARTS = 3
# What `runs` of the document of a queue has of each.
IN_SHORT = (
    *("run_id", "job", "state", "outcome", "exit_code", "decided_by", "started", "duration_s"),
    *("attempts", "compute_units", "saved", "unsaved", "log", "release", "error"),
)


class Ticket(NamedTuple):
    """What a run is told of the queue that starts it: which queue, its number there, and the how manieth try.

    As text `QUEUE/3.1`, which is also where its claim lies.
    """

    queue_id: str
    number: int
    start: int

    def __str__(self) -> str:
        return f"{self.queue_id}/{self.number}.{self.start}"

    def claim(self, home: str) -> str:
        """The claim that the run takes before anything is started."""
        return os.path.join(
            claims_of(os.path.join(home, "runs", self.queue_id)), f"{self.number}.{self.start}"
        )


def parse_ticket(text: str) -> Ticket:
    """The other way round. Raises ValueError."""
    queue_id, _, rest = text.rpartition("/")
    number, _, start = rest.partition(".")
    if not queue_id or os.path.basename(queue_id) != queue_id:
        raise ValueError(text)
    return Ticket(queue_id, int(number), int(start))


def claims_of(folder: str) -> str:
    """Where the runs of the queue in `folder` claim their places."""
    return os.path.join(folder, "claims")


@dataclass(frozen=True, slots=True)
class Item:
    """One run to be: `words` follow `colab-run run` on its command line; `group`, `limit` as in Place."""

    name: str
    words: tuple[str, ...]
    group: int = 0
    limit: int = 1


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for, beside the release of its `plan`."""

    items: tuple[Item, ...]
    keep_going: bool
    cwd: str
    # Do stdout and stderr lead to one open file? Then the runs have it so too.
    one_stream: bool = False

    def as_json(self) -> dict[str, Any]:
        """For whoever finds the queue without a guard: it starts nothing more."""
        items = [{"name": item.name, "group": item.group, "limit": item.limit} for item in self.items]
        return {"version": 1, "keep_going": self.keep_going, "items": items}


def asked_from_json(document: Mapping[str, Any]) -> Asked:
    """The other way round. Raises KeyError, TypeError and ValueError for what is none."""
    items = [Item(str(row["name"]), (), int(row["group"]), int(row["limit"])) for row in document["items"]]
    return Asked(tuple(items), bool(document["keep_going"]), "/")


@dataclass(frozen=True, slots=True)
class QueuePlan:
    """One queue: `plan` has the release of its last job file and no job, `asked` what is started."""

    plan: Plan
    asked: Asked


@dataclass(slots=True)
class Standing:
    """How one run of a queue stands; `starts` counts how often it was tried to start it.

    `told` is the last that is known of its document, in short; `kill`: a person does not wait for its end.
    """

    stands: Stands = Stands.WAITING
    starts: int = 0
    run_id: str | None = None
    exit_code: int | None = None
    begun: bool = False
    by_person: bool = False
    kill: bool = False
    told: dict[str, Any] = field(default_factory=dict)

    def place(self, item: Item) -> Place:
        """What decides."""
        return Place(item.group, item.limit, self.stands, self.exit_code, self.begun, self.by_person)

    def as_json(self, number: int, item: Item) -> dict[str, Any]:
        """One of `runs` of the queue's document; numbers count from 1."""
        known = {name: self.told.get(name) for name in IN_SHORT}
        return {
            "number": number + 1,
            "stands": self.stands.value,
            **known,
            "run_id": self.run_id,
            "job": item.name,
            "exit_code": self.exit_code,
        }


def asked_of(folder: str) -> Asked | None:
    """What the queue in this folder was asked; None for a run that is no queue."""
    import json

    try:
        with open(os.path.join(folder, FILE), encoding="utf-8") as file:
            return asked_from_json(json.load(file))
    except (OSError, ValueError, KeyError, TypeError):
        return None
