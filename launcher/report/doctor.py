"""The screen and the document of `doctor`. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.doctoring.model import Health
from launcher.record import SCHEMA_VERSION
from launcher.report.lines import ENGLISH, WIDTH, Line, Paper, Tone, columns, folded, padded
from launcher.words import counted, within, words

if TYPE_CHECKING:
    from launcher.doctoring.model import Diagnosis, Row
    from launcher.words import Text

TITLES: dict[str, Text] = {
    "python": "Python",
    "programs": words("Programs"),
    "locale": words("Language"),
    "platform": words("Platform"),
    "driver": words("Driver"),
    "gpus": "GPU",
    "gpu-processes": words("GPU memory"),
    "cgroup": "cgroup",
    "shm": "/dev/shm",  # noqa: S108 - its name
    "supervision": words("Supervision"),
    "clock": words("Clock"),
    "state": words("State folder"),
    "ledger": words("Ledger"),
    "disk": words("Disk"),
    "workdir": words("Folder"),
    "drive": "Drive",
    "leases": words("Leases"),
    "runs": words("Runs"),
    "watch": words("Watch"),
    "release": words("Release"),
    "rates": words("Rates"),
}
MARKS: dict[Health, Text] = {
    Health.OK: within("verdict", "OK"),
    Health.FAIL: within("verdict", "FAIL"),
    Health.UNKNOWN: "?",
    Health.ABSENT: "-",
}
_TONES = {
    Health.OK: Tone.GOOD,
    Health.FAIL: Tone.BAD,
    Health.UNKNOWN: Tone.CAREFUL,
    Health.ABSENT: Tone.QUIET,
}


def doctor_screen(diagnosis: Diagnosis, paper: Paper = ENGLISH) -> list[Line]:
    """A row for each thing, its fix below it, what it comes to, and where to send feedback."""
    wide = max(columns(paper.text(mark)) for mark in MARKS.values())
    named = max(columns(paper.text(title)) for title in TITLES.values())
    lines = [line for row in diagnosis.rows for line in _row(row, wide, named, paper)]
    return [*lines, Line(""), *_sum(diagnosis, paper), *_feedback(diagnosis, paper)]


def _row(row: Row, wide: int, named: int, paper: Paper) -> list[Line]:
    mark = padded(paper.text(MARKS[row.health]), wide)
    title = padded(paper.text(TITLES[row.key]), named)
    indent = " " * (wide + 1 + named + 2)
    found = folded(f"{paper.text(row.found)}", WIDTH, indent) or [indent]
    lines = [Line(f" {title}  {found[0].lstrip()}", mark, _TONES[row.health]), *map(Line, found[1:])]
    if row.fix:
        lines += map(Line, folded(f"= {paper.text(row.fix)}", WIDTH, indent, f"{indent}  "))
    return lines


def _sum(diagnosis: Diagnosis, paper: Paper) -> list[Line]:
    unknown = sum(row.health is Health.UNKNOWN for row in diagnosis.rows)
    if diagnosis.fails:
        said = counted("{count} thing is not in order", "{count} things are not in order", diagnosis.fails)
        return paper.headed(paper.text(MARKS[Health.FAIL]), said, Tone.BAD)
    if unknown:
        said = counted(
            "nothing is out of order, as far as can be told; {count} thing is for you to judge",
            "nothing is out of order, as far as can be told; {count} things are for you to judge",
            unknown,
        )
        return paper.headed(paper.text(MARKS[Health.OK]), said, Tone.GOOD)
    return paper.headed(paper.text(MARKS[Health.OK]), words("everything is in order"), Tone.GOOD)


def _feedback(diagnosis: Diagnosis, paper: Paper) -> list[Line]:
    said = [
        words("colab-run {version}; this page holds no secrets and may be pasted.", version=diagnosis.version)
    ]
    if diagnosis.menu:
        said.append(words("About Colab itself: {menu}", menu=diagnosis.menu))
    if diagnosis.issues:
        said.append(words("About colab-run: {address}", address=diagnosis.issues))
    return [line for sentence in said for line in paper.wrapped(sentence, "", "  ")]


def doctor_document(diagnosis: Diagnosis, exit_code: int) -> dict[str, object]:
    """`doctor --json`. Ids and statuses are stable, the texts are for people."""
    return {
        "schema_version": SCHEMA_VERSION,
        "version": str(diagnosis.version),
        "rows": [
            {
                "id": row.key,
                "status": row.health.value,
                "found": str(row.found),
                "fix": str(row.fix) or None,
            }
            for row in diagnosis.rows
        ],
        "feedback": {"colab": str(diagnosis.menu) or None, "issues": diagnosis.issues or None},
        "exit_code": exit_code,
    }
