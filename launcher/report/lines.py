"""Lines of text with a meaning for each part: words carry it, colour only repeats it. Pure."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from enum import Enum

WIDTH = 80


class Tone(Enum):
    """What a part of a line means; the renderer chooses a colour, or none."""

    PLAIN = "plain"
    GOOD = "good"
    BAD = "bad"
    CAREFUL = "careful"
    QUIET = "quiet"


@dataclass(frozen=True, slots=True)
class Line:
    """One line: `mark` stands first and has the tone, `text` follows as it is."""

    text: str
    mark: str = ""
    tone: Tone = Tone.PLAIN

    @property
    def plain(self) -> str:
        """As it is printed without colour."""
        return f"{self.mark}{self.text}".rstrip()


def wrapped(text: str, indent: str = "", later: str | None = None) -> list[Line]:
    """`text` in lines of at most 80 columns; a word longer than that (a command, a path) stays whole."""
    lines = textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent if later is None else later,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [Line(line) for line in lines]


def headed(mark: str, text: str, tone: Tone, later: str = "  ") -> list[Line]:
    """A headline behind its mark, in as many lines as it takes."""
    first, *rest = textwrap.wrap(
        f"{mark} {text}", WIDTH, subsequent_indent=later, break_long_words=False, break_on_hyphens=False
    )
    return [Line(first[len(mark) :], mark, tone), *(Line(line) for line in rest)]


def ours(text: str) -> list[Line]:
    """A sentence of ours among the job's output."""
    first, *rest = textwrap.wrap(text, WIDTH - 11, break_long_words=False, break_on_hyphens=False) or [""]
    return [Line(" " + first, "colab-run:", Tone.QUIET), *(Line(" " * 11 + line) for line in rest)]
