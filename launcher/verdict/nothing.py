"""Where no runtime can be offered: which requirement nobody meets, or which class would do. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from launcher.spec.model import GpuClasses, GpuNone, Resources
from launcher.values import format_size
from launcher.verdict.compare import wanted_text
from launcher.verdict.fits import MAY_BE_UNKNOWN, fit, offered
from launcher.verdict.gpus import match_gpus
from launcher.verdict.model import Advice, Alternative, Status
from launcher.verdict.rows import gpu_of
from launcher.verdict.texts import both
from launcher.words import joined, listed, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from launcher.catalog.model import Accelerator, Catalog, Runtime
    from launcher.probes.model import RuntimeFacts
    from launcher.words import Text, Words


def say_nothing_fits(
    resources: Resources, catalog: Catalog, others: tuple[Alternative, ...], gone: Sequence[Words]
) -> Advice:
    """Which requirement no runtime of the catalogue is known to meet, and the engines that have others."""
    engines = ", ".join(catalog.colab.engines)
    return Advice(
        runtime="",
        units_per_hour=None,
        usd_per_hour=None,
        checked=None,
        summary=joined(
            words("No Colab runtime is known to have {needs}.", needs=_wanted(resources)),
            *_why_nothing_fits(resources, catalog),
        ),
        steps=(
            words(
                "Ask for less, or give the job to another engine: {engines}",
                engines=engines,
            ),
        ),
        argv=(),
        others=others,
        notes=tuple(gone),
    )


def _why_nothing_fits(resources: Resources, catalog: Catalog) -> list[Text]:
    """What no runtime has, beside the most that there is; or that it is the requirements together."""
    rows = offered(resources, catalog)
    alone = _one_by_one(resources)
    nobodys = [name for name, one in alone.items() if not _somebody_meets(name, one, rows, catalog)]
    if nobodys:
        # What it asks for has just been said: of a single GPU or TPU there is no more to say.
        said = {} if len(alone) == 1 else {"gpu": _none_has(alone, "gpu"), "tpu": _none_has(alone, "tpu")}
        said |= {
            "ram": _most(words("The most RAM known is {size}."), (row.ram_bytes for row in rows)),
            "disk": _most(
                words("The most free disk known is {size}."), (row.disk_free_bytes for row in rows)
            ),
            "cpus": _most_cpus(rows),
        }
        return [said[name] for name in nobodys if name in said]
    if len(alone) == 1:
        return []
    answers = [fit(row, resources, catalog, MAY_BE_UNKNOWN).status for row in rows]
    if all(status is Status.SHORT for status in answers):
        return [words("Each of these is met somewhere, but not all by one runtime.")]
    return [words("No runtime is known to meet all of them.")]


def _one_by_one(resources: Resources) -> dict[str, Resources]:
    """Each requirement as if it were all that is asked for."""
    nothing = Resources()
    found = {}
    if resources.gpu is not None and not isinstance(resources.gpu, GpuNone):
        found["gpu"] = replace(nothing, gpu=resources.gpu)
    if resources.tpu is not None:
        found["tpu"] = replace(nothing, tpu=resources.tpu)
    if resources.ram_bytes is not None:
        found["ram"] = replace(nothing, ram_bytes=resources.ram_bytes)
    if resources.disk_bytes is not None:
        found["disk"] = replace(nothing, disk_bytes=resources.disk_bytes)
    if resources.cpus is not None:
        found["cpus"] = replace(nothing, cpus=resources.cpus)
    return found


def _somebody_meets(name: str, alone: Resources, rows: Sequence[Runtime], catalog: Catalog) -> bool:
    return any(fit(row, alone, catalog, (name,)).status is Status.MET for row in rows)


def _none_has(alone: Mapping[str, Resources], name: str) -> Text:
    return words("None has {what}.", what=_wanted(alone[name])) if name in alone else ""


def _most(sentence: Words, sizes: Iterable[int | None]) -> Text:
    """Empty where no row has a figure."""
    most = max((size for size in sizes if size is not None), default=None)
    return "" if most is None else replace(sentence, fields=(("size", format_size(most)),))


def _most_cpus(rows: Sequence[Runtime]) -> Text:
    most = max((row.cpus for row in rows if row.cpus is not None), default=None)
    return "" if most is None else words("The most CPUs known are {count}.", count=f"{most:g}")


def name_smallest_class(
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
