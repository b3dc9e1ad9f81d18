"""Idle or not, by a series of looks. Pure; at the moment of the last look.

Idle is what has been quiet for the whole window, seen by enough looks. Of a series that goes on for weeks
only a `Memory` is kept: `decide` is nothing but `standing` after a `step` for every look.

What follows for a window that does not adapt, and what tests assert: a sign of life more, or one unknown
more, never makes anything idle earlier, unless it is that by which it is armed; looks that are lost never
do. One thing cannot be had: where the wall clock jumps there and back, and every look between the two jumps
is lost, nobody can know of it. A window that adapts never makes anything idle at a look at which the fixed
one would not: therefore looks have to cover both.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING

from launcher.idle.model import Active, Because, IdleSince, Sign
from launcher.values import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.idle.model import Look, Moment, Policy, Standing

# The window starts again when the machine slept for longer, when the wall clock jumped by more, and when
# nobody looked for longer (or for so many periods).
SLEPT_S = 5.0
JUMP_S = 60.0
GAP_S = 60.0
GAP_PERIODS = 3.0
# A look speaks for so many periods before it, at most.
COVER_PERIODS = 1.5
# The window in force: so many times the longest silence that ended by itself, within limits. On recorded
# sessions 3 recovers as much as 1.5, with a fifth to a quarter fewer false releases (docs/idle.md).
SILENCES = 3.0
WINDOWS = 4.0
ORDER = {sign: place for place, sign in enumerate(Sign)}


@dataclass(frozen=True, slots=True)
class Memory:
    """What is kept of a series: all times are CLOCK_MONOTONIC.

    Nothing before `floor` counts as quiet: the first look, or a restart. `stirred` is when there last was
    life or something unknown, of all looks; `longest_s` the longest silence that ended by itself. `covered`
    are the spans (from, to) that looks speak for, apart and in order, as far back as a window can reach:
    one where no look is late, and at most one for every 1.5 periods.
    """

    look: Look | None = None
    first: float = -inf
    floor: float = -inf
    restarted: bool = False
    armed: bool = False
    stirred: float = -inf
    longest_s: float = 0.0
    covered: tuple[tuple[float, float], ...] = ()


def decide(looks: Sequence[Look], policy: Policy) -> Standing:
    """How things stand at the last of these looks; a look that is not later than the one before is ignored.

    A look without any row says nothing, and is unknown.
    """
    memory = Memory()
    for look in looks:
        memory = step(memory, look, policy)
    return standing(memory, policy)


def step(memory: Memory, look: Look, policy: Policy) -> Memory:
    """The memory after one more look, with the same policy as the steps before."""
    before, at = memory.look, look.moment.at
    if before is None:
        begun = Memory(first=at, floor=at, covered=((at, at),))
        return _seen(begun, look, policy)
    if at <= before.moment.at:
        return memory
    if _restarts(before.moment, look.moment, policy):
        restarted = replace(memory, floor=at, restarted=True, covered=((at, at),))
        return _seen(restarted, look, policy)
    return _seen(replace(memory, covered=_cover(memory.covered, at, policy)), look, policy)


def _restarts(before: Moment, now: Moment, policy: Policy) -> bool:
    passed, booted = now.at - before.at, now.boottime - before.boottime
    slept = booted - passed > SLEPT_S
    jumped = abs(now.wall - before.wall - booted) > JUMP_S
    return slept or jumped or passed > max(GAP_S, GAP_PERIODS * policy.period_s)


def _cover(
    covered: tuple[tuple[float, float], ...], at: float, policy: Policy
) -> tuple[tuple[float, float], ...]:
    """The spans with that of one more look; what no window can reach any more is forgotten."""
    reaches = at - COVER_PERIODS * policy.period_s
    begin, end = covered[-1]
    latest = (*covered[:-1], (begin, at)) if reaches <= end else (*covered, (reaches, at))
    oldest = at - policy.window_s * (WINDOWS if policy.adapts else 1.0)
    return latest if latest[0][1] > oldest else tuple(span for span in latest if span[1] > oldest)


def _seen(memory: Memory, look: Look, policy: Policy) -> Memory:
    """The memory with what the rows of this look say.

    A silence is learnt only as far as it was watched: not across a restart, and what was unknown was none.
    """
    latest = max(_known(look).values(), default=-inf)
    silent_s = latest - max(memory.stirred, memory.floor)
    learns = memory.look is not None and _is_armed(memory, policy)
    return replace(
        memory,
        look=look,
        armed=memory.armed
        or any(last > memory.first for sign, last in _known(look).items() if sign in policy.armed_by),
        stirred=max(memory.stirred, latest, look.moment.at if _unknown(look) else -inf),
        longest_s=max(memory.longest_s, silent_s) if learns else memory.longest_s,
    )


def _known(look: Look) -> dict[Sign, float]:
    return {sign: row.value.last_alive for sign, row in look.lives.items() if isinstance(row, Known)}


def _unknown(look: Look) -> tuple[Sign, ...]:
    unknown = (sign for sign, row in look.lives.items() if isinstance(row, Unknown))
    return tuple(sorted(unknown, key=ORDER.__getitem__))


def _is_armed(memory: Memory, policy: Policy) -> bool:
    return memory.armed or not policy.armed_by


def window_in_force(memory: Memory, policy: Policy) -> float:
    """Seconds of silence that mean idle now; never fewer than the policy asks for."""
    if not policy.adapts:
        return policy.window_s
    return max(policy.window_s, min(SILENCES * memory.longest_s, WINDOWS * policy.window_s))


def standing(memory: Memory, policy: Policy) -> Standing:
    """How things stand at the last look. `IdleSince.at` is not before the first look or the last restart.

    `Active.quiet_since` neither; it is None while any row is unknown.
    """
    look, window = memory.look, window_in_force(memory, policy)
    if look is None:
        return Active(Because.NOT_COVERED, window_s=window)
    at, known, unknown = look.moment.at, _known(look), _unknown(look)
    quiet = max(memory.floor, *known.values()) if known else memory.floor
    alive = [sign for sign in ORDER if sign in known and known[sign] + window > at]
    if alive:
        alive.sort(key=lambda sign: -known[sign])
        because, which = Because.ALIVE, tuple(alive)
    elif unknown or not known:
        because, which = Because.UNKNOWN, unknown
    elif not _is_armed(memory, policy):
        because, which = Because.NOT_ARMED, ()
    elif quiet + window > at:
        because, which = (Because.RESTARTED if memory.restarted else Because.NOT_COVERED), ()
    elif not _is_covered(memory, policy, at, window):
        because, which = Because.NOT_COVERED, ()
    else:
        return IdleSince(quiet, window)
    if unknown or not known:
        return Active(because, which, window_s=window)
    idle_at = _idle_at(memory, policy, quiet, window) if _is_armed(memory, policy) else None
    return Active(because, which, quiet, idle_at, window)


# --- coverage -------------------------------------------------------------------------------------


def _is_covered(memory: Memory, policy: Policy, at: float, window: float) -> bool:
    """Do looks speak for enough of the window in force, and of the one that was asked for?"""
    return all(
        _covers(sum(end - begin for begin, end in _holes(memory, at - length)), policy, length)
        for length in {policy.window_s, window}
    )


def _covers(missing_s: float, policy: Policy, window: float) -> bool:
    # What is missing is summed up: where nothing is, no rounding can say otherwise.
    return window - missing_s >= policy.coverage * window


def _holes(memory: Memory, start: float) -> list[tuple[float, float]]:
    """What no look speaks for between `start` and the last look, the oldest first."""
    ends = (start, *(end for _, end in memory.covered))
    begins = (begin for begin, _ in memory.covered)
    holes = ((max(end, start), begin) for end, begin in zip(ends, begins, strict=False))
    return [(end, begin) for end, begin in holes if begin > end]


def _idle_at(memory: Memory, policy: Policy, quiet: float, window: float) -> float:
    """When it will be idle if nothing stirs, and looks go on as they should."""
    at = memory.covered[-1][1]
    # A hole matters until enough of it has left the window at its old end.
    return max(
        quiet + window,
        *(
            _covered_from(memory, policy, length, max(quiet, at - length)) + length
            for length in {policy.window_s, window}
        ),
    )


def _covered_from(memory: Memory, policy: Policy, length: float, start: float) -> float:
    """The first moment, `start` or later, from which on a window of this length will be covered."""
    holes = _holes(memory, start)
    missing_s = sum(end - begin for begin, end in holes)
    for begin, end in holes:
        if _covers(missing_s, policy, length):
            break
        too_much = missing_s - (length - policy.coverage * length)
        if too_much <= end - begin:
            return begin + too_much
        start = end
        missing_s -= end - begin
    return start
