"""RuntimeFacts: what this runtime is, as far as it could be found out. Pure data.

Every fact is `Known(value)` or `Unknown(reason)`; hardware that is known to be absent is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from launcher.values import Known

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.values import Reading


NO_TPU = Known(None)


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A process that holds memory of a GPU; the pid may be one of another container."""

    pid: int
    memory_bytes: Reading[int]


@dataclass(frozen=True, slots=True)
class GpuHolder:
    """Who still holds memory after a job; `memory_bytes` on all GPUs together, `command` as /proc has it."""

    pid: int
    memory_bytes: Reading[int]
    command: Reading[str]


@dataclass(frozen=True, slots=True)
class GpuUser:
    """Who holds GPU memory before a job, on all GPUs together; `command` as /proc has it.

    `whose` is `own-kernel`, `kernel`, `run` (then `run_id` is of it), `leftover`, `other` or `unknown` (the
    process is not of this container).
    """

    pid: int
    memory_bytes: Reading[int]
    command: Reading[str]
    user: Reading[str]
    own_user: bool
    whose: str
    run_id: str = ""


@dataclass(frozen=True, slots=True)
class MigDevice:
    """A slice of a GPU in MIG mode: what a job really gets there."""

    memory_total_bytes: Reading[int]


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU as NVML reports it.

    `class_name` is a row of configs/accelerators.yaml, `mig` whether MIG mode is on (then
    `mig_devices` lists the slices).
    """

    index: int
    name: Reading[str]
    class_name: Reading[str]
    uuid: Reading[str]
    memory_total_bytes: Reading[int]
    memory_free_bytes: Reading[int]
    compute_capability: Reading[tuple[int, int]]
    mig: Reading[bool]
    mig_devices: Reading[tuple[MigDevice, ...]]
    utilisation_percent: Reading[int]
    power_w: Reading[float]
    processes: Reading[tuple[GpuProcess, ...]]


@dataclass(frozen=True, slots=True)
class GpuFacts:
    """All GPUs (an empty tuple: known to have none) and the driver that serves them.

    `cuda` is the newest CUDA version that the driver supports, such as `12.8`.
    """

    gpus: Reading[tuple[Gpu, ...]]
    driver: Reading[str]
    cuda: Reading[str]


@dataclass(frozen=True, slots=True)
class HostFacts:
    """RAM, CPUs, disk and age of the machine.

    `ram_total_bytes` is the smaller of the machine's RAM and the cgroup limits above us;
    `cpus` counts what is really ours (affinity and cgroup quota), `disk_path` is where
    `disk_free_bytes` was measured.
    """

    ram_total_bytes: Reading[int]
    ram_available_bytes: Reading[int]
    ram_limited_by_cgroup: Reading[bool]
    cpus: Reading[float]
    disk_path: str
    disk_free_bytes: Reading[int]
    uptime_s: Reading[float]


class PlatformKind(str, Enum):
    """Where we stand. Managed Colab can be handed back from inside."""

    COLAB = "colab"
    COLAB_UNMANAGED = "colab-unmanaged"
    COLAB_ENTERPRISE = "colab-enterprise"
    KAGGLE = "kaggle"
    SLURM = "slurm"
    JUPYTER = "jupyter"
    SSH = "ssh"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Platform:
    """The platform and, on a managed Colab VM, the `host:port` that takes a release."""

    kind: PlatformKind
    release_target: str | None = None
    drive_mounted: bool = False
    host_file: bool = False

    @property
    def managed(self) -> bool:
        """True where colab-run can hand the runtime back."""
        return self.release_target is not None

    @property
    def on_colab(self) -> bool:
        """True where Colab's menu, its panel and its catalogue are the user's.

        Colab Enterprise has machines, prices and a menu of its own; a container of Colab's image on one's
        own machine has none, and what tells it from a Colab VM is that VM's host file.
        """
        return self.kind is PlatformKind.COLAB or (
            self.kind is PlatformKind.COLAB_UNMANAGED and self.host_file
        )


@dataclass(frozen=True, slots=True)
class PythonFacts:
    """A Python and what is installed in it, as far as somebody asked: by name as indexes spell it.

    `versions` has None for what is not installed; `builds` the text of the file in which a package says how
    it was built (torch/version.py, tensorflow's build_info.py).
    """

    executable: str
    version: str
    versions: Mapping[str, str | None]
    builds: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class HostAnswer:
    """Whether a host could be reached: `address` is what was connected to (`host:port`, or a proxy).

    `problem` is empty, or `name` (it has no address), `timeout`, `refused`, or what the system says.
    """

    asked: str
    address: str
    problem: str
    by_proxy: bool = False


@dataclass(frozen=True, slots=True)
class InputFacts:
    """A file or folder of the job: its size in bytes with all that is below, None where it is missing."""

    path: str
    size_bytes: Reading[int] | None


@dataclass(frozen=True, slots=True)
class RuntimeFacts:
    """Everything that the verdict looks at.

    `tpu` is the name of the TPU slice, such as `v5e-1`; Known(None): there is none. Its memory is the
    catalogue's figure, since no driver reports it.
    """

    gpu: GpuFacts
    host: HostFacts
    platform: Platform
    tpu: Reading[str | None] = NO_TPU
    tpu_memory_bytes: Reading[int | None] = NO_TPU
    gpu_users: tuple[GpuUser, ...] = ()
