"""The runs of the past as a table and as JSON. Pure."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from launcher.record import SCHEMA_VERSION
from launcher.report.lines import ENGLISH, Line, Paper, Tone, columns, cut, padded
from launcher.values import Known, Unknown, format_size
from launcher.words import alternated, counted, listed, reason, spelled, within, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from launcher.ledger.model import PastRun, ReleaseTold
    from launcher.values import Reading
    from launcher.words import Text

GAP = "  "
# The widest of each column: when, name, outcome, exit code, how long, units.
WIDEST = (16, 18, 14, 4, 9, 9)
# Where units are shown they are reckoned, not read off.
ABOUT = "~"


def history_document(
    past: Sequence[PastRun], mirrors: Sequence[str], problems: Iterable[tuple[str, str]]
) -> dict[str, object]:
    """`history --json`."""
    return {
        "schema_version": SCHEMA_VERSION,
        "runs": [run.as_json() for run in past],
        "mirrors": list(mirrors),
        "problems": [{"path": path, "why": why} for path, why in problems],
    }


def history_screen(
    past: Sequence[PastRun], problems: Iterable[tuple[str, str]] = (), paper: Paper = ENGLISH
) -> list[Line]:
    """Two lines for each run or more: when and how; what was saved, what became of the runtime, its story."""
    told = [line for path, why in problems for line in _problem(path, why, paper)]
    if not past:
        none = words("no runs; start one: {command}", command="colab-run JOB")
        return [*paper.wrapped(none), *told]
    heads: list[Text] = [
        words("WHEN"),
        words("NAME"),
        words("OUTCOME"),
        within("exit code of a run", "CODE"),
        within("how long a run took", "TIME"),
        words("UNITS"),
    ]
    table = [[_flat(paper.text(cell)) for cell in cells] for cells in (heads, *map(_cells, past))]
    shown = [[cut(cell, limit) for cell, limit in zip(cells, WIDEST, strict=True)] for cells in table]
    widths = [max(columns(cells[at]) for cells in shown) for at in range(len(heads))]
    head, *rows = [Line(GAP.join(map(padded, cells, widths)).rstrip()) for cells in shown]
    lines = [head]
    for run, row in zip(past, rows, strict=True):
        lines += [row, *paper.wrapped(_below(run), "  ", "    ")]
    return [*lines, *_footnote(past, paper), *told]


def _flat(text: str) -> str:
    """On one line, whatever another machine has put into a name."""
    return " ".join(text.split())


def _cells(run: PastRun) -> list[Text]:
    return [
        time.strftime("%Y-%m-%d %H:%M", time.localtime(run.began.value))
        if isinstance(run.began, Known)
        else "?",
        run.name or "-",
        _outcome(run),
        _figure(run.exit_code),
        spelled(round(run.duration_s.value))
        if isinstance(run.duration_s, Known) and run.duration_s.value is not None
        else "-",
        f"{ABOUT}{run.units.value:.2f}" if isinstance(run.units, Known) else "-",
    ]


def _figure(reading: Reading[int | None]) -> str:
    if isinstance(reading, Unknown):
        return "?"
    return "-" if reading.value is None else str(reading.value)


_OUTCOMES: Mapping[str, Text] = {
    "succeeded": within("outcome of a run", "succeeded"),
    "failed": within("outcome of a run", "failed"),
    "signalled": within("outcome of a run", "killed"),
    "over_limit": within("outcome of a run", "over limit"),
    "could_not_start": within("outcome of a run", "not started"),
    "setup_failed": within("outcome of a run", "setup failed"),
    "interrupted": within("outcome of a run", "stopped"),
    "stalled": within("outcome of a run", "stalled"),
    "lost": within("outcome of a run", "lost"),
    "refused": within("outcome of a run", "refused"),
}


def _outcome(run: PastRun) -> Text:
    if run.kind == "watch":
        return within("outcome of a run", "watch")
    if isinstance(run.outcome, Unknown):
        return within("outcome of a run", "not known")
    if run.outcome.value is None:
        return within("outcome of a run", "still running")
    return _OUTCOMES.get(run.outcome.value, run.outcome.value)


# --- what stands below ----------------------------------------------------------------------------


def _below(run: PastRun) -> Text:
    parts: list[Text] = []
    if run.resumed_from is not None:
        parts.append(words("resumed from {run_id}", run_id=_flat(run.resumed_from)))
    if isinstance(run.outcome, Unknown) and run.kind != "watch":
        parts.append(words("nobody has heard how it ended"))
    if isinstance(run.saved, Known) and run.saved.value.to:
        parts.append(_saved(run.saved.value.files, run.saved.value.size, complete=run.saved.value.complete))
    if isinstance(run.release, Known) and (said := _release(run.release.value)):
        parts.append(said)
    if not parts:
        return run.run_id
    return words("{run_id}: {told}", run_id=run.run_id, told=alternated(parts))


def _saved(files: int, size: int, *, complete: bool) -> Text:
    amount = format_size(size)
    if complete:
        return counted("{count} file saved ({size})", "{count} files saved ({size})", files, size=amount)
    return counted(
        "{count} file saved ({size}), and not all that there was",
        "{count} files saved ({size}), and not all that there was",
        files,
        size=amount,
    )


def _release(told: ReleaseTold) -> Text:
    """What became of the runtime; empty where nothing was to be released."""
    at = "" if told.at is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(told.at))
    why = _flat(told.reason)
    if told.status == "confirmed":
        return _confirmed(told, at)
    if told.status == "accepted":
        return words("release accepted, and not confirmed by another machine yet")
    if told.status == "requested":
        return words("release requested, and no answer known")
    if told.status == "still-here":
        return words("release accepted, and the runtime was still here at {time}", time=at)
    if told.status == "held":
        return words("release held back ({reason})", reason=why)
    if told.status == "kept":
        return words("runtime kept ({reason})", reason=why)
    if told.status == "failed":
        return words("release not accepted ({reason})", reason=why)
    return words("release not asked for") if told.status == "not-asked" else ""


def _confirmed(told: ReleaseTold, at: str) -> Text:
    if told.heard:
        return words("release accepted; confirmed by the next machine at {time}", time=at)
    return words("release requested; confirmed by the next machine at {time}", time=at)


def _footnote(past: Sequence[PastRun], paper: Paper) -> list[Line]:
    """What the units are worth."""
    with_units = [run for run in past if isinstance(run.units, Known)]
    if not with_units:
        return []
    dates = sorted({_flat(run.rate_checked) for run in with_units if run.rate_checked})
    if not dates:
        note = words("{mark} compute units at a rate without a date", mark=ABOUT)
    else:
        note = words("{mark} compute units at the rate of {dates}", mark=ABOUT, dates=listed(dates))
    return [Line(""), *(Line(line.text, tone=Tone.QUIET) for line in paper.wrapped(note))]


# --- what could not be read -----------------------------------------------------------------------

_WHY: Mapping[str, Text] = {
    "name": words("it is no row of a ledger"),
    "damaged": words("it is damaged"),
    "not-a-file": words("it is no file"),
    "too-large": words("it is too large to be a row of a ledger"),
    "newer-version": words("a newer colab-run wrote it"),
    "timeout": words("it does not answer"),
    "too-slow": words("it answers too slowly: older runs are left out"),
}


def _problem(path: str, why: str, paper: Paper) -> list[Line]:
    return paper.ours(words("{name}: {why}", name=_flat(path), why=_WHY.get(why) or reason(why)))
