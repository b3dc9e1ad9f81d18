"""Problems of a job file, each with its place, the line and a caret. Pure."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from launcher.report.lines import ENGLISH, Line, Paper, Tone
from launcher.words import counted, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.spec.problems import Problem

# A longer line is cut around the place, so that the caret stays on the screen.
SHOWN = 72


def problems_screen(
    problems: Sequence[Problem], source_lines: Sequence[str], paper: Paper = ENGLISH
) -> list[Line]:
    """`job.yaml:9:12: resources.ram: … [CR231]`, the line, a caret, and what to write instead."""
    lines = [line for problem in problems for line in _problem(problem, source_lines, paper)]
    count = counted(
        "{count} problem; nothing was started.", "{count} problems; nothing was started.", len(problems)
    )
    first = problems[0].code.value if problems else ""
    more = words("What a code means: {command}", command=f"colab-run explain {first}")
    return [*lines, *paper.wrapped(count), *(paper.wrapped(more) if first else [])]


def _problem(problem: Problem, source_lines: Sequence[str], paper: Paper) -> list[Line]:
    where = f"{problem.path}: " if problem.path else ""
    text = f"{where}{paper.text(problem.said)} [{problem.code.value}]"
    lines = paper.headed(f"{problem.place}:", text, Tone.BAD, "    ")
    in_file = not problem.source.startswith("--set")
    if in_file and 1 <= problem.line <= len(source_lines):
        text, before = _cut(source_lines[problem.line - 1], problem.column - 1)
        lines += [Line(f"  | {text}"), Line("  | " + _blank(before) + "^")]
    if problem.advised:
        lines += paper.wrapped(f"= {paper.text(problem.advised)}", "  ", "    ")
    return lines


def _cut(text: str, column: int) -> tuple[str, str]:
    """(what is shown of a line, what stands before the place in it)."""
    text = "".join(
        char if char.isprintable() or char == "\t" else "\N{REPLACEMENT CHARACTER}" for char in text
    )
    start = max(0, column - SHOWN // 2) if len(text) > SHOWN else 0
    return text[start : start + SHOWN], text[start:column]


def _blank(text: str) -> str:
    """As many columns of space: full-width characters take two, a tab stays a tab."""
    return "".join(
        "\t" if char == "\t" else "  " if unicodedata.east_asian_width(char) in "WF" else " " for char in text
    )
