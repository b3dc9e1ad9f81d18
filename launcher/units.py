"""What compute units come to, in words. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.words import Text, Words


def hours_line(units: float, hours: Sequence[tuple[Text, str]]) -> Words:
    """`87 units = A100 16.1 h · L4 50.9 h`, from pairs of a name and its hours; at least one."""
    first, *others = (words("{runtime} {hours} h", runtime=name, hours=figure) for name, figure in hours)
    for other in others:
        first = words("{first} · {second}", first=first, second=other)
    return words("{units} units = {hours}", units=f"{units:g}", hours=first)


def units_expire(after_s: float) -> Words:
    """Units are not kept for good."""
    return words("Units expire {days} days after you got them.", days=round(after_s / 86400))


def dated_rate(units: float, usd: float, checked: str | None, *, stale: bool) -> Words:
    """`about 1.07 units/hour (US$0.11; rate of 2026-09-27)`; `checked` is the date of the figure."""
    figures = {"units": f"{units:.2f}", "usd": f"{usd:.2f}"}
    if checked is None:
        return words("about {units} units/hour (US${usd}; undated rate)", **figures)
    if stale:
        return words(
            "about {units} units/hour (US${usd}; rate of {date}, may have changed)", **figures, date=checked
        )
    return words("about {units} units/hour (US${usd}; rate of {date})", **figures, date=checked)
