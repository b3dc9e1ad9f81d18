"""Lines of text with a meaning for each part: words carry it, colour only repeats it. Pure.

A `Paper` is where a screen is laid out: it knows the language, and that a Chinese character takes two
columns of a terminal.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from launcher.masking import mask_text
from launcher.words import english, render

if TYPE_CHECKING:
    from launcher.words import Text, Translate

WIDTH = 80
# No line begins with one of these, and none ends with one of those.
_NOT_FIRST = frozenset("，。、；：？！）」』》〉】〕”’…·～,.;:?!)]}%")
_NOT_LAST = frozenset("（「『《〈【〔“‘([{")
# Never taken apart: what stands in backticks, a short quotation, a figure and its unit, and a command of
# ours with its options.
_WHOLE = re.compile(
    r"`[^`\s][^`]*`"
    r"|「[^」]{1,10}」|“[^”]{1,10}”"
    r"|[0-9][0-9.,]* (?:[KMGT]i?B|%|W|units?)(?![A-Za-z/])"
    r"|colab-run(?: (?:run|exec|check|probe|release|explain|catalog|rates|ps|logs|stop|wait|keep|history)\b)?"
    r"(?: --?[A-Za-z][\w-]*(?:=\S+)?)*(?: [^\s，。；：、「」（）]+\.ya?ml\b| CODE\b| CR[0-9]{3}\b"
    r"| [0-9]{8}-[0-9]{6}-[0-9a-f]{4}\b)?"
)
_LONGEST_WHOLE = 60
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_DOUBLE_SPACE = re.compile("(?<=[）」]) +(?=[^ ])")


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


# --- columns --------------------------------------------------------------------------------------


def columns(text: str) -> int:
    """How many columns of a terminal `text` takes."""
    return sum(map(_columns, text))


def _columns(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def padded(text: str, width: int) -> str:
    """`text` with spaces behind it, up to `width` columns."""
    return text + " " * (width - columns(text))


def cut(text: str, width: int) -> str:
    """At most so many columns; what is missing is shown as missing."""
    if columns(text) <= width:
        return text
    while columns(text) > width - 1:
        text = text[:-1]
    return f"{text}…"


def folded(text: str, width: int, indent: str = "", later: str | None = None) -> list[str]:
    """`text` in lines of at most `width` columns.

    Chinese is broken between characters, but no punctuation stands at the wrong end of a line; a word
    longer than a line (a command, a path) stays whole.
    """
    later = indent if later is None else later
    lines: list[str] = []
    line, taken = indent, columns(indent)
    empty = True
    for space, piece in _pieces(text):
        wide = columns(piece)
        gap = " " if space and not empty else ""
        if not empty and taken + len(gap) + wide > width:
            lines.append(line)
            line, taken, gap = later, columns(later), ""
        line += gap + piece
        taken += len(gap) + wide
        empty = False
    return [*lines, line] if not empty else lines


def _pieces(text: str) -> list[tuple[bool, str]]:
    """(does a space stand before it, what stays together) in order."""
    pieces: list[tuple[bool, str]] = []
    for space, atom in _atoms(text):
        if pieces and not space and not _may_break(pieces[-1][1][-1], atom[0]):
            before, start = pieces[-1]
            pieces[-1] = (before, start + atom)
        else:
            pieces.append((space, atom))
    return pieces


def _may_break(left: str, right: str) -> bool:
    """Between two characters with no space between them."""
    if right in _NOT_FIRST or left in _NOT_LAST:
        return False
    return _columns(left) == 2 or _columns(right) == 2


def _atoms(text: str) -> list[tuple[bool, str]]:
    atoms: list[tuple[bool, str]] = []
    space, position = False, 0
    while position < len(text):
        char = text[position]
        if char.isspace():
            space, position = True, position + 1
            continue
        whole = _WHOLE.match(text, position)
        if whole is not None and columns(whole.group()) <= _LONGEST_WHOLE:
            atom = whole.group().rstrip()
        else:
            atom = char
        atoms.append((space, atom))
        space, position = False, position + len(atom)
    return atoms


# --- paper ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Paper:
    """Lays sentences out in one language.

    The values of `secrets` are masked here, before a line's end could part one of them, and characters
    that would command the terminal (a file's name may hold them) are shown as what they are: odd.
    """

    translate: Translate = english
    secrets: tuple[str, ...] = ()

    def text(self, sentence: Text) -> str:
        """The sentence itself. A full-width bracket is its own space; what is no sentence stays as it is."""
        text = mask_text(render(sentence, self.translate), self.secrets)
        text = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
        return text if isinstance(sentence, str) else _DOUBLE_SPACE.sub("", text)

    def wrapped(self, sentence: Text, indent: str = "", later: str | None = None) -> list[Line]:
        """In lines of at most 80 columns."""
        return [Line(line) for line in folded(self.text(sentence), WIDTH, indent, later)]

    def headed(self, mark: str, sentence: Text, tone: Tone, later: str = "  ") -> list[Line]:
        """A headline behind its mark, in as many lines as it takes."""
        first, *rest = folded(f"{mark} {self.text(sentence)}", WIDTH, later=later)
        return [Line(first[len(mark) :], mark, tone), *(Line(line) for line in rest)]

    def ours(self, sentence: Text) -> list[Line]:
        """A sentence of ours among the job's output."""
        first, *rest = folded(self.text(sentence), WIDTH - 11) or [""]
        return [Line(" " + first, "colab-run:", Tone.QUIET), *(Line(" " * 11 + line) for line in rest)]


ENGLISH = Paper()
