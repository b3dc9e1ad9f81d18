"""Signs of life, samples of them, and what follows: Active or IdleSince. Pure data.

A *sample* holds what was read at one moment, as JSON; a *signal* says of a series of samples when it last
saw life; a *look* is what all signals say at one moment; the *decision* is made over a series of looks.
So whatever was recorded can be decided again, with another policy or other thresholds.

Idle time is counted on CLOCK_MONOTONIC, which stands still in a suspended machine.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import Enum
from math import isfinite
from typing import TYPE_CHECKING, Any

from launcher.values import Known, Reading, Unknown
from launcher.words import within

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.words import Text, Words

# Of a recording; a reader refuses what is newer.
VERSION = 1


class Sign(str, Enum):
    """What can show life, in the order in which tables have it."""

    GPU = "gpu"
    CPU = "cpu"
    DISK = "disk"
    NETWORK = "network"
    OUTPUT = "output"
    FILES = "files"
    KERNELS = "kernels"
    TERMINALS = "terminals"
    BEAT = "beat"
    KEEP = "keep"
    RUNS = "runs"


# What each is called in a sentence or a table, by its value.
SIGNS: Mapping[str, Words] = {
    "gpu": within("sign of life", "GPU"),
    "cpu": within("sign of life", "CPU"),
    "disk": within("sign of life", "disk"),
    "network": within("sign of life", "network"),
    "output": within("sign of life", "output"),
    "files": within("sign of life", "files"),
    "kernels": within("sign of life", "kernels"),
    "terminals": within("sign of life", "terminals"),
    "beat": within("sign of life", "heartbeat"),
    "keep": within("sign of life", "keep"),
    "runs": within("sign of life", "runs"),
}
# By these a job is armed: it has begun to work. A person's keystroke or a kept machine is no work.
WORK = frozenset((Sign.GPU, Sign.CPU, Sign.DISK, Sign.NETWORK, Sign.OUTPUT, Sign.FILES, Sign.BEAT))


@dataclass(frozen=True, slots=True)
class Moment:
    """One moment on three clocks, in seconds: CLOCK_MONOTONIC, CLOCK_BOOTTIME, and the epoch."""

    at: float
    boottime: float
    wall: float


@dataclass(frozen=True, slots=True)
class Sample:
    """What was read at one moment: a JSON value for each sign, or why it could not be read.

    Counters are totals since some beginning, never differences: a sample that is lost loses nothing.
    """

    moment: Moment
    readings: Mapping[Sign, Reading[Any]]

    def to_json(self) -> str:
        """One line of a recording, without its end."""
        moment = self.moment
        clocks = {"at": moment.at, "boottime": moment.boottime, "wall": moment.wall}
        readings = {sign.value: _plain(reading) for sign, reading in self.readings.items()}
        return json.dumps({"v": VERSION, **clocks, "readings": readings}, allow_nan=False)


def _plain(reading: Reading[Any]) -> dict[str, Any]:
    return {"known": reading.value} if isinstance(reading, Known) else {"unknown": reading.reason}


def sample_from_json(line: str | bytes) -> Sample:
    """The sample of one line. Raises ValueError for what is none, or is of a newer version."""
    document = json.loads(line)
    try:
        if document["v"] != VERSION:
            raise ValueError(f"version {document['v']!r}")
        moment = Moment(*(_finite(document[name]) for name in ("at", "boottime", "wall")))
        readings = {
            Sign(name): Known(row["known"]) if "known" in row else Unknown(str(row["unknown"]))
            for name, row in document["readings"].items()
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no sample: {error!r}") from error
    return Sample(moment, readings)


def _finite(value: Any) -> float:
    try:
        number = float(value)
    except OverflowError as error:
        raise ValueError("too large") from error
    if not isfinite(number):
        raise ValueError(value)
    return number


@dataclass(frozen=True, slots=True)
class Life:
    """When a signal last saw life, on CLOCK_MONOTONIC; `detail` is what it saw, or sees now, with figures.

    It is a promise: nothing of this signal has been alive after `last_alive`. Where a signal was unknown for
    a while and cannot make good for it, `last_alive` is not before the end of that while; at the beginning
    it is the first sample's moment.
    """

    last_alive: float
    detail: Text = ""


@dataclass(frozen=True, slots=True)
class Look:
    """What all signals say at one moment. Unknown counts as alive; hardware that is absent has no row."""

    moment: Moment
    lives: Mapping[Sign, Reading[Life]]


@dataclass(frozen=True, slots=True)
class Policy:
    """When silence means idle.

    All signs quiet for `window_s`, with samples (one every `period_s`) for at least `coverage` of it. With
    `armed_by` nothing is idle before one of these signs was seen alive. `adapts`: the window grows with the
    longest silence that ended by itself, and never shrinks below `window_s`.
    """

    window_s: float
    period_s: float
    coverage: float = 0.7
    armed_by: frozenset[Sign] = frozenset()
    adapts: bool = False


class Because(str, Enum):
    """Why something is not idle, in the order in which reasons are given."""

    ALIVE = "alive"
    UNKNOWN = "unknown"
    NOT_ARMED = "not-armed"
    RESTARTED = "restarted"
    NOT_COVERED = "not-covered"


@dataclass(frozen=True, slots=True)
class Active:
    """Not idle. `which` are the signs that say so, the latest first; empty unless ALIVE or UNKNOWN.

    `quiet_since` is the last moment of life (monotonic); None while unknown. `idle_at` is when it would be
    idle if nothing changed; None where that cannot be said. `window_s` is the window in force.
    """

    because: Because
    which: tuple[Sign, ...] = ()
    quiet_since: float | None = None
    idle_at: float | None = None
    window_s: float = 0.0


@dataclass(frozen=True, slots=True)
class IdleSince:
    """Nothing has shown life since `at` (monotonic), for at least `window_s`."""

    at: float
    window_s: float = 0.0


Standing = Active | IdleSince


@dataclass(frozen=True, slots=True)
class Row:
    """One signal as `watch --why` shows it; `counts` says what counts as life."""

    sign: Sign
    reading: Reading[Life]
    counts: Text = ""


@dataclass(frozen=True, slots=True)
class Table:
    """How things stand at one moment, and every signal's part in it."""

    moment: Moment
    standing: Standing
    rows: tuple[Row, ...] = field(default=())
