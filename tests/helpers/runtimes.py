"""Colab runtimes as the probes would report them."""

from __future__ import annotations

from launcher.probes.model import Gpu, GpuFacts, HostFacts, Platform, PlatformKind, RuntimeFacts
from launcher.values import Known

TARGET = "172.28.0.1:8011"


def gpu(name: str, class_name: str, memory_mib: int, capability: tuple[int, int]) -> Gpu:
    """An idle GPU, as NVML reports it."""
    memory = memory_mib * 2**20
    return Gpu(
        index=0,
        name=Known(name),
        class_name=Known(class_name),
        uuid=Known("GPU-00000000-0000-0000-0000-000000000000"),
        memory_total_bytes=Known(memory),
        memory_free_bytes=Known(memory - 400 * 2**20),
        compute_capability=Known(capability),
        mig=Known(False),
        mig_devices=Known(()),
        utilisation_percent=Known(0),
        power_w=Known(9.6),
        processes=Known(()),
    )


T4 = gpu("Tesla T4", "T4", 15360, (7, 5))
A100 = gpu("NVIDIA A100-SXM4-40GB", "A100-40GB", 40960, (8, 0))


def colab(
    card: Gpu | None, *, ram_bytes: int, disk_bytes: int = 66_100_000_000, drive: bool = False
) -> RuntimeFacts:
    """A managed Colab runtime, five minutes old."""
    return RuntimeFacts(
        gpu=GpuFacts(Known(() if card is None else (card,)), Known("580.82.07"), Known("13.0")),
        host=HostFacts(
            ram_total_bytes=Known(ram_bytes),
            ram_available_bytes=Known(ram_bytes - 1_200_000_000),
            ram_limited_by_cgroup=Known(False),
            cpus=Known(2.0),
            disk_path="/content",
            disk_free_bytes=Known(disk_bytes),
            uptime_s=Known(300.0),
        ),
        platform=Platform(PlatformKind.COLAB, TARGET, drive),
    )


T4_RUNTIME = colab(T4, ram_bytes=13_609_431_040)
A100_RUNTIME = colab(A100, ram_bytes=89_658_000_000, drive=True)
