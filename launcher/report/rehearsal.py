"""What `colab-run release --rehearse` says. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.record import SCHEMA_VERSION
from launcher.report.lines import ENGLISH, Line, Paper, Tone
from launcher.words import within, words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from launcher.words import Text


OK, FAIL = within("verdict", "OK"), within("verdict", "FAIL")


def rehearsal_screen(steps: Sequence[tuple[bool, Text]], paper: Paper = ENGLISH) -> list[Line]:
    """A line for each step, with OK or FAIL, and that nothing was released."""
    lines = [
        line
        for ok, said in steps
        for line in paper.headed(paper.text(OK if ok else FAIL), said, Tone.GOOD if ok else Tone.BAD)
    ]
    if all(ok for ok, _ in steps):
        last = words("rehearsed: everything but the last step. Nothing was released.")
    else:
        last = words("rehearsed: a release would not go well. Nothing was released.")
    return [*lines, *paper.wrapped(last)]


def rehearsal_document(steps: Sequence[Mapping[str, object]], exit_code: int) -> dict[str, object]:
    """`release --rehearse --json`."""
    return {"schema_version": SCHEMA_VERSION, "rehearsal": list(steps), "exit_code": exit_code}
