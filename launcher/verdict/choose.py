"""Which GPUs a job gets: the freest of those that it may see and nobody else has taken. Pure.

What CUDA would make of an inherited CUDA_VISIBLE_DEVICES is followed as far as that is certain. Where it is
not, the variable stays as it was and no GPU is chosen.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from launcher.spec.model import GpuClasses
from launcher.values import Known, Unknown
from launcher.verdict.gpus import match_gpus
from launcher.verdict.model import Status
from launcher.verdict.picking import AsItIs, Chosen, TooFew, Wish, pick

__all__ = ["AsItIs", "Chosen", "TooFew", "choose", "visible_gpus", "wish_for"]

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from launcher.catalog.model import Catalog
    from launcher.probes.model import Gpu
    from launcher.spec.model import GpuAny, GpuProperties
    from launcher.values import Reading

    Request = GpuAny | GpuClasses | GpuProperties


def choose(
    *,
    request: Request,
    gpus: Sequence[Gpu],
    catalog: Catalog,
    visible: str | None,
    device_order: str,
    taken: Collection[str],
) -> Chosen | TooFew | AsItIs:
    """The GPUs for `request`; the arguments are those of `wish_for`."""
    wish = wish_for(request, gpus, catalog, visible=visible, device_order=device_order)
    return wish if isinstance(wish, AsItIs) else pick(wish, taken)


def wish_for(
    request: Request, gpus: Sequence[Gpu], catalog: Catalog, *, visible: str | None, device_order: str
) -> Wish | AsItIs:
    """What would meet `request`, by CUDA_VISIBLE_DEVICES (None: unset) and CUDA_DEVICE_ORDER.

    Of several classes the first that can be had is taken, as the file lists them. Raises KeyError for a
    class that the catalogue does not list.
    """
    seen = visible_gpus(gpus, visible, device_order)
    if isinstance(seen, Unknown):
        return AsItIs(seen.reason)
    ways = [
        (wanted, tuple(_uuid(gpu) for gpu in sorted(able, key=_busy)))
        for wanted, able in _able(request, seen.value, catalog)
    ]
    return Wish(tuple(ways), tuple(_uuid(gpu) for gpu in seen.value))


def visible_gpus(gpus: Sequence[Gpu], visible: str | None, device_order: str) -> Reading[tuple[Gpu, ...]]:
    """What a CUDA program sees, in the order of `gpus`; unknown where that depends on what we cannot know."""
    if any(isinstance(gpu.uuid, Unknown) for gpu in gpus):
        return Unknown("no-uuid")
    # A program sees one slice of a GPU in MIG mode, and slices have names of their own.
    if any(gpu.mig == Known(True) for gpu in gpus):
        return Unknown("mig")
    if visible is None:
        return Known(tuple(gpus))
    words = [word.strip() for word in visible.split(",")]
    if words[0].startswith("MIG-"):
        return Unknown("mig")
    found = _by_number(words, gpus, device_order) if _is_number(words[0]) else _by_name(words, gpus)
    if isinstance(found, Unknown):
        return found
    if len(set(found.value)) < len(found.value):
        return Unknown("named-twice")
    return Known(tuple(gpu for position, gpu in enumerate(gpus) if position in found.value))


def _by_number(words: Sequence[str], gpus: Sequence[Gpu], device_order: str) -> Reading[list[int]]:
    """Positions. CUDA sees what stands before the first number that is of no GPU."""
    found: list[int] = []
    for word in words:
        if word.startswith(("GPU-", "MIG-")):
            return Unknown("mixed")
        if not (word.isascii() and word.isdecimal()) or int(word) >= len(gpus):
            break
        found.append(int(word))
    # Unless told otherwise, CUDA counts the fastest first: where all are of one model, that changes nothing.
    if found and device_order != "PCI_BUS_ID":
        names = {gpu.name for gpu in gpus}
        if len(names) > 1 or any(isinstance(name, Unknown) for name in names):
            return Unknown("device-order")
    return Known(found)


def _by_name(words: Sequence[str], gpus: Sequence[Gpu]) -> Reading[list[int]]:
    """Positions. A name may be shortened while it is one GPU's only; the first that is none ends the list."""
    found: list[int] = []
    for word in words:
        if found and (_is_number(word) or word.startswith("MIG-")):
            return Unknown("mixed")
        if not word.startswith("GPU-"):
            break
        named = [position for position, gpu in enumerate(gpus) if _uuid(gpu).startswith(word)]
        if len(named) != 1:
            break
        found.append(named[0])
    return Known(found)


def _is_number(word: str) -> bool:
    return word.removeprefix("-").isdecimal() and word.isascii()


def _able(request: Request, gpus: Sequence[Gpu], catalog: Catalog) -> list[tuple[int, list[Gpu]]]:
    """For each way to meet `request`: how many it takes, and which would do."""
    if isinstance(request, GpuClasses):
        ways: list[tuple[int, Request]] = [
            (option.count, GpuClasses((replace(option, count=1),))) for option in request.options
        ]
    else:
        ways = [(request.count, replace(request, count=1))]
    return [
        (
            count,
            [
                gpu
                for gpu in gpus
                # What could not be read may do: the user has accepted that.
                if match_gpus(request=one, gpus=[gpu], catalog=catalog).status is not Status.SHORT
            ],
        )
        for count, one in ways
    ]


def _busy(gpu: Gpu) -> tuple[bool, int, int, int]:
    """The freest first: by memory in use, then by what it does, then by number."""
    total, free, busy = gpu.memory_total_bytes, gpu.memory_free_bytes, gpu.utilisation_percent
    known = isinstance(total, Known) and isinstance(free, Known)
    used = total.value - free.value if isinstance(total, Known) and isinstance(free, Known) else 0
    return not known, used, busy.value if isinstance(busy, Known) else 101, gpu.index


def _uuid(gpu: Gpu) -> str:
    """Of GPUs that have one (visible_gpus)."""
    return gpu.uuid.value if isinstance(gpu.uuid, Known) else ""
