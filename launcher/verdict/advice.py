"""What to switch to when this runtime falls short. Pure.

On Colab: the cheapest runtime of the catalogue that is known to do. What is not known is named among the
alternatives, never offered as fitting. Elsewhere there is no menu to send people to, so only the smallest
class that would do is named.
"""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

from launcher.spec.model import GpuClasses, GpuNone, Resources
from launcher.values import Known, Unknown, format_size
from launcher.verdict.compare import judge, wanted_text
from launcher.verdict.fits import cheapest, fits
from launcher.verdict.gpus import match_gpus
from launcher.verdict.model import Advice, CostsMost, Status
from launcher.verdict.rows import gpu_of
from launcher.verdict.texts import both, rate_text, size_text
from launcher.words import joined, listed, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from launcher.catalog.model import Accelerator, Catalog, Plan, Runtime
    from launcher.probes.model import RuntimeFacts
    from launcher.verdict.model import Fit
    from launcher.words import Text, Words

AGAIN = ("colab-run", "check", "job.yaml")
# A saving that is not worth a sentence.
_WORTH_SAYING = 0.75
GB = 10**9


def advise(
    resources: Resources,
    facts: RuntimeFacts,
    catalog: Catalog,
    *,
    again: tuple[str, ...] = AGAIN,
    plan: Plan | None = None,
    here: Runtime | None = None,
) -> Advice | None:
    """How to get a runtime that meets `resources`; `again` is the command that looks again without running.

    None where another runtime is not the answer: all is met, or what is wrong is not known to be a lack.
    Where no runtime in the catalogue is known to do, `runtime` is empty and the summary says so. `plan` is
    the user's, if we know it; `here` the row that we stand on, if somebody else knows it.
    """
    findings = judge(resources, facts, catalog).findings
    lacking = tuple(finding.requirement for finding in findings if finding.status is Status.SHORT)
    if not lacking:
        return None
    if not facts.platform.on_colab:
        return _name_smallest_class(resources, facts, catalog, again)
    here = here or catalog.runtime_for(facts)
    if (
        lacking == ("disk",)
        and here is not None
        and (here.disk_free_bytes or 0) >= (resources.disk_bytes or 0)
    ):
        return None  # It is full, not too small.
    found = fits(resources, catalog, must_know=lacking, without=here)
    best = cheapest(found, plan)
    alternatives = tuple(_alternative(one, catalog) for one in found if one is not best)
    gone = _gone(resources, catalog)
    if best is None:
        return _say_nothing_fits(resources, catalog, alternatives, gone)
    notes = (
        *gone,
        *_plan_notes(best.row, catalog, plan),
        *_given_instead(facts, best.row, catalog),
    )
    return replace(
        _offer(best, catalog, again),
        notes=notes,
        alternatives=alternatives,
        costs_most=_costs_most(resources, best, catalog, plan),
    )


def current_rate(facts: RuntimeFacts, catalog: Catalog) -> Runtime | None:
    """The row of the catalogue that this machine is, when its rate is known (see texts.rate_text)."""
    here = catalog.runtime_for(facts)
    return here if here is not None and here.units_per_hour is not None else None


# --- the runtime to switch to -----------------------------------------------------------------------


def _offer(best: Fit, catalog: Catalog, again: tuple[str, ...]) -> Advice:
    row, menu = best.row, catalog.colab.menu
    usd = catalog.colab.usd_per_hour(row)
    accelerator, caption = menu.accelerator.words, row.menu_accelerator
    if row.high_ram:
        choice = words(
            "{accelerator}: {caption}, {shape}: {high_ram}, then Save",
            accelerator=accelerator,
            caption=caption,
            shape=menu.shape.words,
            high_ram=menu.high_ram.words,
        )
    else:
        choice = words("{accelerator}: {caption}, then Save", accelerator=accelerator, caption=caption)
    summary = words("Cheapest fit: {runtime}, {rate}.", runtime=row.label, rate=rate_text(row, catalog.colab))
    return Advice(
        runtime=row.key,
        units_per_hour=row.units_per_hour,
        usd_per_hour=None if usd is None else round(usd, 4),
        checked=row.checked,
        plan=row.plan,
        summary=joined(summary, *_figures(best, catalog)),
        steps=(
            menu.change_runtime.words,
            choice,
            words("Check again without running: {command}", command=shlex.join(again)),
        ),
        argv=again,
    )


def _alternative(one: Fit, catalog: Catalog) -> Words:
    if one.status is Status.UNKNOWN:
        unsure = words("its RAM is not known") if one.row.ram_bytes is None else words("not known to do")
        return words("{runtime}: {what}", runtime=one.row.label, what=unsure)
    return words("{runtime}: {rate}", runtime=one.row.label, rate=rate_text(one.row, catalog.colab))


def _figures(best: Fit, catalog: Catalog) -> list[Words]:
    """RAM and memory, what is not known, and what the shape means for the person who clicks."""
    row = best.row
    ram = None if row.ram_bytes is None else size_text(row.ram_bytes, on_colab=True)
    memory = _memory(row, catalog)
    found = []
    if ram is None:
        found.append(words("RAM not known."))
    elif row.tpu is not None and memory is not None:
        found.append(words("RAM {ram}; TPU memory {memory}.", ram=ram, memory=memory))
    elif memory is not None:
        found.append(words("RAM {ram}; GPU memory {memory}.", ram=ram, memory=memory))
    else:
        found.append(words("RAM {ram}.", ram=ram))
    if "disk" in best.uncounted:
        found.append(words("Its disk is not known."))
    if "cpus" in best.uncounted:
        found.append(words("Its CPUs are not known."))
    if not row.high_ram and catalog.colab.has_two_shapes(row):
        found.append(words("You do not need High-RAM."))
    return found


def _memory(row: Runtime, catalog: Catalog) -> Text | None:
    """Of its GPU, as the driver reports it, or of its TPU."""
    if row.tpu is not None:
        size = row.tpu_memory_bytes
    else:
        size = None if row.gpu is None else catalog.accelerator(row.gpu).memory_bytes
    return None if size is None else size_text(size, on_colab=True)


# --- what else to know before switching -------------------------------------------------------------


def _plan_notes(row: Runtime, catalog: Catalog, plan: Plan | None) -> list[Words]:
    """Who gets this runtime; nothing where the user's plan is known to allow it, or everybody's does."""
    link = catalog.colab.links.plans
    if row.plan == "free" or (plan is not None and plan.gets(row)):
        return []
    if row.plan == "subscription":
        return [words("High-RAM needs a current subscription, Pro or Pro+: {link}", link=link)]
    return [words("Not in the list? Get compute units: {link}", link=link)]


def _given_instead(facts: RuntimeFacts, row: Runtime, catalog: Catalog) -> list[Words]:
    """Colab gives another GPU than was chosen without a word; ours is the word."""
    gpus = facts.gpu.gpus
    if not facts.platform.managed or isinstance(gpus, Unknown) or not gpus.value:
        return []
    found = gpus.value[0].class_name
    if not isinstance(found, Known) or row.gpu is None or found.value == row.gpu:
        return []
    return [
        words(
            "Chose {wanted}, and Colab gave {found}? None was free, or no units are left.",
            wanted=catalog.accelerator(row.gpu).family or row.gpu,
            found=catalog.accelerator(found.value).family or found.value,
        )
    ]


def _gone(resources: Resources, catalog: Catalog) -> list[Words]:
    """Hardware that old notebooks still name."""
    asked = {resources.tpu}
    if isinstance(resources.gpu, GpuClasses):
        asked |= {option.name for option in resources.gpu.options}
    titles = {row.key: row.label for row in catalog.colab.runtimes}
    return [
        words(
            "Colab has no {gone} any more; today's choice is {runtime}.",
            gone=row.title,
            runtime=titles[row.instead],
        )
        for row in catalog.colab.retired
        if (row.gpu or row.tpu) in asked
    ]


def _costs_most(resources: Resources, best: Fit, catalog: Catalog, plan: Plan | None) -> CostsMost | None:
    """The requirement without which a much cheaper runtime would do; the one that saves most, of several."""
    offers = []
    for requirement, without in _relaxed(resources):
        other = cheapest(fits(without, catalog), plan)
        if other is None or other.units > best.units * _WORTH_SAYING:
            continue
        if requirement == "gpu" and other.row.gpu is None:
            # Who asks for a GPU wants one, if a lesser one.
            with_gpu = [one for one in fits(without, catalog) if one.row.gpu is not None]
            other = cheapest(with_gpu, plan)
        value = None if other is None else _value_that_fits(requirement, other.row, catalog)
        if other is not None and value is not None and other.units <= best.units * _WORTH_SAYING:
            offers.append((other.units, requirement, value, other.row))
    if not offers:
        return None
    units, requirement, value, row = min(offers, key=lambda offer: offer[0])
    text = words(
        "With {requirement}: {value} a {runtime} would do, {rate}.",
        requirement=requirement,
        value=value,
        runtime=row.label,
        rate=rate_text(row, catalog.colab),
    )
    return CostsMost(requirement, value, row.key, units, text)


def _relaxed(resources: Resources) -> list[tuple[str, Resources]]:
    """`resources` with one requirement left out at a time."""
    found = []
    if resources.gpu is not None and not isinstance(resources.gpu, GpuNone):
        found.append(("gpu", replace(resources, gpu=None)))
    if resources.ram_bytes is not None:
        found.append(("ram", replace(resources, ram_bytes=None)))
    if resources.disk_bytes is not None:
        found.append(("disk", replace(resources, disk_bytes=None)))
    if resources.cpus is not None:
        found.append(("cpus", replace(resources, cpus=None)))
    return found


def _value_that_fits(requirement: str, row: Runtime, catalog: Catalog) -> str | None:
    """What to write instead so that `row` fits, as a job file has it; None where that is not known."""
    if requirement == "gpu":
        return None if row.gpu is None else catalog.accelerator(row.gpu).family or row.gpu
    if requirement == "cpus":
        return None if row.cpus is None else f"{row.cpus:g}"
    size = row.ram_bytes if requirement == "ram" else row.disk_free_bytes
    return None if size is None or size < GB else f"{size // GB}GB"


# --- where nothing is known to do -------------------------------------------------------------------


def _say_nothing_fits(
    resources: Resources, catalog: Catalog, alternatives: tuple[Text, ...], gone: Sequence[Words]
) -> Advice:
    unmet = _nobody_meets(resources, catalog)
    engines = ", ".join(catalog.colab.engines)
    together = words("Each of these is met somewhere, but not all by one runtime.")
    return Advice(
        runtime="",
        units_per_hour=None,
        usd_per_hour=None,
        checked=None,
        summary=joined(
            words("No Colab runtime is known to have {needs}.", needs=_wanted(resources)),
            *(unmet or [together]),
        ),
        steps=(
            words(
                "Ask for less, or give the job to another engine: {engines}",
                engines=engines,
            ),
        ),
        argv=(),
        alternatives=alternatives,
        notes=tuple(gone),
    )


def _nobody_meets(resources: Resources, catalog: Catalog) -> list[Words]:
    """What no runtime has, even were it all that is asked for, beside the most that there is."""
    rows = catalog.colab.runtimes
    nothing = Resources()
    said = {
        "gpu": (replace(nothing, gpu=resources.gpu), _none_has(resources)),
        "tpu": (replace(nothing, tpu=resources.tpu), _none_has(resources)),
        "ram": (
            replace(nothing, ram_bytes=resources.ram_bytes),
            words("The most RAM known is {size}.", size=_most(row.ram_bytes for row in rows)),
        ),
        "disk": (
            replace(nothing, disk_bytes=resources.disk_bytes),
            words("The most free disk known is {size}.", size=_most(row.disk_free_bytes for row in rows)),
        ),
        "cpus": (
            replace(nothing, cpus=resources.cpus),
            words("The most CPUs known are {count}.", count=f"{max(row.cpus or 0 for row in rows):g}"),
        ),
    }
    return [
        text
        for name, (alone, text) in said.items()
        if cheapest(fits(alone, catalog, must_know=(name,)), rated=False) is None
    ]


def _none_has(resources: Resources) -> Words:
    if resources.gpu is None or isinstance(resources.gpu, GpuNone):
        return words("None has {what}.", what=f"TPU {resources.tpu}")
    return words("None has {what}.", what=wanted_text(resources.gpu))


def _most(sizes: Iterable[int | None]) -> str:
    return format_size(max(size or 0 for size in sizes))


def _name_smallest_class(
    resources: Resources, facts: RuntimeFacts, catalog: Catalog, again: tuple[str, ...]
) -> Advice:
    """Where machines are not chosen from Colab's menu."""
    place = catalog.place(facts.platform.kind)
    engines = () if place is None else place.engines
    smallest = min(_classes_that_do(resources, catalog), key=lambda row: row.memory_bytes, default=None)
    summary: Text = words("This job needs a machine with {needs}.", needs=_wanted(resources))
    if smallest is not None:
        summary = joined(
            summary, words("The smallest class that would do: {class_name}.", class_name=smallest.name)
        )
    return Advice(
        runtime="",
        units_per_hour=None,
        usd_per_hour=None,
        checked=None,
        summary=summary,
        steps=_elsewhere(engines),
        argv=again,
    )


def _elsewhere(engines: Sequence[str]) -> tuple[Words, ...]:
    if not engines:
        return ()
    return (
        words(
            "Run it on such a machine, or give it to another engine: {engines}", engines=", ".join(engines)
        ),
    )


def _classes_that_do(resources: Resources, catalog: Catalog) -> list[Accelerator]:
    """Classes that meet `gpu:` when a machine has as many of them as are asked for."""
    request = resources.gpu
    if request is None or isinstance(request, GpuNone):
        return []
    options = request.options if isinstance(request, GpuClasses) else (request,)
    most = max(option.count for option in options)
    return [
        row
        for row in catalog.accelerators
        if match_gpus(request=request, gpus=[gpu_of(row)] * most, catalog=catalog).status is Status.MET
    ]


def _wanted(resources: Resources) -> Text:
    """`A100 or better and 50 GB of RAM`."""
    parts: list[Text] = []
    if resources.gpu is not None and not isinstance(resources.gpu, GpuNone):
        parts.append(wanted_text(resources.gpu))
    if resources.tpu is not None:
        parts.append(f"TPU {resources.tpu}")
    if resources.ram_bytes is not None:
        parts.append(words("{size} of RAM", size=format_size(resources.ram_bytes)))
    if resources.disk_bytes is not None:
        parts.append(words("{size} of free disk", size=format_size(resources.disk_bytes)))
    if resources.cpus is not None:
        parts.append(words("{count} CPUs", count=f"{resources.cpus:g}"))
    *others, last = parts
    return both([listed(others), last]) if others else last
