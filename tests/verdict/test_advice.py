"""What to switch to: the cheapest runtime that is known to do, or honestly none."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from helpers import catalogs
from launcher.catalog.model import Catalog
from launcher.probes.model import Platform, PlatformKind, RuntimeFacts
from launcher.spec.model import (
    GpuAny,
    GpuClasses,
    GpuClassOption,
    GpuNone,
    GpuProperties,
    GpuRequest,
    Resources,
)
from launcher.values import Known, Unknown
from launcher.verdict.advice import advise, current_rate
from launcher.verdict.rows import facts_of
from launcher.verdict.texts import rate_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from launcher.words import Words

CATALOG = catalogs.shipped()
RUNTIMES = {row.key: row for row in CATALOG.colab.runtimes}
MANAGED = Platform(kind=PlatformKind.COLAB, release_target="172.28.0.1:8011")
PLAIN = Platform(kind=PlatformKind.PLAIN)
GB = 10**9


def machine(key: str, platform: Platform = MANAGED) -> RuntimeFacts:
    return replace(facts_of(RUNTIMES[key], CATALOG), platform=platform)


def texts(sentences: Iterable[Words | str]) -> tuple[str, ...]:
    return tuple(map(str, sentences))


def gpu(name: str, count: int = 1, *, exact: bool = False) -> GpuClasses:
    return GpuClasses((GpuClassOption(name, count, exact),))


@pytest.mark.parametrize(
    ("request_gpu", "ram_gb", "here", "runtime"),
    [
        (gpu("A100"), 50, "t4", "a100-40"),
        (gpu("A100"), 100, "t4", "a100-80"),
        (gpu("A100-80GB"), None, "a100-40", "a100-80"),
        (gpu("A100", exact=True), 50, "l4", "a100-40"),
        (gpu("T4"), None, "cpu", "t4"),
        (gpu("T4"), 50, "t4", "t4-highram"),
        (gpu("T4"), 52, "t4", "t4-highram"),
        (gpu("T4"), 55, "t4", "l4"),
        (GpuAny(), None, "cpu", "t4"),
        (gpu("G4"), None, "a100-80", "g4"),
        (gpu("H100"), None, "t4", "h100"),
        (GpuProperties(memory_bytes=22 * GB), None, "t4", "l4"),
        (GpuProperties(memory_bytes=90 * GB), None, "t4", "g4"),
        (GpuProperties(compute_capability=(8, 0)), 80, "t4", "a100-40"),
        (None, 50, "cpu", "t4-highram"),
        (GpuNone(), 170, "cpu", "a100-80"),
    ],
)
def test_the_cheapest_that_does(
    request_gpu: GpuRequest | None, ram_gb: int | None, here: str, runtime: str
) -> None:
    """Lowest units an hour among the rows that meet GPU and RAM; never Blackwell unasked, never a TPU."""
    ram = None if ram_gb is None else ram_gb * GB
    advice = advise(Resources(gpu=request_gpu, ram_bytes=ram), machine(here), CATALOG)
    assert advice is not None
    assert advice.runtime == runtime
    assert advice.units_per_hour == RUNTIMES[runtime].units_per_hour
    assert advice.checked == RUNTIMES[runtime].checked


def test_steps_are_the_clicks() -> None:
    """Menu path, caption of the accelerator, and how to check again without running."""
    again = ("colab-run", "check", "my job.yaml")
    advice = advise(Resources(gpu=gpu("A100"), ram_bytes=50 * GB), machine("t4"), CATALOG, again=again)
    assert advice is not None
    assert texts(advice.steps) == (
        "Runtime > Change runtime type",
        "Hardware accelerator: A100 GPU, then Save",
        "Check again without running: colab-run check 'my job.yaml'",
    )
    assert advice.argv == again
    assert "about 5.40 units/hour (US$0.54; rate of 2026-03-10)" in str(advice.summary)
    assert "RAM 89.7 GB, Colab shows 83.5" in str(advice.summary)
    assert "You do not need High-RAM." in str(advice.summary)
    assert advice.usd_per_hour == pytest.approx(0.5395)


def test_high_ram_is_asked_for_only_where_it_is_needed() -> None:
    """The toggle costs units and a subscription: it is named when it is what is missing."""
    advice = advise(Resources(gpu=gpu("T4"), ram_bytes=50 * GB), machine("t4"), CATALOG)
    assert advice is not None
    assert str(advice.steps[1]) == "Hardware accelerator: T4 GPU, Runtime shape: High-RAM, then Save"
    assert "High-RAM needs a current subscription" in str(advice.notes[0])
    assert "undated rate" in str(advice.summary)


def test_alternatives_are_dearer_or_not_known() -> None:
    """What would do for more is named with its rate; what is not known is named as not known."""
    advice = advise(Resources(ram_bytes=50 * GB), machine("cpu"), CATALOG)
    assert advice is not None
    assert texts(advice.alternatives) == (
        "L4: about 1.71 units/hour (US$0.17; rate of 2026-03-10)",
        "A100: about 5.40 units/hour (US$0.54; rate of 2026-03-10)",
        "A100 80 GB with High-RAM: about 7.52 units/hour (US$0.75; rate of 2026-03-10)",
        "G4: about 8.71 units/hour (US$0.87; rate of 2026-03-10)",
        "CPU with High-RAM: rate not known",
        "H100: RAM not known",
    )


@pytest.mark.parametrize(
    ("resources", "wanted"),
    [
        (Resources(gpu=gpu("H200")), "H200 or better."),
        (Resources(gpu=gpu("A100", 2)), "2 x A100 or better."),
        (Resources(tpu="v2-8"), "TPU v2-8."),
        (
            Resources(gpu=gpu("H100"), ram_bytes=GB),
            "H100 or better and 1 GB of RAM. No runtime is known to meet all of them.",
        ),
        (Resources(ram_bytes=500 * GB), "500 GB of RAM. The most RAM known is 189.9 GB."),
        (Resources(disk_bytes=10**15), "1000 TB of free disk. The most free disk known is 202.6 GB."),
        (Resources(cpus=1000), "1000 CPUs. The most CPUs known are 12."),
        (
            Resources(gpu=gpu("H200"), ram_bytes=500 * GB, cpus=4),
            "H200 or better, 500 GB of RAM and 4 CPUs. None has H200 or better. "
            "The most RAM known is 189.9 GB.",
        ),
    ],
)
def test_nothing_fits(resources: Resources, wanted: str) -> None:
    """Where no row is known to do, no runtime is named: not the largest, not one with unknown RAM."""
    here = machine("cpu")
    advice = advise(resources, here, CATALOG)
    assert advice is not None
    assert (advice.runtime, advice.units_per_hour, advice.checked) == ("", None, None)
    assert str(advice.summary) == f"No Colab runtime is known to have {wanted}"
    assert "Slurm, SkyPilot, dstack, Kubernetes" in str(advice.steps[0])


@pytest.mark.parametrize(
    "resources",
    [
        Resources(),
        Resources(gpu=GpuNone()),
        Resources(gpu=gpu("T4"), ram_bytes=10 * GB),
    ],
)
def test_no_advice_where_another_runtime_is_not_the_answer(resources: Resources) -> None:
    """All is met."""
    assert advise(resources, machine("t4"), CATALOG) is None


def test_a_driver_that_cannot_be_read_is_no_reason_to_switch() -> None:
    """Unknown is not a lack; what to do about it stands in the finding."""
    facts = machine("t4")
    facts = replace(facts, gpu=replace(facts.gpu, gpus=Unknown("driver-mismatch")))
    assert advise(Resources(gpu=gpu("T4")), facts, CATALOG) is None


def test_the_runtime_that_we_stand_on_is_not_the_advice() -> None:
    """A machine a little short of its row is not told to switch to itself."""
    facts = machine("t4")
    facts = replace(facts, host=replace(facts.host, ram_total_bytes=Known(13_550_000_000)))
    advice = advise(Resources(gpu=gpu("T4"), ram_bytes=13_580_000_000), facts, CATALOG)
    assert advice is not None
    assert advice.runtime == "t4-highram"


@pytest.mark.parametrize(
    ("resources", "summary"),
    [
        (
            Resources(gpu=gpu("A100"), ram_bytes=50 * GB),
            "This job needs a machine with A100 or better and 50 GB of RAM. "
            "The smallest class that would do: A100-40GB.",
        ),
        (
            Resources(gpu=GpuProperties(memory_bytes=20 * GB, compute_capability=(8, 0), count=4)),
            "This job needs a machine with 4 GPUs with 20 GB and compute capability 8.0. "
            "The smallest class that would do: A10.",
        ),
        (Resources(ram_bytes=500 * GB), "This job needs a machine with 500 GB of RAM."),
    ],
)
def test_elsewhere_there_are_no_menus(resources: Resources, summary: str) -> None:
    """Outside Colab the smallest class is named, without clicks and without Colab's prices."""
    advice = advise(resources, machine("t4", PLAIN), CATALOG)
    assert advice is not None
    assert (str(advice.summary), advice.runtime) == (summary, "")
    (step,) = texts(advice.steps)
    assert "Slurm, SkyPilot, dstack, Kubernetes" in step


def test_what_this_machine_costs() -> None:
    """The rate of where we stand, with its date; nothing where no rate is known."""
    here = current_rate(machine("t4"), CATALOG)
    assert here is RUNTIMES["t4"]
    assert str(rate_text(here, CATALOG.colab)) == "about 1.07 units/hour (US$0.11; rate of 2026-09-27)"
    assert current_rate(machine("cpu-highram"), CATALOG) is None
    assert current_rate(machine("t4", PLAIN), CATALOG) is None


def test_advice_without_any_known_rate() -> None:
    """A catalogue without rates offers nothing as cheapest."""
    unrated = tuple(replace(row, units_per_hour=None) for row in CATALOG.colab.runtimes)
    catalog = Catalog(CATALOG.accelerators, replace(CATALOG.colab, runtimes=unrated))
    advice = advise(Resources(gpu=gpu("A100")), machine("t4"), catalog)
    assert advice is not None
    assert advice.runtime == ""
    assert "A100: rate not known" in texts(advice.alternatives)


def test_json() -> None:
    """The advice as `check --json` prints it."""
    advice = advise(Resources(gpu=gpu("A100")), machine("t4"), CATALOG)
    assert advice is not None
    assert set(advice.as_json()) >= {"runtime", "units_per_hour", "checked", "steps", "argv", "alternatives"}


# --- what is said beside it ---------------------------------------------------------------------------


def short_of_ram(key: str, size: int) -> RuntimeFacts:
    facts = machine(key)
    return replace(facts, host=replace(facts.host, ram_total_bytes=Known(size)))


def in_mig_mode(key: str) -> RuntimeFacts:
    facts = machine(key)
    assert isinstance(facts.gpu.gpus, Known)
    (card,) = facts.gpu.gpus.value
    sliced = replace(card, mig=Known(True))
    return replace(facts, gpu=replace(facts.gpu, gpus=Known((sliced,))))


@pytest.mark.parametrize(
    ("resources", "facts", "said"),
    [
        (Resources(gpu=gpu("A100")), machine("t4"), "Chose A100, and Colab gave T4?"),
        (Resources(gpu=gpu("A100"), ram_bytes=50 * GB), machine("l4"), "Chose A100, and Colab gave L4?"),
        (Resources(gpu=gpu("A100"), ram_bytes=50 * GB), short_of_ram("a100-40", 25 * GB), ""),
        (Resources(gpu=gpu("A100"), ram_bytes=50 * GB), short_of_ram("h100", 25 * GB), ""),
        (Resources(gpu=gpu("A100-80GB")), machine("a100-40"), ""),
        (Resources(ram_bytes=50 * GB), machine("t4"), ""),
        (Resources(gpu=gpu("T4", exact=True)), machine("a100-40"), ""),
        (Resources(gpu=gpu("A100")), in_mig_mode("a100-40"), ""),
        (Resources(gpu=gpu("A100")), in_mig_mode("h100"), ""),
    ],
)
def test_colab_is_not_accused_without_reason(resources: Resources, facts: RuntimeFacts, said: str) -> None:
    """Only a lesser GPU of another family than was asked for was given instead."""
    advice = advise(resources, facts, CATALOG)
    assert advice is not None
    assert advice.runtime
    accused = [note for note in texts(advice.notes) if "Colab gave" in note]
    assert [note.startswith(said) for note in accused] == ([True] if said else [])


@pytest.mark.parametrize("name", ["V100", "P100"])
def test_what_is_gone_has_one_answer(name: str) -> None:
    """The best fitting row, and no other beside it."""
    advice = advise(Resources(gpu=gpu(name)), machine("t4"), CATALOG)
    assert advice is not None
    assert (advice.runtime, advice.costs_most) == ("a100-40", None)
    assert f"Colab has no {name} any more." in texts(advice.notes)
    assert "L4" not in " ".join((str(advice.summary), *texts(advice.notes)))


def test_a_tpu_that_is_gone_has_a_successor() -> None:
    """No row fits, so what to choose today is said."""
    advice = advise(Resources(tpu="v2-8"), machine("cpu"), CATALOG)
    assert advice is not None
    assert texts(advice.notes) == ("Colab has no TPU v2-8 any more; today's choice is TPU v5e-1.",)


@pytest.mark.parametrize(
    "request_gpu", [gpu("A100-80GB"), gpu("H100"), gpu("A100", exact=True), GpuProperties(100 * GB)]
)
def test_the_gpu_is_never_what_to_do_without(request_gpu: GpuRequest) -> None:
    """What a lesser GPU could not do, nobody here knows."""
    advice = advise(Resources(gpu=request_gpu), machine("t4"), CATALOG)
    assert advice is not None
    assert advice.costs_most is None


def test_what_costs_most_says_what_it_takes() -> None:
    """Without an article, and with the subscription that the cheaper one needs."""
    advice = advise(Resources(gpu=gpu("T4"), ram_bytes=57 * GB), machine("t4"), CATALOG)
    assert advice is not None
    assert advice.costs_most is not None
    assert str(advice.costs_most.text).startswith("With ram: 13GB, T4 would do: about 1.07")


def test_what_would_do_instead_is_known_to() -> None:
    """A row whose CPUs nobody has counted is not promised."""
    needs = Resources(gpu=gpu("T4"), ram_bytes=100 * GB, cpus=8)
    advice = advise(needs, machine("a100-40"), CATALOG)
    assert advice is not None
    assert advice.costs_most is not None
    assert (advice.runtime, advice.costs_most.runtime) == ("a100-80", "a100-40")


@pytest.mark.parametrize(
    ("resources", "said"),
    [
        (Resources(cpus=40), "The most CPUs known are 12."),
        (Resources(disk_bytes=210 * GB), "The most free disk known is 202.6 GB."),
        (Resources(tpu="v6e-1", cpus=50), "The most CPUs known are 44."),
        (Resources(gpu=gpu("T4"), ram_bytes=180 * GB, cpus=12), "No runtime is known to meet all of them."),
        (
            Resources(tpu="v5e-1", ram_bytes=60 * GB),
            "Each of these is met somewhere, but not all by one runtime.",
        ),
    ],
)
def test_why_nothing_fits(resources: Resources, said: str) -> None:
    """Of the rows that are offered to such a job; and what is not known is not denied."""
    advice = advise(resources, machine("cpu"), CATALOG)
    assert advice is not None
    assert advice.runtime == ""
    assert str(advice.summary).endswith(said)


def test_a_catalogue_without_runtimes() -> None:
    """A user's own may have none yet."""
    catalog = replace(CATALOG, colab=replace(CATALOG.colab, runtimes=(), retired=()))
    needs = Resources(gpu=gpu("T4"), ram_bytes=GB, disk_bytes=GB, cpus=1)
    advice = advise(needs, machine("cpu"), catalog)
    assert advice is not None
    assert str(advice.summary).endswith("and 1 CPUs. None has T4 or better.")


def test_the_plan_is_the_reason() -> None:
    """What the plan may not choose is cheaper, and it is said why it is not the answer."""
    plans = {plan.key: plan for plan in CATALOG.colab.plans}
    advice = advise(Resources(gpu=gpu("A100-80GB")), machine("t4"), CATALOG, plan=plans["payg"])
    assert advice is not None
    assert advice.runtime == "h100"
    assert str(advice.summary).startswith("Cheapest for your plan (Pay As You Go): H100, about 18.60")
    assert texts(advice.alternatives)[0].startswith("A100 80 GB with High-RAM: about 7.52")
    assert texts(advice.alternatives)[0].endswith(", needs Pro or Pro+")
    advice = advise(Resources(gpu=gpu("T4")), machine("cpu"), CATALOG, plan=plans["free"])
    assert advice is not None
    assert "L4: about 1.71 units/hour (US$0.17; rate of 2026-03-10), needs compute units" in texts(
        advice.alternatives
    )


def test_an_alternative_is_doubted_for_what_is_asked() -> None:
    """The RAM of no interest is not the reason."""
    advice = advise(Resources(gpu=gpu("L4"), disk_bytes=100 * GB), machine("t4"), CATALOG)
    assert advice is not None
    assert "H100: disk not known" in texts(advice.alternatives)
    assert "L4: disk not known" in texts(advice.alternatives)


def test_a_surer_row_is_offered_where_it_is_asked_for() -> None:
    """Of a row nobody can find out more; where no row is sure, none is named."""
    needs = Resources(gpu=gpu("A100"), ram_bytes=50 * GB)
    facts = facts_of(RUNTIMES["h100"], CATALOG)
    assert advise(needs, facts, CATALOG) is None
    advice = advise(needs, facts, CATALOG, or_unknown=True, here=RUNTIMES["h100"])
    assert advice is not None
    assert advice.runtime == "a100-40"
    needs = Resources(gpu=gpu("H100"), ram_bytes=GB)
    assert advise(needs, facts, CATALOG, or_unknown=True, here=RUNTIMES["h100"]) is None
