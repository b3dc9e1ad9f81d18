"""What is said when an attempt has ended, and when the next one begins. Pure."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from launcher.guard.model import CouldNotStart, Signalled
from launcher.spec.model import RetryOn
from launcher.words import listed, spelled, words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.guard.model import Attempt, RunReport
    from launcher.words import Text


def again_said(row: Attempt, report: RunReport, restart: int, most: int) -> Text:
    """`attempt 1 failed with exit code 3; again in 12 s (1 of 2)`: the first restart of two."""
    time = spelled(_whole(row.next_in_s or 0.0))
    what = _ended(row, report)
    return words(
        "{what}; again in {time} ({number} of {most})", what=what, time=time, number=restart, most=most
    )


def not_again_said(row: Attempt, report: RunReport, most: int) -> Text:
    """The last of them has failed too."""
    return words(
        "{what}; it was started again {most} times, and is not any more", what=_ended(row, report), most=most
    )


def begins_said(number: int, settings: Mapping[str, str]) -> Text:
    """With what `env_on_oom` has changed."""
    if not settings:
        return words("attempt {number} begins", number=number)
    told = listed(f"{name}={value}" for name, value in settings.items())
    return words("attempt {number} begins, with {settings}", number=number, settings=told)


def _ended(row: Attempt, report: RunReport) -> Text:
    number, outcome = row.number, report.outcome
    if row.kind == RetryOn.OOM.value:
        if report.of_gpu:
            return words("attempt {number}: the memory of a GPU ran out", number=number)
        return words("attempt {number}: memory ran out", number=number)
    if isinstance(outcome, Signalled):
        return words("attempt {number} was ended by {signal}", number=number, signal=_name(outcome.signal))
    if isinstance(outcome, CouldNotStart):
        return words("attempt {number} could not start: {why}", number=number, why=outcome.why)
    if row.kind == RetryOn.STALLED.value:
        return words("attempt {number} had stalled", number=number)
    if row.kind == RetryOn.LOST.value:
        return words("attempt {number} was lost with its guards", number=number)
    return words("attempt {number} failed with exit code {code}", number=number, code=row.exit_code)


def _name(number: int) -> Text:
    try:
        return signal.Signals(number).name
    except ValueError:
        return words("signal {number}", number=number)


def _whole(seconds: float) -> float:
    return round(seconds, 1) if seconds < 10 else round(seconds)
