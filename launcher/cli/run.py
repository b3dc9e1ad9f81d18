"""The commands `run` and `exec`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher import app, preflight
from launcher.cli.look import error_lines
from launcher.cli.render import print_document
from launcher.errors import AlreadyStarted, AnswerLost, ColabRunError, ExitCode, UsageError
from launcher.guard.client import Detached, Left
from launcher.jobs import Job, job_from_words, load_job
from launcher.once import check_key
from launcher.plan import RunOptions
from launcher.record import RunRecord
from launcher.result_file import ResultFile
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.cli.shared import Shared


# As for any program whose terminal hung up; the run itself goes on.
DETACHED = 129


@dataclass(frozen=True, slots=True)
class Invocation:
    """The options that `run` and `exec` share."""

    shared: Shared
    json: bool
    result: str | None
    tty: bool
    accept_unknown: bool
    no_release: bool
    balance: str | None = None
    detach: bool = False
    once: str | None = None
    queue: str = ""
    keep_going: bool = False
    wait: str | None = None

    def options(self, extra: tuple[str, ...]) -> RunOptions:
        """As the use case takes them."""
        from launcher.cli.runs import duration_option

        return RunOptions(
            extra=extra,
            accept_unknown=self.accept_unknown,
            no_release=self.no_release,
            json=self.json,
            tty=self.tty,
            detach=self.detach,
            result=None if self.result is None else os.path.abspath(self.result),
            wait_s=duration_option("--wait", self.wait, "30m"),
            once=None if self.once is None else check_key(self.once),
            queue=self.queue,
        )


@dataclass(frozen=True, slots=True)
class Needs:
    """What `exec` says of the runtime, as it was typed."""

    gpu: str | None
    ram: str | None
    disk: str | None
    cpus: float | None
    max_duration: str | None
    stop_grace: str | None
    release: bool
    gpu_sharing: bool = False


def run_job_file(
    path: str, overrides: list[tuple[str, str]], flags: Invocation, combination: int | None = None
) -> int:
    """`colab-run run JOB`. A file with a matrix is a queue, but for one `combination` of it."""
    extra = flags.shared.extra or ()
    if combination is not None:

        def read_one(here: app.Here) -> Job:
            from launcher.queue_start import load_combination

            return load_combination(path, overrides, combination, here.catalog.accepted_names())

        return _run(path, read_one, flags, extra)

    def read(here: app.Here) -> Job:
        job = load_job(path, overrides, here.catalog.accepted_names())
        if job.spec.matrix is not None and not flags.queue:
            raise _IsQueue
        return job

    try:
        return _run(path, read, flags, extra)
    except _IsQueue:
        from launcher.cli.queue import run_queue

        return run_queue([path], overrides, flags, keep_going=flags.keep_going)


class _IsQueue(Exception):
    """Not one run but several: the job file has a matrix."""


def run_words(typed: tuple[str, ...], needs: Needs, flags: Invocation) -> int:
    """`colab-run exec … -- CMD…`."""
    if not typed[0]:
        raise UsageError(words("the command after -- is empty"), "colab-run exec -- python train.py")

    def read(here: app.Here) -> Job:
        return job_from_words(
            typed,
            gpu=needs.gpu,
            ram=needs.ram,
            disk=needs.disk,
            cpus=needs.cpus,
            max_duration=needs.max_duration,
            stop_grace=needs.stop_grace,
            release=needs.release,
            gpu_sharing=needs.gpu_sharing,
            classes=here.catalog.accepted_names(),
        )

    return _run("exec", read, flags, ())


def _run(name: str, read: Callable[[app.Here], Job], flags: Invocation, extra: tuple[str, ...]) -> int:
    """Read the job, run it, print the document; an error ends in the document too."""
    options = flags.options(extra)
    environ = dict(os.environ)
    record = RunRecord(name, managed=app.is_managed(environ))
    try:
        here = app.Here(environ, balance=app.parse_balance(flags.balance))
        job = read(here)
        flags.shared.job_lang = job.spec.lang
        flags.shared.secrets = preflight.secret_values(job.spec, here.environ)
        record = app.run(job, options, here, flags.shared.screen(), flags.shared.guard())
    except _IsQueue:
        raise
    except Left:
        return int(ExitCode.INTERRUPTED)
    except Detached:
        return DETACHED
    except AlreadyStarted as error:
        from launcher.cli.once import show_earlier

        return show_earlier(flags.shared, error, json=flags.json, detach=flags.detach)
    except ColabRunError as error:
        app.note_error(record, error)
        if flags.json:
            _print(record, flags)
        _note_result(record, options)
        raise
    except Exception as error:
        app.note_bug(record, error)
        if flags.json:
            _print(record, flags)
        raise
    if options.detach and record.exit_code is None:
        from launcher.cli.runs import say_detached

        say_detached(flags.shared, record)
    if flags.json:
        _print(record, flags)
    return int(record.exit_code or 0)


def _print(record: RunRecord, flags: Invocation) -> None:
    """The document; where it cannot be written, the job's own code still ends the command."""
    try:
        print_document(record.as_json(), flags.shared.secrets)
    except AnswerLost as lost:
        flags.shared.screen().print(error_lines(lost, flags.shared.paper))


def _note_result(record: RunRecord, options: RunOptions) -> None:
    """The last word, also where no run came to be; the error itself is about to be shown."""
    try:
        ResultFile(options.result, job_file=record.job).write(record)
    except UsageError:
        return
