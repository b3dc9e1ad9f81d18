"""The advice against a second answer, written without the verdict: try every row, take the cheapest.

500 generated jobs by default; COLAB_RUN_TEST_EXAMPLES=10000 for the long run.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers import catalogs
from launcher.probes.model import Platform, PlatformKind
from launcher.spec.model import GpuAny, GpuClasses, GpuClassOption, GpuNone, GpuProperties, Resources
from launcher.values import parse_size
from launcher.verdict.advice import advise
from launcher.verdict.rows import facts_of

if TYPE_CHECKING:
    from launcher.catalog.model import Plan, Runtime
    from launcher.spec.model import GpuRequest
    from launcher.verdict.model import CostsMost

CATALOG = catalogs.shipped()
ROWS = CATALOG.colab.runtimes
PLANS = (None, *CATALOG.colab.plans)
MANAGED = Platform(PlatformKind.COLAB, "172.28.0.1:8011")
GB = 10**9
EXAMPLES = int(os.environ.get("COLAB_RUN_TEST_EXAMPLES", "500"))


# --- the second answer ------------------------------------------------------------------------------
# Three values: True, False, None for "no figure".


def has_gpu(row: Runtime, request: GpuRequest | None) -> bool:
    if request is None or isinstance(request, GpuNone):
        return True
    if row.gpu is None:
        return False
    if isinstance(request, GpuAny):
        return request.count == 1
    card = next(one for one in CATALOG.accelerators if one.name == row.gpu)
    if isinstance(request, GpuProperties):
        return (
            request.count == 1
            and card.memory_bytes >= (request.memory_bytes or 0)
            and card.compute_capability >= (request.compute_capability or (0, 0))
        )
    return any(option.count == 1 and stands_in(row.gpu, option) for option in request.options)


def stands_in(name: str, option: GpuClassOption) -> bool:
    """Whether `name` is of the class that is asked for, or covers one that does: up the lists, one by one."""
    card = next(one for one in CATALOG.accelerators if one.name == name)
    if option.name in (card.name, card.family):
        return True
    return not option.exact and any(stands_in(cover.name, option) for cover in card.covers)


def at_least(figure: float | None, wanted: float | None) -> bool | None:
    if wanted is None:
        return True
    return None if figure is None else figure >= wanted


def answers(row: Runtime, wanted: Resources) -> dict[str, bool | None]:
    return {
        "gpu": has_gpu(row, wanted.gpu),
        "tpu": row.tpu == wanted.tpu,  # none is offered to a job that asks for none
        "ram": at_least(row.ram_bytes, wanted.ram_bytes),
        "disk": at_least(row.disk_free_bytes, wanted.disk_bytes),
        "cpus": at_least(row.cpus, wanted.cpus),
    }


def expected(wanted: Resources, here: Runtime, plan: Plan | None) -> str | None:
    now = answers(here, wanted)
    if wanted.tpu is None:
        now["tpu"] = True  # a TPU that nobody asked for is no lack
    lacking = [name for name, answer in now.items() if answer is False]
    if not lacking:
        return None
    able = []
    for row in ROWS:
        found = answers(row, wanted)
        may_be_unknown = {"disk", "cpus"} - set(lacking)
        if all(answer or (answer is None and name in may_be_unknown) for name, answer in found.items()):
            able.append(row)
    rated = [row for row in able if row.units_per_hour is not None and row is not here]
    levels = ["free", "paid", "subscription"]
    if plan is not None:
        allowed = [row for row in rated if levels.index(row.plan) <= levels.index(plan.allows)]
        rated = allowed or rated
    return min(rated, key=lambda row: row.units_per_hour or 0).key if rated else ""


# --- jobs -------------------------------------------------------------------------------------------

classes = st.sampled_from([*CATALOG.class_names()])
options = st.builds(GpuClassOption, classes, st.sampled_from([1, 1, 1, 1, 2]), st.booleans())
# Sizes around the figures of the rows, where a comparison is decided.
edges = sorted({size for row in ROWS for size in (row.ram_bytes, row.disk_free_bytes) if size is not None})
sizes = st.one_of(
    st.integers(1, 300).map(lambda size: size * GB),
    st.tuples(st.sampled_from(edges), st.integers(-1, 1)).map(sum),
)
capabilities = sorted({card.compute_capability for card in CATALOG.accelerators})
memories = st.one_of(
    st.integers(1, 200).map(lambda size: size * GB),
    st.tuples(st.sampled_from([card.memory_bytes for card in CATALOG.accelerators]), st.integers(-1, 1)).map(
        sum
    ),
)
requests = st.one_of(
    st.none(),
    st.just(GpuNone()),
    st.builds(GpuAny, st.sampled_from([1, 1, 2])),
    st.lists(options, min_size=1, max_size=3).map(lambda found: GpuClasses(tuple(found))),
    st.builds(
        GpuProperties,
        st.none() | memories,
        st.none() | st.sampled_from(capabilities),
        st.sampled_from([1, 1, 1, 2]),
    ),
)


@st.composite
def jobs(draw: st.DrawFn) -> Resources:
    tpu = draw(st.sampled_from([None, None, None, None, "v5e-1", "v6e-1", "v2-8"]))
    return Resources(
        gpu=None if tpu else draw(requests),
        tpu=tpu,
        ram_bytes=draw(st.none() | sizes),
        disk_bytes=draw(st.none() | st.none() | sizes),
        cpus=draw(st.none() | st.none() | st.sampled_from([1.0, 2.0, 2.5, 4.0, 12.0, 13.0, 44.0, 45.0])),
    )


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(jobs(), st.sampled_from(ROWS), st.sampled_from(PLANS))
def test_the_advice_is_the_cheapest_row_that_does(
    wanted: Resources, here: Runtime, plan: Plan | None
) -> None:
    """For any job, on any runtime, under any plan."""
    facts = replace(facts_of(here, CATALOG), platform=MANAGED)
    advice = advise(wanted, facts, CATALOG, plan=plan, here=here)
    assert (None if advice is None else advice.runtime) == expected(wanted, here, plan)
    if advice is None:
        return
    # What is said of it is true, in any case.
    assert str(advice.summary)
    assert all(str(note) for note in advice.notes)
    assert advice.as_json()["argv"] == list(advice.argv)
    if advice.costs_most is not None:
        assert advice.units_per_hour is not None
        assert advice.costs_most.units_per_hour <= advice.units_per_hour * 0.75
        (row,) = [one for one in ROWS if one.key == advice.costs_most.runtime]
        cheaper = answers(row, with_value(wanted, advice.costs_most))
        assert set(cheaper.values()) == {True}


def with_value(wanted: Resources, most: CostsMost) -> Resources:
    """The job with the one requirement as it is suggested to write it."""
    assert most.requirement != "gpu"
    if most.requirement == "cpus":
        return replace(wanted, cpus=float(most.value))
    return replace(wanted, **{f"{most.requirement}_bytes": parse_size(most.value)})
