"""What `colab-run init` says. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.converting.writing import left_line
from launcher.record import SCHEMA_VERSION
from launcher.report.lines import ENGLISH, Line, Paper, Tone
from launcher.words import counted, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.converting.model import Left


def left_screen(source: str, left: Sequence[Left], paper: Paper = ENGLISH) -> list[Line]:
    """What of another tool's file has no equivalent."""
    if not left:
        return []
    head = counted(
        "{count} thing in {source} has no equivalent or another meaning here; the new file lists it too:",
        "{count} things in {source} have no equivalent or another meaning here; the new file lists them too:",
        len(left),
        source=source,
    )
    lines = paper.ours(head)
    return lines + [line for one in left for line in paper.wrapped(left_line(one), "  ", "    ")]


def started_screen(path: str, command: str, paper: Paper = ENGLISH) -> list[Line]:
    """That the file is there, and what to type next."""
    lines = paper.headed("OK", words("{path} is written; nothing was started", path=path), Tone.GOOD)
    return lines + paper.wrapped(words("next: {command}", command=command), "  ", "    ")


def started_document(
    path: str | None, command: str | None, text: str, left: Sequence[Left]
) -> dict[str, object]:
    """`init --json`; `path` is None where the file went to stdout with the document."""
    return {
        "schema_version": SCHEMA_VERSION,
        "path": path,
        "text": text,
        "left": [{"line": one.line or None, "what": one.what, "why": str(one.why)} for one in left],
        "next": command,
    }
