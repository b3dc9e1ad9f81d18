"""Sizes, durations and readings: parse, compare, print. Pure.

Sizes are integers of bytes, durations are seconds as floats. GB is 10^9 and GiB is 2^30, as the
memory cell of Colab's own notebook counts.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Known(Generic[T_co]):
    """A reading that was taken."""

    value: T_co


@dataclass(frozen=True, slots=True)
class Unknown:
    """A reading that could not be taken; `reason` is a stable code such as `timeout`."""

    reason: str


Reading = Known[T] | Unknown


class BadValue(ValueError):
    """A text that does not say a quantity. `kind` is a stable word, `hint` what to write instead."""

    def __init__(self, kind: str, hint: str) -> None:
        super().__init__(f"{kind}: {hint}")
        self.kind = kind
        self.hint = hint


SIZE_UNITS = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TIB": 2**40,
}
DURATION_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

_NUMBER = r"[0-9]+(?:\.[0-9]+)?|\.[0-9]+"
_SIZE = re.compile(rf"({_NUMBER})\s*([A-Za-z]*)\s*(\+|\.\.)?\Z")
_DURATION_PART = re.compile(rf"({_NUMBER})\s*([A-Za-z]+)\s*")
# Beyond these a figure is a slip of the keyboard, and 10^400 would overflow a float later on.
_LARGEST_SIZE = 10**18
_LONGEST_DURATION = 366 * 86400.0


def parse_size(text: str, *, bare_unit: int | None = None) -> int:
    """`50GB`, `50 GiB`, `50GB+` and `50GB..` as bytes.

    `bare_unit` is the number of bytes that a number without a unit counts (None refuses it; the
    aliases of SkyPilot give 2^30). Raises BadValue.
    """
    match = _SIZE.match(text.strip())
    if match is None:
        raise BadValue("size", "a number with a unit, such as 50GB or 48GiB")
    number, unit, _ = match.groups()
    if unit == "":
        if bare_unit is None:
            raise BadValue("unit-missing", f"a unit: {number}GB or {number}GiB")
        factor = bare_unit
    elif unit.upper() in SIZE_UNITS:
        factor = SIZE_UNITS[unit.upper()]
    else:
        raise BadValue("unit-unknown", "B, KB, MB, GB, TB, KiB, MiB, GiB or TiB")
    size = math.ceil(float(number) * factor) if len(number) < 30 else _LARGEST_SIZE + 1
    if size > _LARGEST_SIZE:
        raise BadValue("too-large", "at most 1000000TB")
    return size


def parse_duration(text: str) -> float:
    """`90s`, `20m`, `6h`, `1d` and `1h30m` as seconds. Raises BadValue; a bare number has no unit."""
    rest = text.strip()
    if re.fullmatch(_NUMBER, rest):
        raise BadValue("unit-missing", f"a unit: {rest}s, {rest}m or {rest}h")
    total, position = 0.0, 0
    while position < len(rest):
        match = _DURATION_PART.match(rest, position)
        if match is None:
            raise BadValue("duration", "a number with a unit, such as 30s, 20m or 6h")
        number, unit = match.groups()
        if unit not in DURATION_UNITS:
            raise BadValue("unit-unknown", "s, m, h or d")
        total += min(float(number[:30]), 1e12) * DURATION_UNITS[unit]
        position = match.end()
    if position == 0:
        raise BadValue("duration", "a number with a unit, such as 30s, 20m or 6h")
    if total > _LONGEST_DURATION:
        raise BadValue("too-large", "at most 366d")
    return total


def format_size(size: int) -> str:
    """Bytes for a person: `13.6 GB`, `820 MB`, `12 B`. Always decimal units."""
    if size < 1000:
        return f"{size} B"
    for unit, factor in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("KB", 10**3)):
        if size >= factor:
            figure = size / factor
            return (
                f"{figure:.0f} {unit}" if figure == int(figure) or figure >= 1000 else f"{figure:.1f} {unit}"
            )
    raise AssertionError(size)
