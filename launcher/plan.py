"""What the client gives to the guard: everything that a run needs, looked up once. Pure data.

In memory it is whole. What is written down for somebody who finds the run without a guard is the
part that the end of a run needs; no environment but the job file's own, no secret's value.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from launcher.again import again_json, with_again
from launcher.backing import backend_again, bill_goes_on, is_managed
from launcher.ledger.mirror import mirror_of
from launcher.masking import mask_text
from launcher.probes.model import Platform, PlatformKind
from launcher.record import HourlyRate, RunRecord
from launcher.release.interface import ReleaseTiming
from launcher.result_file import ResultFile
from launcher.spec.model import (
    AfterHold,
    Argv,
    JobSpec,
    Output,
    ReleasePolicy,
    ReleaseWith,
    Unsaved,
    When,
    With,
)
from launcher.values import Known, Reading

if TYPE_CHECKING:
    from launcher.release.interface import ReleaseBackend
    from launcher.verdict.picking import Wish
    from launcher.words import Text

NOBODY: Known[tuple[int, ...]] = Known(())


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the command line adds to the job file. `result` is an absolute path.

    For at most `wait_s` seconds the needs of the job are waited for; a run with the key `once` is started one
    time only; `queue` is the place in a queue that starts this run (queue_plan.Ticket), empty without one.
    """

    extra: tuple[str, ...] = ()
    accept_unknown: bool = False
    no_release: bool = False
    json: bool = False
    tty: bool = False
    detach: bool = False
    result: str | None = None
    wait_s: float | None = None
    once: str | None = None
    queue: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """One run, decided. `home` is the state folder, `argv` the command, `environ` the client's environment.

    `secrets` are the values to mask; `record` is what is known of the run so far; `kernel` is the id of the
    notebook kernel whose cell the client runs in. `own_files` are what the client's streams lead to: none of
    the job's results, and `own_paths` where that lies; `gpu_holders` are the processes that held GPU memory
    before the job. At `walls` (seconds of CLOCK_BOOTTIME) the platform may take the machine away; `balance`
    is `--balance`. `target` is what leases are about (see backing.target_of), `backend` hands the runtime
    back; None: nobody here does. `gpus` are those that the job may get; for them it is waited until
    `wait_until` (monotonic seconds).
    """

    spec: JobSpec
    argv: tuple[str, ...]
    options: RunOptions
    job_file: bytes
    home: str
    environ: dict[str, str]
    platform: Platform
    meters_gpu: bool
    timing: ReleaseTiming
    record: RunRecord
    result: ResultFile
    secrets: tuple[str, ...] = ()
    warnings: tuple[Text, ...] = ()
    hints: tuple[Text, ...] = ()
    gpu_holders: Reading[tuple[int, ...]] = NOBODY
    kernel: str | None = None
    own_files: tuple[object, ...] = ()
    own_paths: tuple[str, ...] = ()
    walls: tuple[float, ...] = ()
    balance: float | None = None
    target: str = ""
    gpus: Wish | None = None
    wait_until: float = 0.0
    backend: ReleaseBackend | None = None

    @property
    def rate(self) -> HourlyRate | None:
        """What an hour of this runtime costs."""
        return self.record.rate

    def as_json(self) -> dict[str, Any]:
        """For whoever has to end the run without its guard."""
        spec, release = self.spec, self.spec.release
        return {
            "version": 1,
            "name": spec.name,
            "workdir": spec.workdir,
            # No secrets, as the job file stands beside this; but one may have been put in by hand.
            "env": [[name, mask_text(value, self.secrets)] for name, value in spec.env],
            "outputs": [asdict(output) for output in spec.outputs],
            "mirror": mirror_of(spec),
            "secrets": list(spec.secrets),
            "stop_grace_s": spec.stop_grace_s,
            "release": {
                **asdict(release),
                "when": release.when and release.when.value,
                "unsaved": release.unsaved.value,
                "after_hold": release.after_hold and release.after_hold.value,
            },
            "no_release": self.options.no_release,
            "queue": self.options.queue,
            "result": self.options.result,
            "home": self.home,
            "platform": {**asdict(self.platform), "kind": self.platform.kind.value},
            "timing": asdict(self.timing),
            "target": self.target,
            "backend": None if self.backend is None else self.backend.as_json(),
            "rate": None if self.rate is None else asdict(self.rate),
            "again": again_json(self),
        }


def plan_from_json(document: dict[str, Any], environ: dict[str, str]) -> Plan:
    """The plan of a run that was left behind. Raises KeyError, TypeError and ValueError for what is none."""
    release = dict(document["release"])
    policy = ReleasePolicy(
        **{
            **release,
            "when": release["when"] and When(release["when"]),
            "unsaved": Unsaved(release["unsaved"]),
            "after_hold": release["after_hold"] and AfterHold(release["after_hold"]),
            "how": release["how"] and _how(release["how"]),
        }
    )
    spec = JobSpec(
        name=str(document["name"]),
        workdir=str(document["workdir"]),
        env=tuple((str(name), str(value)) for name, value in document["env"]),
        run=Argv(("true",)),  # It is not started again.
        outputs=tuple(_output(row) for row in document["outputs"]),
        mirror=document["mirror"],
        secrets=tuple(map(str, document["secrets"])),
        stop_grace_s=float(document["stop_grace_s"]),
        release=policy,
    )
    place = dict(document["platform"])
    platform = Platform(**{**place, "kind": PlatformKind(place["kind"])})
    rate = document["rate"] and HourlyRate(**document["rate"])
    result = document["result"]
    secrets = tuple(environ[name] for name in spec.secrets if environ.get(name))
    queue = str(document.get("queue") or "")
    backend = backend_again(spec, platform, environ, document["backend"], secrets)
    plan = Plan(
        spec=spec,
        argv=("true",),
        options=RunOptions(no_release=bool(document["no_release"]), result=result, queue=queue),
        job_file=b"",
        home=str(document["home"]),
        environ=environ,
        platform=platform,
        meters_gpu=False,
        timing=ReleaseTiming(**document["timing"]),
        record=RunRecord(
            spec.name,
            managed=is_managed(platform, backend),
            bill_goes_on=bill_goes_on(backend),
            rate=rate,
            queue=queue_of(queue),
        ),
        result=ResultFile(result).no_matter_what(),
        secrets=secrets,
        target=str(document["target"]),
        backend=backend,
    )
    again = document.get("again")
    return plan if again is None else with_again(plan, again)


def queue_of(ticket: str) -> str:
    """The id of the queue that starts a run, from what it was told of it; empty without one."""
    return ticket.partition("/")[0]


def _how(row: dict[str, Any]) -> ReleaseWith:
    return ReleaseWith(With(row["kind"]), str(row["command"]))


def _output(row: dict[str, Any]) -> Output:
    return Output(**{**row, "include": tuple(row["include"]), "exclude": tuple(row["exclude"])})
