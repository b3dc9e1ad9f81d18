"""JobSpec: what a job file says, with every quantity typed. Pure data, no behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launcher.words import Text

DEFAULT_STOP_GRACE_S = 30.0


@dataclass(frozen=True, slots=True)
class GpuNone:
    """`gpu: none`: no GPU is needed; met anywhere."""


@dataclass(frozen=True, slots=True)
class GpuAny:
    """`gpu: any` or `any:2`: at least `count` GPUs of whatever class."""

    count: int = 1


@dataclass(frozen=True, slots=True)
class GpuClassOption:
    """`A100`, `=A100` or `A100:2`; `name` is a class or family of configs/accelerators.yaml."""

    name: str
    count: int = 1
    exact: bool = False


@dataclass(frozen=True, slots=True)
class GpuClasses:
    """One or more classes; any one of the options will do."""

    options: tuple[GpuClassOption, ...]


@dataclass(frozen=True, slots=True)
class GpuProperties:
    """`{memory: 22GB, compute_capability: 8.0, count: 1}`; memory is the total of one GPU."""

    memory_bytes: int | None = None
    compute_capability: tuple[int, int] | None = None
    count: int = 1


GpuRequest = GpuNone | GpuAny | GpuClasses | GpuProperties


@dataclass(frozen=True, slots=True)
class Resources:
    """What the runtime must have; None asks for nothing. `gpu_text` is the value as it was written.

    `gpu_sharing`: GPUs that another run of colab-run works on will do too.
    """

    gpu: GpuRequest | None = None
    gpu_text: str = ""
    ram_bytes: int | None = None
    disk_bytes: int | None = None
    cpus: float | None = None
    tpu: str | None = None
    gpu_sharing: bool = False


@dataclass(frozen=True, slots=True)
class Script:
    """A bash script, run under `set -e -o pipefail`."""

    text: str


@dataclass(frozen=True, slots=True)
class Argv:
    """A command without a shell."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Output:
    """Results at `path` (relative to the workdir) are copied to `to`.

    `to` is a folder, or a target of another kind (`rclone:…`, `gs://…`, `s3://…`, `hf://…`, `command:…`; see
    saving/model.py). `include` and `exclude` are patterns below `path`; `every_s`: saved so often while the
    job runs; `restore`: copied back before the job starts, if there is nothing at `path`.
    """

    path: str
    to: str
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    every_s: float | None = None
    restore: bool = False


class Leftovers(str, Enum):
    """What happens to processes that outlive the job's main one."""

    KILL = "kill"
    WAIT = "wait"


class When(str, Enum):
    """When the runtime is handed back."""

    ALWAYS = "always"
    SUCCESS = "success"
    FAILURE = "failure"
    NEVER = "never"
    IDLE = "idle"


class Unsaved(str, Enum):
    """What unsaved files do to a release."""

    HOLD = "hold"
    DISCARD = "discard"


class IdleAction(str, Enum):
    """What happens to a job that is alive and shows no sign of life."""

    WARN = "warn"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class IdlePolicy:
    """`idle:` of the job file; in force without the key too. `after_s` is more than 0."""

    after_s: float = 1200.0
    action: IdleAction = IdleAction.WARN


class RetryOn(str, Enum):
    """After which ends a job is started again."""

    OOM = "oom"
    ERROR = "error"
    SIGNAL = "signal"
    COULD_NOT_START = "could_not_start"
    STALLED = "stalled"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`retry:` of the job file; without the key a job is started once.

    `backoff_s` is waited before the first restart and doubles with each. `env_on_oom` has, by name, the
    value of an environment variable for each time that memory ran out; the last of them stays.
    """

    max_restarts: int = 0
    on: tuple[RetryOn, ...] = (RetryOn.OOM, RetryOn.ERROR, RetryOn.SIGNAL)
    backoff_s: float = 10.0
    env_on_oom: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Budget:
    """What a run may cost: in compute units, or in US dollars.

    `usd_per_hour` is what the user says an hour costs, where no table of ours knows it.
    """

    compute_units: float | None = None
    usd: float | None = None
    usd_per_hour: float | None = None


@dataclass(frozen=True, slots=True)
class Checks:
    """What must be there before anything is started: requirements of packages, paths, hosts."""

    packages: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    network: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Input:
    """What the job reads, relative to the workdir: it is there, and has at least `size_bytes`.

    `room_bytes` is what the job makes of it on its own disk (a copy, an unpacked archive).
    """

    path: str
    size_bytes: int | None = None
    room_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Matrix:
    """One run for each combination of the values; `axes` are keys as for `--set`, with their texts.

    At most `parallel` of them at a time; None: as many as the GPUs allow.
    """

    axes: tuple[tuple[str, tuple[str, ...]], ...]
    parallel: int | None = None


class AfterHold(str, Enum):
    """What happens when a hold ends."""

    ARCHIVE = "archive"
    RELEASE = "release"
    STAY = "stay"


class With(str, Enum):
    """How the runtime is handed back. JUPYTER ends the server, JUPYTER_KERNEL only the kernel."""

    COLAB = "colab"
    SLURM = "slurm"
    JUPYTER = "jupyter"
    JUPYTER_KERNEL = "jupyter-kernel"
    COMMAND = "command"
    POWEROFF = "poweroff"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class ReleaseWith:
    """`release: {with: …}`; `command` is the shell command of COMMAND."""

    kind: With
    command: str = ""


@dataclass(frozen=True, slots=True)
class ReleasePolicy:
    """`release:` of the job file; `when` None means the platform's default. Durations in seconds.

    `after_s`: a runtime on which nothing shows life for so long is idle. `silent`: nobody has said anything
    about the runtime (`exec`), so what an earlier run has said still counts.

    `after_hold` and `how` (the key `with`) are None where the platform decides.
    """

    when: When | None = None
    after_s: float = 1800.0
    grace_s: float = 120.0
    unsaved: Unsaved = Unsaved.HOLD
    hold_s: float = 7200.0
    after_hold: AfterHold | None = None
    confirm_s: float = 120.0
    how: ReleaseWith | None = None
    silent: bool = False


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One job.

    `workdir` is absolute; `mirror` is the folder of `ledger: {mirror: …}`; `read_as` lists aliases as
    `memory: 32+ -> ram: 32 GiB`.
    """

    name: str
    workdir: str
    run: Script | Argv
    resources: Resources = field(default_factory=Resources)
    env: tuple[tuple[str, str], ...] = ()
    secrets: tuple[str, ...] = ()
    setup: Script | None = None
    outputs: tuple[Output, ...] = ()
    max_duration_s: float | None = None
    stop_grace_s: float = DEFAULT_STOP_GRACE_S
    leftovers: Leftovers = Leftovers.KILL
    idle: IdlePolicy = field(default_factory=IdlePolicy)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    budget: Budget | None = None
    checks: Checks = field(default_factory=Checks)
    inputs: tuple[Input, ...] = ()
    matrix: Matrix | None = None
    release: ReleasePolicy = field(default_factory=ReleasePolicy)
    mirror: str | None = None
    lang: str | None = None
    read_as: tuple[Text, ...] = ()
