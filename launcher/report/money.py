"""Figures that cost money, each with its unit and the date of its source. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launcher.record import HourlyRate


def per_hour(rate: HourlyRate) -> str:
    """`about 1.07 units/hour (US$0.11; rate of 2026-09-27)`."""
    dated = f"rate of {rate.checked}" if rate.checked else "undated rate"
    return f"about {rate.units:.2f} units/hour (US${rate.usd:.2f}; {dated})"


def keeps_costing(rate: HourlyRate | None) -> str:
    """What standing still costs: `this runtime stays, …`."""
    if rate is None:
        return "using compute units (rate not known)"
    return f"using {per_hour(rate)}"
