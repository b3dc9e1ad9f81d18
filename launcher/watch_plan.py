"""What a watch was asked to do, and everything that its guard needs for it. Pure data.

A watch is a run without a job: it has a run's folder, rows in the ledger, and a note beside the leases.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from launcher.idle.model import Sign

if TYPE_CHECKING:
    from launcher.plan import Plan

# The name of every watch, in `ps` and `history`.
NAME = "watch"
# In the folder of a watch: what it was asked, for whoever finds it without a guard.
FILE = "watch.json"
# Who was asked to end a watch says this where a newer one takes its place.
REPLACED_BY = "replaced_by"


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for.

    Idle is what has shown no life for `idle_s`; from `until` (seconds of CLOCK_BOOTTIME, `max_s` after the
    start) on, what is quiet or unknown does not count any more. `ignored` are signs that the user says do
    not count, `folders` those whose files do; samples are appended to the file `record`, after `header`.
    """

    idle_s: float
    grace_s: float
    max_s: float | None = None
    until: float | None = None
    ignored: tuple[Sign, ...] = ()
    folders: tuple[str, ...] = ()
    record: str | None = None
    header: str = ""

    def as_json(self) -> dict[str, Any]:
        """For whoever finds it without a guard, and `watch` in documents."""
        return {**asdict(self), "ignored": [sign.value for sign in self.ignored]}


def asked_from_json(document: dict[str, Any]) -> Asked:
    """The other way round. Raises KeyError, TypeError and ValueError for what is none."""
    max_s, until, record = document["max_s"], document["until"], document["record"]
    return Asked(
        float(document["idle_s"]),
        float(document["grace_s"]),
        None if max_s is None else float(max_s),
        None if until is None else float(until),
        tuple(Sign(name) for name in document["ignored"]),
        tuple(map(str, document["folders"])),
        None if record is None else str(record),
        str(document["header"]),
    )


@dataclass(frozen=True, slots=True)
class WatchPlan:
    """One watch: `plan` has its outputs, its release and its backend as that of a run."""

    plan: Plan
    asked: Asked
