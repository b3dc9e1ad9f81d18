"""What people learn the hard way on Colab, said at the moment when it helps. Pure.

None of it blocks anything. Each function answers with a sentence, or None where it has nothing to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.spec.model import GpuNone
from launcher.units import hours_line
from launcher.values import Known
from launcher.verdict.fits import MAY_BE_UNKNOWN, cheapest, fits
from launcher.verdict.held import held_hints
from launcher.verdict.model import Status
from launcher.verdict.texts import plan_name, price_text, rate_text
from launcher.words import joined, spelled, words

if TYPE_CHECKING:
    from launcher.catalog.model import Catalog, Plan, Platform, Runtime
    from launcher.probes.model import RuntimeFacts
    from launcher.spec.model import Resources
    from launcher.verdict.model import Verdict
    from launcher.words import Text, Words

# A class is called dear when it costs over 25 % more than what would do.
DEAR = 1.25


@dataclass(frozen=True, slots=True)
class Account:
    """What the user told us about theirs: the plan, and the compute units that are left."""

    plan: Plan | None = None
    balance: float | None = None

    @property
    def units(self) -> float | None:
        """The balance; without one what the plan gives a month, or a purchase."""
        if self.balance is not None:
            return self.balance
        return self.plan.units if self.plan is not None and self.plan.units > 0 else None


def costs_more(
    resources: Resources, verdict: Verdict, here: Runtime | None, catalog: Catalog, plan: Plan | None = None
) -> Words | None:
    """That a cheaper runtime than `here` would do, with both rates; where everything is met."""
    if verdict.status is not Status.MET or here is None or here.units_per_hour is None:
        return None
    # "Would do" is a promise: what it asks for must be known, of the disk and the CPUs too.
    best = cheapest(fits(resources, catalog, must_know=MAY_BE_UNKNOWN), plan)
    if best is None or here.units_per_hour <= best.units * DEAR:
        return None
    rates = {
        "here": here.label,
        "rate": rate_text(here, catalog.colab),
        "cheaper": best.row.label,
        "less": price_text(best.row, catalog.colab, plan),
    }
    asks_for_none = resources.tpu is None and (resources.gpu is None or isinstance(resources.gpu, GpuNone))
    if asks_for_none and here.gpu is not None and best.row.gpu is None:
        return words(
            "This job asks for no GPU: {cheaper} would do, {less}; this {here} costs {rate}.", **rates
        )
    return words("A cheaper runtime would do: {cheaper}, {less}; this {here} costs {rate}.", **rates)


def hits_the_wall(
    uptime_s: float | None, max_duration_s: float | None, platform: Platform, plan: Plan | None = None
) -> Words | None:
    """That Colab may end this runtime before `max_duration` does: it only lives so long, whatever runs."""
    if uptime_s is None or max_duration_s is None:
        return None
    walls = [one for one in platform.plans if one.longest_s is not None]
    if plan is not None:
        walls = [one for one in walls if one.key == plan.key]
    passed = [one for one in walls if uptime_s + max_duration_s > (one.longest_s or 0)]
    if not passed:
        return None
    wall = max(passed, key=lambda one: one.longest_s or 0)
    return words(
        "This runtime is {age} old and max_duration is {limit}, but Colab ends a runtime after at most "
        "{longest} ({plan}). Save as you go.",
        age=spelled(uptime_s),
        limit=spelled(max_duration_s),
        longest=_in_hours(wall.longest_s),
        plan=plan_name(wall),
    )


def closing_the_tab(platform: Platform, plan: Plan | None = None, *, will_release: bool = False) -> Text:
    """May I close the tab? And, where nothing else releases it, that this does not release the runtime."""
    longest = max(platform.plans, key=lambda one: (one.background, one.longest_s or 0))
    limit = _in_hours(longest.longest_s)
    if plan is None:
        text = words(
            "Keep this tab open, unless you have {plan} with units left (then up to {limit}).",
            plan=plan_name(longest),
            limit=limit,
        )
    elif plan.background:
        text = words(
            "You may close this tab: {plan} goes on for up to {limit}, while there are units.",
            plan=plan_name(plan),
            limit=limit,
        )
    else:
        text = words(
            "Keep this tab open: without it your plan ({plan}) does not go on.", plan=plan_name(plan)
        )
    return (
        text
        if will_release
        else joined(text, words("Closing it does not release the runtime: it goes on costing."))
    )


def _in_hours(seconds: float | None) -> Words:
    """As people call a wall: 24 h, not a day."""
    return words("{figure} h", figure=f"{(seconds or 0) / 3600:g}")


def units_last(units: float, platform: Platform, upto: Runtime | None) -> Words | None:
    """`87 units = A100 16.1 h · L4 50.9 h · T4 81.3 h`: `upto` and what costs less, dearest first.

    GPUs in their standard shape, so that the line stays one. None where no rate is known.
    """
    most = float("inf") if upto is None or upto.units_per_hour is None else upto.units_per_hour
    rows = [
        row
        for row in platform.runtimes
        if row.units_per_hour
        and (row is upto or (row.gpu is not None and not row.high_ram and row.units_per_hour <= most))
    ]
    if not rows:
        return None
    rows.sort(key=lambda row: -(row.units_per_hour or 0))
    titles = [row.title for row in rows]
    names = [row.label if titles.count(row.title) > 1 else row.title for row in rows]
    return hours_line(units, [(name, hours_text(units, row)) for name, row in zip(names, rows, strict=True)])


def hours_text(units: float, row: Runtime) -> str:
    """How long `units` last, to a tenth of an hour."""
    return f"{units / row.units_per_hour:.1f}" if row.units_per_hour else ""


def hints(
    facts: RuntimeFacts, max_duration_s: float | None, catalog: Catalog, account: Account
) -> tuple[Text, ...]:
    """What to know about the runtime that a job is about to run on."""
    held = held_hints(facts.gpu_users)
    if not facts.platform.on_colab:
        return held
    uptime = facts.host.uptime_s
    age = uptime.value if isinstance(uptime, Known) else None
    wall = hits_the_wall(age, max_duration_s, catalog.colab, account.plan)
    return held if wall is None else (*held, wall)
