"""`colab-run watch --idle 30m`: from what was typed to a guard that watches."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

from launcher import backing, preflight
from launcher.errors import NoProcess, NotReleasable, UsageError
from launcher.guard.client import Client, GuardLost, Listeners
from launcher.guard.folder import state_folder
from launcher.guard.inbox import Inbox
from launcher.guard.notes import write_plan
from launcher.idle.model import Sign
from launcher.idle.recording import header_line
from launcher.jobs import parse_option
from launcher.judging import Here, probe
from launcher.life import period_for
from launcher.places import resolve
from launcher.plan import Plan, RunOptions
from launcher.probes.kernels import kernel_of
from launcher.record import RunRecord
from launcher.release.marks import boottime
from launcher.result_file import ResultFile
from launcher.saving.model import TargetKind, parse_target
from launcher.spec import quantities
from launcher.spec.model import Argv, JobSpec, Output, ReleasePolicy, ReleaseWith, When, With
from launcher.spec.targets import collision_key, parse_folder
from launcher.spec.targets import parse_target as spec_target
from launcher.values import Known
from launcher.watch_plan import NAME, Asked, WatchPlan
from launcher.watch_senses import open_recording
from launcher.words import reason, spelled, words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from launcher.events import Audience
    from launcher.guard.watcher import Egg
    from launcher.probes.model import RuntimeFacts
    from launcher.words import Text

DEFAULT_GRACE_S = 120.0
EXAMPLE = "colab-run watch --idle 30m"
# Rule 2 of a release: nobody can say that these do not count.
ALWAYS_COUNT = (Sign.KEEP, Sign.RUNS)
# What every machine has.
ALWAYS_THERE = {Sign.CPU, Sign.DISK, Sign.NETWORK}
MAY_BE_IGNORED = tuple(sign.value for sign in Sign if sign not in (*ALWAYS_COUNT, Sign.OUTPUT))
_COMMAND = "command:"
_WAYS = tuple(kind.value for kind in With if kind not in (With.NONE, With.COMMAND))


@dataclass(frozen=True, slots=True)
class Typed:
    """The options as they were typed; None and empty where they were not."""

    idle: str | None
    longest: str | None = None
    grace: str | None = None
    how: str | None = None
    outputs: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    record: str | None = None


def make_plan(typed: Typed, here: Here) -> tuple[WatchPlan, tuple[Text, ...]]:
    """The plan, and warnings. Raises UsageError, and NotReleasable where nothing could be released."""
    here = replace(here, own_rates=False)
    spec, asked = _read(typed)
    facts, rate = probe(here, "/")
    platform, environ = facts.platform, here.environ
    backend = backing.backend_here(spec, platform, environ, (), kernel_of(os.getpid()))
    if backend is None:
        raise NotReleasable(
            words("this machine is not a managed Colab runtime, and nothing says how it is handed back"),
            words("say how: {command}", command=f"{EXAMPLE} --with slurm"),
        )
    hopeless = backend.hopeless()
    if why := hopeless[1] if hopeless is not None else backend.permission():
        raise NotReleasable(words("the release cannot work: {why}", why=why))
    _check_outputs(spec, facts, environ)
    record = RunRecord(NAME, managed=backing.is_managed(platform, backend), rate=rate)
    record.bill_goes_on = backing.bill_goes_on(backend)
    plan = Plan(
        spec=spec,
        argv=("true",),
        options=RunOptions(detach=True),
        job_file=_as_job_file(typed),
        home=state_folder(environ),
        environ=environ,
        platform=platform,
        meters_gpu=False,
        timing=here.catalog.colab.release,
        record=record,
        result=ResultFile(None).no_matter_what(),
        target=backing.target_of(platform, environ),
        backend=backend,
    )
    warnings = tuple(_warnings(spec, asked, preflight.goes_with_the_machine(spec, platform)))
    asked = replace(asked, header=_header(facts, asked.idle_s) if asked.record else "")
    return WatchPlan(plan, asked), warnings


def _warnings(spec: JobSpec, asked: Asked, lost: Sequence[str]) -> Iterator[Text]:
    """What is allowed, and may not be meant; `lost` are targets that go with the machine."""
    for folder in lost:
        yield words(
            "the output folder {folder} is on this machine's own disk and goes with it", folder=folder
        )
    for path in (resolve(one.path, spec.workdir) for one in spec.outputs):
        if not os.path.lexists(path):
            yield words("there is no {path}; until there is, nothing is released", path=path)
    if asked.max_s is not None and asked.max_s < asked.idle_s:
        yield words(
            "--max is shorter than --idle: this runtime goes after {time}, busy or not",
            time=spelled(asked.max_s),
        )


def start(plan: WatchPlan, egg: Egg, audience: Audience) -> RunRecord:
    """Leave the guard that waits in `egg` to it; what it says once it watches.

    Raises what the guard raises before it watches, and NoProcess where it was killed.
    """
    write_plan(egg.plan, plan)
    listeners = Listeners(audience.tell, lambda record: True, lambda: None)
    with Inbox() as inbox:
        try:
            record: RunRecord = Client(egg.connection, inbox, listeners, takes_keys=False).follow()
        except GuardLost as error:
            raise NoProcess(
                words("the guard of this watch was killed before it had begun"), words("start it again")
            ) from error
    return record


# --- what was typed -------------------------------------------------------------------------------


def _read(typed: Typed) -> tuple[JobSpec, Asked]:
    idle = parse_option("--idle", typed.idle, quantities.duration)
    if idle is None:
        raise UsageError(words("say after how much idle time this runtime is released"), EXAMPLE)
    longest = parse_option("--max", typed.longest, quantities.duration)
    grace = parse_option("--grace", typed.grace, lambda text: quantities.duration(text, zero=True))
    grace = DEFAULT_GRACE_S if grace is None else grace
    workdir = os.getcwd()
    outputs = _outputs(typed.outputs, workdir)
    spec = JobSpec(
        name=NAME,
        workdir=workdir,
        run=Argv(("true",)),  # There is no job.
        outputs=outputs,
        release=ReleasePolicy(when=When.IDLE, grace_s=grace, how=_how(typed.how)),
    )
    ignored = _ignored(typed.ignored)
    if not (outputs or typed.folders) and set(ignored) >= ALWAYS_THERE:
        raise UsageError(
            words("nothing would be left that could show life"), words("leave out fewer signs, or name --dir")
        )
    folders = (*(resolve(one.path, workdir) for one in outputs), *_folders(typed.folders, workdir))
    asked = Asked(
        idle,
        grace,
        longest,
        None if longest is None else boottime() + longest,
        ignored,
        tuple(dict.fromkeys(folders)),
        _record(typed.record),
    )
    return spec, asked


def _outputs(typed: Sequence[str], workdir: str) -> tuple[Output, ...]:
    outputs: list[Output] = []
    taken: set[str] = set()
    for text in typed:
        path, equals, to = text.partition("=")
        if not equals or not path.strip() or not to.strip():
            raise UsageError(
                words("{option} is not PATH=TARGET", option=f"--output {text}"),
                words("write, for example, {example}", example="--output out=/content/drive/MyDrive/out"),
            )
        source = parse_option("--output", path, parse_folder)
        target = parse_option("--output", to, spec_target)
        if source is None or target is None:
            raise AssertionError("both were typed")
        key = collision_key(target, source, workdir)
        if key in taken:
            raise UsageError(
                words("{option}: another output goes there already", option=f"--output {text}"),
                words("name another target"),
            )
        taken.add(key)
        outputs.append(Output(source, target))
    return tuple(outputs)


def _folders(typed: Sequence[str], workdir: str) -> list[str]:
    folders = [resolve(text, workdir) for text in typed]
    for text, folder in zip(typed, folders, strict=True):
        if not os.path.isdir(folder):
            raise UsageError(words("{option}: there is no folder {folder}", option="--dir", folder=text))
    return folders


def _ignored(typed: Sequence[str]) -> tuple[Sign, ...]:
    names = [name.strip() for text in typed for name in text.split(",") if name.strip()]
    for name in names:
        if name not in MAY_BE_IGNORED:
            raise UsageError(
                words("--ignore {name} is no sign of life that can be left out", name=name),
                words("use one of: {known}", known=", ".join(MAY_BE_IGNORED)),
            )
    return tuple(dict.fromkeys(map(Sign, names)))


def _how(text: str | None) -> ReleaseWith | None:
    """As `release.with` of a job file."""
    if text is None:
        return None
    word = text.strip()
    if word.startswith(_COMMAND) and word[len(_COMMAND) :].strip():
        return ReleaseWith(With.COMMAND, word[len(_COMMAND) :].strip())
    if word in _WAYS:
        return ReleaseWith(With(word))
    raise UsageError(
        words("--with {text} is no way to hand a runtime back", text=text),
        words("use one of: {known}", known=", ".join((*_WAYS, f"'{_COMMAND}…'"))),
    )


def _record(path: str | None) -> str | None:
    """The file is made now, or found to be one that can be written."""
    if path is None:
        return None
    try:
        os.close(open_recording(path))
    except OSError as error:
        raise UsageError(
            words("--record {path} cannot be written: {why}", path=path, why=reason(error.strerror)),
            words("name a file in a folder of yours"),
        ) from error
    return os.path.abspath(path)


def _header(facts: RuntimeFacts, idle_s: float) -> str:
    gpus = facts.gpu.gpus
    count = Known(len(gpus.value)) if isinstance(gpus, Known) else gpus
    return header_line(count, period_for(idle_s), "runtime")


def _check_outputs(spec: JobSpec, facts: RuntimeFacts, environ: dict[str, str]) -> None:
    for finding in preflight.judge_outputs(spec, facts.platform, environ):
        raise NotReleasable(
            words("{what}: {why}", what=finding.requirement, why=finding.found_text), finding.note
        )
    for output in spec.outputs:
        _try_target(output, spec.workdir)


def _try_target(output: Output, workdir: str) -> None:
    """What is found out at the end of a watch holds its release. Raises NotReleasable."""
    target = parse_target(output.to, workdir)
    if target.kind is not TargetKind.FOLDER:
        return
    try:
        os.makedirs(target.text, exist_ok=True)
        with TemporaryFile(dir=target.text):
            return
    except OSError as error:
        raise NotReleasable(
            words(
                "{what}: {why}",
                what=f"output {output.path}",
                why=words(
                    "{path}: {why}", path=target.text, why=reason(error.strerror or type(error).__name__)
                ),
            )
        ) from error


def _as_job_file(typed: Typed) -> bytes:
    """A watch has none; what was typed is kept in its place. A command may hold a secret: its kind only."""
    told: dict[str, Any] = {"idle": typed.idle, "max": typed.longest, "grace": typed.grace}
    told["with"] = None if typed.how is None else typed.how.partition(":")[0]
    document = {NAME: {name: value for name, value in told.items() if value is not None}}
    return json.dumps(document).encode() + b"\n"
