"""One row of the table of problems. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from launcher.spec.problems import ProblemCode
    from launcher.words import Words


class Wording(NamedTuple):
    """One kind of problem."""

    code: ProblemCode
    message: Words
    hint: Words | str = ""
