"""The smallest change of a job file that this runtime meets, as JSON Patch (RFC 6902). Pure.

A figure is lowered to what is here, and a GPU that is here is allowed beside those that were asked for. No
requirement is dropped: a job that wants a GPU is not helped by a runtime that has none.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from launcher.spec.model import GpuAny, GpuClasses, GpuClassOption, GpuProperties
from launcher.values import Known
from launcher.verdict.compare import judge
from launcher.verdict.model import Fix, Status

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from launcher.catalog.model import Catalog, Runtime
    from launcher.probes.model import Gpu, RuntimeFacts
    from launcher.spec.model import GpuRequest, Resources
    from launcher.values import Reading
    from launcher.words import Text

# What a job file may call them, besides our own names.
OTHER_NAMES = {"gpu": ("accelerators",), "ram": ("memory",), "disk": ("disk_size",), "cpus": ("cpu",)}
T = TypeVar("T")
UNITS = (("GB", 10**9), ("MB", 10**6), ("KB", 10**3))
# Under the names of other tools a size is read with their meaning: binary, whatever the unit says.
BINARY = (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))


def fix(
    resources: Resources,
    facts: RuntimeFacts,
    catalog: Catalog,
    *,
    here: Runtime | None = None,
    read_as: Sequence[Text] = (),
    typed: Collection[str] = (),
) -> Fix | None:
    """How to change `resources` so that `facts` meet it; None where it is met, or cannot be by such a change.

    `here` is the row that this runtime is; `read_as` says which keys were written by another name, `typed`
    which ones do not come from the file: what they ask for stays asked for, however the file is changed.
    """
    short = [one for one in judge(resources, facts, catalog).findings if one.status is Status.SHORT]
    changed, patch = resources, []
    for finding in short:
        if _is_typed(finding.requirement, typed):
            return None
        key = _key(finding.requirement, read_as)
        units = UNITS if key == finding.requirement else BINARY
        change = _change(finding.requirement, changed, facts, catalog, units)
        if change is None:
            return None
        value, changed = change
        patch.append({"op": "replace", "path": f"/resources/{key}", "value": value})
    if not patch or any(one.status is not Status.MET for one in judge(changed, facts, catalog).findings):
        return None
    if here is None:
        return Fix(tuple(patch), None, None, None)
    return Fix(tuple(patch), here.key, here.units_per_hour, here.checked)


def _is_typed(requirement: str, typed: Collection[str]) -> bool:
    own = f"resources.{requirement}"
    return any(key in ("resources", own) or key.startswith(f"{own}.") for key in typed)


def _key(name: str, read_as: Sequence[Text]) -> str:
    said = [str(text) for text in read_as]
    others = OTHER_NAMES.get(name, ())
    return next((one for one in others if any(text.startswith(f"resources.{one}:") for text in said)), name)


def _change(
    requirement: str,
    resources: Resources,
    facts: RuntimeFacts,
    catalog: Catalog,
    units: Sequence[tuple[str, int]],
) -> tuple[object, Resources] | None:
    """The new value, as a job file has it, and as it is read."""
    host = facts.host
    if requirement == "ram" and (size := _size(host.ram_total_bytes, units)) is not None:
        return size[0], replace(resources, ram_bytes=size[1])
    if requirement == "disk" and (size := _size(host.disk_free_bytes, units)) is not None:
        return size[0], replace(resources, disk_bytes=size[1])
    if requirement == "cpus" and isinstance(host.cpus, Known) and (tenths := int(host.cpus.value * 10)) > 0:
        cpus = tenths // 10 if tenths % 10 == 0 else tenths / 10
        return cpus, replace(resources, cpus=float(cpus))
    gpus = facts.gpu.gpus
    if requirement == "gpu" and isinstance(gpus, Known) and gpus.value and resources.gpu is not None:
        lesser = _gpu(resources.gpu, gpus.value, catalog)
        return None if lesser is None else (lesser[0], replace(resources, gpu=lesser[1]))
    return None


def _size(found: Reading[int], units: Sequence[tuple[str, int]] = UNITS) -> tuple[str, int] | None:
    """The largest figure with a unit and one decimal that is not more than `found`."""
    if not isinstance(found, Known):
        return None
    for unit, size in units:
        tenths = found.value * 10 // size
        if tenths >= 10:
            whole, part = divmod(tenths, 10)
            return f"{whole}{f'.{part}' if part else ''}{unit}", tenths * size // 10
    return None


def _gpu(request: GpuRequest, gpus: Sequence[Gpu], catalog: Catalog) -> tuple[object, GpuRequest] | None:
    if isinstance(request, GpuAny):
        count = len(gpus)
        return ("any" if count == 1 else f"any:{count}"), GpuAny(count)
    if isinstance(request, GpuClasses):
        return _classes(request, gpus, catalog)
    return _properties(request, gpus) if isinstance(request, GpuProperties) else None


def _classes(request: GpuClasses, gpus: Sequence[Gpu], catalog: Catalog) -> tuple[object, GpuRequest] | None:
    """What is here beside what was asked for; the same class fewer times takes the place of itself."""
    named = [gpu.class_name.value for gpu in gpus if isinstance(gpu.class_name, Known)]
    if not named:
        return None
    name = max(sorted(set(named)), key=named.count)
    count = min(named.count(name), *(option.count for option in request.options), len(named))
    here = GpuClassOption(name, count)
    kept = [one for one in request.options if one.name != name and name not in catalog.covering(one.name)]
    same = [one for one in request.options if one not in kept]
    if len(same) == 1 and not same[0].exact:
        here = replace(same[0], count=named.count(name))
    options = (*kept, here)
    spelled = [_spelled(option) for option in options]
    return (spelled[0] if len(spelled) == 1 else spelled), GpuClasses(options)


def _spelled(option: GpuClassOption) -> str:
    count = "" if option.count == 1 else f":{option.count}"
    return f"{'=' if option.exact else ''}{option.name}{count}"


def _properties(request: GpuProperties, gpus: Sequence[Gpu]) -> tuple[object, GpuRequest] | None:
    """Each figure as low as the least of the GPUs that are counted."""
    count = min(request.count, len(gpus))
    written: dict[str, object] = {}
    memory, capability = request.memory_bytes, request.compute_capability
    best = sorted(gpus, key=lambda gpu: -_known(gpu.memory_total_bytes, 0))[:count]
    if memory is not None:
        size = _size(Known(min([memory, *(_known(gpu.memory_total_bytes, 0) for gpu in best)])))
        if size is None:
            return None
        written["memory"], memory = size
    if capability is not None:
        capability = min([capability, *(_known(gpu.compute_capability, (0, 0)) for gpu in best)])
        written["compute_capability"] = f"{capability[0]}.{capability[1]}"
    if count > 1 or not written:
        written["count"] = count
    return written, GpuProperties(memory, capability, count)


def _known(reading: Reading[T], otherwise: T) -> T:
    return reading.value if isinstance(reading, Known) else otherwise
