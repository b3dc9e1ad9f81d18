"""What `colab-run save` says. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.record import SCHEMA_VERSION
from launcher.report.lines import ENGLISH, Line, Paper
from launcher.report.story import saved_line
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.saving.interface import Saved


def saved_screen(rows: Sequence[Saved], paper: Paper = ENGLISH, *, lifted: bool) -> list[Line]:
    """A line for each output, and what that means for a release."""
    lines = [line for row in rows for line in paper.wrapped(saved_line(row), later="  ")]
    if lifted:
        said = words(
            "nothing of this run holds the release any more; to release: {command}",
            command="colab-run release",
        )
        lines += paper.wrapped(said, later="  ")
    return lines


def saved_document(run_id: str, rows: Sequence[Saved], *, complete: bool, lifted: bool) -> dict[str, object]:
    """`save --json`."""
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": run_id,
        "complete": complete,
        "hold_lifted": lifted,
        "saved": [row.as_json() for row in rows],
    }
