"""What the verdict says to a person, in English. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.values import Known, Reading, Unknown, format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.catalog.model import Platform, Runtime
    from launcher.probes.model import Gpu

# What a reason means for a user, and what to do about it.
_MEANINGS = {
    "no-nvml-library": "a GPU device is here but the driver's library is not found; "
    "set LD_LIBRARY_PATH to its folder (on Colab /usr/lib64-nvidia)",
    "no-nvml-binding": "the package nvidia-ml-py is missing; pip install nvidia-ml-py",
    "driver-mismatch": "the driver and its library are of different versions; "
    "restart the runtime (or reboot the machine)",
    "driver-not-loaded": "the driver's library is here but no driver runs; "
    "restart the runtime, or use one with a GPU",
    "no-permission": "this user may not read the GPU; ask for access to /dev/nvidia*",
    "blocked-by-os": "the operating system or container blocks the GPU; start it with GPU access",
    "driver-error": "the driver answers with an error; look at nvidia-smi, or restart the runtime",
    "driver-timeout": "the driver gave up waiting for the GPU; restart the runtime",
    "timeout": "the driver does not answer; it hangs, so restart the runtime",
    "crashed": "the driver's library crashed when asked; restart the runtime",
    "probe-failed": "the GPU probe failed; look at nvidia-smi",
    "gpu-lost": "the GPU has fallen off the bus; restart the runtime (or reboot the machine)",
    "gpu-needs-reset": "the GPU needs a reset; restart the runtime (or reboot the machine)",
    "not-supported": "this GPU does not report it",
    "function-missing": "this driver is too old to report it",
    "unlisted-gpu": "this GPU is in no class of accelerators.yaml; "
    "ask by property instead, such as gpu: {memory: 22GB}",
    "memory-unknown": "its class cannot be told without its memory, which the driver does not report",
    "ram-unreadable": "the machine does not show its memory (/proc/meminfo)",
    "ram-not-known": "the catalogue has no figure for its RAM",
    "catalogue": "only the machine itself can tell",
    "disk-timeout": "the file system does not answer (a network mount whose server has gone?)",
    "disk-unreadable": "the file system does not say how much is free",
    "cpus-unreadable": "the machine does not show its CPUs",
}


def explain(reason: str) -> str:
    """What a reason code means for a user; the code itself where there is no more to say."""
    return _MEANINGS.get(reason, f"not known ({reason})")


def size_text(size: int, *, on_colab: bool) -> str:
    """`13.6 GB`, and on Colab `13.6 GB, Colab shows 12.7`: its panel counts GiB and writes GB."""
    text = format_size(size)
    panel = f"{size / 2**30:.1f}"
    if not on_colab or size < 2**30 or text in (f"{panel} GB", f"{panel.removesuffix('.0')} GB"):
        return text
    return f"{text}, Colab shows {panel}"


def gpus_text(gpus: Sequence[Gpu], *, on_colab: bool) -> str:
    """`Tesla T4 (16.1 GB)`, `2 x Tesla T4 (16.1 GB)`; equal ones are counted, in order of first sight."""
    counted: dict[str, int] = {}
    for gpu in gpus:
        text = _gpu_text(gpu, on_colab=on_colab)
        counted[text] = counted.get(text, 0) + 1
    return ", ".join(text if count == 1 else f"{count} x {text}" for text, count in counted.items())


def _gpu_text(gpu: Gpu, *, on_colab: bool) -> str:
    name = gpu.name.value if isinstance(gpu.name, Known) else "a GPU whose name cannot be read"
    if gpu.mig == Known(True):
        return f"{name} in MIG mode ({_slices_text(gpu)})"
    memory = gpu.memory_total_bytes
    return f"{name} ({size_text(memory.value, on_colab=on_colab)})" if isinstance(memory, Known) else name


def _slices_text(gpu: Gpu) -> str:
    """`2 slices, the largest of 20.9 GB`: the largest is the most that a job can get."""
    if isinstance(gpu.mig_devices, Unknown):
        return "slices not known"
    if not gpu.mig_devices.value:
        return "no slices"
    readings = [device.memory_total_bytes for device in gpu.mig_devices.value]
    sizes = [memory.value for memory in readings if isinstance(memory, Known)]
    count = f"{len(readings)} slice{'s' if len(readings) > 1 else ''}"
    return f"{count}, the largest of {format_size(max(sizes))}" if sizes else f"{count} of unknown size"


def json_reading(reading: Reading[object]) -> object:
    """A reading as JSON: its value, or `{"unknown": "reason"}`."""
    return {"unknown": reading.reason} if isinstance(reading, Unknown) else reading.value


def rate_text(runtime: Runtime, platform: Platform) -> str:
    """`about 5.40 units/hour (US$0.54; rate of 2026-03-10)`; says so where no rate is known."""
    usd = platform.usd_per_hour(runtime)
    if runtime.units_per_hour is None or usd is None:
        return "rate not known"
    dated = f"rate of {runtime.checked}" if runtime.checked else "undated rate"
    return f"about {runtime.units_per_hour:.2f} units/hour (US${usd:.2f}; {dated})"
