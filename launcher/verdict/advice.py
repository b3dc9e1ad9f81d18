"""What to switch to when this runtime falls short. Pure.

On Colab: the cheapest runtime of the catalogue whose figures are known and meet GPU and RAM. What is
not known is named among the alternatives, never offered as fitting. Elsewhere there is no menu to
send people to, so only the smallest class that would do is named.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from launcher.probes.model import PlatformKind
from launcher.spec.model import GpuClasses, GpuNone
from launcher.values import format_size
from launcher.verdict.compare import judge_gpu, judge_ram, wanted_text
from launcher.verdict.gpus import match_gpus
from launcher.verdict.model import Advice, Status
from launcher.verdict.rows import facts_of, gpu_of
from launcher.verdict.texts import both, rate_text, sentences, size_text
from launcher.words import Words, words

if TYPE_CHECKING:
    from launcher.catalog.model import Accelerator, Catalog, Runtime
    from launcher.probes.model import RuntimeFacts
    from launcher.spec.model import Resources

AGAIN = ("colab-run", "check", "job.yaml")
# More would bury the answer.
_DEARER_SHOWN = 2


def advise(
    resources: Resources, facts: RuntimeFacts, catalog: Catalog, *, again: tuple[str, ...] = AGAIN
) -> Advice | None:
    """How to get a runtime that meets `resources`; `again` is the command that looks again without running.

    None where another runtime is not the answer: GPU and RAM are met, or what is wrong is not known to
    be a lack. Where no runtime in the catalogue is known to do, `runtime` is empty and the summary
    says so.
    """
    if Status.SHORT not in _statuses(resources, facts, catalog):
        return None
    if facts.platform.kind is PlatformKind.PLAIN:
        return _name_smallest_class(resources, catalog, again)
    here = catalog.runtime_for(facts)
    others = [row for row in catalog.colab.runtimes if row.tpu is None and row is not here]
    verdicts = [(row, _statuses(resources, facts_of(row, catalog), catalog)) for row in others]
    fitting = [row for row, statuses in verdicts if statuses == {Status.MET}]
    doubtful = [row for row, s in verdicts if Status.SHORT not in s and Status.UNKNOWN in s]
    rated = sorted((row for row in fitting if row.units_per_hour is not None), key=_price)
    alternatives = (
        *(_alternative(row, catalog) for row in rated[1 : 1 + _DEARER_SHOWN]),
        *(_alternative(row, catalog) for row in fitting if row.units_per_hour is None),
        *(words("{runtime}: its RAM is not known", runtime=row.title) for row in doubtful),
    )
    if not rated:
        return _say_nothing_fits(resources, alternatives)
    return _offer(rated[0], catalog, again, alternatives)


def current_rate(facts: RuntimeFacts, catalog: Catalog) -> Runtime | None:
    """The row of the catalogue that this machine is, when its rate is known (see texts.rate_text)."""
    here = catalog.runtime_for(facts)
    return here if here is not None and here.units_per_hour is not None else None


def _price(row: Runtime) -> float:
    return float("inf") if row.units_per_hour is None else row.units_per_hour


def _statuses(resources: Resources, facts: RuntimeFacts, catalog: Catalog) -> set[Status]:
    """What GPU and RAM say; {MET} where neither is asked for."""
    findings = (
        judge_gpu(request=resources.gpu, facts=facts.gpu, catalog=catalog),
        judge_ram(wanted_bytes=resources.ram_bytes, host=facts.host),
    )
    return {finding.status for finding in findings if finding is not None} or {Status.MET}


def _offer(
    row: Runtime, catalog: Catalog, again: tuple[str, ...], alternatives: tuple[Words | str, ...]
) -> Advice:
    menu, usd = catalog.colab.menu, catalog.colab.usd_per_hour(row)
    if row.high_ram:
        choice = words(
            "{accelerator}: {caption}, {shape}: {high_ram}, then Save",
            accelerator=menu.accelerator,
            caption=row.menu_accelerator,
            shape=menu.shape,
            high_ram=menu.high_ram,
        )
    else:
        choice = words(
            "{accelerator}: {caption}, then Save", accelerator=menu.accelerator, caption=row.menu_accelerator
        )
    best = words("Cheapest fit: {runtime}, {rate}.", runtime=row.title, rate=rate_text(row, catalog.colab))
    return Advice(
        runtime=row.key,
        units_per_hour=row.units_per_hour,
        usd_per_hour=None if usd is None else round(usd, 4),
        checked=row.checked,
        summary=sentences(best, *_figures(row, catalog)),
        steps=(
            menu.change_runtime,
            choice,
            words("Check again without running: {command}", command=shlex.join(again)),
        ),
        argv=again,
        alternatives=alternatives,
    )


def _alternative(row: Runtime, catalog: Catalog) -> Words:
    return words("{runtime}: {rate}", runtime=row.title, rate=rate_text(row, catalog.colab))


def _figures(row: Runtime, catalog: Catalog) -> list[Words]:
    """RAM and GPU memory, and what the shape means for the person who clicks."""
    ram = None if row.ram_bytes is None else size_text(row.ram_bytes, on_colab=True)
    memory = None if row.gpu is None else size_text(catalog.accelerator(row.gpu).memory_bytes, on_colab=True)
    found = []
    if ram is None:
        found.append(words("RAM not known."))
    elif memory is None:
        found.append(words("RAM {ram}.", ram=ram))
    else:
        found.append(words("RAM {ram}; GPU memory {memory}.", ram=ram, memory=memory))
    if row.high_ram:
        found.append(words("High-RAM needs a current subscription."))
    elif any(r.high_ram and r.menu_accelerator == row.menu_accelerator for r in catalog.colab.runtimes):
        found.append(words("You do not need High-RAM."))
    return found


def _say_nothing_fits(resources: Resources, alternatives: tuple[Words | str, ...]) -> Advice:
    return Advice(
        runtime="",
        units_per_hour=None,
        usd_per_hour=None,
        checked=None,
        summary=words("No Colab runtime is known to have {needs}.", needs=_wanted(resources)),
        steps=(words("Ask for less, or run it on another machine"),),
        argv=(),
        alternatives=alternatives,
    )


def _name_smallest_class(resources: Resources, catalog: Catalog, again: tuple[str, ...]) -> Advice:
    """Where machines are not chosen from Colab's menu."""
    smallest = min(_classes_that_do(resources, catalog), key=lambda row: row.memory_bytes, default=None)
    summary: Words | str = words("This job needs a machine with {needs}.", needs=_wanted(resources))
    if smallest is not None:
        summary = sentences(
            summary, words("The smallest class that would do: {class_name}.", class_name=smallest.name)
        )
    return Advice(
        runtime="",
        units_per_hour=None,
        usd_per_hour=None,
        checked=None,
        summary=summary,
        steps=(),
        argv=again,
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


def _wanted(resources: Resources) -> Words | str:
    """`A100 or better and 50 GB of RAM`."""
    parts: list[Words | str] = []
    if resources.gpu is not None and not isinstance(resources.gpu, GpuNone):
        parts.append(wanted_text(resources.gpu))
    if resources.ram_bytes is not None:
        parts.append(words("{size} of RAM", size=format_size(resources.ram_bytes)))
    return both(parts)
