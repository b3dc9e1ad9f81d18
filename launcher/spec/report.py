"""Collects the problems of one job file."""

from __future__ import annotations

from typing import Any

from launcher.spec.messages import WORDINGS, filled
from launcher.spec.problems import Problem, ProblemCode
from launcher.spec.syntax import Explanation, describe_full_width, full_width_in
from launcher.spec.tree import Place, Scalar, Source

# A full-width character inside the text is the likelier explanation of these.
_EXPLAINED = {
    ProblemCode.UNKNOWN_KEY,
    ProblemCode.FOREIGN_KEY,
    ProblemCode.WRONG_KIND,
    ProblemCode.UNIT_MISSING,
    ProblemCode.UNIT_UNKNOWN,
    ProblemCode.OUT_OF_RANGE,
    ProblemCode.NOT_A_CHOICE,
    ProblemCode.UNKNOWN_CLASS,
    ProblemCode.BAD_ENV_NAME,
    ProblemCode.UPPER_BOUND,
}


class Report:
    """Every problem found so far; each is added by the id of its wording and what fills the words in."""

    def __init__(self) -> None:
        self._found: dict[tuple[int, int, int, str, str], Problem] = {}

    def add(self, wording: str, place: Place, path: str, *, end: int | None = None, **fields: Any) -> None:
        """Note a problem. `end` is where the text at `place` ends, when the problem is about that text."""
        code, message, hint = WORDINGS[wording]
        if end is not None and code in _EXPLAINED:
            offset = full_width_in(place.source.text, place.offset, end)
            if offset is not None:
                self.full_width(Place(place.source, offset), path)
                return
        line, column = place.source.at(place.offset)
        problem = Problem(
            place.source.name, line, column, path, code, filled(message, fields), filled(hint, fields)
        )
        # One place has one problem of a kind: what is wrong twice about a value is said once.
        about = "" if code is ProblemCode.FULL_WIDTH else path
        self._found.setdefault((place.source.order, line, column, code.value, about), problem)

    def about(self, wording: str, scalar: Scalar, path: str, **fields: Any) -> None:
        """Note a problem about the text of one scalar."""
        self.add(wording, scalar.place, path, end=scalar.end, **fields)

    def full_width(self, place: Place, path: str) -> None:
        """Point at a full-width character."""
        self.add("full-width", place, path, **describe_full_width(place.source.text[place.offset]))

    def at_offset(self, source: Source, found: Explanation) -> None:
        """Note why reading stopped."""
        self.add(found.wording, Place(source, found.offset), "", **found.fields)

    def extend(self, other: Report) -> None:
        """Take over everything that another report has collected."""
        self._found.update(other._found)

    def problems(self) -> list[Problem]:
        """All of them: the file's in the order of their places, then those of each override."""
        return [self._found[key] for key in sorted(self._found)]
