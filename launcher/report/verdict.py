"""The screens of `check` and of a refusal: what is needed beside what is there, then the way on. Pure.

A refusal fits on a screen: 20 lines where nothing is special, 80 columns, one best answer. `check` adds
the alternatives.
"""

from __future__ import annotations

import textwrap
from itertools import zip_longest
from typing import TYPE_CHECKING

from launcher.probes.model import PlatformKind
from launcher.report.lines import WIDTH, Line, Tone, headed, wrapped
from launcher.report.money import per_hour
from launcher.values import Known, format_duration
from launcher.verdict.model import FindingCode, Status

if TYPE_CHECKING:
    from launcher.events import Judged, Refused
    from launcher.verdict.model import Advice, Finding

MARKS = {
    Status.MET: ("OK  ", Tone.GOOD),
    Status.SHORT: ("FAIL", Tone.BAD),
    Status.UNKNOWN: ("??  ", Tone.CAREFUL),
}
LABELS = {"gpu": "GPU", "ram": "RAM", "cpus": "CPUs"}
MORE = "https://colab.research.google.com/notebooks/pro.ipynb"
# Mark and margins; the widest first column; what the second column has at least.
MARGIN = " " * 8
GAP = " " * 2
WIDEST_NEED = 32
LEAST_FOUND = 24


def verdict_screen(judged: Judged) -> list[Line]:
    """The answer of `check`."""
    if judged.verdict.status is not Status.MET:
        return [*_headline(judged), *_body(judged, alternatives=True)]
    head = headed("OK", f"{judged.source} can run on this runtime.", Tone.GOOD)
    return [*head, *_findings(judged), *_read_as(judged), *_price(judged)]


def refusal_screen(refused: Refused) -> list[Line]:
    """The answer of `run` where the verdict is not met."""
    judged = refused.judged
    lines = [*_headline(judged, " Nothing was started."), *_body(judged, alternatives=False)]
    if refused.in_cell:
        lines += wrapped("Behind ! the next cells still run; %shell colab-run … stops “Run all” here.")
    return lines


def _headline(judged: Judged, more: str = "") -> list[Line]:
    if judged.verdict.status is Status.UNKNOWN:
        code = FindingCode.COULD_NOT_TELL.value
        text = f"[{code}] {judged.source}: cannot tell if it fits here."
        return headed("??", text + more, Tone.CAREFUL)
    hardware = any(f.status is Status.SHORT and not _is_ours(f) for f in judged.verdict.findings)
    code = FindingCode.NEEDS_OTHER_RUNTIME.value
    what = "needs a different runtime" if hardware else "cannot start as it is"
    return headed("FAIL", f"[{code}] {judged.source} {what}.{more}", Tone.BAD)


def _is_ours(finding: Finding) -> bool:
    """Something to mend here, not a reason to rent another machine."""
    return finding.code in (FindingCode.SECRET, FindingCode.OUTPUT_TARGET, FindingCode.DRIVE_NOT_MOUNTED)


def _body(judged: Judged, *, alternatives: bool) -> list[Line]:
    lines = [*_findings(judged), *_notes(judged)]
    if alternatives:
        lines += _read_as(judged)
    rest = [] if judged.advice is None else _advice(judged.advice, judged, alternatives=alternatives)
    if judged.verdict.status is Status.UNKNOWN:
        rest += wrapped(f"To run it all the same: colab-run run --accept-unknown {judged.source}", later="  ")
    rest += _meanwhile(judged)
    return [*lines, Line(""), *rest] if rest else lines


# --- the table ------------------------------------------------------------------------------------


def _findings(judged: Judged) -> list[Line]:
    findings = judged.verdict.findings
    if not findings:
        return wrapped("It asks for no hardware: any runtime will do.", "  ")
    rows = [(f, *_row(f)) for f in findings]
    needs = min(WIDEST_NEED, max(len("needs"), *(len(wanted) for _, wanted, _, _ in rows)))
    room = WIDTH - len(MARGIN) - needs - 2 * len(GAP) - max(len(label) for *_, label in rows)
    found = min(max(room, LEAST_FOUND), max(len("this runtime"), *(len(text) for _, _, text, _ in rows)))
    lines = [Line(""), Line(f"{MARGIN}{'needs':<{needs}}{GAP}this runtime", tone=Tone.QUIET)]
    for finding, wanted, text, label in rows:
        cells = zip_longest(_cell(wanted, needs), _cell(text, found), [label], fillvalue="")
        for number, (left, right, name) in enumerate(cells):
            rest = f"{left:<{needs}}{GAP}{right:<{found}}{GAP}{name}"
            mark, tone = MARKS[finding.status]
            lines.append(Line(f"{MARGIN}{rest}") if number else Line(f"  {rest}", f"  {mark}", tone))
    return lines


def _cell(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]


def _label(finding: Finding) -> str:
    """What the row is about; a reader looks for it last."""
    return LABELS.get(finding.requirement, finding.requirement)


def _row(finding: Finding) -> tuple[str, str, str]:
    """The three columns. `secret HF_TOKEN` stands as the name, in the first, and its kind, in the last."""
    kind, _, name = finding.requirement.partition(" ")
    found = "cannot tell" if _is_explained(finding) else str(finding.found_text)
    return name or str(finding.wanted_text), found, LABELS.get(kind, kind)


def _is_explained(finding: Finding) -> bool:
    """Is what was found a sentence, with the way on in it? That stands below the table."""
    return finding.status is Status.UNKNOWN and (
        "; " in str(finding.found_text) or len(str(finding.found_text)) > 40
    )


def _notes(judged: Judged) -> list[Line]:
    """What to do, or a sentence, where the columns do not say enough; one for several rows stands once."""
    lines: list[Line] = []
    said: set[str] = set()
    for finding in judged.verdict.findings:
        text = str(finding.found_text if _is_explained(finding) else finding.note)
        if finding.status is Status.MET or not text or text in said:
            continue
        said.add(text)
        code = _to_type(finding, judged)
        if code:
            lines += wrapped(f"{_label(finding)}: {code[0]}", "  ", "    ")
            lines += [Line(f"    {line}") for line in code[1:]]
        else:
            lines += wrapped(f"{_label(finding)}: {text}", "  ", "    ")
    return lines


def _to_type(finding: Finding, judged: Judged) -> tuple[str, ...]:
    """A sentence, then lines to type, each whole so that it can be copied; empty where a note says enough."""
    name = finding.requirement.partition(" ")[2]
    plain = judged.facts.platform.kind is PlatformKind.PLAIN
    if finding.code is FindingCode.SECRET and plain:
        return ("put it into the environment first:", f"export {name}=…")
    # On Colab only the notebook's own kernel can do these two.
    if finding.code is FindingCode.SECRET:
        return (
            "put it into the environment, in a cell of its own:",
            "import os; from google.colab import userdata",
            f"os.environ['{name}'] = userdata.get('{name}')",
        )
    if finding.code is FindingCode.DRIVE_NOT_MOUNTED and not plain:
        mount = "from google.colab import drive; drive.mount('/content/drive')"
        return ("mount Drive, in a cell of its own:", mount)
    return ()


def _read_as(judged: Judged) -> list[Line]:
    return [line for text in judged.spec.read_as for line in wrapped(f"Read as: {text}", "  ", "    ")]


# --- the way on -----------------------------------------------------------------------------------


def _advice(advice: Advice, judged: Judged, *, alternatives: bool) -> list[Line]:
    lines = wrapped(str(advice.summary), later="  ")
    if advice.runtime:
        lines += wrapped("To switch (this deletes /content, so copy out what you need first):")
        lines += [
            line
            for number, step in enumerate(advice.steps, 1)
            for line in wrapped(f"{number}. {step}", "  ", "     ")
        ]
    else:
        lines += [line for step in advice.steps for line in wrapped(f"{step}.", "  ")]
    if advice.runtime and judged.facts.platform.kind is not PlatformKind.PLAIN:
        lines += wrapped("Not in the list: your plan lacks it. Got another GPU: none was free, try later.")
    if advice.alternatives and (alternatives or not advice.runtime):
        lines += wrapped("Or: " + "; ".join(map(str, advice.alternatives)), later="  ")
    return lines


def _this(judged: Judged) -> str:
    """Subject of a sentence: `This T4`; `This runtime` unless it has one GPU, of a known class."""
    gpus = judged.facts.gpu.gpus
    if isinstance(gpus, Known) and len(gpus.value) == 1:
        name = gpus.value[0].class_name
        if isinstance(name, Known):
            return f"This {name.value}"
    return "This runtime"


def _meanwhile(judged: Judged) -> list[Line]:
    """What doing nothing costs."""
    lines: list[Line] = []
    if judged.rate is not None:
        lines += wrapped(f"{_this(judged)} still uses {per_hour(judged.rate)}.", later="  ")
        lines += wrapped("To stop that: colab-run release", "  ")
    if judged.facts.platform.kind is not PlatformKind.PLAIN:
        lines += wrapped(f"More: {MORE}")
    return lines


def _price(judged: Judged) -> list[Line]:
    """What the run would cost, as far as a limit says."""
    rate, limit_s = judged.rate, judged.spec.max_duration_s
    if rate is None:
        return []
    lines = [Line(""), *wrapped(f"{_this(judged)} uses {per_hour(rate)}.", later="  ")]
    if limit_s is not None:
        most = rate.units * limit_s / 3600
        limit = format_duration(limit_s)
        lines += wrapped(f"The run takes at most {limit} (max_duration), about {most:.1f} units.", later="  ")
    return lines
