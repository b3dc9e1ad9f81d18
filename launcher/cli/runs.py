"""The commands `ps`, `logs`, `stop`, `wait` and `keep`: runs of this machine, from any shell."""

from __future__ import annotations

import os
import select
import stat
import sys
import time
from typing import TYPE_CHECKING

from launcher import runs
from launcher.cli.render import documented, lost_answer, print_document
from launcher.errors import ExitCode, StateFolderError, UsageError
from launcher.guard.folder import RunFolder
from launcher.report.plain import Plain
from launcher.report.runs import (
    detached_lines,
    keep_document,
    keep_said,
    log_document,
    runs_document,
    runs_screen,
    stop_document,
    stop_said,
    waited_document,
    waited_lines,
)
from launcher.values import BadValue, Unknown, parse_duration
from launcher.words import reason, words

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from launcher.cli.shared import Shared
    from launcher.record import RunRecord, RunRow

# How many that have ended `ps` shows unless told.
FEW = 5
# How often the log is looked at while it grows.
LOOK_S = 0.2
CHUNK = 1 << 17
NEVER_S = 1e9


def show_runs(shared: Shared, *, everything: bool, json: bool) -> int:
    """`colab-run ps`."""
    rows = runs.rows(os.environ, ended=runs.ALL if everything else FEW)
    if json:
        print_document(runs_document(rows))
    else:
        more = not everything and sum(not row.guarded for row in rows) == FEW
        screen = runs_screen(rows, time.time(), shared.paper, more=more)
        shared.screen("stdout").print(screen)
    return int(ExitCode.OK)


def stop_run(shared: Shared, typed: str, *, kill: bool, json: bool) -> int:
    """`colab-run stop ID`."""
    with documented(json=json):
        row = runs.find(typed, os.environ)
        taken = runs.stop(row, kill=kill)
    if json:
        print_document(stop_document(row, taken=taken))
    else:
        shared.screen("stdout").print(stop_said(row, shared.paper, taken=taken, kill=kill))
    return int(ExitCode.OK)


def wait_for_run(shared: Shared, typed: str, timeout: str | None, *, json: bool) -> int:
    """`colab-run wait ID`: the run's exit code, or 124."""
    with documented(json=json):
        seconds = duration_option("--timeout", timeout, "30m")
        row = runs.find(typed, os.environ)
        awaited = awaited_run(shared, row)
        told = awaited.look(NEVER_S if seconds is None else seconds)
        awaited.close()
    timed_out = told is None
    code = int(ExitCode.OVER_LIMIT) if told is None else code_of(told.get("exit_code"))
    if json:
        known = runs.read_record(row.place) or {} if told is None else told
        print_document(waited_document(row, known, code, timed_out=timed_out))
    else:
        lines = waited_lines(row, code, shared.paper, timed_out=seconds if timed_out else None)
        shared.screen().print(lines)
    return code


def code_of(known: object) -> int:
    """A run of which nobody knows how it ended was lost."""
    return known if isinstance(known, int) else runs.LOST_CODE


def keep_runtime(shared: Shared, typed: str | None, *, drop: bool, json: bool) -> int:
    """`colab-run keep [30m]`, `colab-run keep --drop`."""
    with documented(json=json):
        if drop and typed is not None:
            raise UsageError(words("--drop takes no time"), "colab-run keep --drop")
        seconds = duration_option("TIME", typed or "30m", "30m")
        kept = runs.drop_keep(os.environ) if drop or seconds is None else runs.keep(os.environ, seconds)
    now = time.time()
    if json:
        print_document(keep_document(kept.seconds, now, managed=kept.managed))
    else:
        until = time.strftime("%H:%M:%S %Z", time.localtime(now + (kept.seconds or 0.0)))
        lines = keep_said(kept.seconds, until, shared.paper, managed=kept.managed, dropped=drop)
        shared.screen("stdout").print(lines)
    return int(ExitCode.OK)


def say_detached(shared: Shared, record: RunRecord) -> None:
    """`run --detach`, once the job has started."""
    shared.screen().print(detached_lines(record, shared.paper))


def duration_option(option: str, text: str | None, example: str) -> float | None:
    """`OPTION DURATION` in seconds, None where it is not given. Raises UsageError."""
    if text is None:
        return None
    try:
        seconds = parse_duration(text)
    except BadValue as error:
        raise UsageError(
            words("{option} {text} is no time", option=option, text=text),
            words("write {hint}", hint=error.hint),
        ) from error
    if seconds <= 0:
        raise UsageError(
            words("{option} {text} is no time", option=option, text=text),
            words("write, for example, {example}", example=example),
        )
    return seconds


def awaited_run(shared: Shared, row: RunRow) -> runs.Awaited:
    """The end of a run, for a command that shows on this screen what it finds lost."""

    def look_after() -> None:
        from launcher.lost import look_after

        look_after(os.environ, shared.screen())

    return runs.Awaited(row, look_after)


# --- logs -----------------------------------------------------------------------------------------


class ReaderGone(Exception):
    """Whoever reads our stdout has closed it."""


def show_log(shared: Shared, typed: str, *, follow: bool, plain: bool, json: bool) -> int:
    """`colab-run logs ID`."""
    with documented(json=json):
        if json and (follow or plain):
            raise UsageError(
                words("--json tells where the log is; it shows nothing of it"), "colab-run logs ID"
            )
        row = runs.find(typed, os.environ)
        if isinstance(row.told, Unknown) and row.place is None:
            raise runs.not_reached(row, row.guard_pid)
        if not json and isinstance(row.get("runs"), list):
            return _show_queue(shared, row, follow=follow, plain=plain)
        log, path = _open_log(row)
    try:
        if json:
            print_document(log_document(row, path, os.fstat(log).st_size))
        elif follow:
            _follow(shared, row, log, Out(plain=plain))
        else:
            _show(log, Out(plain=plain))
    except ReaderGone:
        pass  # `| head` has what it wanted.
    finally:
        os.close(log)
    return int(ExitCode.OK)


def _open_log(row: RunRow) -> tuple[int, str]:
    """A descriptor of a run's log, and its path. Raises StateFolderError."""
    told = row.get("log")
    path = told if isinstance(told, str) else RunFolder(row.place or "").log
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC), path
    except OSError as error:
        why = reason(error.strerror)
        raise StateFolderError(
            words("the log of the run {run_id} cannot be read: {why}", run_id=row.run_id, why=why),
            words("it was looked for at {path}", path=path),
        ) from error


def _show(log: int, out: Out) -> None:
    out.copy(log)
    out.end()


def _follow(shared: Shared, row: RunRow, log: int, out: Out) -> None:
    """Until the run is over; who guards it may change meanwhile."""
    awaited = awaited_run(shared, row)
    try:
        over = False
        while not over:
            out.copy(log)
            over = awaited.look(LOOK_S) is not None
        _show(log, out)
    finally:
        awaited.close()


def _show_queue(shared: Shared, row: RunRow, *, follow: bool, plain: bool) -> int:
    """The logs of its runs, one after the other."""
    shown: set[str] = set()
    try:
        while True:
            row = runs.find(row.run_id, os.environ)
            told = row.get("runs")
            found = [str(one["run_id"]) for one in told if one["run_id"]] if isinstance(told, list) else []
            new = [run_id for run_id in found if run_id not in shown]
            for run_id in new:
                _show_run(shared, run_id, follow=follow, plain=plain)
            shown.update(new)
            if not follow or (not new and (row.over or not row.guarded)):
                return int(ExitCode.OK)
            if not new:
                time.sleep(LOOK_S)
    except ReaderGone:
        return int(ExitCode.OK)


def _show_run(shared: Shared, run_id: str, *, follow: bool, plain: bool) -> None:
    row = runs.find(run_id, os.environ)
    log, _ = _open_log(row)
    try:
        if follow:
            _follow(shared, row, log, Out(plain=plain))
        else:
            _show(log, Out(plain=plain))
    finally:
        os.close(log)


class Out:
    """Our stdout, or `stream`, for bytes. Raises ReaderGone where nobody reads them."""

    def __init__(self, *, plain: bool, stream: TextIO | None = None) -> None:
        self._plain = Plain() if plain else None
        self._at = 0
        stream = sys.stdout if stream is None else stream
        stream.flush()
        self._descriptor = stream.fileno()
        self._poll = select.poll()
        mode = os.fstat(self._descriptor).st_mode
        if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISCHR(mode):
            self._poll.register(self._descriptor, 0)

    def copy(self, log: int) -> None:
        """What has come to the log since the last time."""
        if self._poll.poll(0):
            raise ReaderGone
        # Somebody cut it: go on where it ends now.
        self._at = min(self._at, os.fstat(log).st_size)
        while data := os.pread(log, CHUNK, self._at):
            self._at += len(data)
            self._write(data if self._plain is None else self._told(self._plain.feed, data))

    def end(self) -> None:
        """The last line, though it has no end."""
        if self._plain is not None:
            self._write(self._plain.end().encode("utf-8", "replace"))

    def _told(self, feed: Callable[[bytes], str], data: bytes) -> bytes:
        return feed(data).encode("utf-8", "replace")

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._descriptor, view) :]
            except BlockingIOError:
                select.select((), (self._descriptor,), ())
            except BrokenPipeError:
                raise ReaderGone from None
            except OSError as error:
                raise lost_answer(error) from error
