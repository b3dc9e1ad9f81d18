"""What a run may cost, as time on the runtime that it stands on, and by when it ends at the latest. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.clock import iso_utc
from launcher.guard.limits import Limits
from launcher.units import dated_rate
from launcher.values import Known, Unknown
from launcher.verdict.model import Finding, FindingCode, Status
from launcher.words import spelled, words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from launcher.plan import Plan
    from launcher.record import HourlyRate
    from launcher.spec.model import Budget, JobSpec
    from launcher.values import Reading
    from launcher.words import Text

# As for `max_duration`.
LONGEST_S = 366 * 86400.0
HOUR_S = 3600.0


def budget_seconds(budget: Budget, rate: HourlyRate | None) -> Reading[float]:
    """How long the runtime can be paid with it; what the job file says an hour costs comes first."""
    if budget.usd is not None and budget.usd_per_hour:
        return Known(min(budget.usd / budget.usd_per_hour * HOUR_S, LONGEST_S))
    if rate is None:
        return Unknown("no-rate")
    per_hour = rate.units if budget.compute_units is not None else rate.usd
    amount = budget.usd if budget.compute_units is None else budget.compute_units
    if amount is None or per_hour <= 0:
        return Unknown("no-rate")
    return Known(min(amount / per_hour * HOUR_S, LONGEST_S))


def limits_of(spec: JobSpec, rate: HourlyRate | None, saves: Iterable[float] = ()) -> Limits:
    """What limits a run; `saves` is how long the last save of each output took. No rate: no budget."""
    seconds = Unknown("none") if spec.budget is None else budget_seconds(spec.budget, rate)
    return Limits(
        spec.max_duration_s,
        seconds.value if isinstance(seconds, Known) else None,
        spec.stop_grace_s,
        sum(saves),
    )


def judge_budget(spec: JobSpec, rate: HourlyRate | None) -> tuple[Finding, ...]:
    """Can it be told how long the budget lasts here? Nothing to judge without one."""
    budget = spec.budget
    if budget is None:
        return ()
    seconds = budget_seconds(budget, rate)
    wanted = _amount(budget)
    told = {"compute_units": budget.compute_units, "usd": budget.usd}
    asked = {name: value for name, value in told.items() if value is not None}
    if isinstance(seconds, Known):
        lasts = words("lasts {time} here", time=spelled(round(seconds.value)))
        found = {"seconds": round(seconds.value)}
        return (Finding("budget", asked, found, Status.MET, FindingCode.BUDGET, wanted, lasts),)
    return (
        Finding(
            "budget",
            asked,
            {"unknown": seconds.reason},
            Status.UNKNOWN,
            FindingCode.BUDGET,
            wanted,
            words("rate not known"),
            words(
                "say what an hour costs: {command}, or `usd_per_hour` beside `usd`",
                command="colab-run rates set ROW UNITS",
            ),
        ),
    )


def money_hints(spec: JobSpec, rate: HourlyRate | None, balance: float | None) -> tuple[Text, ...]:
    """What the person should know of the money before the start; it refuses nothing."""
    limits, said = limits_of(spec, rate), []
    if limits.budget_s is not None and limits.budget_s <= 2 * spec.stop_grace_s:
        said.append(
            words(
                "the budget lasts {time}, hardly longer than stop_grace ({grace}): the job is told to end "
                "after {told}, and may cost more than the budget",
                time=spelled(round(limits.budget_s, 1)),
                grace=spelled(spec.stop_grace_s),
                told=spelled(round(limits.told_at, 1)),
            )
        )
    return (*said, *_over_balance(limits, rate, balance))


def _over_balance(limits: Limits, rate: HourlyRate | None, balance: float | None) -> tuple[Text, ...]:
    allowed = [limit for limit in (limits.max_duration_s, limits.budget_s) if limit is not None]
    if balance is None or rate is None or not allowed:
        return ()
    units = min(allowed) * rate.units / HOUR_S
    if units <= balance:
        return ()
    return (
        words(
            "the job may use {units} units ({time} at {rate}), and the balance is {balance}: it may be cut "
            "off when that is gone",
            units=f"{units:.1f}",
            time=spelled(round(min(allowed))),
            rate=dated_rate(rate.units, rate.usd, rate.checked, stale=rate.stale),
            balance=f"{balance:g}",
        ),
    )


def ends_by(plan: Plan, started_wall: float, now_wall: float, boottime: float) -> dict[str, str] | None:
    """The earliest known end of a run that began at `started_wall` (epoch): `at` and `because`; or None.

    `now_wall` (epoch) and `boottime` (seconds of CLOCK_BOOTTIME) are one moment.
    """
    limits = limits_of(plan.spec, plan.rate)
    moments = [(now_wall + wall - boottime, "platform") for wall in plan.walls]
    if limits.max_duration_s is not None:
        moments.append((started_wall + limits.max_duration_s, "max_duration"))
    if limits.budget_s is not None:
        moments.append((started_wall + limits.budget_s, "budget"))
    if plan.balance is not None and plan.rate is not None and plan.rate.units > 0:
        moments.append((started_wall + plan.balance / plan.rate.units * HOUR_S, "balance"))
    if not moments:
        return None
    at, because = min(moments)
    return {"at": iso_utc(at), "because": because}


def ends_by_said(told: dict[str, str] | None) -> Text:
    """`it ends by 2026-11-23T04:05:00Z at the latest (budget)`.

    Empty where nobody knows, and for the limit that stands in the job file as a time.
    """
    if told is None or told["because"] == "max_duration":
        return ""
    return words("it ends by {at} at the latest ({because})", at=told["at"], because=told["because"])


def _amount(budget: Budget) -> Text:
    if budget.compute_units is not None:
        return words("{units} units", units=f"{budget.compute_units:g}")
    return f"US${budget.usd or 0.0:g}"
