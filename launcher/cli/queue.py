"""`colab-run a.yaml b.yaml`, and a job file with `matrix:`: a queue, and one release at its end."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from launcher import app
from launcher.cli.look import error_lines
from launcher.cli.render import print_document
from launcher.cli.runs import Out, ReaderGone, awaited_run
from launcher.errors import ColabRunError, ExitCode, JobFileError, UsageError
from launcher.events import Launching, Refused, RunOfQueue
from launcher.guard import control
from launcher.guard.client import Detached
from launcher.guard.folder import RunFolder
from launcher.guard.inbox import STOP_SIGNALS, Inbox
from launcher.queue_start import Typed, check_files, goes, make_queue, read_files, start
from launcher.record import RunRecord, RunRow, judged_object
from launcher.values import Unknown
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.cli.run import Invocation
    from launcher.cli.shared import Shared
    from launcher.events import Event, Judged

# How often the log of the run that is shown is looked at.
LOOK_S = 0.05


def run_queue(
    paths: Sequence[str], overrides: list[tuple[str, str]], flags: Invocation, *, keep_going: bool
) -> int:
    """Check all, then run one after the other; the code of the first that did not succeed, or 0."""
    from launcher.cli.run import DETACHED

    shared = flags.shared
    if flags.once is not None:
        raise UsageError(
            words("--once belongs to one run, and this is a queue"), words("start them one by one")
        )
    here = app.Here(dict(os.environ), balance=app.parse_balance(flags.balance))
    options = flags.options(shared.extra or ())
    typed = Typed(tuple(paths), overrides, tuple(_words(flags)), options, keep_going)
    files, errors = read_files(typed, here)
    if errors:
        return _problems(shared, paths, errors, json=flags.json)
    shared.job_lang = files[-1].job.spec.lang
    judged = check_files(files, here)
    if refused := [one for one in judged if not goes(one, options)]:
        return _refused(shared, paths, refused, json=flags.json)
    egg = shared.guard()
    queue = make_queue(typed, files, judged, here)
    shared.secrets = queue.plan.secrets
    with Inbox() as inbox:
        audience = _Audience(shared, inbox, show=not options.detach, to_stderr=flags.json)
        try:
            record = start(queue, egg, audience, inbox)
        except Detached:
            return DETACHED
        except ColabRunError as error:
            app.note_error(queue.plan.record, error)
            if flags.json:
                print_document(queue.plan.record.as_json(), shared.secrets)
            raise
    if options.detach and record.exit_code is None:
        from launcher.cli.runs import say_detached

        say_detached(shared, record)
    if flags.json:
        print_document(record.as_json(), shared.secrets)
    return int(record.exit_code or 0)


def _words(flags: Invocation) -> list[str]:
    """What each of the runs is told of our own options."""
    told = ["--lang", flags.shared.lang] if flags.shared.lang else []
    told += ["--accept-unknown"] if flags.accept_unknown else []
    told += ["--balance", flags.balance] if flags.balance is not None else []
    terminal = not flags.json and not flags.detach and os.isatty(1)
    return [*told, *(["--tty"] if flags.tty or terminal else [])]


def _problems(shared: Shared, paths: Sequence[str], errors: list[ColabRunError], *, json: bool) -> int:
    """Every problem of every file; the code is that of the first."""
    for error in errors:
        shared.screen().print(error_lines(error, shared.paper))
    if json:
        record = _record(paths)
        app.note_error(record, errors[0])
        found = (one.problems for one in errors if isinstance(one, JobFileError))
        record.problems = tuple(problem for problems in found for problem in problems)
        print_document(record.as_json())
    return int(errors[0].exit_code)


def _refused(shared: Shared, paths: Sequence[str], refused: list[Judged], *, json: bool) -> int:
    for judged in refused:
        shared.screen().tell(Refused(judged, in_cell=False))
    if json:
        record = _record(paths)
        app.refuse(record)
        record.judged = judged_object(refused[0].verdict.findings, refused[0].advice)
        print_document(record.as_json())
    return int(ExitCode.NOT_MET)


def _record(paths: Sequence[str]) -> RunRecord:
    record = RunRecord(" ".join(paths), managed=app.is_managed(os.environ))
    record.queue_runs = ()
    return record


class _Audience:
    """Shows the queue's own words, and the output of a run while no other goes on beside it."""

    def __init__(self, shared: Shared, inbox: Inbox, *, show: bool, to_stderr: bool) -> None:
        self._shared, self._inbox, self._show = shared, inbox, show
        self._stream = sys.stderr if to_stderr else sys.stdout
        self._queue_id = ""

    def tell(self, event: Event) -> None:
        """One event of the queue. Raises Detached where our terminal has gone."""
        self._shared.screen().tell(event)
        if isinstance(event, Launching):
            self._queue_id = event.run_id
        if isinstance(event, RunOfQueue) and self._show and event.alone and event.exit_code is None:
            self._follow(event)

    def _follow(self, event: RunOfQueue) -> None:
        """Its output until it is over; a press of stop is one for the queue."""
        run_id = event.run_id or ""
        told = Unknown("not-asked")
        row = RunRow(run_id, event.name, guarded=True, told=told, place=event.folder, uid=os.geteuid())
        try:
            log = os.open(RunFolder(event.folder).log, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return  # It is over, and somebody has removed it.
        awaited, out = awaited_run(self._shared, row), Out(plain=False, stream=self._stream)
        try:
            over = False
            while not over:
                out.copy(log)
                self._hand_on_presses()
                over = awaited.look(LOOK_S) is not None
            out.copy(log)
        except ReaderGone:
            return  # The queue goes on; what follows is in the logs.
        finally:
            awaited.close()
            os.close(log)

    def _hand_on_presses(self) -> None:
        for number in self._inbox.take():
            if number == signal.SIGHUP:
                raise Detached
            if number in STOP_SIGNALS:
                with suppress(OSError, control.Silent):
                    control.ask(self._queue_id, {"ask": "stop", "number": int(number)})
