"""The decision once more, without memory: every half second of the window is looked at by itself.

Nothing of decide.py is used, and every answer is worked out from the whole series.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.idle.model import Active, Because, IdleSince, Sign
from launcher.values import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.idle.model import Look, Policy, Standing


def expected(looks: Sequence[Look], policy: Policy) -> Standing:
    """How things stand at the last look; an Active is without its `idle_at`."""
    series = in_order(looks)
    last = series[-1]
    now = last.moment.at
    window = window_in_force(series, policy)
    lives = lives_of(last)
    floors = restarts(series, policy)
    quiet = max([*floors, *lives.values()])
    unknown = tuple(sign for sign in Sign if isinstance(last.lives.get(sign), Unknown))
    ticks = half_seconds(now - window, now)
    # One that has lived in this half second or after it, as far as anybody knows.
    recent = [sign for sign in Sign if sign in lives and any(tick < lives[sign] for tick in ticks)]
    recent.sort(key=lambda sign: now - lives[sign])
    since = None if unknown else quiet
    if recent:
        return Active(Because.ALIVE, tuple(recent), since, None, window)
    if unknown:
        return Active(Because.UNKNOWN, unknown, None, None, window)
    if not armed(series, policy):
        return Active(Because.NOT_ARMED, (), since, None, window)
    if any(tick < max(floors) for tick in ticks):
        because = Because.RESTARTED if len(floors) > 1 else Because.NOT_COVERED
        return Active(because, (), since, None, window)
    for length in (policy.window_s, window):
        seen = [tick for tick in half_seconds(now - length, now) if spoken_for(tick, series, policy)]
        if len(seen) / 2 < policy.coverage * length:
            return Active(Because.NOT_COVERED, (), since, None, window)
    return IdleSince(quiet, window)


def half_seconds(begin: float, end: float) -> list[float]:
    return [begin + half / 2 for half in range(int(2 * (end - begin)))]


def in_order(looks: Sequence[Look]) -> list[Look]:
    """Without the looks that are not later than all before."""
    return [
        one
        for number, one in enumerate(looks)
        if all(other.moment.at < one.moment.at for other in looks[:number])
    ]


def lives_of(look: Look) -> dict[Sign, float]:
    return {sign: row.value.last_alive for sign, row in look.lives.items() if isinstance(row, Known)}


def armed(series: Sequence[Look], policy: Policy) -> bool:
    first = series[0].moment.at
    seen = [last for one in series for sign, last in lives_of(one).items() if sign in policy.armed_by]
    return not policy.armed_by or (seen != [] and max(seen) > first)


def restarts(series: Sequence[Look], policy: Policy) -> list[float]:
    """The beginning, and every look before which the clocks fell apart or nobody looked."""
    moments = [one.moment for one in series]
    found = [moments[0].at]
    for number in range(1, len(moments)):
        was, now = moments[number - 1], moments[number]
        asleep = (now.boottime - now.at) - (was.boottime - was.at)
        jumped = (now.wall - now.boottime) - (was.wall - was.boottime)
        gap = now.at - was.at
        if asleep > 5 or not -60 <= jumped <= 60 or (gap > 60 and gap > 3 * policy.period_s):
            found.append(now.at)
    return found


def spoken_for(tick: float, series: Sequence[Look], policy: Policy) -> bool:
    """Is there a look soon after this half second, and did the series go on through it?"""
    later = [one.moment.at for one in series if one.moment.at > tick]
    return series[0].moment.at <= tick and later != [] and later[0] - tick <= 1.5 * policy.period_s


def window_in_force(series: Sequence[Look], policy: Policy) -> float:
    if not policy.adapts:
        return policy.window_s
    silences = [0.0]
    for number in range(1, len(series)):
        before = series[:number]
        lives = lives_of(series[number]).values()
        if not lives or not armed(before, policy):
            continue
        stirs = [
            *restarts(series[: number + 1], policy),
            *(last for one in before for last in lives_of(one).values()),
            *(one.moment.at for one in before if any(isinstance(row, Unknown) for row in one.lives.values())),
        ]
        silences.append(max(lives) - max(stirs))
    return max(policy.window_s, min(4 * policy.window_s, 3.0 * max(silences)))
