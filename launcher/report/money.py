"""Figures that cost money, each with its unit and the date of its source. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.units import dated_rate
from launcher.words import words

if TYPE_CHECKING:
    from launcher.record import HourlyRate
    from launcher.words import Words


def per_hour(rate: HourlyRate) -> Words:
    """`about 1.07 units/hour (US$0.11; rate of 2026-09-27)`."""
    return dated_rate(rate.units, rate.usd, rate.checked, stale=rate.stale)


def keeps_costing(rate: HourlyRate | None) -> Words:
    """What standing still costs."""
    if rate is None:
        return words("this runtime stays, and goes on costing (rate not known)")
    return words("this runtime stays, using {rate}", rate=per_hour(rate))


def until_then(rate: HourlyRate) -> Words:
    """What a runtime costs that goes by itself, but not yet."""
    return words("until then it goes on using {rate}", rate=per_hour(rate))
