"""Totals that only grow, and what became of them between two readings. Pure.

A total makes good for a reading that is missing: what happened meanwhile is in the next one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.words import Text

NONSENSE = "nonsense"
# Two readings are never closer; a share of nothing would be infinite.
_SHORTEST_S = 1e-3


@dataclass(frozen=True, slots=True)
class Busiest:
    """The process that moved or used most since the look before: `amount`, in the unit of its total."""

    pid: int
    name: str
    amount: float


@dataclass(frozen=True, slots=True)
class Totals:
    """What a reading says: name -> total. With another `since` all totals began anew."""

    of: Mapping[str, float]
    since: float | None = None


@dataclass(frozen=True, slots=True)
class Growth:
    """By how much each total grew in `seconds`."""

    by: Mapping[str, float]
    seconds: float

    @property
    def together(self) -> float:
        """All of it."""
        return sum(self.by.values())


class Grower:
    """Compares each reading with the one before it, however long ago that was."""

    def __init__(self) -> None:
        self._at, self._totals = 0.0, Totals({})
        self._any = False

    def take(self, totals: Totals, at: float) -> Growth | None:
        """None where there is nothing to compare with: the first of a series.

        A total that is new or smaller began anew meanwhile, and counts in full.
        """
        before, began = self._totals, self._at
        compares = self._any and before.since == totals.since
        self._any, self._at, self._totals = True, at, totals
        if not compares:
            return None
        by = {}
        for name, total in totals.of.items():
            old = before.of.get(name, 0.0)
            by[name] = total - old if total >= old else total
        return Growth(by, max(at - began, _SHORTEST_S))


def number(value: Any) -> float:
    """A total as JSON has it. Raises ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError(value)
    return float(value)


def whole(value: Any) -> int:
    """A count as JSON has it. Raises ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(value)
    return value


def groups_of(value: Any) -> tuple[float, Mapping[str, Mapping[str, Any]]]:
    """`since` and the groups of a reading of processes. Raises ValueError for anything else."""
    if not isinstance(value, dict) or not isinstance(value.get("groups"), dict):
        raise ValueError(value)
    groups = value["groups"]
    if not all(isinstance(group, dict) for group in groups.values()):
        raise ValueError(value)
    return number(value.get("since")), groups


def busiest_of(group: Mapping[str, Any]) -> Busiest | None:
    """The busiest process of a group, if any. Raises ValueError for anything else."""
    value = group.get("busiest")
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 3 or not isinstance(value[1], str):
        raise ValueError(value)
    return Busiest(whole(value[0]), value[1], number(value[2]))


def named(process: Busiest, figure: Text) -> Text:
    """`process 1234 (python): 97 % of a core`."""
    return words("process {pid} ({name}): {figure}", pid=process.pid, name=process.name, figure=figure)
