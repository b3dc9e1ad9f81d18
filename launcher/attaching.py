"""Attaching to a run from any shell: its output, our keys, our window; several may look on at once.

The bytes come from the log, at our reader's pace; the guard tells which stream they belong to. While
nobody can be asked (a guard was killed and is taken over) the log alone is followed. Nothing that
happens here ends a run, but a press of stop.
"""

from __future__ import annotations

import os
import select
import signal
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from launcher import runs
from launcher.errors import StateFolderError
from launcher.guard import control, terminal
from launcher.guard.folder import RunFolder
from launcher.guard.ladder import KILL_AT, LEAVE_AT, Ladder
from launcher.guard.outlet import Outlet
from launcher.values import Unknown
from launcher.words import reason, words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from launcher.guard.inbox import Inbox
    from launcher.record import RunRow

CHUNK = 1 << 17
# How often the log is looked at while no guard tells of it.
LOOK_S = 0.1
# How long a reader that takes nothing may keep us after the end: the log has everything.
STALLED_READER_S = 10.0
# Ctrl-\, which terminals send as SIGQUIT.
DETACH_KEY = b"\x1c"
TAIL_LINES = 20
# Lines may be of any length; no more than this is shown of what came before.
LONGEST_TAIL = 1 << 20
# Turns between the streams that wait for our reader; after that many they become one.
MOST_SPANS = 1000


@dataclass(frozen=True, slots=True)
class Attached:
    """How it ended: the run's last document `told`, or None where we `left` and it goes on.

    `left`: `detached` (the key), `pressed` (stop for the third time), `hung-up` or `terminated`.
    """

    told: Mapping[str, object] | None
    left: str = ""

    @property
    def exit_code(self) -> int | None:
        """The run's; None where it goes on. A run of which nobody knows how it ended was lost."""
        if self.told is None:
            return None
        code = self.told.get("exit_code")
        return code if isinstance(code, int) else runs.LOST_CODE


@dataclass(frozen=True, slots=True)
class Manner:
    """What to show, and whom to ask.

    `tail`: lines of what came before, None for all. `keys`: hand ours to the job, if it has a terminal.
    `streams`: where the job's stdout and stderr go. `detach_key`: one byte, or nothing for none.
    `pressed(n)` is called at the n-th press of stop in place of asking the run, `said(n)` when the run was
    asked (0: it was not reached); with the third we leave. `look_after()` brings lost runs to their end.
    """

    look_after: Callable[[], None]
    tail: int | None = TAIL_LINES
    keys: bool = True
    streams: tuple[int, int] = (1, 2)
    detach_key: bytes = DETACH_KEY
    pressed: Callable[[int], None] | None = None
    said: Callable[[int], None] = field(default=lambda press: None)


def attach(row: RunRow, inbox: Inbox, manner: Manner) -> Attached:
    """Show a run until it has ended or we leave. Any number of times in one process, one after the other.

    Raises NotReached for a run of another user, StateFolderError where its log cannot be read.
    """
    if row.place is None and isinstance(row.told, Unknown):
        raise runs.not_reached(row, row.guard_pid)
    log = open_log(row)
    try:
        return _Attachment(row, inbox, manner, log).follow()
    finally:
        os.close(log)


def open_log(row: RunRow) -> int:
    """A descriptor of a run's log. Raises StateFolderError."""
    told = row.get("log")
    path = told if isinstance(told, str) else RunFolder(row.place or "").log
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        why = reason(error.strerror)
        raise StateFolderError(
            words("the log of the run {run_id} cannot be read: {why}", run_id=row.run_id, why=why),
            words("it was looked for at {path}", path=path),
        ) from error


def tail_offset(log: int, lines: int) -> int:
    """Where the last `lines` lines of a log begin; LONGEST_TAIL bytes from its end at most."""
    size = os.fstat(log).st_size
    start = max(0, size - LONGEST_TAIL)
    data = os.pread(log, size - start, start)
    at = len(data)
    # The end of the last line is not the beginning of another one.
    end = at - 1 if data.endswith(b"\n") else at
    for _ in range(lines):
        end = data.rfind(b"\n", 0, end)
        at = end + 1
        if end < 0:
            break
    return start + at if lines else size


class _Leave(Exception):
    """We go, and the run goes on."""


class _Attachment:
    def __init__(self, row: RunRow, inbox: Inbox, manner: Manner, log: int) -> None:
        self._row, self._inbox, self._manner, self._log = row, inbox, manner, log
        self._end = runs.Awaited(row, manner.look_after)
        self._line: control.Line | None = None
        self._views = self._refused = self._unasked = False
        self._stream = 1
        self._seen = 0 if manner.tail is None else tail_offset(log, manner.tail)
        # (stream, end): whose the bytes up to there are, as the guard tells it.
        self._spans: deque[tuple[int, int]] = deque()
        self._outlets = {n: Outlet(descriptor) for n, descriptor in enumerate(manner.streams, 1)}
        self._outer = terminal.OuterTerminal(0) if manner.keys and os.isatty(0) else None
        self._reads_keys = self._has_terminal = False
        self._keys = bytearray()
        self._ladder, self._unheard = Ladder(), 0

    def follow(self) -> Attached:
        try:
            while (told := self._end.look(0.0)) is None:
                self._turn()
            self._hear()
            self._show_the_rest()
            return Attached(told)
        except _Leave as leave:
            return Attached(None, str(leave))
        finally:
            self._close()

    # --- one turn ---------------------------------------------------------------------------------

    def _turn(self) -> None:
        if self._end.line is None:
            self._refused = False  # Who takes over may know more.
        if self._line is None and not self._refused:
            self._call()
        self._show()
        reads: list[Any] = [self._inbox]
        reads += [line for line in (self._line, self._end.line) if line is not None]
        if self._outer is not None and self._reads_keys and not self._keys:
            reads.append(0)
        writes = [one.pollable for one in self._outlets.values() if one.pending and not one.broken]
        calm = self._views and self._end.line is not None
        with suppress(InterruptedError):
            ready, _, _ = select.select(reads, writes, (), 1.0 if calm else LOOK_S)
            if 0 in ready:
                self._read_keys()
        self._take_signals()
        self._hear()
        # Not before there is somebody who takes keys: until then they wait in the terminal.
        if self._outer is not None and not self._reads_keys and self._views:
            self._reads_keys = self._outer.enter()

    def _call(self) -> None:
        with suppress(OSError):
            self._line = control.call(self._row.run_id, LOOK_S)
            self._line.ask({"ask": "view"})
            self._unasked = True

    def _hear(self) -> None:
        """What the guard tells; where it is gone, its successor is looked for in the next turn."""
        line = self._line
        while line is not None and (told := line.answer()) is not None:
            if told.get("view"):
                self._welcomed(bool(told.get("terminal")), told.get("end"))
            elif told.get("unknown"):
                self._refused = True  # An older guard: the log alone is followed.
                self._hang_up()
                return
            elif told.get("anew"):
                self._ladder.anew()
            elif isinstance(span := told.get("span"), list) and len(span) == 3:
                self._note_span(*map(int, span))
            else:
                self._send_keys()
        if line is not None and line.broken:
            # A guard of an older version hangs up on what it does not know: then the log alone is followed.
            other = self._end.line
            same = other is not None and not other.broken and other.pid == line.pid
            self._refused = self._unasked and same
            self._hang_up()

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line.close()
        self._line, self._views = None, False

    def _welcomed(self, has_terminal: bool, end: object) -> None:
        self._views, self._unasked, self._has_terminal = True, False, has_terminal
        # What came before we looked on has no stream of its own any more; an older guard does not say it.
        upto = end if isinstance(end, int) else os.fstat(self._log).st_size
        self._spans.append((self._stream, upto))
        self._tell_size()
        self._send_keys()

    def _tell_size(self) -> None:
        if self._outer is None or not self._has_terminal or self._line is None:
            return
        if size := terminal.size_of(0):
            self._line.ask({"ask": "size", "size": terminal.rows_and_columns(size)})

    # --- showing ----------------------------------------------------------------------------------

    def _note_span(self, stream: int, offset: int, length: int) -> None:
        stream = stream if stream in self._outlets else 1
        if self._spans and (self._spans[-1][0] == stream or len(self._spans) >= MOST_SPANS):
            stream, _ = self._spans.pop()
        self._spans.append((stream, offset + length))

    def _show(self) -> None:
        """As much as the readers take without waiting."""
        for outlet in self._outlets.values():
            outlet.flush()
        # Somebody cut it: go on where it ends now.
        self._seen = min(self._seen, os.fstat(self._log).st_size)
        while self._spans:
            self._stream, end = self._spans[0]
            if not self._feed(end):
                return
            self._spans.popleft()
        if not self._views:
            self._feed(os.fstat(self._log).st_size)

    def _feed(self, end: int) -> bool:
        """Hand on what there is up to there; False where a reader is behind."""
        while self._seen < end:
            if any(outlet.pending for outlet in self._outlets.values()):
                return False
            data = os.pread(self._log, min(CHUNK, end - self._seen), self._seen)
            if not data:
                break
            self._outlets[self._stream].feed(data)
            self._seen += len(data)
        return True

    def _show_the_rest(self) -> None:
        self._views = False
        while True:
            self._show()
            if not all(outlet.wait_until_taken(STALLED_READER_S) for outlet in self._outlets.values()):
                return
            if self._seen >= os.fstat(self._log).st_size:
                return

    # --- what we are told -------------------------------------------------------------------------

    def _take_signals(self) -> None:
        for number in self._inbox.take():
            if number == signal.SIGINT:
                self._pressed()
            elif number == signal.SIGTERM:
                raise _Leave("terminated")
            elif number == signal.SIGHUP:
                raise _Leave("hung-up")
            elif number == signal.SIGQUIT:
                if self._manner.detach_key == DETACH_KEY:
                    raise _Leave("detached")
                self._ask({"ask": "signal", "number": number})
            elif number == signal.SIGWINCH:
                self._tell_size()
            elif number == signal.SIGTSTP:
                self._suspend()
            elif number == signal.SIGCONT and self._outer is not None:
                self._reads_keys = self._outer.enter()

    def _pressed(self) -> None:
        press = self._ladder.press()
        if not press:
            return
        if press >= LEAVE_AT:
            raise _Leave("pressed")
        if self._manner.pressed is not None:
            self._manner.pressed(press)
        else:
            try:
                control.ask(self._row.run_id, {"ask": "stop", "kill": press >= KILL_AT})
            except (OSError, control.Silent):
                self._not_heard()
            else:
                self._manner.said(press)

    def _not_heard(self) -> None:
        """A press has reached nobody; a guard that hangs does not keep us."""
        self._unheard += 1
        if self._unheard >= LEAVE_AT:
            raise _Leave("pressed")
        self._ladder.take_back()
        self._manner.said(0)

    def _suspend(self) -> None:
        """Ctrl-Z: the job stops, then we; with `fg` both go on."""
        if not terminal.has_job_control():
            return
        self._ask({"ask": "signal", "number": int(signal.SIGTSTP)})
        if self._outer is not None:
            self._outer.restore()
            self._reads_keys = False
        terminal.suspend_ourselves()
        self._ask({"ask": "signal", "number": int(signal.SIGCONT)})
        self._tell_size()

    def _ask(self, question: Mapping[str, object]) -> None:
        if self._line is not None and self._views:
            self._line.ask(question)

    def _read_keys(self) -> None:
        try:
            keys = os.read(0, 4096)
        except BlockingIOError:
            return
        except OSError:
            self._reads_keys = False  # We are in the background now, or the terminal is gone.
            return
        key = self._manner.detach_key
        before, found, _ = keys.partition(key) if key else (keys, b"", b"")
        if self._has_terminal:
            self._keys += before
            self._send_keys()
        if found or not keys:
            raise _Leave("detached")

    def _send_keys(self) -> None:
        """More are read when the guard has taken these; they wait for one that takes over."""
        if not self._views:
            return
        keys, self._keys = bytes(self._keys), bytearray()
        if keys:
            self._ask({"ask": "type", "keys": keys.decode("latin-1")})

    def _close(self) -> None:
        if self._outer is not None:
            self._outer.restore()
        for outlet in self._outlets.values():
            outlet.close()
        self._hang_up()
        self._end.close()
