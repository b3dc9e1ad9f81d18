"""Which runtimes of the catalogue a job would fit on, and which of them is the cheapest. Pure.

GPU, TPU and RAM must be known to do. Disk and CPUs have no figure for most runtimes: there they are left
out of account and said to be, except where they are what this machine lacks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.verdict.compare import judge
from launcher.verdict.model import Fit, Status
from launcher.verdict.rows import facts_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from launcher.catalog.model import Catalog, Plan, Runtime
    from launcher.spec.model import Resources

MAY_BE_UNKNOWN = ("disk", "cpus")


def fit(row: Runtime, resources: Resources, catalog: Catalog, must_know: Collection[str] = ()) -> Fit:
    """The answer of one row; `must_know` are requirements for which "not known" will not do."""
    findings = judge(resources, facts_of(row, catalog), catalog).findings
    states = {finding.requirement: finding.status for finding in findings}
    unknown = tuple(name for name, status in states.items() if status is Status.UNKNOWN)
    if Status.SHORT in states.values():
        return Fit(row, Status.SHORT)
    if any(name not in MAY_BE_UNKNOWN or name in must_know for name in unknown):
        return Fit(row, Status.UNKNOWN, uncounted=unknown)
    return Fit(row, Status.MET, uncounted=unknown)


def fits(
    resources: Resources,
    catalog: Catalog,
    *,
    must_know: Collection[str] = (),
    without: Runtime | None = None,
) -> list[Fit]:
    """Every row that is not short: cheapest first, then rates that are not known, then what may not do.

    A TPU is never offered to a job that did not ask for one. `without` is where we stand.
    """
    rows = [row for row in offered(resources, catalog) if row is not without]
    answers = [fit(row, resources, catalog, must_know) for row in rows]
    able = (one for one in answers if one.status is not Status.SHORT)
    return sorted(able, key=lambda one: (one.status is Status.UNKNOWN, one.units))


def offered(resources: Resources, catalog: Catalog) -> list[Runtime]:
    """The rows that are ever offered to such a job: those with a TPU only where it asks for one."""
    return [row for row in catalog.colab.runtimes if resources.tpu is not None or row.tpu is None]


def cheapest(found: Iterable[Fit], plan: Plan | None = None, *, rated: bool = True) -> Fit | None:
    """The first that is known to do: of those that `plan` may choose, if there are any.

    `rated`: only those whose rate is known, too.
    """
    sure = [
        one for one in found if one.status is Status.MET and (not rated or one.row.units_per_hour is not None)
    ]
    allowed = [one for one in sure if plan is None or plan.gets(one.row)]
    return min(allowed or sure, key=lambda one: one.units, default=None)
