"""The screen of `probe`: what Colab's own two cells say, and the rest. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.probes.model import Gpu, GpuFacts, PlatformKind
from launcher.report.lines import Line, wrapped
from launcher.report.money import per_hour
from launcher.values import Known, Reading, Unknown, format_duration, format_size

if TYPE_CHECKING:
    from launcher.probes.model import RuntimeFacts
    from launcher.record import HourlyRate

# The official memory cell draws the line here, in units of 10^9 bytes.
HIGH_RAM_BYTES = 20 * 10**9
PLATFORMS = {
    PlatformKind.COLAB: "Google Colab",
    PlatformKind.COLAB_UNMANAGED: "a Colab image that Colab does not manage",
    PlatformKind.PLAIN: "a plain machine",
}


def probe_screen(facts: RuntimeFacts, rate: HourlyRate | None) -> list[Line]:
    """One screen: GPU, RAM, CPUs, disk, platform, and what an hour costs."""
    lines = [*_gpus(facts.gpu), *_ram(facts), *_rest(facts)]
    if facts.platform.managed:
        lines += _row("Cost", "rate not known" if rate is None else per_hour(rate))
        lines += _row("Release", "colab-run release hands this runtime back")
    else:
        lines += _row("Release", "not managed: colab-run cannot hand this machine back")
    return lines


def _row(name: str, text: str) -> list[Line]:
    return wrapped(f"{name:<10}{text}", "", " " * 10)


def _gpus(facts: GpuFacts) -> list[Line]:
    if isinstance(facts.gpus, Unknown):
        return _row("GPU", f"not known ({facts.gpus.reason})")
    if not facts.gpus.value:
        return _row("GPU", "Not connected to a GPU")
    driver = f"{_text(facts.driver)}, CUDA up to {_text(facts.cuda)}"
    return [line for gpu in facts.gpus.value for line in _gpu(gpu)] + _row("Driver", driver)


def _gpu(gpu: Gpu) -> list[Line]:
    capability = gpu.compute_capability
    shown = [
        f"class {_text(gpu.class_name)}",
        f"{_size(gpu.memory_free_bytes)} free of {_size(gpu.memory_total_bytes)}",
        "compute capability "
        + (f"{capability.value[0]}.{capability.value[1]}" if isinstance(capability, Known) else "not known"),
        f"use {_figure(gpu.utilisation_percent, ' %')}",
        f"power {_figure(gpu.power_w, ' W')}",
    ]
    lines = _row(f"GPU {gpu.index}", f"{_text(gpu.name)}: " + ", ".join(shown))
    if gpu.mig == Known(True) and isinstance(gpu.mig_devices, Known):
        slices = ", ".join(_size(device.memory_total_bytes) for device in gpu.mig_devices.value)
        lines += _row("", f"in MIG mode, slices of {slices or 'nothing'}")
    if isinstance(gpu.processes, Known) and gpu.processes.value:
        holders = ", ".join(f"{_size(p.memory_bytes)} by pid {p.pid}" for p in gpu.processes.value)
        lines += _row("", f"memory held: {holders}")
    return lines


def _ram(facts: RuntimeFacts) -> list[Line]:
    total = facts.host.ram_total_bytes
    if isinstance(total, Unknown):
        return _row("RAM", f"not known ({total.reason})")
    lines = _row("RAM", f"Your runtime has {total.value / 1e9:.1f} gigabytes of available RAM")
    high = total.value >= HIGH_RAM_BYTES
    word = "You are using a high-RAM runtime!" if high else "Not using a high-RAM runtime"
    limited = facts.host.ram_limited_by_cgroup == Known(True)
    more = "; a cgroup limits it below the machine's" if limited else ""
    if facts.platform.kind is not PlatformKind.PLAIN:
        more += f"; Colab shows {total.value / 2**30:.1f}"
    lines += _row("", f"{word} ({_size(facts.host.ram_available_bytes)} free now{more})")
    return lines


def _rest(facts: RuntimeFacts) -> list[Line]:
    host = facts.host
    cpus = host.cpus
    uptime = host.uptime_s
    return [
        *_row("CPUs", f"{cpus.value:g}" if isinstance(cpus, Known) else f"not known ({cpus.reason})"),
        *_row("Disk", f"{_size(host.disk_free_bytes)} free at {host.disk_path}"),
        *_row("Up for", format_duration(uptime.value) if isinstance(uptime, Known) else "not known"),
        *_row("Platform", PLATFORMS[facts.platform.kind]),
    ]


def _size(reading: Reading[int]) -> str:
    return format_size(reading.value) if isinstance(reading, Known) else "not known"


def _figure(reading: Reading[int] | Reading[float], unit: str) -> str:
    return f"{reading.value:.0f}{unit}" if isinstance(reading, Known) else "not known"


def _text(reading: Reading[object]) -> str:
    return f"{reading.value}" if isinstance(reading, Known) else f"not known ({reading.reason})"
