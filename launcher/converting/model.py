"""A job file that is still to be written, and what of another tool's file did not get into it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launcher.words import Text

PLACEHOLDER = 'echo "no command yet, write it under run in this job file" >&2; exit 1'


@dataclass(frozen=True, slots=True)
class Left:
    """Something without an equivalent: `what` as it is written at `line`, and what to do instead.

    `what` is never a value that might be secret. `line` is 0 for what stands in no line.
    """

    line: int
    what: str
    why: Text


@dataclass(slots=True)
class Draft:
    """`keys` as in a job file; `remarks` are lines of comment above a key; `left` in any order."""

    keys: dict[str, object] = field(default_factory=dict)
    remarks: dict[str, list[Text]] = field(default_factory=dict)
    left: list[Left] = field(default_factory=list)

    def leave(self, line: int, what: str, why: Text) -> None:
        """Note what has no equivalent; the same thing once."""
        one = Left(line, what, why)
        if one not in self.left:
            self.left.append(one)

    def remark(self, key: str, text: Text) -> None:
        """A line of comment above a key."""
        lines = self.remarks.setdefault(key, [])
        if text not in lines:
            lines.append(text)

    def within(self, key: str) -> dict[str, object]:
        """The mapping under `key`, made where there was none."""
        inner = self.keys.setdefault(key, {})
        if not isinstance(inner, dict):
            raise TypeError(f"{key} is no mapping")
        return inner
