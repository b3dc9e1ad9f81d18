"""What to switch to when this runtime falls short. Pure.

On Colab: the cheapest runtime of the catalogue that is known to do. What is not known is named among the
alternatives, never offered as fitting. Elsewhere there is no menu to send people to, so only the smallest
class that would do is named.
"""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

from launcher.spec.model import GpuClasses, Resources
from launcher.values import Known, Unknown
from launcher.verdict.compare import judge
from launcher.verdict.fits import MAY_BE_UNKNOWN, cheapest, fits
from launcher.verdict.model import Advice, Alternative, CostsMost, Status
from launcher.verdict.nothing import name_smallest_class, say_nothing_fits
from launcher.verdict.texts import plan_name, price_text, rate_text, size_text
from launcher.words import joined, listed, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.catalog.model import Catalog, Plan, Runtime
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
    or_unknown: bool = False,
) -> Advice | None:
    """How to get a runtime that meets `resources`; `again` is the command that looks again without running.

    None where another runtime is not the answer: all is met, or what is wrong is not known to be a lack.
    Where no runtime in the catalogue is known to do, `runtime` is empty and the summary says so. `plan` is
    the user's, if we know it; `here` the row that we stand on, if somebody else knows it. With `or_unknown`
    a surer row is offered also where nothing is short but something is not known.
    """
    findings = judge(resources, facts, catalog).findings
    lacking = tuple(finding.requirement for finding in findings if finding.status is Status.SHORT)
    if not lacking and not or_unknown:
        return None
    unsure = not lacking
    lacking = lacking or tuple(one.requirement for one in findings if one.status is Status.UNKNOWN)
    if not lacking:
        return None
    if not facts.platform.on_colab:
        return name_smallest_class(resources, facts, catalog, again)
    here = here or catalog.runtime_for(facts)
    if (
        lacking == ("disk",)
        and here is not None
        and (here.disk_free_bytes or 0) >= (resources.disk_bytes or 0)
    ):
        return None  # It is full, not too small.
    found = fits(resources, catalog, must_know=lacking, without=here)
    best = cheapest(found, plan)
    others = tuple(_alternative(one, catalog, plan) for one in found if one is not best)
    gone = _gone(resources, catalog, found=best is not None)
    if best is None:
        return None if unsure else say_nothing_fits(resources, catalog, others, gone)
    notes = (
        *gone,
        *_plan_notes(best.row, catalog, plan),
        *(_given_instead(resources, facts, best.row, catalog) if "gpu" in lacking else ()),
    )
    return replace(
        _offer(best, catalog, again, plan),
        notes=notes,
        others=others,
        costs_most=_costs_most(resources, best, catalog, plan),
    )


def current_rate(facts: RuntimeFacts, catalog: Catalog) -> Runtime | None:
    """The row of the catalogue that this machine is, when its rate is known (see texts.rate_text)."""
    here = catalog.runtime_for(facts)
    return here if here is not None and here.units_per_hour is not None else None


# --- the runtime to switch to -----------------------------------------------------------------------


def _offer(best: Fit, catalog: Catalog, again: tuple[str, ...], plan: Plan | None) -> Advice:
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
    offer = {"runtime": row.label, "rate": rate_text(row, catalog.colab)}
    if plan is None or not plan.gets(row):
        summary = words("Cheapest fit: {runtime}, {rate}.", **offer)
    else:
        name = plan_name(plan)
        summary = words("Cheapest for your plan ({plan}): {runtime}, {rate}.", plan=name, **offer)
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


def _alternative(one: Fit, catalog: Catalog, plan: Plan | None) -> Alternative:
    row = one.row
    if one.status is Status.UNKNOWN:
        names: dict[str, Text] = {"ram": "RAM", "disk": words("disk"), "cpus": words("CPUs")}
        unknown = words("{what} not known", what=listed([names.get(name, name) for name in one.uncounted]))
        text = words("{runtime}: {what}", runtime=row.label, what=unknown)
    else:
        # Without a plan what High-RAM needs is said once, of the runtime to switch to.
        rate = rate_text(row, catalog.colab) if plan is None else price_text(row, catalog.colab, plan)
        text = words("{runtime}: {rate}", runtime=row.label, rate=rate)
    return Alternative(row.key, row.units_per_hour, text)


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


def _given_instead(
    resources: Resources, facts: RuntimeFacts, row: Runtime, catalog: Catalog
) -> Sequence[Words]:
    """Colab gives a lesser GPU than was chosen without a word; ours is the word.

    Said only of a GPU of another family that could not stand in for any that is asked for.
    """
    gpus, asked = facts.gpu.gpus, resources.gpu
    if not facts.platform.managed or isinstance(gpus, Unknown) or not gpus.value or row.gpu is None:
        return ()
    given = gpus.value[0]
    if not isinstance(asked, GpuClasses) or not isinstance(given.class_name, Known):
        return ()
    found = given.class_name.value
    if any(found in catalog.covering(option.name) for option in asked.options):
        return ()
    families = {_family(name, catalog) for option in asked.options for name in catalog.members(option.name)}
    if _family(found, catalog) in {*families, _family(row.gpu, catalog)}:
        return ()
    return (
        words(
            "Chose {wanted}, and Colab gave {found}? None was free, or no units are left.",
            wanted=_family(row.gpu, catalog),
            found=_family(found, catalog),
        ),
    )


def _family(name: str, catalog: Catalog) -> str:
    return catalog.accelerator(name).family or name


def _gone(resources: Resources, catalog: Catalog, *, found: bool) -> list[Words]:
    """Hardware that old notebooks still name. `found`: the advice itself says what to choose."""
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
        if row.tpu is not None and not found
        else words("Colab has no {gone} any more.", gone=row.title)
        for row in catalog.colab.retired
        if (row.gpu or row.tpu) in asked
    ]


def _costs_most(resources: Resources, best: Fit, catalog: Catalog, plan: Plan | None) -> CostsMost | None:
    """The requirement without which a much cheaper runtime would do; the one that saves most, of several.

    The GPU is none of them: what a lesser one could not do, nobody here knows.
    """
    offers = []
    for requirement, without in _relaxed(resources):
        other = cheapest(fits(without, catalog, must_know=MAY_BE_UNKNOWN), plan)
        value = None if other is None else _value_that_fits(requirement, other.row)
        if other is not None and value is not None and other.units <= best.units * _WORTH_SAYING:
            offers.append((other.units, requirement, value, other.row))
    if not offers:
        return None
    units, requirement, value, row = min(offers, key=lambda offer: offer[0])
    text = words(
        "With {requirement}: {value}, {runtime} would do: {rate}.",
        requirement=requirement,
        value=value,
        runtime=row.label,
        rate=price_text(row, catalog.colab, plan),
    )
    return CostsMost(requirement, value, row.key, units, text)


def _relaxed(resources: Resources) -> list[tuple[str, Resources]]:
    """`resources` with one requirement left out at a time."""
    found = []
    if resources.ram_bytes is not None:
        found.append(("ram", replace(resources, ram_bytes=None)))
    if resources.disk_bytes is not None:
        found.append(("disk", replace(resources, disk_bytes=None)))
    if resources.cpus is not None:
        found.append(("cpus", replace(resources, cpus=None)))
    return found


def _value_that_fits(requirement: str, row: Runtime) -> str | None:
    """What to write instead so that `row` fits, as a job file has it; None where that is not known."""
    if requirement == "cpus":
        return None if row.cpus is None else f"{row.cpus:g}"
    size = row.ram_bytes if requirement == "ram" else row.disk_free_bytes
    return None if size is None or size < GB else f"{size // GB}GB"


# --- where nothing is known to do -------------------------------------------------------------------
