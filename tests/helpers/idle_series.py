"""Series of looks for tests of idleness: written by hand, or thrown with a dice that has a seed.

Times are whole seconds and windows even, so that every edge is met exactly, without rounding.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING

from launcher.idle.decide import Memory, standing, step
from launcher.idle.model import WORK, IdleSince, Life, Look, Moment, Policy, Sign
from launcher.values import Known, Reading, Unknown

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Mapping, Sequence

    from launcher.idle.model import Standing

UNKNOWN = Unknown("timeout")
Row = Reading[Life]


def moment(at: float, slept: float = 0.0, jumped: float = 0.0) -> Moment:
    """A moment of a machine that has slept for so long in all, and whose wall clock has jumped by so much."""
    return Moment(at, at + slept, 1_800_000_000 + at + slept + jumped)


def alive(last: float) -> Row:
    return Known(Life(last))


def look(at: float, rows: Mapping[Sign, float | Row], slept: float = 0.0, jumped: float = 0.0) -> Look:
    """A look whose rows are last moments of life, or readings."""
    lives = {sign: alive(row) if isinstance(row, (int, float)) else row for sign, row in rows.items()}
    return Look(moment(at, slept, jumped), lives)


def looks_every(period: float, until: float, rows: Mapping[Sign, float | Row]) -> list[Look]:
    """Looks from 0 to `until`; a row's life is not later than its look."""
    looks, at = [], 0.0
    while at <= until:
        looks.append(look(at, {s: min(r, at) if isinstance(r, (int, float)) else r for s, r in rows.items()}))
        at += period
    return looks


def standings(looks: Iterable[Look], policy: Policy) -> list[Standing]:
    """How things stand at each look."""
    memory, all_of_them = Memory(), []
    for one in looks:
        memory = step(memory, one, policy)
        all_of_them.append(standing(memory, policy))
    return all_of_them


def idle_looks(looks: Sequence[Look], policy: Policy) -> set[float]:
    """The moments of the looks at which it is idle."""
    judged = zip(looks, standings(looks, policy), strict=True)
    return {one.moment.at for one, stands in judged if isinstance(stands, IdleSince)}


def first_life(looks: Sequence[Look], policy: Policy) -> float:
    """The first look that arms; for ever, if none does."""
    for one in looks:
        for sign in policy.armed_by & one.lives.keys():
            row = one.lives[sign]
            if isinstance(row, Known) and row.value.last_alive > looks[0].moment.at:
                return one.moment.at
    return inf


# --- by chance ------------------------------------------------------------------------------------


def a_policy(dice: random.Random, adapts: bool | None = None) -> Policy:
    period = dice.choice((2, 4, 10, 20))
    return Policy(
        window_s=period * dice.choice((2, 3, 5, 8, 12)),
        period_s=period,
        coverage=dice.choice((0.5, 0.7, 0.7, 0.75, 1.0)),
        armed_by=WORK if dice.random() < 0.4 else frozenset(),
        adapts=dice.random() < 0.5 if adapts is None else adapts,
    )


@dataclass(frozen=True)
class Quirks:
    """What may happen in a series. `one_way`: the wall clock jumps forward only."""

    one_way: bool = False
    absent: bool = True


def a_series(dice: random.Random, policy: Policy, quirks: Quirks = Quirks()) -> list[Look]:
    """Looks at a few signs that keep their promise, with silences, unknown spells and restarts."""
    moments = _moments(dice, policy, quirks)
    signs = dice.sample(tuple(Sign), dice.randint(1, 4))
    rows = {sign: _rows(dice, moments, policy) for sign in signs}
    # Hardware comes and goes; the first sign is always there.
    away = {sign: _some_of(dice, len(moments)) if quirks.absent else set() for sign in signs[1:]}
    return [
        Look(now, {sign: rows[sign][n] for sign in signs if n not in away.get(sign, ())})
        for n, now in enumerate(moments)
    ]


def _moments(dice: random.Random, policy: Policy, quirks: Quirks) -> list[Moment]:
    period = int(policy.period_s)
    late = dice.choice((0.0, 0.1, 0.4))
    odd = dice.choice((0.0, 0.0, 0.05))
    at, slept, jumped = dice.randint(100, 9999), 0, 0
    moments = [moment(at)]
    for _ in range(dice.randint(4, 45)):
        gap = period
        if dice.random() < late:
            gap = dice.choice((period // 2, period + period // 2, 2 * period, 3 * period, 3 * period + 1, 61))
        at += gap
        if dice.random() < odd:
            slept += dice.choice((1, 5, 6, 500))
        if dice.random() < odd:
            jump = dice.choice((1, 40, 60, 61, 3600))
            jumped += jump if quirks.one_way or dice.random() < 0.5 else -jump
        moments.append(moment(at, slept, jumped))
    return moments


def _rows(dice: random.Random, moments: Sequence[Moment], policy: Policy) -> list[Row]:
    """One signal's rows: life in bursts, and unknown spells, which it makes good for or not."""
    first, end = int(moments[0].at), int(moments[-1].at)
    lives = [first]
    for _ in range(dice.choice((0, 0, 1, 2, 4))):
        begin = dice.randint(first, end)
        lives += range(begin, min(end, begin + dice.randint(0, int(policy.window_s))) + 1, dice.randint(1, 9))
    lives.sort()
    unknown = _some_of(dice, len(moments))
    makes_good = dice.random() < 0.3
    rows: list[Row] = []
    least = float(first)
    for number, now in enumerate(moments):
        if number in unknown:
            least = least if makes_good else now.at
            rows.append(UNKNOWN)
        else:
            least = max(least, lives[bisect_right(lives, now.at) - 1])
            rows.append(alive(least))
    return rows


def _some_of(dice: random.Random, count: int) -> set[int]:
    """None, mostly; or a spell of a series."""
    if dice.random() < 0.75:
        return set()
    begin = dice.randrange(count)
    return set(range(begin, min(count, begin + dice.randint(1, 6))))


# --- the same with a change -----------------------------------------------------------------------


def with_life(dice: random.Random, looks: Sequence[Look]) -> list[Look]:
    """One sign was alive once more: no row from then on says less."""
    when, sign = dice.randrange(len(looks)), dice.choice(tuple(Sign))
    row = looks[when].lives.get(sign)
    before = int(row.value.last_alive) if isinstance(row, Known) else int(looks[0].moment.at)
    last = dice.choice((int(looks[when].moment.at), dice.randint(before, int(looks[when].moment.at))))
    return [*looks[:when], *(_raised(one, sign, last) for one in looks[when:])]


def with_unknown(dice: random.Random, looks: Sequence[Look]) -> list[Look]:
    """One sign was unknown in one look, and was perhaps alive as long."""
    when, sign = dice.randrange(len(looks)), dice.choice(tuple(Sign))
    asked = looks[when]
    hidden = replace(asked, lives={**asked.lives, sign: UNKNOWN})
    return [*looks[:when], hidden, *(_raised(one, sign, asked.moment.at) for one in looks[when + 1 :])]


def _raised(one: Look, sign: Sign, last: float) -> Look:
    row = one.lives.get(sign, alive(last))
    if isinstance(row, Known):
        row = alive(max(row.value.last_alive, last))
    return replace(one, lives={**one.lives, sign: row})


def jumps(looks: Sequence[Look]) -> set[int]:
    """The numbers of the looks between which the wall clock jumped."""
    seen: set[int] = set()
    for number, (before, now) in enumerate(pairwise(looks)):
        off = (now.moment.wall - now.moment.boottime) - (before.moment.wall - before.moment.boottime)
        if abs(off) > 60:
            seen |= {number, number + 1}
    return seen


def without_some(dice: random.Random, looks: Sequence[Look], kept: Iterable[int] = ()) -> list[Look]:
    """Some looks are lost: here and there, or a stretch; those whose numbers are in `kept` are not."""
    share = dice.choice((0.05, 0.3, 0.8))
    lost = {number for number in range(len(looks)) if dice.random() < share}
    if dice.random() < 0.3:
        begin = dice.randrange(len(looks))
        lost = set(range(begin, dice.randint(begin, len(looks))))
    lost -= set(kept)
    return [one for number, one in enumerate(looks) if number not in lost]
