"""Logs of `nvidia-smi --query-gpu=timestamp,index,utilization.gpu,… --format=csv -l N` as a session. Pure.

Columns are found by their names, in any order, with units (`[%]`) or without. Lines of several GPUs follow
each other, each with a timestamp of its own.
"""

from __future__ import annotations

import calendar
import re
import time
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING

from launcher.idle.replay_session import (
    NOTHING,
    BadRecording,
    Recording,
    Remarks,
    Tick,
    cut_off,
    is_cut,
    percent,
    session_of,
    usual_gap,
)
from launcher.values import Known, Unknown
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from launcher.values import Reading

WHEN, USE = "timestamp", "utilization.gpu"
# By one of these GPUs are told apart, the first that there is.
WHICH = ("index", "uuid", "gpu_uuid", "pci.bus_id", "gpu_bus_id", "serial", "gpu_serial")
# What to type to get such a log.
COMMAND = "nvidia-smi --query-gpu=timestamp,index,utilization.gpu --format=csv -l 15"
# Fewer lines show no pattern.
BURSTS = 4
_UNIT = re.compile(r"\s*\[[^\]]*\]\Z")
_TIME = re.compile(r"(\d{4})[/-](\d\d)[/-](\d\d)[ T](\d\d):(\d\d):(\d\d)(\.\d+)?(?:Z|[+-]\d\d:?\d\d)?\Z")
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)\s*%?\Z")
_NOT_SUPPORTED = frozenset(("n/a", "not supported", "not available"))


@dataclass(frozen=True, slots=True)
class _Row:
    """One GPU at one moment (seconds since the epoch, of whatever time zone the log has)."""

    line: int
    at: float
    gpu: str
    use: Reading[float]


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where in a line things are; `which` is None where nothing tells GPUs apart."""

    count: int
    when: int
    use: int
    which: int | None


def read(numbered: Iterator[tuple[int, str]], name: str) -> Recording:
    """The one session of a log. Raises BadRecording."""
    remarks = Remarks()
    rows = list(_rows(numbered, remarks))
    if not rows:
        raise BadRecording(
            1,
            words("there is no line of a GPU in this log"),
            words("let it run longer: `{command}`", command=COMMAND),
        )
    rows = _forward(rows, remarks)
    if _side_by_side(rows):
        raise BadRecording(
            rows[0].line,
            words("lines of several GPUs, and no column that tells them apart"),
            words("record with {name}: `{command}`", name="`index`", command=COMMAND),
        )
    ticks = _ticks(rows)
    if not any(isinstance(use, Known) for tick in ticks for use in tick.use):
        remarks.add(
            rows[0].line,
            "never",
            words("utilisation is never known in this log; unknown counts as alive, so nothing will be idle"),
        )
    return Recording("nvidia-smi", (session_of(name, 0, ticks),), remarks.all())


# --- lines ----------------------------------------------------------------------------------------


def _rows(numbered: Iterator[tuple[int, str]], remarks: Remarks) -> Iterator[_Row]:
    columns: _Columns | None = None
    for number, line in numbered:
        cells = [cell.strip().strip('"') for cell in line.split(",")]
        found = _header(number, cells)
        if found is not None:
            columns = found
            continue
        if columns is None:
            raise _nameless(number)
        # Of a last figure that has no end nobody knows whether it is whole.
        if is_cut(line) and (len(cells) < columns.count or columns.use == columns.count - 1):
            cut_off(number, remarks)
            continue
        at = _moment(cells[columns.when]) if len(cells) == columns.count else None
        if at is None:
            remarks.add(number, "row", words("this is no line of a GPU; it is left out"))
            continue
        use = _percent(cells[columns.use])
        if use == Unknown("nonsense"):
            remarks.add(
                number, "use", words("{value} is no utilisation; it is unknown", value=cells[columns.use])
            )
        yield _Row(number, at, cells[columns.which] if columns.which is not None else "", use)


def _nameless(number: int) -> BadRecording:
    return BadRecording(
        number,
        words("there are no names of columns above the figures"),
        words("put the names that were given to `--query-gpu` above them, or record without `noheader`"),
    )


def _header(number: int, cells: Sequence[str]) -> _Columns | None:
    """The columns, if this is a line of names. Raises BadRecording for names that are not enough."""
    names = [_UNIT.sub("", cell).lower() for cell in cells]
    if not {WHEN, USE, *WHICH} & set(names):
        return None
    for needed in (WHEN, USE):
        if needed not in names:
            raise BadRecording(
                number,
                words("there is no column {name}", name=f"`{needed}`"),
                words("record with it: `{command}`", command=COMMAND),
            )
    which = next((names.index(name) for name in WHICH if name in names), None)
    return _Columns(len(names), names.index(WHEN), names.index(USE), which)


def _moment(text: str) -> float | None:
    match = _TIME.match(text)
    if match is None:
        return None
    *whole, fraction = match.groups()
    try:
        date = time.strptime(" ".join(whole), "%Y %m %d %H %M %S")
    except ValueError:
        return None
    return calendar.timegm(date) + float(fraction or 0)


def _percent(text: str) -> Reading[float]:
    """`42 %` or `42`; what stands in brackets is why there is none."""
    match = _NUMBER.match(text)
    if match is not None:
        return percent(float(match.group(1)))
    bare = text.strip("[]").lower()
    if bare in _NOT_SUPPORTED:
        return Unknown("not-supported")
    return Unknown("driver-error") if text.startswith("[") or bare.startswith("err") else Unknown("nonsense")


# --- rounds ---------------------------------------------------------------------------------------


def _forward(rows: Sequence[_Row], remarks: Remarks) -> list[_Row]:
    """With times that never go back: where a clock was set back, time goes on from where it was."""
    shift, latest, forward = 0.0, rows[0].at, []
    for row in rows:
        at = row.at + shift
        # GPUs of one round are asked side by side: some milliseconds are no clock that was set.
        if at < latest - 1.0:
            remarks.add(
                row.line, "back", words("the clock was set back here; time goes on from where it was")
            )
            shift += latest - at
            at = latest
        latest = max(latest, at)
        forward.append(_Row(row.line, latest, row.gpu, row.use))
    return forward


def _side_by_side(rows: Sequence[_Row]) -> bool:
    """Without anything to tell GPUs apart: do lines come in bursts?"""
    gaps = sorted(later.at - row.at for row, later in pairwise(rows))
    if len({row.gpu for row in rows}) > 1 or len(gaps) < BURSTS:
        return False
    return gaps[len(gaps) // 4] < sum(gaps) / len(gaps) / 20


def _ticks(rows: Sequence[_Row]) -> list[Tick]:
    """One tick for each round; a GPU without a line in a round is unknown there."""
    gpus = list(dict.fromkeys(row.gpu for row in rows))
    gaps = (usual_gap(row.at for row in rows if row.gpu == gpu) for gpu in gpus)
    period = min((gap for gap in gaps if gap), default=inf)
    rounds: list[tuple[float, dict[str, Reading[float]]]] = []
    for row in rows:
        fresh = not rounds or row.gpu in rounds[-1][1] or row.at - rounds[-1][0] > period / 2
        if fresh:
            rounds.append((row.at, {}))
        rounds[-1][1][row.gpu] = row.use
    start = rounds[0][0]
    return [Tick(at - start, tuple(use.get(gpu, NOTHING) for gpu in gpus)) for at, use in rounds]
