"""A row of the catalogue as if it were the machine, so that one set of rules judges both. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.probes.model import Gpu, GpuFacts, HostFacts, Platform, PlatformKind, RuntimeFacts
from launcher.values import Known, Unknown

if TYPE_CHECKING:
    from launcher.catalog.model import Accelerator, Catalog, Runtime

# What only the machine itself could tell.
_NOT_A_MACHINE = Unknown("catalogue")


def facts_of(runtime: Runtime, catalog: Catalog) -> RuntimeFacts:
    """What a probe of `runtime` would find, as far as the catalogue knows."""
    gpus = () if runtime.gpu is None else (gpu_of(catalog.accelerator(runtime.gpu)),)
    ram = Unknown("ram-not-known") if runtime.ram_bytes is None else Known(runtime.ram_bytes)
    disk = runtime.disk_free_bytes
    return RuntimeFacts(
        gpu=GpuFacts(gpus=Known(gpus), driver=_NOT_A_MACHINE, cuda=_NOT_A_MACHINE),
        host=HostFacts(
            ram_total_bytes=ram,
            ram_available_bytes=_NOT_A_MACHINE,
            ram_limited_by_cgroup=Known(False),
            cpus=Unknown("cpus-not-known") if runtime.cpus is None else Known(runtime.cpus),
            disk_path="",
            disk_free_bytes=Unknown("disk-not-known") if disk is None else Known(disk),
            uptime_s=_NOT_A_MACHINE,
        ),
        platform=Platform(kind=PlatformKind.COLAB),
        tpu=Known(runtime.tpu),
        tpu_memory_bytes=Known(runtime.tpu_memory_bytes),
    )


def gpu_of(row: Accelerator) -> Gpu:
    """One GPU of the class `row`."""
    return Gpu(
        index=0,
        name=Known(row.name),
        class_name=Known(row.name),
        uuid=_NOT_A_MACHINE,
        memory_total_bytes=Known(row.memory_bytes),
        memory_free_bytes=Known(row.memory_bytes),
        compute_capability=Known(row.compute_capability),
        mig=Known(False),
        mig_devices=Known(()),
        utilisation_percent=_NOT_A_MACHINE,
        power_w=_NOT_A_MACHINE,
        processes=_NOT_A_MACHINE,
    )
