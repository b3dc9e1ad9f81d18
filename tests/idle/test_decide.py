"""The decision against a second answer, and what must hold of every series.

2000 random series for each property by default; COLAB_RUN_TEST_EXAMPLES=20000 for the long run (minutes).
"""

from __future__ import annotations

import os
import random
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

import pytest

from helpers import idle_oracle
from helpers.idle_series import (
    UNKNOWN,
    Quirks,
    a_policy,
    a_series,
    alive,
    first_life,
    idle_looks,
    jumps,
    look,
    looks_every,
    standings,
    with_life,
    with_unknown,
    without_some,
)
from launcher.idle.decide import Memory, decide, standing, step, window_in_force
from launcher.idle.model import WORK, Active, Because, IdleSince, Policy, Sign

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from launcher.idle.model import Look

EXAMPLES = int(os.environ.get("COLAB_RUN_TEST_EXAMPLES", "2000"))
# Ten looks in a window.
RUNTIME = Policy(window_s=600, period_s=60)
JOB = replace(RUNTIME, armed_by=WORK, adapts=True)
JOB_SIGNS = (Sign.GPU, Sign.CPU, Sign.DISK, Sign.NETWORK, Sign.OUTPUT, Sign.FILES, Sign.BEAT)
RUNTIME_SIGNS = tuple(sign for sign in Sign if sign is not Sign.OUTPUT)


def throws(what: str) -> Iterator[random.Random]:
    """As many dice as there are examples, each with a seed of its own."""
    for number in range(EXAMPLES):
        yield random.Random(f"{what}/{number}")


# --- the matrix -----------------------------------------------------------------------------------


@pytest.mark.parametrize("worked", [True, False], ids=["worked", "never worked"])
@pytest.mark.parametrize(
    ("policy", "signs"), [(JOB, JOB_SIGNS), (RUNTIME, RUNTIME_SIGNS)], ids=["job", "no job"]
)
def test_every_combination_of_signs(policy: Policy, signs: Sequence[Sign], worked: bool) -> None:
    """Each alive, quiet or unknown: one that lives or is unknown keeps it; a job has to have worked."""
    quiet_since = 60 if worked else 0
    now = 660
    memory = Memory()
    for one in looks_every(60, 600, dict.fromkeys(signs, quiet_since)):
        memory = step(memory, one, policy)
    for states in product(("alive", "quiet", "unknown"), repeat=len(signs)):
        # The later a sign is in the table, the later it lived.
        lives = {sign: 100 + 10 * n for n, sign in enumerate(signs) if states[n] == "alive"}
        unknown = tuple(sign for n, sign in enumerate(signs) if states[n] == "unknown")
        rows = {**dict.fromkeys(signs, quiet_since), **lives, **dict.fromkeys(unknown, UNKNOWN)}
        found = standing(step(memory, look(now, rows), policy), policy)
        if lives:
            assert isinstance(found, Active) and found.because is Because.ALIVE, states
            assert found.which == tuple(reversed(lives)), states
            assert found.idle_at == (None if unknown else max(lives.values()) + found.window_s), states
        elif unknown:
            assert found == Active(Because.UNKNOWN, unknown, None, None, 600), states
        elif policy is JOB and not worked:
            assert found == Active(Because.NOT_ARMED, (), 0, None, 600), states
        else:
            assert found == IdleSince(quiet_since, 600), states


@pytest.mark.parametrize("sign", Sign)
def test_a_job_is_armed_by_work_only(sign: Sign) -> None:
    """A person's keystroke, a cell or a kept machine is no work; everything else is."""
    looks = looks_every(60, 1200, {sign: 60})
    assert isinstance(decide(looks, JOB), IdleSince) is (sign in WORK)
    assert isinstance(decide(looks, RUNTIME), IdleSince)


# --- edges ----------------------------------------------------------------------------------------


def test_nothing_is_known_of_an_empty_series() -> None:
    """No look, no release; nor from a look without a single row."""
    assert decide([], RUNTIME) == Active(Because.NOT_COVERED, window_s=600)
    assert decide(looks_every(60, 6000, {}), RUNTIME) == Active(Because.UNKNOWN, window_s=600)


def test_a_life_exactly_a_window_ago_is_idle() -> None:
    """And one that is a moment younger is not."""
    looks = looks_every(60, 1200, {Sign.CPU: 600})
    assert decide(looks, RUNTIME) == IdleSince(600, 600)
    assert decide(looks[:-1], RUNTIME) == Active(Because.ALIVE, (Sign.CPU,), 600, 1200, 600)
    younger = looks_every(60, 1200, {Sign.CPU: 600.001})
    assert decide(younger, RUNTIME) == Active(Because.ALIVE, (Sign.CPU,), 600.001, 1200.001, 600)


def test_nothing_before_the_first_look_counts_as_quiet() -> None:
    """A file that was last written yesterday says nothing about the last ten minutes."""
    looks = looks_every(60, 600, {Sign.FILES: -90000})
    assert decide(looks[:-1], RUNTIME) == Active(Because.NOT_COVERED, (), 0, 600, 600)
    assert decide(looks, RUNTIME) == IdleSince(0, 600)


def test_a_look_that_is_not_later_is_ignored() -> None:
    """Whatever it says: life, or silence, or that a clock jumped."""
    looks = looks_every(60, 600, {Sign.CPU: 0})
    for at in (600, 599, 0):
        assert decide([*looks, look(at, {Sign.CPU: at}, jumped=4000)], RUNTIME) == IdleSince(0, 600)


def test_unknown_holds_as_long_as_it_is_unknown() -> None:
    """And no longer, where the signal makes good for the while."""
    looks = looks_every(60, 600, {Sign.CPU: 0})
    held = [*looks, look(660, {Sign.CPU: UNKNOWN})]
    assert decide(held, RUNTIME) == Active(Because.UNKNOWN, (Sign.CPU,), None, None, 600)
    assert decide([*held, look(720, {Sign.CPU: 0})], RUNTIME) == IdleSince(0, 600)


def series_with(gaps: Sequence[float], policy: Policy) -> list[Look]:
    """Nothing alive after 0, and looks with these gaps."""
    at, looks = 0.0, [look(0, {Sign.GPU: 0})]
    for gap in gaps:
        at += gap
        looks.append(look(at, {Sign.GPU: 0}))
    return looks


@pytest.mark.parametrize(
    ("coverage", "seen"),
    [(0.6, 360), (0.7, 420), (0.75, 450), (0.9, 540)],
)
def test_looks_that_cover_exactly_enough_are_enough(coverage: float, seen: int) -> None:
    """A look speaks for 1.5 periods before it; half a second less than enough is not."""
    policy = Policy(window_s=600, period_s=20, coverage=coverage)
    # Gaps of 60 s speak for 30 s; one of 60.5 s would be a restart.
    lost = (600 - seen) / 30
    gaps = [60] * int(lost) + [20] * int((600 - 60 * lost) // 20)
    assert sum(gaps) == 600
    assert decide(series_with(gaps, policy), policy) == IdleSince(0, 600)
    found = decide(series_with([30.5, 9.5, *gaps[:-2]], policy), policy)
    assert sum([30.5, 9.5, *gaps[:-2]]) == 600
    assert found == Active(Because.NOT_COVERED, (), 0, 600.5, 600)


@pytest.mark.parametrize("full", [0.3, 0.7, 600.1])
def test_regular_looks_cover_a_window_whole_whatever_is_rounded(full: float) -> None:
    """Of times that no float can say exactly nothing is missing."""
    policy = Policy(window_s=full, period_s=full / 7, coverage=1.0)
    looks = [look(1000.1 + n * full / 7, {Sign.GPU: 1000.1}) for n in range(9)]
    assert isinstance(decide(looks, policy), IdleSince)


@pytest.mark.parametrize(
    ("policy", "slept", "jumped", "gap", "restarts"),
    [
        (RUNTIME, 5, 0, 60, False),
        (RUNTIME, 5.5, 0, 60, True),
        (RUNTIME, 0, 60, 60, False),
        (RUNTIME, 0, 60.5, 60, True),
        (RUNTIME, 0, -60, 60, False),
        (RUNTIME, 0, -60.5, 60, True),
        (RUNTIME, 0, 0, 180, False),
        (RUNTIME, 0, 0, 180.5, True),
        (replace(RUNTIME, period_s=10), 0, 0, 60, False),
        (replace(RUNTIME, period_s=10), 0, 0, 60.5, True),
    ],
)
def test_what_restarts_the_window(
    policy: Policy, slept: float, jumped: float, gap: float, restarts: bool
) -> None:
    """A machine that slept, a wall clock that jumped, or nobody who looked: each from its edge on."""
    policy = replace(policy, coverage=0.1)
    after = [look(600 + gap + at, {Sign.CPU: 0}, slept, jumped) for at in range(0, 601, int(policy.period_s))]
    looks = [*looks_every(policy.period_s, 600, {Sign.CPU: 0}), *after]
    begun = 600 + gap
    found = standings(looks, policy)[-len(after) :]
    if restarts:
        assert set(found[:-1]) == {Active(Because.RESTARTED, (), begun, begun + 600, 600)}
        assert found[-1] == IdleSince(begun, 600)
    else:
        assert set(found) == {IdleSince(0, 600)}


def test_the_window_grows_with_a_silence_that_ended_by_itself() -> None:
    """A job that has validated for 25 minutes is not stalled at 20; four windows are the limit."""
    policy = Policy(window_s=1200, period_s=60, armed_by=WORK, adapts=True)

    def lived(*lives: float) -> list[Look]:
        return [look(at, {Sign.GPU: max(x for x in lives if x <= at)}) for at in range(0, 12001, 60)]

    assert min(idle_looks(lived(0, 60), policy)) == 60 + 1200
    # Idle in the first validation; the second may take longer.
    assert min(at for at in idle_looks(lived(0, 60, 1560), policy) if at > 1560) == 1560 + 4500
    short = [at for at in idle_looks(lived(0, 60, 660), policy) if at > 660]
    assert min(short) == 660 + 1800
    assert min(at for at in idle_looks(lived(0, 60, 6060), policy) if at > 6060) == 6060 + 4800
    # Before the first work there was no silence.
    assert min(at for at in idle_looks(lived(0, 1560), policy) if at > 1560) == 1560 + 1200


def test_an_unwatched_silence_is_not_learnt() -> None:
    """Neither what was unknown nor what nobody looked at is known to have been silent."""
    policy = Policy(window_s=1200, period_s=60, adapts=True)
    memory = Memory()
    for one in (
        *looks_every(60, 1200, {Sign.GPU: 0}),
        look(1260, {Sign.GPU: UNKNOWN}),
        look(1320, {Sign.GPU: 1300}),
        look(2400, {Sign.GPU: 2400}),
    ):
        memory = step(memory, one, policy)
    assert memory.longest_s == 40
    assert window_in_force(memory, policy) == 1200


# --- what holds of every series -------------------------------------------------------------------


def test_the_second_answer_is_the_same() -> None:
    """At every look of every series; with looks that come twice or late."""
    because: dict[object, int] = {}
    for dice in throws("oracle"):
        policy = a_policy(dice)
        looks = a_series(dice, policy)
        if dice.random() < 0.2:
            looks.insert(dice.randrange(1, len(looks)), dice.choice(looks))
        for number, found in enumerate(standings(looks, policy), 1):
            if number % 3 and number != len(looks):
                continue
            plain = replace(found, idle_at=None) if isinstance(found, Active) else found
            assert plain == idle_oracle.expected(looks[:number], policy), (policy, looks[:number])
            kind = plain.because if isinstance(plain, Active) else IdleSince
            because[kind] = because.get(kind, 0) + 1
    assert all(because.get(kind, 0) > EXAMPLES / 20 for kind in (*Because, IdleSince)), because


def check(
    what: str,
    changed: Callable[[random.Random, Policy], tuple[list[Look], list[Look]]],
    often: float = 0.1,
) -> None:
    """Where the changed series is idle the other is too, look by look; and some do differ."""
    differ = 0
    for dice in throws(what):
        policy = a_policy(dice, adapts=False)
        looks, others = changed(dice, policy)
        idle, idle_then = idle_looks(looks, policy), idle_looks(others, policy)
        assert idle_then <= idle, (policy, looks, others)
        differ += idle_then & {one.moment.at for one in others} != idle & {one.moment.at for one in others}
    assert differ > often * EXAMPLES


@pytest.mark.parametrize("add", [with_life, with_unknown])
def test_a_sign_of_life_more_never_makes_it_idle_earlier(
    add: Callable[[random.Random, Sequence[Look]], list[Look]],
) -> None:
    """Nor one unknown more; unless that is what arms."""

    def changed(dice: random.Random, policy: Policy) -> tuple[list[Look], list[Look]]:
        looks = a_series(dice, policy)
        more = add(dice, looks)
        while first_life(more, policy) < first_life(looks, policy):
            more = add(dice, looks)
        return looks, more

    check(add.__name__, changed)


def test_looks_that_are_lost_never_make_it_idle_earlier() -> None:
    """Any of them, as long as the wall clock goes one way."""

    def changed(dice: random.Random, policy: Policy) -> tuple[list[Look], list[Look]]:
        looks = a_series(dice, policy, Quirks(one_way=True))
        return looks, without_some(dice, looks)

    check("lost", changed)


def test_looks_that_are_lost_between_jumps_of_the_clock() -> None:
    """Any but the two between which the wall clock jumped: only there a jump and its return are seen."""

    def changed(dice: random.Random, policy: Policy) -> tuple[list[Look], list[Look]]:
        looks = a_series(dice, policy)
        return looks, without_some(dice, looks, kept=jumps(looks))

    check("lost between", changed)


def test_an_adapting_window_is_never_earlier_than_a_fixed_one() -> None:
    """At no look, whatever was learnt; and often later."""
    later = 0
    for dice in throws("adapts"):
        policy = a_policy(dice, adapts=True)
        looks = a_series(dice, policy)
        adapted, fixed = idle_looks(looks, policy), idle_looks(looks, replace(policy, adapts=False))
        assert adapted <= fixed, (policy, looks)
        later += adapted != fixed
    assert later > EXAMPLES / 20


def test_a_series_in_two_parts_is_one_series() -> None:
    """What a memory was folded from does not matter, and folding on leaves it as it was."""
    for dice in throws("parts"):
        policy = a_policy(dice)
        looks = a_series(dice, policy)
        cut = dice.randint(0, len(looks))
        memory = Memory()
        for one in looks[:cut]:
            memory = step(memory, one, policy)
        for _ in range(2):
            rest = memory
            for one in looks[cut:]:
                rest = step(rest, one, policy)
            assert standing(rest, policy) == decide(looks, policy)


def test_it_is_idle_when_it_was_said_that_it_would_be() -> None:
    """If nothing stirs and looks go on: not half a second before `idle_at`, and right after it."""
    said = 0
    for dice in throws("idle at"):
        policy = a_policy(dice)
        looks = a_series(dice, policy)
        found = decide(looks, policy)
        if not isinstance(found, Active) or found.idle_at is None:
            continue
        last = looks[-1]
        moments = [found.idle_at - 0.5, found.idle_at + 1e-6]
        at = last.moment.at
        while (at := at + policy.period_s) < moments[0]:
            moments.append(at)
        ahead = [
            replace(
                last,
                moment=replace(
                    last.moment,
                    at=at,
                    boottime=last.moment.boottime + at - last.moment.at,
                    wall=last.moment.wall + at - last.moment.at,
                ),
            )
            for at in sorted(moments)
            if at > last.moment.at
        ]
        *before, then = standings([*looks, *ahead], policy)[len(looks) :]
        assert isinstance(then, IdleSince), (policy, looks, found)
        assert not any(isinstance(one, IdleSince) for one in before), (policy, looks, found)
        said += 1
    assert said > EXAMPLES / 4


@pytest.mark.parametrize("gap", [15, 44], ids=["regular", "every look late"])
@pytest.mark.parametrize("adapts", [True, False])
def test_a_memory_of_weeks_is_small(gap: int, adapts: bool) -> None:
    """After 100 000 looks, 17 days and more, it holds one look, and as many spans as fit into a window."""
    policy = Policy(window_s=1800, period_s=15, adapts=adapts)
    memory, most = Memory(), 0
    for number in range(100_000):
        # Dead for a long while now and then, so that windows grow and spans grow old.
        last = gap * (number - number % 500)
        memory = step(memory, look(gap * number, {Sign.GPU: last, Sign.CPU: alive(0)}), policy)
        most = max(most, len(memory.covered))
    reach = 1800 * (4 if adapts else 1)
    assert most <= (1 if gap == 15 else reach / 22.5 + 2)
    assert memory.covered[0][1] > gap * 99_999 - reach
