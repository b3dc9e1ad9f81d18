"""Run every probe once and put the answers together as RuntimeFacts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from launcher.probes.cgroup import read_limits
from launcher.probes.gpu_users import read_gpu_users
from launcher.probes.host import read_host
from launcher.probes.model import NO_TPU, RuntimeFacts
from launcher.probes.nvml import read_gpus
from launcher.probes.platform import read_platform
from launcher.probes.tpu import read_tpu
from launcher.values import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.catalog.model import Catalog
    from launcher.values import Reading


def collect(*, environ: Mapping[str, str], disk_path: str, catalog: Catalog, root: str = "/") -> RuntimeFacts:
    """What this runtime is. Never raises for a machine that does not answer: that fact is Unknown.

    Takes two seconds more for a driver that hangs, and two for a file system that does. `root` is the
    folder below which /proc, /sys and /dev are looked for.
    """
    tpu = read_tpu(environ, root)
    gpu = read_gpus(catalog, root=root)
    return RuntimeFacts(
        gpu=gpu,
        host=read_host(disk_path=disk_path, limits=read_limits(root), root=root),
        platform=read_platform(environ, root),
        tpu=tpu,
        tpu_memory_bytes=_tpu_memory(tpu, catalog),
        gpu_users=read_gpu_users(gpu, proc=os.path.join(root, "proc"), dev=os.path.join(root, "dev")),
    )


def _tpu_memory(tpu: Reading[str | None], catalog: Catalog) -> Reading[int | None]:
    if isinstance(tpu, Unknown):
        return tpu
    if tpu.value is None:
        return NO_TPU
    size = catalog.tpu_memory_bytes(tpu.value)
    return Unknown("unlisted-tpu") if size is None else Known(size)
