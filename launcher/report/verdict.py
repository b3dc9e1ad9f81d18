"""The screens of `check` and of a refusal: what is needed beside what is there, then the way on. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.probes.model import PlatformKind
from launcher.report.lines import Line, Tone, wrapped
from launcher.report.money import per_hour
from launcher.verdict.model import FindingCode, Status

if TYPE_CHECKING:
    from launcher.events import Judged, Refused
    from launcher.verdict.model import Advice, Finding

MARKS = {
    Status.MET: ("OK  ", Tone.GOOD),
    Status.SHORT: ("FAIL", Tone.BAD),
    Status.UNKNOWN: ("??  ", Tone.CAREFUL),
}
MORE = "https://colab.research.google.com/notebooks/pro.ipynb"


def verdict_screen(judged: Judged) -> list[Line]:
    """The answer of `check`."""
    status = judged.verdict.status
    if status is Status.MET:
        head = Line(f" {judged.source} can run on this runtime.", "OK", Tone.GOOD)
        return [head, *_findings(judged), *_read_as(judged)]
    return [_headline(judged), *_body(judged)]


def refusal_screen(refused: Refused) -> list[Line]:
    """The answer of `run` where the verdict is not met."""
    judged = refused.judged
    lines = [_headline(judged, " Nothing was started."), *_body(judged)]
    if refused.in_cell:
        lines += wrapped(
            "After a failing ! line the next cells still run; %shell colab-run … stops “Run all” here."
        )
    return lines


def _headline(judged: Judged, more: str = "") -> Line:
    if judged.verdict.status is Status.UNKNOWN:
        code = FindingCode.COULD_NOT_TELL.value
        text = f" [{code}] {judged.source}: this runtime does not say whether it is enough."
        return Line(text + more, "??", Tone.CAREFUL)
    hardware = any(f.status is Status.SHORT and not _is_ours(f) for f in judged.verdict.findings)
    code = FindingCode.NEEDS_OTHER_RUNTIME.value
    what = "needs a different runtime" if hardware else "cannot start as it is"
    return Line(f" [{code}] {judged.source} {what}.{more}", "FAIL", Tone.BAD)


def _is_ours(finding: Finding) -> bool:
    """Something to mend here, not a reason to rent another machine."""
    return finding.code in (FindingCode.SECRET, FindingCode.OUTPUT_TARGET, FindingCode.DRIVE_NOT_MOUNTED)


def _body(judged: Judged) -> list[Line]:
    lines = [*_findings(judged), *_notes(judged)]
    if judged.advice is not None:
        lines += [Line(""), *_advice(judged.advice)]
    if judged.verdict.status is Status.UNKNOWN:
        lines += [
            Line(""),
            *wrapped("To run it all the same: colab-run run --accept-unknown " + judged.source),
        ]
    return lines + _meanwhile(judged)


def _findings(judged: Judged) -> list[Line]:
    findings = judged.verdict.findings
    if not findings:
        return wrapped("It asks for no hardware: any runtime will do.", "  ")
    needs = max(len("needs"), *(len(finding.wanted_text) for finding in findings))
    head = Line(f"         {'needs':<{needs}}   this runtime", tone=Tone.QUIET)
    return [Line(""), head, *(_finding(finding, needs) for finding in findings)]


def _finding(finding: Finding, needs: int) -> Line:
    mark, tone = MARKS[finding.status]
    found = finding.found_text
    return Line(f"   {finding.wanted_text:<{needs}}   {found}   [{finding.requirement}]", f"  {mark}", tone)


def _notes(judged: Judged) -> list[Line]:
    notes = dict.fromkeys(f.note for f in judged.verdict.findings if f.note and f.status is not Status.MET)
    return [line for note in notes for line in wrapped(note, "  ")]


def _read_as(judged: Judged) -> list[Line]:
    return [line for text in judged.spec.read_as for line in wrapped(f"Read as: {text}", "  ", "    ")]


def _advice(advice: Advice) -> list[Line]:
    lines = wrapped(advice.summary, later="  ")
    if advice.steps:
        if advice.runtime:
            lines += wrapped("To switch (this deletes /content, so copy out what you need first):")
        lines += [
            line
            for number, step in enumerate(advice.steps, 1)
            for line in wrapped(f"{number}. {step}", "  ", "     ")
        ]
    if advice.alternatives:
        lines += wrapped("Or: " + "; ".join(advice.alternatives), later="  ")
    return lines


def _meanwhile(judged: Judged) -> list[Line]:
    """What doing nothing costs."""
    lines: list[Line] = []
    if judged.rate is not None:
        lines += wrapped(
            f"This runtime still uses {per_hour(judged.rate)}. Stop it: colab-run release", later="  "
        )
    if judged.facts.platform.kind is not PlatformKind.PLAIN:
        lines += wrapped(f"More: {MORE}")
    return lines
