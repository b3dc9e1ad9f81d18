"""`colab-run a.yaml b.yaml`, and a job file with `matrix:`: a queue, and one release at its end."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING

from launcher import app
from launcher.attaching import Manner, attach
from launcher.cli.look import error_lines
from launcher.cli.render import print_document
from launcher.errors import ColabRunError, ExitCode, JobFileError, UsageError
from launcher.events import Launching, Refused, RunOfQueue
from launcher.guard import control
from launcher.guard.client import Detached, Left
from launcher.guard.folder import RunFolder, state_folder
from launcher.guard.inbox import Inbox
from launcher.guard.ladder import KILL_AT
from launcher.queue_start import Typed, check_files, goes, make_queue, read_files, start
from launcher.record import RunRecord, RunRow
from launcher.values import Unknown
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.cli.run import Invocation
    from launcher.cli.shared import Shared
    from launcher.events import Event, Judged

# A press of stop that a queue has not heard is repeated for so long, and so long is waited each time.
ASK_AGAIN_S = 30.0
LOOK_S = 0.1


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
    if flags.wait is not None:
        raise UsageError(
            words("--wait belongs to one run, and this is a queue"), words("start them one by one")
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
    inbox = _Presses()
    with inbox:
        audience = _Audience(shared, inbox, show=not options.detach, json=flags.json)
        try:
            record = start(queue, egg, audience, inbox)
        except Detached:
            return DETACHED
        except Left:
            return int(ExitCode.INTERRUPTED)
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
        rows = [
            {"job": judged.spec.name, **finding.as_json()}
            for judged in refused
            for finding in judged.verdict.findings
        ]
        advice = next((judged.advice for judged in refused if judged.advice is not None), None)
        record.judged = {"findings": rows, "advice": None if advice is None else advice.as_json()}
        print_document(record.as_json())
    return int(ExitCode.NOT_MET)


def _record(paths: Sequence[str]) -> RunRecord:
    record = RunRecord(" ".join(paths), managed=app.is_managed(os.environ))
    record.queue_runs = ()
    return record


class _Presses(Inbox):
    """SIGTERM is a person's stop of the queue, also while one of its runs is shown.

    `queue_id` is there once it is known.
    """

    queue_id: str = ""
    _owed: tuple[bool, float] | None = None

    def take(self) -> list[int]:
        """Everything else; as before where the queue cannot be asked."""
        taken = super().take()
        self._ask_again()
        if signal.SIGTERM in taken and self.queue_id and self.ask_to_stop(signal.SIGTERM):
            taken = [number for number in taken if number != signal.SIGTERM]
        return taken

    def press(self, *, kill: bool) -> None:
        """A press of stop for the queue; where it cannot be asked now, it is with the next turns."""
        if not self.ask_to_stop(signal.SIGINT, kill=kill):
            self._owed = (kill, time.monotonic() + ASK_AGAIN_S)

    def _ask_again(self) -> None:
        if self._owed is None:
            return
        kill, until = self._owed
        folder = RunFolder(os.path.join(state_folder(os.environ), "runs", self.queue_id))
        heard = not kill and os.path.lexists(folder.stopped)  # Asked once more, it would kill.
        if heard or time.monotonic() > until or self.ask_to_stop(signal.SIGINT, kill=kill, timeout_s=LOOK_S):
            self._owed = None

    def ask_to_stop(self, number: int, *, kill: bool = False, timeout_s: float = control.PATIENCE_S) -> bool:
        """Has the queue heard it?"""
        try:
            control.ask(self.queue_id, {"ask": "stop", "number": int(number), "kill": kill}, timeout_s)
        except (OSError, control.Silent):
            return False
        return True


class _Audience:
    """Shows the queue's own words, and the output of a run while no other goes on beside it."""

    def __init__(self, shared: Shared, inbox: _Presses, *, show: bool, json: bool) -> None:
        self._shared, self._inbox, self._show, self._json = shared, inbox, show, json

    def tell(self, event: Event) -> None:
        """One event of the queue. Raises Detached where our terminal has gone."""
        self._shared.screen().tell(event)
        if isinstance(event, Launching):
            self._inbox.queue_id = event.run_id
        if isinstance(event, RunOfQueue) and self._show and event.alone and event.exit_code is None:
            self._follow(event)

    def _follow(self, event: RunOfQueue) -> None:
        """Its output, and our keys to it, until it is over; a press of stop is one for the queue."""
        run_id, told = event.run_id or "", Unknown("not-asked")
        row = RunRow(run_id, event.name, guarded=True, told=told, place=event.folder, uid=os.geteuid())

        def look_after() -> None:
            from launcher.lost import look_after

            look_after(os.environ, self._shared.screen())

        manner = Manner(
            look_after,
            tail=None,
            keys=not self._json,
            streams=(2, 2) if self._json else (1, 2),
            detach_key=b"",
            pressed=lambda press: self._press(kill=press >= KILL_AT),
        )
        sys.stdout.flush()
        try:
            left = attach(row, self._inbox, manner).left
        except ColabRunError:
            return  # It is over, and somebody has removed it.
        if left == "pressed":
            raise Left
        if left:
            raise Detached

    def _press(self, *, kill: bool) -> None:
        self._inbox.press(kill=kill)
