"""What `doctor` finds: a row for each thing that has to be in order. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from launcher.words import from_plain, to_plain

if TYPE_CHECKING:
    from launcher.words import Text


class Health(str, Enum):
    """How a thing stands. `absent`: known not to be there, and nothing is amiss for that."""

    OK = "ok"
    FAIL = "fail"
    UNKNOWN = "unknown"
    ABSENT = "absent"


_NEEDS_FIX = (Health.FAIL, Health.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Row:
    """One row: a stable id, how it stands, what was found, and the one thing to do (only if not in order)."""

    key: str
    health: Health
    found: Text
    fix: Text = ""

    def __post_init__(self) -> None:
        if bool(self.fix) != (self.health in _NEEDS_FIX):
            raise ValueError(f"{self.key}: one fix for what is not in order, none for what is")

    def as_plain(self) -> dict[str, object]:
        """As JSON that `row_from_plain` reads, for the way out of a child process."""
        return {
            "key": self.key,
            "health": self.health.value,
            "found": to_plain(self.found),
            "fix": to_plain(self.fix),
        }


def row_from_plain(plain: dict[str, Any]) -> Row:
    """The other way round. Raises KeyError and ValueError for what is no row."""
    health = Health(plain["health"])
    return Row(str(plain["key"]), health, from_plain(plain["found"]), from_plain(plain["fix"]))


def good(key: str, found: Text) -> Row:
    """In order."""
    return Row(key, Health.OK, found)


def absent(key: str, found: Text) -> Row:
    """Not there, and nothing is amiss for that."""
    return Row(key, Health.ABSENT, found)


def bad(key: str, found: Text, fix: Text) -> Row:
    """Not in order, and what to do."""
    return Row(key, Health.FAIL, found, fix)


def unsure(key: str, found: Text, fix: Text) -> Row:
    """Could not be told, or nobody but a person can judge it; and what to do."""
    return Row(key, Health.UNKNOWN, found, fix)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All rows, in the order in which they are shown, and where to send feedback; an empty text is none."""

    version: Text
    rows: tuple[Row, ...]
    menu: Text = ""
    issues: str = ""

    @property
    def fails(self) -> int:
        """How many things are not in order."""
        return sum(row.health is Health.FAIL for row in self.rows)
