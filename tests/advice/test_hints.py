"""What is said before a launch, and blocks nothing: the cheaper runtime, the wall, the tab, the units."""

from __future__ import annotations

from dataclasses import replace

import pytest

from helpers import catalogs
from launcher.probes.model import PlatformKind
from launcher.spec.model import GpuAny, GpuClasses, GpuClassOption, GpuNone, Resources
from launcher.units import units_expire
from launcher.values import Known
from launcher.verdict.compare import judge
from launcher.verdict.hints import (
    Account,
    closing_the_tab,
    costs_more,
    hints,
    hits_the_wall,
    units_last,
)
from launcher.verdict.rows import facts_of

CATALOG = catalogs.shipped()
COLAB = CATALOG.colab
ROWS = {row.key: row for row in COLAB.runtimes}
PLANS = {plan.key: plan for plan in COLAB.plans}
GB = 10**9
HOUR = 3600.0


def dear(resources: Resources, key: str, plan: str | None = None) -> str:
    verdict = judge(resources, facts_of(ROWS[key], CATALOG), CATALOG)
    return str(costs_more(resources, verdict, ROWS[key], CATALOG, PLANS[plan] if plan else None) or "")


def gpu(name: str) -> Resources:
    return Resources(gpu=GpuClasses((GpuClassOption(name),)))


@pytest.mark.parametrize(
    ("resources", "here", "said"),
    [
        (Resources(), "t4", "asks for no GPU: CPU would do, about 0.08"),
        (Resources(gpu=GpuNone()), "a100-40", "asks for no GPU: CPU would do, about 0.08"),
        (Resources(ram_bytes=50 * GB), "a100-40", "cheaper runtime would do: T4 with High-RAM, about 1.27"),
        (Resources(), "v6e-1", "cheaper runtime would do: CPU"),
        (Resources(gpu=GpuAny()), "t4", ""),
        (Resources(gpu=GpuAny()), "t4-highram", ""),  # 19 % more
        (Resources(gpu=GpuAny()), "l4", "T4, about 1.07"),
        (gpu("T4"), "a100-40", "T4, about 1.07"),
        (gpu("L4"), "a100-40", "L4, about 1.71"),
        (gpu("A100"), "a100-40", ""),
        (gpu("A100"), "a100-80", "A100, about 5.40"),  # 39 % more
        (gpu("A100"), "h100", "A100, about 5.40"),
        (Resources(gpu=gpu("A100").gpu, ram_bytes=90 * GB), "a100-80", ""),
        (Resources(tpu="v6e-1"), "v6e-1", ""),
        (Resources(cpus=8), "a100-40", ""),  # nobody has counted those of T4 with High-RAM
        (Resources(disk_bytes=100 * GB), "g4", "T4 with High-RAM"),
        (Resources(), "cpu", ""),
        (Resources(), "cpu-highram", ""),  # no rate, nothing to compare
        (gpu("A100"), "t4", ""),  # not met: that is another story
    ],
)
def test_a_cheaper_runtime_is_named_with_both_rates(resources: Resources, here: str, said: str) -> None:
    """Over 25 % dearer than the cheapest that does, and never where the job is refused anyway."""
    text = dear(resources, here)
    assert said in text
    assert bool(said) == bool(text)
    if text:
        assert f"about {ROWS[here].units_per_hour:.2f} units/hour" in text


def test_a_cheaper_runtime_that_the_plan_lacks_is_not_named() -> None:
    """High-RAM is no saving for who may not choose it."""
    needs_ram = Resources(gpu=GpuAny(), ram_bytes=50 * GB)
    assert "T4 with High-RAM" in dear(needs_ram, "l4")
    assert dear(needs_ram, "l4", "payg") == ""
    assert "T4 with High-RAM" in dear(needs_ram, "l4", "pro")


def test_a_cheaper_runtime_names_the_subscription_that_it_needs() -> None:
    """Where we do not know that the user has one."""
    needs_ram = Resources(gpu=GpuAny(), ram_bytes=50 * GB)
    assert "undated rate), needs Pro or Pro+; this L4 costs" in dear(needs_ram, "l4")
    assert "needs Pro" not in dear(needs_ram, "l4", "pro")
    assert "needs" not in dear(Resources(gpu=GpuAny()), "l4")


@pytest.mark.parametrize(
    ("age_h", "limit_h", "plan", "said"),
    [
        (0.1, 6, None, ""),
        (7, 6, None, "at most 12 h (free of charge)"),
        (11, 14, None, "at most 24 h (Pro+)"),
        (7, 6, "free", "at most 12 h (free of charge)"),
        (11, 14, "free", "at most 12 h (free of charge)"),
        (7, 6, "pro+", ""),
        (20, 5, "pro+", "at most 24 h (Pro+)"),
        (7, 6, "pro", ""),  # no figure is published
        (100, 100, "payg", ""),
        (None, 6, "free", ""),
        (13, None, "free", ""),
        (6, 6, "free", ""),
    ],
)
def test_the_wall(age_h: float | None, limit_h: float | None, plan: str | None, said: str) -> None:
    """The age of the machine and `max_duration` together, against what the platform allows."""
    age, limit = (None if hours is None else hours * HOUR for hours in (age_h, limit_h))
    text = str(hits_the_wall(age, limit, COLAB, PLANS[plan] if plan else None) or "")
    assert said in text
    assert bool(said) == bool(text)


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (None, "Keep this tab open, unless you have Pro+ with units left (then up to 24 h)."),
        ("free", "Keep this tab open: without it your plan (free of charge) does not go on."),
        ("pro", "Keep this tab open: without it your plan (Pro) does not go on."),
        ("pro+", "You may close this tab: Pro+ goes on for up to 24 h, while there are units."),
    ],
)
def test_may_i_close_the_tab(plan: str | None, said: str) -> None:
    """By plan; and closing it does not release, unless the job file says who does."""
    chosen = PLANS[plan] if plan else None
    released = str(closing_the_tab(COLAB, chosen, will_release=True))
    assert released == said
    assert str(closing_the_tab(COLAB, chosen)).endswith(
        "Closing it does not release the runtime: it goes on costing."
    )


def test_how_long_units_last() -> None:
    """Eighty-seven units, as the issue has them; what is dearer than the advice is not in the line."""
    line = units_last(87, COLAB, ROWS["a100-40"])
    assert str(line) == "87 units = A100 16.1 h · L4 50.9 h · T4 81.3 h"
    assert str(units_last(87, COLAB, ROWS["a100-80"])).startswith(
        "87 units = A100 80 GB 11.6 h · A100 16.1 h"
    )
    assert (
        str(units_last(100, COLAB, ROWS["t4-highram"])) == "100 units = T4 with High-RAM 78.7 h · T4 93.5 h"
    )
    assert str(units_last(0.5, COLAB, ROWS["t4"])) == "0.5 units = T4 0.5 h"
    assert "90 days" in str(units_expire(COLAB.units_expire_s))


@pytest.mark.parametrize(
    ("account", "units"),
    [
        (Account(), None),
        (Account(balance=87), 87),
        (Account(PLANS["pro"]), 100),
        (Account(PLANS["pro+"]), 600),
        (Account(PLANS["free"]), None),
        (Account(PLANS["pro+"], 12), 12),
        (Account(PLANS["free"], 0), 0),
    ],
)
def test_units_of_an_account(account: Account, units: float | None) -> None:
    """What is left, else what the plan gives."""
    assert account.units == units


def test_hints_are_colabs() -> None:
    """Nothing about walls on a machine of one's own."""
    old = facts_of(ROWS["t4"], CATALOG)
    old = replace(old, host=replace(old.host, uptime_s=Known(11 * HOUR)))
    assert len(hints(old, 6 * HOUR, CATALOG, Account())) == 1
    plain = replace(old, platform=replace(old.platform, kind=PlatformKind.PLAIN))
    assert hints(plain, 6 * HOUR, CATALOG, Account()) == ()
