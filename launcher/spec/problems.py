"""What can be wrong in a job file: a code, a place, and the words for it.

Codes are stable and never translated; scripts may rely on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launcher.words import Text


class ProblemCode(str, Enum):
    """One code for each kind of problem; the value is what users and scripts see."""

    # The text as a whole
    TOO_LARGE = "CR201"
    NOT_UTF8 = "CR202"
    CONTROL_CHARACTER = "CR203"
    SYNTAX = "CR204"
    TAB = "CR205"
    FULL_WIDTH = "CR206"
    EMPTY = "CR207"
    SECOND_DOCUMENT = "CR208"
    TOO_DEEP = "CR209"
    ANCHOR = "CR210"
    ALIAS = "CR211"
    MERGE_KEY = "CR212"
    TAG = "CR213"
    # Keys
    UNKNOWN_KEY = "CR220"
    DUPLICATE_KEY = "CR221"
    MISSING_KEY = "CR222"
    FOREIGN_KEY = "CR223"
    CONFLICTING_KEYS = "CR224"
    NOT_AVAILABLE_YET = "CR225"
    KEY_NOT_TEXT = "CR226"
    # Values
    WRONG_KIND = "CR230"
    UNIT_MISSING = "CR231"
    UNIT_UNKNOWN = "CR232"
    OUT_OF_RANGE = "CR233"
    NOT_A_CHOICE = "CR234"
    UNKNOWN_CLASS = "CR235"
    BAD_NAME = "CR236"
    BAD_ENV_NAME = "CR237"
    BAD_TEXT = "CR238"
    BAD_PATH = "CR239"
    UPPER_BOUND = "CR240"
    NO_SUCH_FOLDER = "CR241"
    BAD_TARGET = "CR242"
    BAD_PATTERN = "CR243"


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem at one place.

    `line` and `column` count from 1; `path` is the dotted key (`resources.ram`, empty for the file
    as a whole); `source` is the file's name as the user gave it, or `--set resources.ram`. `said` is what
    was found, `advised` what to do (or empty); `message` and `hint` are their English.
    """

    source: str
    line: int
    column: int
    path: str
    code: ProblemCode
    said: Text
    advised: Text = ""

    @property
    def message(self) -> str:
        """What was found, in English."""
        return str(self.said)

    @property
    def hint(self) -> str:
        """What to do, in English."""
        return str(self.advised)

    @property
    def place(self) -> str:
        """`job.yaml:9:12`."""
        return f"{self.source}:{self.line}:{self.column}"

    def as_json(self) -> dict[str, object]:
        """The row of `problems` in `check --json`."""
        return {
            "file": self.source,
            "line": self.line,
            "column": self.column,
            "key": self.path,
            "code": self.code.value,
            "message": self.message,
            "hint": self.hint,
        }
