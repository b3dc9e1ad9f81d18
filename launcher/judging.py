"""Looking, without starting anything: probe, check, the catalogue and the user's own rates.

Works wherever Python does: what can only be done on Linux is imported when a machine is really probed.
"""

from __future__ import annotations

import datetime
import math
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from launcher import preflight
from launcher.budget import judge_budget, money_hints
from launcher.catalog.files import find_configs
from launcher.catalog.load import load_catalog
from launcher.catalog.overlay import known_row, overlay_path, read_overlay, record_rate
from launcher.clock import SystemClock
from launcher.errors import UsageError
from launcher.events import Judged, Offer, Offers
from launcher.record import HourlyRate
from launcher.units import units_expire
from launcher.verdict.advice import advise, current_rate
from launcher.verdict.compare import judge
from launcher.verdict.fits import MAY_BE_UNKNOWN, fits
from launcher.verdict.fix import fix
from launcher.verdict.hints import Account, closing_the_tab, costs_more, hints, units_last
from launcher.verdict.model import Status, Verdict
from launcher.verdict.rows import facts_of
from launcher.words import joined, words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.catalog.model import Catalog, Plan, Runtime
    from launcher.clock import Clock
    from launcher.jobs import Job
    from launcher.probes.model import RuntimeFacts
    from launcher.verdict.model import Finding, Fit, Fix
    from launcher.words import Text

PLAN_VARIABLE = "COLAB_RUN_PLAN"


@dataclass(slots=True)
class Here:
    """What surrounds a command: environment, clock, the catalogue, which is read once, and `--balance`.

    `own_rates`: with what the user recorded; a slip in that file must never be in the way of a release.
    """

    environ: dict[str, str]
    clock: Clock = field(default_factory=SystemClock)
    balance: float | None = None
    own_rates: bool = True
    _catalog: Catalog | None = None

    @property
    def catalog(self) -> Catalog:
        """configs/ as typed rows, with the user's rates, and old ones marked. Raises UsageError."""
        if self._catalog is None:
            catalog = load_catalog(find_configs(self.environ))
            if self.own_rates:
                rates = read_overlay(overlay_path(self.environ))
                catalog = replace(catalog, colab=catalog.colab.with_rates(rates))
            self._catalog = catalog.as_of(self.today)
        return self._catalog

    @property
    def today(self) -> datetime.date:
        """The day by the clock, in UTC."""
        return datetime.datetime.fromtimestamp(self.clock.wall(), datetime.timezone.utc).date()

    @property
    def account(self) -> Account:
        """The user's plan and balance. Raises UsageError for a plan that there is not."""
        return Account(_plan(self.environ, self.catalog), self.balance)


def _plan(environ: Mapping[str, str], catalog: Catalog) -> Plan | None:
    named = environ.get(PLAN_VARIABLE, "").strip()
    if not named:
        return None
    plan = next(
        (one for one in catalog.colab.plans if _plain(named) in (_plain(one.key), _plain(one.name))), None
    )
    if plan is None:
        import difflib  # only when something is wrong

        known = [one.key for one in catalog.colab.plans]
        near = difflib.get_close_matches(named.lower(), known, 1)
        raise UsageError(
            words("{name} {value} is no plan of Colab's", name=PLAN_VARIABLE, value=named),
            words("use {plan}", plan=near[0])
            if near
            else words("use one of: {known}", known=", ".join(known)),
        )
    return plan


def _plain(plan: str) -> str:
    """`Pro plus`, `pro-plus`, `PRO+`: all one."""
    return re.sub(r"[\s_-]", "", plan.lower()).replace("plus", "+")


def parse_balance(text: str | None) -> float | None:
    """`--balance 87`, in compute units. Raises UsageError."""
    if text is None:
        return None
    try:
        units = float(text)
    except ValueError:
        units = math.nan
    if not 0 <= units <= 10**9:
        raise UsageError(
            words("{text} is not a valid balance", text=f"--balance {text}"),
            words("write the compute units that you have left, as in {example}", example="--balance 87"),
        )
    return units


# --- probe and check ------------------------------------------------------------------------------


def probe(here: Here, disk_path: str) -> tuple[RuntimeFacts, HourlyRate | None]:
    """What this runtime is, and what an hour of it costs if a table says so."""
    from launcher.probes.collect import collect

    facts = collect(environ=here.environ, disk_path=disk_path, catalog=here.catalog)
    return facts, rate_of(facts, here.catalog)


def rate_of(facts: RuntimeFacts, catalog: Catalog) -> HourlyRate | None:
    """The dated rate of the runtime that we stand on; None where no source gives one."""
    return _rate(current_rate(facts, catalog), catalog)


def _rate(row: Runtime | None, catalog: Catalog) -> HourlyRate | None:
    if row is None or row.units_per_hour is None:
        return None
    usd = row.units_per_hour * catalog.colab.unit_price.usd
    return HourlyRate(row.units_per_hour, usd, row.checked, row.stale)


def check(job: Job, here: Here, *, everything: bool = False) -> Judged:
    """Verdict and advice on this runtime, with a few alternatives or with all; starts nothing."""
    from launcher.gpu_choice import judge_taken, judge_visible, wish_of
    from launcher.readiness import Looking

    looking = Looking.start(job.spec, here.environ)
    try:
        facts, _ = probe(here, preflight.tightest_disk(job.spec))
        ready = looking.finish(facts)
    finally:
        looking.drop()
    others = preflight.judge_secrets(job.spec, here.environ)
    others += preflight.judge_outputs(job.spec, facts.platform, here.environ)
    others += ready.findings
    others += judge_visible(job.spec, facts, here.catalog, here.environ)
    others += judge_taken(job.spec, wish_of(job.spec, facts, here.catalog, here.environ))
    judged = hold_against(job, facts, here.catalog, here.account, others=tuple(others), notes=ready.hints)
    return judged if everything else _few(judged)


def check_on(job: Job, here: Here, name: str, *, everything: bool = False) -> Judged:
    """Verdict and advice on a row of the catalogue. Raises UsageError for one that there is not."""
    row = here.catalog.colab.runtime(known_row(here.catalog.colab, name))
    assert row is not None  # noqa: S101 - known_row has found it
    facts = facts_of(row, here.catalog)
    notes = _wheel_hints_on(job, here, facts) if row.gpu is not None else ()
    judged = hold_against(job, facts, here.catalog, here.account, on=row, notes=notes)
    return judged if everything else _few(judged)


def _wheel_hints_on(job: Job, here: Here, facts: RuntimeFacts) -> tuple[Text, ...]:
    """The wheels of Colab's image are those that its other runtimes have; elsewhere they say nothing."""
    from launcher.probes.platform import read_platform

    if not read_platform(here.environ).on_colab:
        return ()
    from launcher.readiness import Looking

    return Looking.start(job.spec, here.environ, for_gpu=True).wheel_hints(facts)


def _few(judged: Judged) -> Judged:
    return judged if judged.advice is None else replace(judged, advice=judged.advice.few())


def _fix(job: Job, facts: RuntimeFacts, catalog: Catalog, row: Runtime | None) -> Fix | None:
    spec = job.spec
    return fix(spec.resources, facts, catalog, here=row, read_as=spec.read_as, typed=job.typed)


def hold_against(
    job: Job,
    facts: RuntimeFacts,
    catalog: Catalog,
    account: Account,
    *,
    others: tuple[Finding, ...] = (),
    notes: tuple[Text, ...] = (),
    on: Runtime | None = None,
) -> Judged:
    """A job held against `facts`; `others` are findings that are not about hardware, `on` a row's facts.

    `notes` are more hints, said where the verdict is met.
    """
    spec = job.spec
    row = on or catalog.runtime_for(facts)
    hardware = judge(spec.resources, facts, catalog)
    # A secret that is not set is no reason to rent another machine.
    advice = advise(
        spec.resources,
        facts,
        catalog,
        again=job.again,
        plan=account.plan,
        here=row,
        # Of a row nobody can find out more: a surer one is the way on. A machine may only want mending.
        or_unknown=on is not None,
    )
    rate = _rate(row, catalog)
    others = (*judge_budget(spec, rate), *others)
    verdict = Verdict((*hardware.findings, *others))
    # Of what else is not met, no change of `resources` is the answer.
    only_hardware = Verdict(others).status is Status.MET
    return Judged(
        job.source,
        spec,
        facts,
        verdict,
        advice,
        rate,
        on="" if on is None else on.label,
        on_row="" if on is None else on.key,
        fix=_fix(job, facts, catalog, row) if only_hardware else None,
        costs_more=costs_more(spec.resources, hardware, row, catalog, account.plan) or "",
        hints=(
            *hints(facts, spec.max_duration_s, catalog, account),
            *money_hints(spec, rate, account.units),
            *notes,
        )
        if verdict.status is Status.MET
        else (),
        balance=_balance(account, catalog, catalog.colab.runtime(advice.runtime) if advice else row)
        if facts.platform.on_colab
        else "",
        disconnect=catalog.colab.menu.disconnect.words if facts.platform.on_colab else "",
    )


def _balance(account: Account, catalog: Catalog, upto: Runtime | None) -> Text:
    """How long the user's units last, and that they are not kept; empty where we know of none."""
    if account.units is None:
        return ""
    line = units_last(account.units, catalog.colab, upto)
    return (
        ""
        if line is None
        else joined(words("{line}.", line=line), units_expire(catalog.colab.units_expire_s))
    )


def hints_at_launch(judged: Judged, here: Here, *, will_release: bool) -> tuple[Text, ...]:
    """What to say once when a job starts: that it could cost less, and whether the tab may be closed."""
    said = [judged.costs_more, *judged.hints]
    if judged.facts.platform.managed and judged.facts.platform.on_colab:
        said.append(closing_the_tab(here.catalog.colab, here.account.plan, will_release=will_release))
    return tuple(text for text in said if text)


# --- the catalogue and the user's rates -------------------------------------------------------------


def catalogue(here: Here, job: Job | None = None) -> Offers:
    """What Colab rents out; with `job` only what it fits on, and behind that what it may fit on."""
    return catalogue_of(here.catalog, here.account, job)


def catalogue_of(catalog: Catalog, account: Account, job: Job | None) -> Offers:
    """The same from what it is made of."""
    if job is None:
        found: list[tuple[Runtime, Fit | None]] = [(row, None) for row in catalog.colab.runtimes]
        found.sort(key=lambda pair: (pair[0].units_per_hour is None, pair[0].units_per_hour or 0))
    else:
        found = [(one.row, one) for one in fits(job.spec.resources, catalog, must_know=MAY_BE_UNKNOWN)]
    return Offers(
        tuple(
            Offer(row, catalog.colab.usd_per_hour(row), _hours(account.units, row), fit) for row, fit in found
        ),
        catalog,
        account.units,
        "" if job is None else job.source,
    )


def _hours(units: float | None, row: Runtime) -> float | None:
    return units / row.units_per_hour if units is not None and row.units_per_hour else None


def own_rates(here: Here) -> dict[str, tuple[float, str]]:
    """What the user recorded, by row. Raises UsageError."""
    return read_overlay(overlay_path(here.environ))


def set_rate(here: Here, row: str, units: str) -> tuple[Runtime, str]:
    """Record what Colab shows; the row as it now is, and the file. Raises UsageError."""
    path = overlay_path(here.environ)
    shipped = load_catalog(find_configs(here.environ)).colab
    rates = record_rate(path, shipped, row, units, here.today)
    found = shipped.with_rates(rates).runtime(row)
    assert found is not None  # noqa: S101 - record_rate has found it
    return found, str(path)
