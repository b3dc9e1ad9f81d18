"""What a job file is made of before anything is known about its keys: nodes with their places."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field

_LINE_BREAK = re.compile(r"\r\n|\n|\r")


class Source:
    """A text and the name under which the user knows it: the file, or `--set resources.ram`.

    `order` is 0 for the file and counts the overrides from 1.
    """

    __slots__ = ("_starts", "name", "order", "text")

    def __init__(self, name: str, text: str, order: int = 0) -> None:
        self.name = name
        self.order = order
        self.text = text
        self._starts = [0, *(match.end() for match in _LINE_BREAK.finditer(text))]

    def at(self, offset: int) -> tuple[int, int]:
        """Line and column of the character at `offset`, both from 1."""
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def line_around(self, offset: int) -> tuple[int, int]:
        """Where the line of that character begins and ends, as offsets."""
        begin = self._starts[bisect_right(self._starts, offset) - 1]
        match = _LINE_BREAK.search(self.text, begin)
        return begin, match.start() if match else len(self.text)

    def lines(self) -> list[str]:
        """The lines, without their ends."""
        return _LINE_BREAK.split(self.text)


@dataclass(frozen=True, slots=True)
class Place:
    """One character of a source."""

    source: Source
    offset: int

    @property
    def line(self) -> int:
        """The line, from 1."""
        return self.source.at(self.offset)[0]


@dataclass(slots=True, eq=False)
class Scalar:
    """One value as text; `plain` means written without quotes, `end` is the offset after it."""

    place: Place
    text: str
    plain: bool
    end: int

    @property
    def is_null(self) -> bool:
        """Nothing was written, or one of the ways in which YAML writes nothing."""
        return self.plain and self.text in ("", "~", "null", "Null", "NULL")


@dataclass(slots=True, eq=False)
class Sequence:
    """A list; `complete` is False when a syntax error hid the rest of it."""

    place: Place
    items: list[Node] = field(default_factory=list)
    complete: bool = False


@dataclass(slots=True, eq=False)
class Entry:
    """One `key: value`. `name` is the key's name here, `written` as the user wrote it (an alias)."""

    key: Place
    name: str
    written: str
    value: Node
    end: int


@dataclass(slots=True, eq=False)
class Mapping:
    """Keys with values, every name once; `complete` as in Sequence, and False when a key was `hidden`."""

    place: Place
    entries: dict[str, Entry] = field(default_factory=dict)
    complete: bool = False
    hidden: bool = False


@dataclass(slots=True, eq=False)
class Unread:
    """A value that has been complained about already, such as an alias; no field looks into it."""

    place: Place


Node = Scalar | Sequence | Mapping | Unread
