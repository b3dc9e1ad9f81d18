"""One pure function per kind of requirement: what is wanted beside what was found."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from launcher.record import reading_json
from launcher.spec.model import GpuAny, GpuClasses, GpuClassOption, GpuNone, GpuProperties
from launcher.values import Known, Unknown, format_size
from launcher.verdict.gpus import Match, match_gpus
from launcher.verdict.model import Finding, FindingCode, Status, Verdict
from launcher.verdict.texts import explain, gpus_text, size_text
from launcher.words import Words, joined, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.catalog.model import Catalog
    from launcher.probes.model import Gpu, GpuFacts, HostFacts, RuntimeFacts
    from launcher.spec.model import GpuRequest, Resources
    from launcher.values import Reading

_MIG_NOTE = words(
    "In MIG mode a job gets one slice, not the GPU: ask for memory instead, such as "
    "gpu: {example}, or switch the mode off (nvidia-smi -mig 0).",
    example="{memory: 18GB}",
)
# Less short than this, the two figures beside each other may look the same: 50.0 GB and 50 GB.
_CLOSE = 0.05
# These leave the class open, not the GPU unreadable.
_CLASS_REASONS = ("unlisted-gpu", "memory-unknown")


def judge(resources: Resources, facts: RuntimeFacts, catalog: Catalog) -> Verdict:
    """All findings, in the order gpu, tpu, ram, disk, cpus; nothing asked for, no finding."""
    on_colab = facts.platform.on_colab
    findings = (
        judge_gpu(request=resources.gpu, facts=facts.gpu, catalog=catalog, on_colab=on_colab),
        judge_tpu(wanted=resources.tpu, found=facts.tpu),
        judge_ram(wanted_bytes=resources.ram_bytes, host=facts.host, on_colab=on_colab),
        judge_disk(wanted_bytes=resources.disk_bytes, host=facts.host),
        judge_cpus(wanted=resources.cpus, host=facts.host),
    )
    return Verdict(tuple(finding for finding in findings if finding is not None))


def judge_gpu(
    *, request: GpuRequest | None, facts: GpuFacts, catalog: Catalog, on_colab: bool = False
) -> Finding | None:
    """The GPUs against `gpu:`; None where no GPU is asked for, whatever state the GPUs are in.

    Raises KeyError for a class that the catalogue does not list (the reader of job files refuses it).
    """
    if request is None or isinstance(request, GpuNone):
        return None
    if isinstance(facts.gpus, Unknown):
        return _gpu_finding(
            request,
            found=reading_json(facts.gpus),
            status=Status.UNKNOWN,
            code=FindingCode.GPU_UNREADABLE,
            found_text=explain(facts.gpus.reason),
        )
    gpus = facts.gpus.value
    if not gpus:
        return _gpu_finding(
            request,
            found="no GPU",
            status=Status.SHORT,
            code=FindingCode.NO_GPU,
            found_text=words("no GPU"),
        )
    match = match_gpus(request=request, gpus=gpus, catalog=catalog)
    unknown = match.status is Status.UNKNOWN
    return _gpu_finding(
        request,
        found={"unknown": match.reason} if unknown else _gpus_json(request, gpus),
        status=match.status,
        code=_gpu_code(request, match),
        found_text=gpus_text(gpus, on_colab=on_colab),
        note=_gpu_note(match),
    )


def judge_tpu(*, wanted: str | None, found: Reading[str | None]) -> Finding | None:
    """The TPU against `tpu:`. A name says generation and number of chips, and another is another machine."""
    if wanted is None:
        return None
    found_text: Words | str
    if isinstance(found, Unknown):
        status, found_text = Status.UNKNOWN, explain(found.reason)
    else:
        status = Status.MET if found.value == wanted else Status.SHORT
        found_text = found.value or words("no TPU")
    json = reading_json(found) if isinstance(found, Unknown) else found.value or "no TPU"
    return Finding("tpu", wanted, json, status, FindingCode.TPU, wanted, found_text)


def judge_ram(*, wanted_bytes: int | None, host: HostFacts, on_colab: bool = False) -> Finding | None:
    """The RAM that is ours against `ram:`."""
    if wanted_bytes is None:
        return None
    finding = _judge_size("ram", FindingCode.RAM, wanted_bytes, host.ram_total_bytes, on_colab=on_colab)
    if finding.status is Status.SHORT and host.ram_limited_by_cgroup == Known(True):
        more = words("The machine has more; its container (cgroup) allows no more.")
        return replace(finding, note=joined(finding.note, more))
    return finding


def judge_disk(*, wanted_bytes: int | None, host: HostFacts) -> Finding | None:
    """Free disk where the job works against `disk:`."""
    if wanted_bytes is None:
        return None
    return _judge_size("disk", FindingCode.DISK, wanted_bytes, host.disk_free_bytes, is_free=True)


def judge_cpus(*, wanted: float | None, host: HostFacts) -> Finding | None:
    """The CPUs that are ours against `cpus:`."""
    if wanted is None:
        return None
    found = host.cpus
    found_text: Words | str
    if isinstance(found, Unknown):
        status, found_text = Status.UNKNOWN, explain(found.reason)
    else:
        status = Status.MET if found.value >= wanted else Status.SHORT
        found_text = f"{found.value:g}"
    return Finding("cpus", wanted, reading_json(found), status, FindingCode.CPUS, f"{wanted:g}", found_text)


# --- sizes ------------------------------------------------------------------------------------------


def _judge_size(
    requirement: str,
    code: FindingCode,
    wanted: int,
    found: Reading[int],
    *,
    on_colab: bool = False,
    is_free: bool = False,
) -> Finding:
    note: Words | str = ""
    found_text: Words | str
    if isinstance(found, Unknown):
        status, found_text = Status.UNKNOWN, explain(found.reason)
    else:
        found_text = size_text(found.value, on_colab=on_colab)
        if is_free:
            found_text = words("{size} free", size=found_text)
        missing = wanted - found.value
        status = Status.SHORT if missing > 0 else Status.MET
        if 0 < missing < wanted * _CLOSE:
            note = words("{size} short.", size=format_size(missing))
    return Finding(
        requirement, wanted, reading_json(found), status, code, format_size(wanted), found_text, note
    )


# --- GPUs in JSON and in words ----------------------------------------------------------------------


def _gpu_finding(
    request: GpuAny | GpuClasses | GpuProperties,
    *,
    found: object,
    status: Status,
    code: FindingCode,
    found_text: Words | str,
    note: Words | str = "",
) -> Finding:
    return Finding(
        requirement="gpu",
        wanted=_wanted_json(request),
        found=found,
        status=status,
        code=code,
        wanted_text=wanted_text(request),
        found_text=found_text,
        note=note,
    )


def _gpu_code(request: GpuAny | GpuClasses | GpuProperties, match: Match) -> FindingCode:
    if match.status is Status.UNKNOWN and match.reason not in _CLASS_REASONS:
        return FindingCode.GPU_UNREADABLE
    if match.in_mig_mode:
        return FindingCode.GPU_IN_MIG_MODE
    if match.too_few or isinstance(request, GpuAny):
        return FindingCode.GPU_COUNT
    return FindingCode.GPU_CLASS if isinstance(request, GpuClasses) else FindingCode.GPU_PROPERTIES


def _gpu_note(match: Match) -> Words | str:
    if match.status is Status.UNKNOWN:
        return explain(match.reason)
    return _MIG_NOTE if match.in_mig_mode else ""


def _gpus_json(request: GpuAny | GpuClasses | GpuProperties, gpus: Sequence[Gpu]) -> object:
    """What was found in the terms of the request: names, or properties; a list where there are several."""
    if isinstance(request, GpuProperties):
        found = [_properties_json(gpu) for gpu in gpus]
    else:
        found = [reading_json(gpu.name) for gpu in gpus]
    return found[0] if len(found) == 1 else found


def _properties_json(gpu: Gpu) -> object:
    capability = gpu.compute_capability
    return {
        "memory_bytes": reading_json(gpu.memory_total_bytes),
        "compute_capability": f"{capability.value[0]}.{capability.value[1]}"
        if isinstance(capability, Known)
        else reading_json(capability),
    }


def _wanted_json(request: GpuAny | GpuClasses | GpuProperties) -> object:
    """The request as `gpu:` writes it, with sizes in bytes."""
    if isinstance(request, GpuAny):
        return _with_count("any", request.count)
    if isinstance(request, GpuClasses):
        options = [_with_count(f"={o.name}" if o.exact else o.name, o.count) for o in request.options]
        return options[0] if len(options) == 1 else options
    wanted: dict[str, object] = {"count": request.count}
    if request.memory_bytes is not None:
        wanted["memory_bytes"] = request.memory_bytes
    if request.compute_capability is not None:
        wanted["compute_capability"] = "{}.{}".format(*request.compute_capability)
    return wanted


def _with_count(name: str, count: int) -> str:
    return name if count == 1 else f"{name}:{count}"


def wanted_text(request: GpuAny | GpuClasses | GpuProperties) -> Words | str:
    """The request for a person: `A100 or better`, `2 GPUs`, `GPU with 22 GB and compute capability 8.0`."""
    if isinstance(request, GpuAny):
        return _by_count(words("any GPU"), words("{count} GPUs", count=request.count), request.count)
    if isinstance(request, GpuClasses):
        first, *others = (_option_text(option) for option in request.options)
        for other in others:
            first = words("{first}, or {second}", first=first, second=other)
        return first
    memory = None if request.memory_bytes is None else format_size(request.memory_bytes)
    capability = None if request.compute_capability is None else "{}.{}".format(*request.compute_capability)
    if memory is None and capability is None:
        return _by_count(words("any GPU"), words("{count} GPUs", count=request.count), request.count)
    if capability is None:
        return _by_count(
            words("GPU with {memory}", memory=memory),
            words("{count} GPUs with {memory}", count=request.count, memory=memory),
            request.count,
        )
    if memory is None:
        return _by_count(
            words("GPU with compute capability {capability}", capability=capability),
            words(
                "{count} GPUs with compute capability {capability}",
                count=request.count,
                capability=capability,
            ),
            request.count,
        )
    both = {"memory": memory, "capability": capability}
    return _by_count(
        words("GPU with {memory} and compute capability {capability}", **both),
        words("{count} GPUs with {memory} and compute capability {capability}", count=request.count, **both),
        request.count,
    )


def _by_count(one: Words, several: Words, count: int) -> Words:
    """Two templates, not one with a plural: Chinese has no plural, and says no number where it is one."""
    return one if count == 1 else several


def _option_text(option: GpuClassOption) -> Words:
    if option.exact:
        return _by_count(
            words("{name} only", name=option.name),
            words("{count} x {name} only", count=option.count, name=option.name),
            option.count,
        )
    return _by_count(
        words("{name} or better", name=option.name),
        words("{count} x {name} or better", count=option.count, name=option.name),
        option.count,
    )
