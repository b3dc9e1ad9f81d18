"""The screen of `probe`: what Colab's own two cells say, and the rest. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.probes.model import Gpu, GpuFacts, PlatformKind
from launcher.report.lines import ENGLISH, Line, Paper, columns, padded
from launcher.report.money import per_hour
from launcher.values import Known, Reading, Unknown, format_size
from launcher.words import alternated, listed, spelled, words

if TYPE_CHECKING:
    from launcher.probes.model import RuntimeFacts
    from launcher.record import HourlyRate
    from launcher.words import Text

# The official memory cell draws the line here, in units of 10^9 bytes.
HIGH_RAM_BYTES = 20 * 10**9
PLATFORMS: dict[PlatformKind, Text] = {
    PlatformKind.COLAB: "Google Colab",
    PlatformKind.COLAB_UNMANAGED: words("a Colab image that Colab does not manage"),
    PlatformKind.COLAB_ENTERPRISE: "Colab Enterprise",
    PlatformKind.KAGGLE: "Kaggle",
    PlatformKind.SLURM: words("a Slurm allocation"),
    PlatformKind.JUPYTER: words("a machine with Jupyter"),
    PlatformKind.SSH: words("a machine reached by SSH"),
    PlatformKind.PLAIN: words("a plain machine"),
}
Row = tuple["Text", "Text"]


def probe_screen(facts: RuntimeFacts, rate: HourlyRate | None, paper: Paper = ENGLISH) -> list[Line]:
    """One screen: GPU, RAM, CPUs, disk, platform, and what an hour costs."""
    rows = [*_gpus(facts.gpu), *_tpu(facts), *_ram(facts), *_rest(facts)]
    if facts.platform.managed:
        rows += [
            (words("Cost"), words("rate not known") if rate is None else per_hour(rate)),
            (
                words("Release"),
                words("{command} hands this runtime back", command="colab-run release"),
            ),
        ]
    else:
        rows.append((words("Release"), words("not managed: colab-run cannot hand this machine back")))
    wide = max(columns(paper.text(name)) for name, _ in rows) + 2
    return [line for row in rows for line in _laid_out(row, wide, paper)]


def _laid_out(row: Row, wide: int, paper: Paper) -> list[Line]:
    name, text = row
    lines = paper.wrapped(text, " " * wide)
    first, *rest = lines or [Line("")]
    return [Line(padded(paper.text(name), wide) + first.text.lstrip()), *rest]


def _gpus(facts: GpuFacts) -> list[Row]:
    if facts.gpus == Unknown("amd-not-supported"):
        return [("GPU", words("AMD: not supported"))]
    if isinstance(facts.gpus, Unknown):
        return [("GPU", _not_known(facts.gpus))]
    if not facts.gpus.value:
        return [("GPU", words("Not connected to a GPU"))]
    driver = words("{driver}, CUDA up to {cuda}", driver=_text(facts.driver), cuda=_text(facts.cuda))
    return [row for gpu in facts.gpus.value for row in _gpu(gpu)] + [(words("Driver"), driver)]


def _tpu(facts: RuntimeFacts) -> list[Row]:
    """Nothing where there is none: few machines have one, and nobody misses it."""
    tpu, memory = facts.tpu, facts.tpu_memory_bytes
    if isinstance(tpu, Unknown):
        return [("TPU", _not_known(tpu))]
    if tpu.value is None:
        return []
    if isinstance(memory, Unknown) or memory.value is None:
        return [("TPU", tpu.value)]
    return [("TPU", words("{name} ({memory})", name=tpu.value, memory=format_size(memory.value)))]


def _gpu(gpu: Gpu) -> list[Row]:
    capability = gpu.compute_capability
    shown = listed(
        (
            words("class {name}", name=_text(gpu.class_name)),
            words(
                "{free} free of {total}",
                free=_size(gpu.memory_free_bytes),
                total=_size(gpu.memory_total_bytes),
            ),
            words(
                "compute capability {figure}",
                figure=f"{capability.value[0]}.{capability.value[1]}"
                if isinstance(capability, Known)
                else words("not known"),
            ),
            words("use {figure}", figure=_figure(gpu.utilisation_percent, " %")),
            words("power {figure}", figure=_figure(gpu.power_w, " W")),
        )
    )
    rows: list[Row] = [(f"GPU {gpu.index}", words("{name}: {why}", name=_text(gpu.name), why=shown))]
    if gpu.mig == Known(True) and isinstance(gpu.mig_devices, Known):
        slices = [_size(device.memory_total_bytes) for device in gpu.mig_devices.value]
        said = words("in MIG mode, without a slice")
        rows.append(("", words("in MIG mode, slices of {sizes}", sizes=listed(slices)) if slices else said))
    if isinstance(gpu.processes, Known) and gpu.processes.value:
        holders = listed(
            words("{size} by pid {pid}", size=_size(p.memory_bytes), pid=p.pid) for p in gpu.processes.value
        )
        rows.append(("", words("memory held: {holders}", holders=holders)))
    return rows


def _ram(facts: RuntimeFacts) -> list[Row]:
    total = facts.host.ram_total_bytes
    if isinstance(total, Unknown):
        return [("RAM", _not_known(total))]
    high = total.value >= HIGH_RAM_BYTES
    more: list[Text] = [words("{size} free now", size=_size(facts.host.ram_available_bytes))]
    if facts.host.ram_limited_by_cgroup == Known(True):
        more.append(words("a cgroup limits it below the machine's"))
    if facts.platform.on_colab:
        more.append(words("Colab shows {panel}", panel=f"{total.value / 2**30:.1f}"))
    kind = words("You are using a high-RAM runtime!") if high else words("Not using a high-RAM runtime")
    figure = f"{total.value / 1e9:.1f}"
    return [
        ("RAM", words("Your runtime has {figure} gigabytes of available RAM", figure=figure)),
        ("", words("{said} ({more})", said=kind, more=alternated(more))),
    ]


def _rest(facts: RuntimeFacts) -> list[Row]:
    host = facts.host
    cpus, uptime = host.cpus, host.uptime_s
    free = words("{size} free at {folder}", size=_size(host.disk_free_bytes), folder=host.disk_path)
    return [
        (words("CPUs"), f"{cpus.value:g}" if isinstance(cpus, Known) else _not_known(cpus)),
        (words("Disk"), free),
        (words("Up for"), spelled(uptime.value) if isinstance(uptime, Known) else words("not known")),
        (words("Platform"), PLATFORMS[facts.platform.kind]),
    ]


def _not_known(reading: Unknown) -> Text:
    return words("not known ({reason})", reason=reading.reason)


def _size(reading: Reading[int]) -> Text:
    return format_size(reading.value) if isinstance(reading, Known) else words("not known")


def _figure(reading: Reading[int] | Reading[float], unit: str) -> Text:
    return f"{reading.value:.0f}{unit}" if isinstance(reading, Known) else words("not known")


def _text(reading: Reading[object]) -> Text:
    return f"{reading.value}" if isinstance(reading, Known) else _not_known(reading)
