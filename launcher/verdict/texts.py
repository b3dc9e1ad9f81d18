"""What the verdict says to a person: `Words`, and plain text where there is nothing to translate. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.units import dated_rate
from launcher.values import Known, Unknown, format_size
from launcher.words import Words, counted, listed, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.catalog.model import Plan, Platform, Runtime
    from launcher.probes.model import Gpu

# What a reason means for a user, and what to do about it.
_MEANINGS = {
    "no-nvml-library": words(
        "a GPU device is here but the driver's library is not found; "
        "set LD_LIBRARY_PATH to its folder (on Colab /usr/lib64-nvidia)"
    ),
    "no-nvml-binding": words("the package nvidia-ml-py is missing; pip install nvidia-ml-py"),
    "driver-mismatch": words(
        "the driver and its library are of different versions; get a new runtime (or reboot the machine)"
    ),
    "driver-not-loaded": words(
        "the driver's library is here but no driver runs; get a new runtime, or use one with a GPU"
    ),
    "no-permission": words("this user may not read the GPU; ask for access to /dev/nvidia*"),
    "blocked-by-os": words("the operating system or container blocks the GPU; start it with GPU access"),
    "driver-error": words("the driver answers with an error; look at nvidia-smi, or get a new runtime"),
    "driver-timeout": words("the driver gave up waiting for the GPU; get a new runtime"),
    "timeout": words("the driver does not answer; it hangs, so get a new runtime"),
    "crashed": words("the driver's library crashed when asked; get a new runtime"),
    "probe-failed": words("the GPU probe failed; look at nvidia-smi"),
    "gpu-lost": words("the GPU has fallen off the bus; get a new runtime (or reboot the machine)"),
    "gpu-needs-reset": words("the GPU needs a reset; get a new runtime (or reboot the machine)"),
    "not-supported": words("this GPU does not report it"),
    "function-missing": words("this driver is too old to report it"),
    "unlisted-gpu": words(
        "this GPU is in no class of accelerators.yaml; ask by property instead, such as gpu: {example}",
        example="{memory: 22GB}",
    ),
    "memory-unknown": words("its class cannot be told without its memory, which the driver does not report"),
    "ram-unreadable": words("the machine does not show its memory (/proc/meminfo)"),
    "ram-not-known": words("the catalogue has no figure for its RAM"),
    "disk-not-known": words("the catalogue has no figure for its disk"),
    "cpus-not-known": words("the catalogue has no figure for its CPUs"),
    "amd-not-supported": words(
        "AMD GPU: not supported, only NVIDIA's can be checked; leave gpu: out to run without the check"
    ),
    "tpu-type-not-told": words("a TPU is here, but its type is not told (TPU_ACCELERATOR_TYPE)"),
    "tpu-device-missing": words(
        "TPU_ACCELERATOR_TYPE names a TPU, but no device of one is here; unset it, or mount the device"
    ),
    "catalogue": words("only the machine itself can tell"),
    "no-python": words("no Python is on the PATH of the job"),
    "python-failed": words("the Python of the job does not start, or cannot be asked"),
    "python-timeout": words("the Python of the job does not answer"),
    "network-failed": words("the check of the network came to no end"),
    "network-timeout": words("the check of the network was not ready in time"),
    "disk-timeout": words("the file system does not answer (a network mount whose server has gone?)"),
    "disk-unreadable": words("the file system does not say how much is free"),
    "cpus-unreadable": words("the machine does not show its CPUs"),
}


def explain(reason: str) -> Words:
    """What a reason code means for a user; the code itself where there is no more to say."""
    return _MEANINGS.get(reason) or words("not known ({reason})", reason=reason)


def both(parts: Sequence[Words | str]) -> Words | str:
    """`A100 or better and 50 GB of RAM`: all of them."""
    if not parts:
        return ""
    first, *others = parts
    for other in others:
        first = words("{first} and {second}", first=first, second=other)
    return first


def size_text(size: int, *, on_colab: bool) -> Words | str:
    """`13.6 GB`, and on Colab `13.6 GB, Colab shows 12.7`: its panel counts GiB and writes GB."""
    text = format_size(size)
    panel = f"{size / 2**30:.1f}"
    if not on_colab or size < 2**30 or text in (f"{panel} GB", f"{panel.removesuffix('.0')} GB"):
        return text
    return words("{size}, Colab shows {panel}", size=text, panel=panel)


def gpus_text(gpus: Sequence[Gpu], *, on_colab: bool) -> Words | str:
    """`Tesla T4 (16.1 GB)`, `2 x Tesla T4 (16.1 GB)`; equal ones are counted, in order of first sight."""
    tally: dict[Words | str, int] = {}
    for gpu in gpus:
        text = _gpu_text(gpu, on_colab=on_colab)
        tally[text] = tally.get(text, 0) + 1
    return listed(
        [
            text if count == 1 else words("{count} x {gpu}", count=count, gpu=text)
            for text, count in tally.items()
        ]
    )


def _gpu_text(gpu: Gpu, *, on_colab: bool) -> Words | str:
    name = gpu.name.value if isinstance(gpu.name, Known) else words("a GPU whose name cannot be read")
    if gpu.mig == Known(True):
        return words("{gpu} in MIG mode ({slices})", gpu=name, slices=_slices_text(gpu))
    memory = gpu.memory_total_bytes
    if isinstance(memory, Unknown):
        return name
    return words("{gpu} ({memory})", gpu=name, memory=size_text(memory.value, on_colab=on_colab))


def _slices_text(gpu: Gpu) -> Words:
    """`2 slices, the largest of 20.9 GB`: the largest is the most that a job can get."""
    if isinstance(gpu.mig_devices, Unknown):
        return words("slices not known")
    if not gpu.mig_devices.value:
        return words("no slices")
    readings = [device.memory_total_bytes for device in gpu.mig_devices.value]
    sizes = [memory.value for memory in readings if isinstance(memory, Known)]
    number = len(readings)
    if not sizes:
        return counted("{count} slice of unknown size", "{count} slices of unknown size", number)
    return counted(
        "{count} slice, the largest of {size}",
        "{count} slices, the largest of {size}",
        number,
        size=format_size(max(sizes)),
    )


def rate_text(runtime: Runtime, platform: Platform) -> Words:
    """`about 5.40 units/hour (US$0.54; rate of 2026-03-10)`; says so where no rate is known."""
    usd = platform.usd_per_hour(runtime)
    if runtime.units_per_hour is None or usd is None:
        return words("rate not known")
    return dated_rate(runtime.units_per_hour, usd, runtime.checked, stale=runtime.stale)


def price_text(runtime: Runtime, platform: Platform, plan: Plan | None) -> Words:
    """The rate, and what else it takes to choose `runtime` where `plan` does not do, or we know of none."""
    rate = rate_text(runtime, platform)
    if plan is not None and plan.gets(runtime):
        return rate
    if runtime.plan == "subscription":
        return words("{rate}, needs Pro or Pro+", rate=rate)
    if runtime.plan == "paid" and plan is not None:
        return words("{rate}, needs compute units", rate=rate)
    return rate


def plan_name(plan: Plan) -> Words | str:
    """As Google writes it; the one without a name in the user's language."""
    return words("free of charge") if plan.key == "free" else plan.name
