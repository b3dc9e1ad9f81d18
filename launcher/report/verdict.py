"""The screens of `check` and of a refusal: what is needed beside what is there, then the way on. Pure.

A refusal fits on a screen: 20 lines where nothing is special, 80 columns, one best answer. `check` adds
the alternatives.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

from launcher.report.lines import ENGLISH, WIDTH, Line, Paper, Tone, columns, folded, padded
from launcher.report.money import per_hour
from launcher.values import Known
from launcher.verdict.model import FindingCode, Status
from launcher.words import Words, alternated, apart, spelled, within, words

if TYPE_CHECKING:
    from launcher.events import Judged, Refused
    from launcher.verdict.model import Advice, Finding
    from launcher.words import Text

MARKS = {
    Status.MET: (words("OK"), Tone.GOOD),
    Status.SHORT: (words("FAIL"), Tone.BAD),
    Status.UNKNOWN: (words("??"), Tone.CAREFUL),
}
LABELS: dict[str, Text] = {
    "gpu": "GPU",
    "tpu": "TPU",
    "ram": "RAM",
    "disk": words("disk"),
    "cpus": words("CPUs"),
    "secret": words("secret"),
    "output": words("output"),
    "package": words("package"),
    "wheel": words("package"),
    "file": words("file"),
    "input": words("input"),
    "room": words("room for inputs"),
    "host": words("network"),
}
# What is to be mended here is no reason to rent another machine.
OURS = frozenset(
    (
        FindingCode.SECRET,
        FindingCode.OUTPUT_TARGET,
        FindingCode.DRIVE_NOT_MOUNTED,
        FindingCode.PACKAGE,
        FindingCode.FILE,
        FindingCode.HOST,
        FindingCode.INPUT,
        FindingCode.ROOM,
        FindingCode.WHEEL,
        FindingCode.GPU_IN_USE,
        FindingCode.BUDGET,
    )
)
MORE = "https://colab.research.google.com/notebooks/pro.ipynb"
INDENT = GAP = " " * 2
# The widest first column; what the second column has at least.
WIDEST_NEED = 32
LEAST_FOUND = 24


def verdict_screen(judged: Judged, paper: Paper = ENGLISH) -> list[Line]:
    """The answer of `check`."""
    if judged.verdict.status is not Status.MET:
        return [*_headline(judged, paper), *_body(judged, paper, alternatives=True)]
    can = words("{source} can run on this runtime.", source=judged.source)
    if judged.on:
        can = words("{source} can run on {runtime}.", source=judged.source, runtime=judged.on)
    head = paper.headed(paper.text(within("verdict", "OK")), can, Tone.GOOD)
    said = [text for text in (judged.costs_more, *judged.hints, judged.balance) if text]
    return [
        *head,
        *_findings(judged, paper),
        *_read_as(judged, paper),
        *_price(judged, paper),
        *(line for text in said for line in paper.wrapped(text, later="  ")),
    ]


def refusal_screen(refused: Refused, paper: Paper = ENGLISH) -> list[Line]:
    """The answer of `run` where the verdict is not met."""
    judged = refused.judged
    lines = [*_headline(judged, paper, refused=True), *_body(judged, paper, alternatives=False)]
    if refused.in_cell:
        lines += paper.wrapped(
            words("Behind ! the next cells still run; %shell colab-run … stops “Run all” here.")
        )
    return lines


def _headline(judged: Judged, paper: Paper, *, refused: bool = False) -> list[Line]:
    source = judged.source
    if judged.verdict.status is Status.UNKNOWN:
        code, tone = FindingCode.COULD_NOT_TELL.value, Tone.CAREFUL
        said = (
            words("{source}: cannot tell if it fits here. Nothing was started.", source=source)
            if refused
            else words("{source}: cannot tell if it fits here.", source=source)
        )
    elif any(f.status is Status.SHORT and not _is_ours(f) for f in judged.verdict.findings):
        code, tone = FindingCode.NEEDS_OTHER_RUNTIME.value, Tone.BAD
        said = (
            words("{source} needs a different runtime. Nothing was started.", source=source)
            if refused
            else words("{source} needs a different runtime.", source=source)
        )
    else:
        code, tone = FindingCode.NEEDS_OTHER_RUNTIME.value, Tone.BAD
        said = (
            words("{source} cannot start as it is. Nothing was started.", source=source)
            if refused
            else words("{source} cannot start as it is.", source=source)
        )
    mark = words("??") if tone is Tone.CAREFUL else within("verdict", "FAIL")
    return paper.headed(paper.text(mark), f"[{code}] {paper.text(said)}", tone)


def _is_ours(finding: Finding) -> bool:
    """Something to mend here, not a reason to rent another machine."""
    return finding.code in OURS


def _body(judged: Judged, paper: Paper, *, alternatives: bool) -> list[Line]:
    lines = [*_findings(judged, paper), *_notes(judged, paper)]
    if alternatives:
        lines += _read_as(judged, paper)
    rest = []
    if judged.advice is not None:
        rest += _advice(judged.advice, judged, paper, alternatives=alternatives)
    if alternatives and judged.fix is not None:
        rest += paper.wrapped(
            words("This runtime would do with {change}.", change=judged.fix.text), later="  "
        )
    # A row of the catalogue is not where a run would start.
    if judged.verdict.status is Status.UNKNOWN and not judged.on:
        again = f"colab-run run --accept-unknown {judged.source}"
        rest += paper.wrapped(words("To run it all the same: {command}", command=again), later="  ")
    rest += _meanwhile(judged, paper)
    return [*lines, Line(""), *rest] if rest else lines


# --- the table ------------------------------------------------------------------------------------


class _Row(NamedTuple):
    status: Status
    wanted: str
    found: str
    label: str


def _findings(judged: Judged, paper: Paper) -> list[Line]:
    findings = judged.verdict.findings
    if not findings:
        return paper.wrapped(words("It asks for no hardware: any runtime will do."), "  ")
    rows = [_Row(f.status, *map(paper.text, _row(f))) for f in findings]
    heads = paper.text(words("needs")), paper.text(judged.on or words("this runtime"))
    marks = {status: (paper.text(mark), tone) for status, (mark, tone) in MARKS.items()}
    beside = max(columns(mark) for mark, _ in marks.values())
    margin = " " * (len(INDENT) + beside + len(GAP))
    needs = min(WIDEST_NEED, max(columns(text) for text in (heads[0], *(row.wanted for row in rows))))
    room = WIDTH - len(margin) - needs - 2 * len(GAP) - max(columns(row.label) for row in rows)
    widest = max(columns(text) for text in (heads[1], *(row.found for row in rows)))
    found = min(max(room, LEAST_FOUND), widest)
    lines = [Line(""), Line(f"{margin}{padded(heads[0], needs)}{GAP}{heads[1]}", tone=Tone.QUIET)]
    for row in rows:
        cells = zip_longest(folded(row.wanted, needs), folded(row.found, found), [row.label], fillvalue="")
        for number, (left, right, name) in enumerate(cells):
            rest = f"{padded(left, needs)}{GAP}{padded(right, found)}{GAP}{name}"
            mark, tone = marks[row.status]
            if number:
                lines.append(Line(f"{margin}{rest}"))
            else:
                lines.append(Line(f"{GAP}{rest}", f"{INDENT}{padded(mark, beside)}", tone))
    return lines


def _label(finding: Finding) -> Text:
    """What the row is about; a reader looks for it last."""
    kind, _, name = finding.requirement.partition(" ")
    label = LABELS.get(kind, kind)
    return words("{kind} {name}", kind=label, name=name) if name else label


def _row(finding: Finding) -> tuple[Text, Text, Text]:
    """The three columns. `secret HF_TOKEN` stands as the name, in the first, and its kind, in the last."""
    kind, _, name = finding.requirement.partition(" ")
    found = words("cannot tell") if _is_explained(finding) else finding.found_text
    return name or finding.wanted_text, found, LABELS.get(kind, kind)


def _is_explained(finding: Finding) -> bool:
    """Is what was found a sentence, the reason why nobody can tell? That stands below the table.

    With a note, that is the sentence, and the columns keep what was found.
    """
    return finding.status is Status.UNKNOWN and not finding.note and isinstance(finding.found_text, Words)


def _notes(judged: Judged, paper: Paper) -> list[Line]:
    """What to do, or a sentence, where the columns do not say enough; one for several rows stands once."""
    lines: list[Line] = []
    said: set[Text] = set()
    for finding in judged.verdict.findings:
        text = finding.found_text if _is_explained(finding) else finding.note
        if finding.status is Status.MET or not text or text in said:
            continue
        said.add(text)
        note, *code = _to_type(finding, judged) or (text,)
        lines += paper.wrapped(words("{name}: {why}", name=_label(finding), why=note), "  ", "    ")
        lines += [Line(f"    {paper.text(line)}") for line in code]
    return lines


def _to_type(finding: Finding, judged: Judged) -> tuple[Text, ...]:
    """A sentence, then lines to type, each whole so that it can be copied; empty where a note says enough."""
    name = finding.requirement.partition(" ")[2]
    plain = not judged.facts.platform.on_colab
    if finding.code is FindingCode.SECRET and plain:
        return (words("put it into the environment first:"), f"export {name}=…")
    # On Colab only the notebook's own kernel can do these two.
    if finding.code is FindingCode.SECRET:
        return (
            words("put it into the environment, in a cell of its own:"),
            "import os; from google.colab import userdata",
            f"os.environ['{name}'] = userdata.get('{name}')",
        )
    if finding.code is FindingCode.DRIVE_NOT_MOUNTED and not plain:
        mount = "from google.colab import drive; drive.mount('/content/drive')"
        return (words("mount Drive, in a cell of its own:"), mount)
    return ()


def _read_as(judged: Judged, paper: Paper) -> list[Line]:
    return [
        line
        for text in judged.spec.read_as
        for line in paper.wrapped(words("Read as: {text}", text=text), "  ", "    ")
    ]


# --- the way on -----------------------------------------------------------------------------------


def _advice(advice: Advice, judged: Judged, paper: Paper, *, alternatives: bool) -> list[Line]:
    best, figures = apart(advice.summary)
    lines = [*paper.wrapped(best, later="  "), *paper.wrapped(figures, "  ")]
    if advice.runtime:
        lines += paper.wrapped(words("To switch (this deletes /content, so copy out what you need first):"))
        lines += [
            line
            for number, step in enumerate(advice.steps, 1)
            for line in paper.wrapped(f"{number}. {paper.text(step)}", "  ", "     ")
        ]
    else:
        lines += [line for step in advice.steps for line in paper.wrapped(words("{step}.", step=step), "  ")]
    for note in advice.notes:
        lines += paper.wrapped(note, later="  ")
    if alternatives and advice.costs_most is not None:
        lines += paper.wrapped(advice.costs_most.text, later="  ")
    if advice.alternatives and (alternatives or not advice.runtime):
        lines += paper.wrapped(words("Or: {others}", others=alternated(advice.alternatives)), later="  ")
    return lines


def _uses(judged: Judged, rate: Text, *, still: bool) -> Text:
    """As in `This T4 uses …`; `This runtime uses …` unless it has one GPU, of a known class."""
    if judged.on:
        return words("{runtime} uses {rate}.", runtime=judged.on, rate=rate)
    gpus = judged.facts.gpu.gpus
    if isinstance(gpus, Known) and len(gpus.value) == 1:
        name = gpus.value[0].class_name
        if isinstance(name, Known):
            if still:
                return words("This {name} still uses {rate}.", name=name.value, rate=rate)
            return words("This {name} uses {rate}.", name=name.value, rate=rate)
    if still:
        return words("This runtime still uses {rate}.", rate=rate)
    return words("This runtime uses {rate}.", rate=rate)


def _meanwhile(judged: Judged, paper: Paper) -> list[Line]:
    """What doing nothing costs."""
    lines: list[Line] = []
    managed = judged.facts.platform.managed
    if not judged.on and (judged.rate is not None or managed):
        if judged.rate is None:
            lines += paper.wrapped(words("This runtime still uses compute units (rate not known)."))
        else:
            lines += paper.wrapped(_uses(judged, per_hour(judged.rate), still=True), later="  ")
        ways = words("To stop that: {command}", command="colab-run release")
        if judged.disconnect:
            ways = words(
                "To stop that: {command}, or {menu}", command="colab-run release", menu=judged.disconnect
            )
        lines += paper.wrapped(ways, "  ", "    ")
    if judged.balance:
        lines += paper.wrapped(judged.balance, later="  ")
    linked = judged.advice is not None and any("https://" in str(note) for note in judged.advice.notes)
    if judged.facts.platform.on_colab and not linked:
        lines += paper.wrapped(words("More: {address}", address=MORE))
    return lines


def _price(judged: Judged, paper: Paper) -> list[Line]:
    """What the run would cost, as far as a limit says."""
    rate, limit_s = judged.rate, judged.spec.max_duration_s
    if rate is None:
        if judged.on or not judged.facts.platform.managed:
            return []
        return [Line(""), *paper.wrapped(words("This runtime uses compute units (rate not known)."))]
    lines = [Line("")]
    if not judged.costs_more:  # That sentence names this rate beside the cheaper one.
        lines += paper.wrapped(_uses(judged, per_hour(rate), still=False), later="  ")
    if limit_s is not None:
        most = words(
            "The run takes at most {limit} (max_duration), about {units} units.",
            limit=spelled(limit_s),
            units=f"{rate.units * limit_s / 3600:.1f}",
        )
        lines += paper.wrapped(most, later="  ")
    return lines
