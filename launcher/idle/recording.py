"""What was recorded of GPUs, as sessions that a policy can be replayed on. Pure: lines in, values out.

Three kinds of files, told apart by their first line: recordings of ours (`header_line`, then one sample a
line), logs of `nvidia-smi --query-gpu=… --format=csv -l N` (replay_csv.py), and traces (JSON objects with
`t`, `u` and `end`, one session a line).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import chain, pairwise
from math import inf, isfinite
from typing import TYPE_CHECKING, Any, TypeAlias

from launcher.idle import replay_csv
from launcher.idle.model import Sign, sample_from_json
from launcher.idle.replay_session import (
    NOTHING,
    BadRecording,
    Recording,
    Remarks,
    Session,
    Tick,
    cut_off,
    is_cut,
    percent,
    session_of,
)
from launcher.values import Known, Unknown
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from launcher.idle.model import Sample
    from launcher.values import Reading

# Of the file; a sample's line has a version of its own.
VERSION = 1
KIND = "colab-run recording"
ADVICE = words(
    "give a file of `colab-run watch --record`, or a log of `nvidia-smi --query-gpu=… --format=csv`"
)
# What one session of a trace may have; more is no session that was recorded.
MOST_GPUS, MOST_READINGS = 1024, 1 << 22


@dataclass(frozen=True, slots=True)
class Header:
    """What the first line of a recording of ours says."""

    period_s: float
    watched: str


# Where there is no first line: the longest period that we have.
NO_HEADER = Header(15.0, "runtime")


def header_line(gpus: Reading[int], period_s: float, watched: str) -> str:
    """The first line of a recording of ours, without its end; nothing in it names a machine or a person.

    `watched` is `runtime` or `job`.
    """
    count = gpus.value if isinstance(gpus, Known) else {"unknown": gpus.reason}
    return json.dumps({"kind": KIND, "v": VERSION, "gpus": count, "period_s": period_s, "watched": watched})


# What is to take the samples of one session, by its header and its first sample.
Begin: TypeAlias = "Callable[[Header, Sample], Callable[[Sample], object]]"


def read(lines: Iterable[str], name: str = "", begin: Begin | None = None) -> Recording:
    """What these lines hold; each has its end, only the last one may lack it. Raises BadRecording.

    In a recording of ours every sample is handed to what `begin(header, first sample)` returned for its
    session; so months can be read without keeping them.
    """
    numbered = _numbered(lines)
    first = next(numbered, None)
    if first is None:
        raise BadRecording(
            1,
            words("the file is empty"),
            ADVICE,
        )
    numbered = chain((first,), numbered)
    if not first[1].lstrip().startswith("{"):
        return replay_csv.read(numbered, name)
    document = _parsed(first[1])
    if document is not None and "t" in document and "u" in document:
        return _traces(numbered, name)
    if document is not None and (document.get("kind") == KIND or "readings" in document):
        return _ours(numbered, name, begin)
    raise BadRecording(
        first[0],
        words("this is no recording that is known here"),
        ADVICE,
    )


def _numbered(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Lines that say something, with their numbers; a byte order mark says nothing."""
    for number, line in enumerate(lines, 1):
        text = line.lstrip("\ufeff\0") if number == 1 else line
        if text.strip(" \t\r\n\0"):
            yield number, text


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


# --- recordings of ours ---------------------------------------------------------------------------


class _Sessions:
    """Collects what recordings of ours hold; a header, or a clock that goes back, begins another session."""

    def __init__(self, name: str, begin: Begin | None) -> None:
        self._name, self._begin = name, begin
        self.header = NO_HEADER
        self.done: list[Session] = []
        self._ticks: list[Tick] = []
        self._start = 0.0
        self._take: Callable[[Sample], object] | None = None

    def add(self, sample: Sample) -> None:
        at = sample.moment.at
        if self._ticks and at < self._start + self._ticks[-1].at:
            self.close()
        if not self._ticks:
            self._start = at
            self._take = self._begin(self.header, sample) if self._begin else None
        self._ticks.append(Tick(at - self._start, _use(sample)))
        if self._take is not None:
            self._take(sample)

    def close(self) -> None:
        if self._ticks:
            self.done.append(session_of(self._name, len(self.done), self._ticks))
        self._ticks = []


def _ours(numbered: Iterator[tuple[int, str]], name: str, begin: Begin | None) -> Recording:
    sessions, remarks = _Sessions(name, begin), Remarks()
    number = 1
    for number, line in numbered:
        document = _parsed(line)
        if document is not None and document.get("kind") == KIND:
            _check(number, document.get("v"))
            sessions.close()
            sessions.header = _header(document)
            continue
        if document is not None and "readings" in document:
            _check(number, document.get("v"))
        try:
            sessions.add(sample_from_json(line))
        except ValueError:
            if is_cut(line):
                cut_off(number, remarks)
            else:
                remarks.add(number, "sample", words("this is no sample; it is left out"))
    sessions.close()
    if not sessions.done:
        raise BadRecording(
            number,
            words("there is no sample in this file"),
            words("let `colab-run watch --record FILE` run longer"),
        )
    return Recording("recording", tuple(sessions.done), remarks.all())


def _header(document: dict[str, Any]) -> Header:
    period_s = document.get("period_s")
    if not isinstance(period_s, int | float) or not 0 < period_s < inf:
        period_s = NO_HEADER.period_s
    return Header(float(period_s), str(document.get("watched")))


def _check(number: int, version: object) -> None:
    if version != VERSION:
        raise BadRecording(
            number,
            words("this is of version {version} of recordings", version=str(version)),
            words("replay it with the colab-run that recorded it, or a newer one"),
        )


def _use(sample: Sample) -> tuple[Reading[float], ...]:
    """What polling saw of each GPU: all that the rules of others know."""
    reading = sample.readings.get(Sign.GPU, NOTHING)
    if isinstance(reading, Unknown):
        return (reading,)
    rows = reading.value if isinstance(reading.value, list) else []
    return tuple(_polled(row) for row in rows)


def _polled(row: object) -> Reading[float]:
    polled = row.get("polled") if isinstance(row, dict) else None
    if not isinstance(polled, dict):
        return NOTHING
    if "unknown" in polled:
        return Unknown(str(polled["unknown"]))
    known = polled.get("known")
    return percent(known.get("now") if isinstance(known, dict) else None)


# --- traces ---------------------------------------------------------------------------------------


def _traces(numbered: Iterator[tuple[int, str]], name: str) -> Recording:
    sessions: list[Session] = []
    remarks = Remarks()
    number = 1
    for number, line in numbered:
        session = _trace(_parsed(line), name)
        if session is not None:
            sessions.append(session)
        elif is_cut(line):
            cut_off(number, remarks)
        else:
            remarks.add(number, "trace", words("this is no session of a trace; it is left out"))
    if not sessions:
        raise BadRecording(
            number,
            words("there is no session in this file"),
            words("a line needs `t` (rising) and `u` of the same length, and `end`"),
        )
    return Recording("trace", tuple(sessions), remarks.all())


def _trace(document: dict[str, Any] | None, name: str) -> Session | None:
    try:
        at, use = document["t"], document["u"]  # type: ignore[index] # None is a TypeError below
        end, gpus, censored = document["end"], document.get("ngpu", 1), document.get("censored", True)  # type: ignore[index,union-attr]
        if not 0 < gpus <= MOST_GPUS or len(at) * gpus > MOST_READINGS:
            return None
        moments = [float(moment) - float(at[0]) for moment in at]
        ticks = tuple(Tick(m, (percent(u),) * gpus) for m, u in zip(moments, use, strict=True))
        rising = all(before <= after for before, after in pairwise(moments))
        # In this order NaN stays what it is.
        known_to = max(float(end) - float(at[0]), moments[-1])
        own = str(document.get("id", name))  # type: ignore[union-attr]
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError):
        return None
    return Session(own, ticks, known_to, gpus, bool(censored)) if rising and isfinite(known_to) else None
