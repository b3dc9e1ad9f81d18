"""Does one GPU satisfy one request, and do enough of them? Pure, with three answers.

A field that could not be read matters only to a request that needs it. Enough GPUs that surely
satisfy: met. Not enough even if all doubtful ones did: short. Else unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from launcher.spec.model import GpuAny, GpuClasses, GpuClassOption, GpuProperties
from launcher.values import Known, Reading, Unknown
from launcher.verdict.model import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.catalog.model import Catalog
    from launcher.probes.model import Gpu

Figure = TypeVar("Figure", int, tuple[int, int])


@dataclass(frozen=True, slots=True)
class Match:
    """How one GPU, or all of them together, answer a request.

    `reason` says why it is unknown, `in_mig_mode` that only MIG mode is in the way, `too_few` that
    some GPUs satisfy but not as many as asked for.
    """

    status: Status
    reason: str = ""
    in_mig_mode: bool = False
    too_few: bool = False


_MET = Match(Status.MET)
_SHORT = Match(Status.SHORT)


def match_gpus(
    *, request: GpuAny | GpuClasses | GpuProperties, gpus: Sequence[Gpu], catalog: Catalog
) -> Match:
    """The answer of all `gpus` together; of several options the best answer counts.

    Raises KeyError for a class that the catalogue does not list.
    """
    if isinstance(request, GpuAny):
        return _enough([_match_any(gpu) for gpu in gpus], request.count)
    if isinstance(request, GpuProperties):
        return _enough([_match_properties(gpu, request) for gpu in gpus], request.count)
    answers = [_match_option(option, gpus, catalog) for option in request.options]
    return min(answers, key=_from_best_to_worst)


def _from_best_to_worst(match: Match) -> tuple[int, bool, bool]:
    order = (Status.MET, Status.UNKNOWN, Status.SHORT)
    return order.index(match.status), not match.too_few, not match.in_mig_mode


def _match_option(option: GpuClassOption, gpus: Sequence[Gpu], catalog: Catalog) -> Match:
    accepted = catalog.covering(option.name, exact=option.exact)
    return _enough([_match_class(gpu, accepted) for gpu in gpus], option.count)


def _enough(matches: Sequence[Match], count: int) -> Match:
    """Whether at least `count` of the GPUs satisfy."""
    sure = sum(match.status is Status.MET for match in matches)
    doubtful = [match for match in matches if match.status is Status.UNKNOWN]
    if sure >= count:
        return _MET
    if sure + len(doubtful) >= count:
        return Match(Status.UNKNOWN, reason=doubtful[0].reason)
    return Match(
        Status.SHORT,
        in_mig_mode=any(match.in_mig_mode for match in matches),
        too_few=sure > 0,
    )


def _match_any(gpu: Gpu) -> Match:
    if gpu.mig_devices == Known(()) and gpu.mig == Known(True):
        return Match(Status.SHORT, in_mig_mode=True)  # nothing of it can be used
    facts = (gpu.name, gpu.uuid, gpu.memory_total_bytes, gpu.compute_capability)
    if isinstance(gpu.name, Unknown) and all(isinstance(fact, Unknown) for fact in facts):
        return Match(Status.UNKNOWN, reason=gpu.name.reason)  # lost, or not ours to use
    return _MET


def _match_class(gpu: Gpu, accepted: frozenset[str]) -> Match:
    """In MIG mode a job gets a slice, which is not a GPU of the class."""
    named = gpu.class_name
    fits = isinstance(named, Known) and named.value in accepted
    if isinstance(named, Known) and not fits:
        return _SHORT
    if gpu.mig == Known(True):
        return Match(Status.SHORT, in_mig_mode=fits)
    for needed in (named, gpu.mig):
        if isinstance(needed, Unknown):
            return Match(Status.UNKNOWN, reason=needed.reason)
    return _MET


def _match_properties(gpu: Gpu, request: GpuProperties) -> Match:
    answers = [_match_any(gpu)]
    if request.memory_bytes is not None:
        answers.append(_match_memory(gpu, request.memory_bytes))
    if request.compute_capability is not None:
        answers.append(_at_least(gpu.compute_capability, request.compute_capability))
    for status in (Status.SHORT, Status.UNKNOWN):
        for answer in answers:
            if answer.status is status:
                return answer
    return _MET


def _match_memory(gpu: Gpu, wanted: int) -> Match:
    """The whole GPU's memory, or in MIG mode the largest slice's."""
    whole = _at_least(gpu.memory_total_bytes, wanted)
    if gpu.mig == Known(False) or whole.status is Status.SHORT:
        return whole
    if isinstance(gpu.mig, Unknown):
        return Match(Status.UNKNOWN, reason=gpu.mig.reason)
    if isinstance(gpu.mig_devices, Unknown):
        return Match(Status.UNKNOWN, reason=gpu.mig_devices.reason)
    slices = [_at_least(device.memory_total_bytes, wanted) for device in gpu.mig_devices.value]
    best = min(slices, key=_from_best_to_worst, default=_SHORT)
    return Match(best.status, best.reason, in_mig_mode=best.status is Status.SHORT)


def _at_least(reading: Reading[Figure], wanted: Figure) -> Match:
    if isinstance(reading, Unknown):
        return Match(Status.UNKNOWN, reason=reading.reason)
    return _MET if reading.value >= wanted else _SHORT
