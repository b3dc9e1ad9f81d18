"""The screen of `explain`, its document, and the page docs/errors.md. Pure."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from launcher.report.codes import EXITS, FINDINGS, Meaning
from launcher.report.lines import ENGLISH, Line, Paper, Tone
from launcher.report.problem_codes import PROBLEMS
from launcher.words import message, words

if TYPE_CHECKING:
    from launcher.words import Words

MEANINGS: dict[str, Meaning] = {**FINDINGS, **PROBLEMS, **EXITS}
GROUPS: tuple[tuple[str, dict[str, Meaning]], ...] = (
    (message("What the job needs and this runtime has not"), FINDINGS),
    (message("Problems in a job file"), PROBLEMS),
    (message("Exit codes"), EXITS),
)
LARGEST_SIGNAL = 64
LARGEST_EXIT = 255
KILLED = 9
# By number, as on Linux: the machine that explains a code need not be the one that gave it.
SIGNALS = {
    1: "SIGHUP",
    2: "SIGINT",
    3: "SIGQUIT",
    4: "SIGILL",
    6: "SIGABRT",
    7: "SIGBUS",
    8: "SIGFPE",
    9: "SIGKILL",
    10: "SIGUSR1",
    11: "SIGSEGV",
    12: "SIGUSR2",
    13: "SIGPIPE",
    14: "SIGALRM",
    15: "SIGTERM",
    24: "SIGXCPU",
    25: "SIGXFSZ",
}
# What a program gets for its own fault, most often in a library that is not Python.
CRASHES = frozenset((4, 6, 7, 8, 11))


def understood(text: str) -> str | None:
    """The code as the tables write it: `cr231`, `[CR231]`, `CR 231`, `exit 69`, `231`; None for no code."""
    found = re.fullmatch(r"(cr|exit(?:code)?)?([0-9]{1,3})", re.sub(r"[\s\[\]_-]+", "", text).lower())
    if found is None:
        return None
    prefix, digits = found.groups()
    number = str(int(digits))
    names = [f"CR{number}"] if prefix == "cr" else [number] if prefix else [number, f"CR{number}"]
    # `231` is a code of ours before it is one of a job's own.
    listed = next((name for name in names if name in MEANINGS), None)
    return listed or next((name for name in names if meaning_of(name) is not None), None)


def meaning_of(code: str) -> Meaning | None:
    """What a code of the tables means; 129 to 192 are signals, the others to 255 the job's own."""
    if code in MEANINGS:
        return MEANINGS[code]
    number = int(code) if code.isdecimal() else 0
    if 128 < number <= 128 + LARGEST_SIGNAL:
        return _signal(code, number - 128)
    if 0 < number <= LARGEST_EXIT:
        return Meaning(
            words("{code} is the job's own exit code: colab-run hands it on as it is.", code=code),
            words("Look at the end of the job's log; what the number means, only the job can tell."),
        )
    return None


def _signal(code: str, number: int) -> Meaning:
    means = words("A signal ended the job: {code} is 128 + {number}.", code=code, number=number)
    if number in SIGNALS:
        means = words(
            "A signal ended the job: {code} is 128 + {number}, {name}.",
            code=code,
            number=number,
            name=SIGNALS[number],
        )
    if number == KILLED:
        do = words("137 is SIGKILL, often for want of memory: the last lines of the run say so. See its log.")
    elif number in CRASHES:
        do = words(
            "The program crashed, often in a native library: see the log, or set PYTHONFAULTHANDLER=1."
        )
    else:
        do = words("Something sent it this signal, or it did so itself: see the end of its log.")
    return Meaning(means, do)


def nearest(text: str) -> str | None:
    """The code that was probably meant; None where none is near."""
    wanted = re.sub(r"[\s\[\]]+", "", text).upper()
    longer = [code for code in MEANINGS if len(wanted) > len("CR") and code.startswith(wanted)]
    if longer:
        return longer[0]
    near = difflib.get_close_matches(wanted, list(MEANINGS), n=1, cutoff=0.75)
    return near[0] if near else None


def explained_screen(code: str, meaning: Meaning, paper: Paper = ENGLISH) -> list[Line]:
    """What it means, an example, what to do."""
    mark = code if code.startswith("CR") else paper.text(words("Exit code {code}", code=code))
    lines = paper.headed(f"{mark}:", meaning.means, Tone.CAREFUL)
    if meaning.example:
        lines += paper.wrapped(words("Example:"), "  ")
        lines.append(Line(f"    {meaning.example}"))
    return [*lines, *paper.wrapped(words("What to do: {do}", do=meaning.do), "  ", "    ")]


def list_screen(paper: Paper = ENGLISH) -> list[Line]:
    """Every code with what it means, in groups."""
    lines: list[Line] = []
    for title, group in GROUPS:
        lines += (
            [Line(""), *paper.wrapped(paper.translate(title, None, 1))]
            if lines
            else paper.wrapped(paper.translate(title, None, 1))
        )
        for code, meaning in group.items():
            first, *rest = paper.wrapped(meaning.means, " " * 9)
            lines += [Line(f"  {code:<7}{first.text.lstrip()}"), *rest]
    return lines


def explained_object(code: str, meaning: Meaning) -> dict[str, object]:
    """The same for a script, in English."""
    return {
        "code": code,
        "means": str(meaning.means),
        "do": str(meaning.do),
        "example": meaning.example or None,
    }


def page(paper: Paper = ENGLISH) -> str:
    """docs/errors.md."""

    def cell(text: Words | str) -> str:
        return paper.text(text).replace("|", "\\|")

    parts = [
        "# What the codes mean\n",
        "`colab-run explain CODE` says the same in a terminal, in three languages. This page is made of the\n"
        "same table by `make errors`.\n",
    ]
    for title, group in GROUPS:
        parts.append(f"## {title}\n")
        rows = []
        for code, row in group.items():
            example = f"`{cell(row.example)}`" if row.example else ""
            rows.append(f"| {code} | {cell(row.means)} | {cell(row.do)} | {example} |")
        parts.append(
            "\n".join(("| code | it means | what to do | example |", "| --- | --- | --- | --- |", *rows, ""))
        )
    return "\n".join(parts)
