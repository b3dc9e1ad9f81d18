"""The client's part of a run: decide, hand the plan to the guard, show what comes, return the record."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from launcher import backing, preflight
from launcher.errors import NoProcess, NotReached
from launcher.events import Said
from launcher.gpu_check import holders
from launcher.gpu_choice import wish_of
from launcher.guard.client import Client, GuardLost, Listeners
from launcher.guard.command import run_argv
from launcher.guard.folder import RunFolder, state_folder
from launcher.guard.notes import write_plan
from launcher.lost import bring_to_end
from launcher.plan import Plan
from launcher.probes.kernels import kernel_of
from launcher.probes.model import PlatformKind
from launcher.release.decide import effective_when, may_release
from launcher.release.marks import boottime, runs
from launcher.saving.unsaved import identity
from launcher.spec.model import When
from launcher.values import Known
from launcher.words import words

if TYPE_CHECKING:
    from launcher.events import Audience, Judged
    from launcher.guard.inbox import Inbox
    from launcher.guard.watcher import Egg
    from launcher.judging import Here
    from launcher.plan import RunOptions
    from launcher.probes.model import Platform
    from launcher.queue_plan import QueuePlan
    from launcher.record import RunRecord
    from launcher.release.interface import ReleaseBackend
    from launcher.release.marks import RunNote
    from launcher.result_file import ResultFile
    from launcher.words import Text


def make_plan(
    judged: Judged,
    job_file: bytes,
    options: RunOptions,
    here: Here,
    record: RunRecord,
    result: ResultFile,
    hints: tuple[Text, ...],
    backend: ReleaseBackend | None,
) -> Plan:
    """Everything that the guard needs. Raises UsageError and StateFolderError."""
    spec, gpus, environ = judged.spec, judged.facts.gpu.gpus, here.environ
    argv = run_argv(spec, options.extra)
    return Plan(
        spec=spec,
        argv=argv,
        options=options,
        job_file=job_file,
        home=state_folder(environ),
        environ=environ,
        platform=judged.facts.platform,
        meters_gpu=isinstance(gpus, Known) and bool(gpus.value),
        timing=here.catalog.colab.release,
        record=record,
        result=result,
        secrets=preflight.secret_values(spec, environ),
        warnings=(*_warnings(judged, options), *_release_warnings(judged, options, backend)),
        hints=hints,
        gpu_holders=holders(judged.facts.gpu),
        kernel=kernel_of(os.getpid()),
        own_files=(identity(1), identity(2)),
        own_paths=tuple(os.path.realpath(f"/proc/self/fd/{number}") for number in (1, 2)),
        walls=_walls(judged.facts.platform, here),
        balance=here.balance,
        gpus=wish_of(spec, judged.facts, here.catalog, environ),
        wait_until=time.monotonic() + _patience_s(options),
        target=backing.target_of(judged.facts.platform, environ),
        backend=backend,
    )


# A run of a queue may ask for GPUs that the one before it is just letting go.
BETWEEN_RUNS_S = 20.0


def _patience_s(options: RunOptions) -> float:
    """How long GPUs are waited for that were free a moment ago."""
    return max(options.wait_s or 0.0, BETWEEN_RUNS_S if options.queue else 0.0)


def _walls(platform: Platform, here: Here) -> tuple[float, ...]:
    """When the platform may take this machine away (seconds of CLOCK_BOOTTIME); one for each likely plan."""
    if platform.kind is PlatformKind.SLURM:
        end = here.environ.get("SLURM_JOB_END_TIME", "")
        return (boottime() + float(end) - here.clock.wall(),) if end.isdecimal() else ()
    if platform.kind is not PlatformKind.COLAB:
        return ()
    plan = here.account.plan
    plans = [one for one in here.catalog.colab.plans if plan is None or one.key == plan.key]
    return tuple(one.longest_s for one in plans if one.longest_s is not None)


def _warnings(judged: Judged, options: RunOptions) -> list[Text]:
    spec, platform = judged.spec, judged.facts.platform
    warnings: list[Text] = [
        words("the output folder {folder} is on this machine's own disk and goes with it", folder=target)
        for target in preflight.goes_with_the_machine(spec, platform)
    ]
    if options.detach and platform.on_colab:
        warnings.append(
            words("Colab ends a notebook in which nothing runs, detached jobs included: keep a cell running")
        )
    return warnings


def _release_warnings(judged: Judged, options: RunOptions, backend: ReleaseBackend | None) -> list[Text]:
    """A release that cannot work, or that nobody asked for, is said before the job starts."""
    release, managed = judged.spec.release, judged.facts.platform.managed
    if backend is None or options.no_release:
        return []
    if release.when is None and effective_when(None, managed=managed) is When.NEVER:
        return [words("release.when is not given: nothing is released at the end of this run")]
    if not may_release(release.when, managed=managed, backed=True, no_release=False):
        return []
    problem = backend.permission()
    return [words("the release cannot work: {why}", why=problem)] if problem else []


# How long a run may be neither lost nor ended, in the eyes of a client that has lost its guard.
LOOK_FOR_LOST_S = 5.0
LOOK_EVERY_S = 0.1
# So many guards of one run may be lost before its client gives up on it.
MOST_LOST = 10


@dataclass(slots=True)
class Launch:
    """One run as its client sees it, or a queue and the plan of it."""

    plan: Plan
    audience: Audience
    queue: QueuePlan | None = None
    _run_id: str = ""
    _lost: int = 0

    def go(self, egg: Egg, inbox: Inbox) -> RunRecord:
        """Hand the plan over and show the run to its last word (with `detach`: until it runs).

        Raises what the guard raised before anything was started; Detached and GuardLost.
        """
        write_plan(egg.plan, self.plan if self.queue is None else self.queue)
        return self._follow(
            Client(egg.connection, inbox, self._listeners, takes_keys=self._takes_keys()), inbox
        )

    def _follow(self, client: Client, inbox: Inbox) -> RunRecord:
        try:
            record: RunRecord = client.follow()
        except GuardLost:
            self._run_id = client.run_id or self._run_id
            return self._bring_to_end(inbox, client.seen)
        return record

    @property
    def _listeners(self) -> Listeners:
        return Listeners(self.audience.tell, self._begun, self._stalled)

    def _bring_to_end(self, inbox: Inbox, seen: int) -> RunRecord:
        """Watcher and guard were killed: what the next call would do, we do now, and show it."""
        give_up = time.monotonic() + LOOK_FOR_LOST_S
        while True:
            note, guarded = next((row for row in runs() if row[0].run_id == self._run_id), (None, None))
            if note is not None and not guarded:
                return self._end_lost(note, inbox, seen)
            # Its guard may be there, and unable to tell us.
            if (ended := self._ended()) is not None:
                return ended
            # It is being ended by somebody else's call; or a lock is about to go with a process.
            if guarded is None and time.monotonic() > give_up:
                break
            inbox.wait(LOOK_EVERY_S)
            if inbox.take_stop() is not None:
                break
        raise NoProcess(
            words("the guard of this run was killed before the job had started"), words("run it again")
        )

    def _end_lost(self, note: RunNote, inbox: Inbox, seen: int) -> RunRecord:
        self._lost += 1
        if self._lost > MOST_LOST:
            raise NotReached(
                words("whoever was to bring the run {run_id} to its end was lost too", run_id=self._run_id),
                words("look at it: {command}", command="colab-run ps"),
            )
        self.audience.tell(Said(words("watcher and guard of this run were killed"), warning=True))
        egg = bring_to_end(note, self.plan.environ)
        return self._follow(
            Client(egg.connection, inbox, self._listeners, takes_keys=False, seen=seen), inbox
        )

    def _ended(self) -> RunRecord | None:
        """The run came to its end while we were suspended, and its guard did not wait for ever to tell us."""
        folder = RunFolder(os.path.join(self.plan.home, "runs", self._run_id))
        try:
            with open(folder.result, encoding="utf-8") as file:
                document = json.load(file)
            if document["state"] != "done":
                return None
            record = self.plan.record
            record.run_id, record.log, record.state = self._run_id, folder.log, "done"
            record.outcome, record.decided_by = str(document["outcome"]), str(document["decided_by"])
            record.exit_code = int(document["exit_code"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        self.audience.tell(
            Said(words("the run has ended meanwhile; all about it: {path}", path=folder.result))
        )
        return record

    def _takes_keys(self) -> bool:
        options = self.plan.options
        if self.queue is not None:
            return False  # Whoever shows one of its runs takes the keys.
        return os.isatty(0) and not options.detach and (options.tty or not options.json)

    def _begun(self, record: Any) -> bool:
        return self.plan.options.detach

    def _stalled(self) -> None:
        text = words("the reader of our output takes nothing; the rest is in the log only")
        self.audience.tell(Said(text, warning=True))
