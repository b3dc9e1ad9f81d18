"""`colab-run a.yaml b.yaml`, or one file with `matrix:`: from what was typed to a queue under guard."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from launcher import backing, preflight
from launcher.errors import ColabRunError
from launcher.gpu_choice import room_for
from launcher.guard.queueing import at_once
from launcher.jobs import load_job
from launcher.judging import check
from launcher.launch import Launch, make_plan
from launcher.ledger.mirror import mirror_of
from launcher.probes.kernels import kernel_of
from launcher.queue_plan import KIND, Asked, Item, QueuePlan
from launcher.record import RunRecord
from launcher.result_file import ResultFile
from launcher.spec.combinations import as_run, combinations, gpus_of
from launcher.spec.model import Checks, Resources, RetryPolicy, Unsaved
from launcher.values import Known
from launcher.verdict.model import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.events import Audience, Judged
    from launcher.guard.inbox import Inbox
    from launcher.guard.watcher import Egg
    from launcher.jobs import Job
    from launcher.judging import Here
    from launcher.plan import RunOptions
    from launcher.probes.model import RuntimeFacts
    from launcher.spec.model import JobSpec

Overrides = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Typed:
    """What was typed. `words` are the options that each run gets too; `options` are those of the queue."""

    paths: tuple[str, ...]
    overrides: Overrides
    words: tuple[str, ...]
    options: RunOptions
    keep_going: bool = False


@dataclass(frozen=True, slots=True)
class File:
    """One job file as it was read: `jobs` has one for each combination, or the job itself."""

    path: str
    job: Job
    jobs: tuple[Job, ...]


def load_combination(path: str, overrides: Overrides, number: int, classes: Sequence[str]) -> Job:
    """The job of one combination of a file's matrix; `number` counts from 1. Raises as load_job does."""
    job = load_job(path, overrides, classes)
    found = () if job.spec.matrix is None else combinations(job.spec.matrix)
    if not 0 < number <= len(found):
        return replace(job, spec=replace(job.spec, matrix=None))  # The file has changed since.
    combination = found[number - 1]
    job = load_job(path, [*overrides, *combination], classes)
    return replace(job, spec=as_run(job.spec, combination, number))


def read_files(typed: Typed, here: Here) -> tuple[list[File], list[ColabRunError]]:
    """Every file with every combination, and what is wrong with each that cannot be read."""
    classes, files, errors = here.catalog.accepted_names(), [], []
    for path in typed.paths:
        try:
            job = load_job(path, typed.overrides, classes)
            count = 0 if job.spec.matrix is None else len(combinations(job.spec.matrix))
            numbers = range(1, count + 1)
            found = tuple(load_combination(path, typed.overrides, one, classes) for one in numbers)
            files.append(File(path, job, found or (job,)))
        except ColabRunError as error:
            errors.append(error)
    return files, errors


def check_files(files: Sequence[File], here: Here) -> list[Judged]:
    """Each file held against this machine; of the runs of a matrix those that need something else too."""
    judged = []
    for file in files:
        judged += [check(job, here) for job in {_judged_by(job.spec): job for job in file.jobs}.values()]
    return judged


def _judged_by(spec: JobSpec) -> str:
    """All that a check of it looks at, but for its outputs: they differ in the folder of each combination."""
    needs = spec.resources, spec.inputs, spec.checks, spec.secrets
    return repr((*needs, spec.budget, spec.max_duration_s, spec.stop_grace_s, spec.setup, spec.workdir))


def goes(judged: Judged, options: RunOptions) -> bool:
    """Is there nothing against starting it? What is waited for may still come."""
    status = judged.verdict.status
    waits = options.wait_s is not None
    return status is Status.MET or waits or (options.accept_unknown and status is Status.UNKNOWN)


def make_queue(typed: Typed, files: Sequence[File], judged: Sequence[Judged], here: Here) -> QueuePlan:
    """Everything that the guard needs. Raises UsageError and StateFolderError."""
    last = judged[-1]
    name = files[0].job.spec.name if len(files) == 1 else KIND
    secrets = tuple(dict.fromkeys(name for file in files for name in file.job.spec.secrets))
    # Not in the folder of its last combination, where that run has its own rows.
    spec = replace(_without_job(last.spec, name, secrets), mirror=mirror_of(files[-1].job.spec))
    values = preflight.secret_values(spec, here.environ)
    platform = last.facts.platform
    backend = backing.backend_here(spec, platform, here.environ, values, kernel_of(os.getpid()))
    record = RunRecord(name, managed=backing.is_managed(platform, backend), rate=last.rate)
    record.bill_goes_on = backing.bill_goes_on(backend)
    results = ResultFile(typed.options.result, values, job_file=typed.paths[0])
    results.write(record)
    queue = json.dumps({KIND: list(typed.paths), "set": [list(pair) for pair in typed.overrides]})
    plan = make_plan(
        replace(last, spec=spec),
        queue.encode() + b"\n",
        replace(typed.options, extra=()),
        here,
        record,
        results,
        (),
        backend,
    )
    items = [
        item
        for group, file in enumerate(files)
        for item in _items(typed, group, file, _limit(file, last.facts, here))
    ]
    return QueuePlan(plan, Asked(tuple(items), typed.keep_going, os.getcwd(), _one_stream()))


def _one_stream() -> bool:
    from launcher.guard.streams import same_open_file

    return same_open_file(1, 2)


def _without_job(spec: JobSpec, name: str, secrets: tuple[str, ...]) -> JobSpec:
    """What the queue itself has of its last file: the release, and what is to be masked."""
    return replace(
        spec,
        name=name,
        secrets=secrets,
        resources=Resources(),
        setup=None,
        outputs=(),  # Each run saves its own, and holds what exists only here.
        inputs=(),
        checks=Checks(),
        retry=RetryPolicy(),
        budget=None,
        matrix=None,
        max_duration_s=None,
        release=replace(spec.release, unsaved=Unsaved.DISCARD),
    )


def _limit(file: File, facts: RuntimeFacts, here: Here) -> int:
    """How many runs of this file go on at a time: no more than get GPUs of their own, if they need some."""
    matrix = file.job.spec.matrix
    if matrix is None:
        return 1
    gpus = len(facts.gpu.gpus.value) if isinstance(facts.gpu.gpus, Known) else None
    limit = at_once(gpus, gpus_of(file.job.spec.resources), matrix.parallel)
    rooms = [room_for(job.spec, facts, here.catalog, here.environ) for job in file.jobs]
    known = [room for room in rooms if room is not None]
    if not known:
        return limit
    room = max(1, min(known))
    return room if matrix.parallel is None and len(known) == len(rooms) else min(room, limit)


def _items(typed: Typed, group: int, file: File, limit: int) -> list[Item]:
    matrix, extra = file.job.spec.matrix, typed.options.extra
    sets = [word for key, value in typed.overrides for word in ("--set", f"{key}={value}")]
    before = (*typed.words, *sets)
    after = (os.path.abspath(file.path), *(("--", *extra) if extra else ()))
    return [
        Item(
            job.spec.name,
            (*before, *(() if matrix is None else ("--combination", str(number))), *after),
            group,
            limit,
        )
        for number, job in enumerate(file.jobs, 1)
    ]


def start(queue: QueuePlan, egg: Egg, audience: Audience, inbox: Inbox) -> RunRecord:
    """Leave the queue to the guard that waits in `egg`, and show it to its last word. Raises as runs do."""
    return Launch(queue.plan, audience, queue).go(egg, inbox)
