"""The client: shows a run that a guard supervises, hands on keys, signals and the window's size.

It may end at any moment. What it shows of the job's output it reads from the log, at the pace of
whoever reads it; keys and presses go through the connection.
"""

from __future__ import annotations

import os
import pickle
import selectors
import signal
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from launcher.guard import terminal
from launcher.guard.channel import (
    ANEW,
    BEGUN,
    DATA,
    ERROR,
    EVENT,
    FINAL,
    FORWARD,
    GO,
    KEYS,
    LEFT,
    NAMED,
    RANGE,
    SIZE,
    STOP,
    TYPED,
    Channel,
)
from launcher.guard.ladder import LEAVE_AT, Ladder
from launcher.guard.outlet import Outlet
from launcher.guard.streams import watch
from launcher.guard.viewer import SPAN

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from launcher.guard.inbox import Inbox

CHUNK = 1 << 17
# Keys that the guard has not taken yet.
INPUT_LIMIT = 1 << 16
# Messages that wait for our reader.
MOST_QUEUED = 1000
FORWARDED = (signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
# How often a run in the background of a shell looks whether it has been brought to the foreground.
FOREGROUND_LOOK_S = 1.0
# How long a reader that takes nothing may keep us after the last word: the log has everything.
STALLED_READER_S = 10.0


class Detached(Exception):
    """The terminal is gone; the run goes on without a client."""


class Left(Detached):
    """A person pressed stop for the third time: the run is being ended, and we do not wait for it."""


class GuardLost(Exception):
    """The connection ended without a last word: watcher and guard are both gone."""


@dataclass(frozen=True, slots=True)
class Listeners:
    """`event(event)` shows one event, `begun(record)` is told when the job really runs.

    `begun` returns True if that is all that was to be waited for.
    """

    event: Callable[[Any], None]
    begun: Callable[[Any], bool]
    stalled: Callable[[], None]


class Client:
    """Follows one run. `takes_keys`: our stdin is a terminal, and the job's stdin is one too.

    `seen` is how far into the log its bytes have been shown; `run_id` is the run's, once it has one.
    """

    def __init__(
        self,
        connection: socket.socket,
        inbox: Inbox,
        listeners: Listeners,
        *,
        takes_keys: bool,
        seen: int = 0,
    ) -> None:
        self._channel = Channel(connection)
        self._inbox, self._listeners = inbox, listeners
        self._outer = terminal.OuterTerminal(0) if takes_keys else None
        self._reads_keys = False
        self._credit = INPUT_LIMIT
        self._queue: deque[tuple[bytes, bytes]] = deque()
        self._outlets: dict[int, Outlet] = {}
        self._log = -1
        self.seen, self.run_id = seen, ""
        self._taken, self._taken_at = (0, 0), 0.0
        self._answer: Any = None
        self._ladder = Ladder()
        self._selector = selectors.DefaultSelector()

    def follow(self) -> Any:
        """Show everything to the last word, which is returned: a record. Raises what the guard raised.

        Raises Detached and GuardLost.
        """
        self._channel.send(GO)
        self._selector.register(self._channel, selectors.EVENT_READ)
        self._selector.register(self._inbox, selectors.EVENT_READ)
        try:
            while self._answer is None:
                self._turn()
            return self._answer
        finally:
            self._close()

    def read_log_at(self, path: str) -> None:
        """Where the job's bytes are."""
        self._log = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    # --- one turn ---------------------------------------------------------------------------------

    def _turn(self) -> None:
        self._show()
        if self._answer is not None:
            return
        if self._channel.broken and not self._queue:
            raise GuardLost
        self._register()
        patience = self._wait_for_readers()
        ready = self._selector.select(self._timeout(patience))
        if not ready and patience is not None:
            self._give_up_readers()
        for key, _ in ready:
            if key.fileobj is self._inbox:
                self._take_signals()
            elif key.fileobj is self._channel:
                self._receive()
            elif key.fd == 0 and self._outer is not None:
                self._read_keys()
        if self._in_background:
            self._take_terminal()

    def _register(self) -> None:
        for stream, outlet in self._outlets.items():
            wanted = selectors.EVENT_WRITE if outlet.pending and not outlet.broken else 0
            watch(self._selector, outlet.pollable, wanted, stream)
        if self._outer is not None:
            wanted = selectors.EVENT_READ if self._reads_keys and self._credit > 0 else 0
            watch(self._selector, 0, wanted, None)
        if not self._channel.broken:
            # While our reader stalls the guard keeps count of the log for us; it takes less memory there.
            wanted = selectors.EVENT_READ if len(self._queue) < MOST_QUEUED else 0
            wanted |= selectors.EVENT_WRITE if self._channel.pending else 0
            watch(self._selector, self._channel, wanted, None)
        else:
            watch(self._selector, self._channel, 0, None)

    def _timeout(self, patience: float | None) -> float | None:
        if patience is not None:
            return patience
        return FOREGROUND_LOOK_S if self._in_background else None

    def _take_signals(self) -> None:
        for number in self._inbox.take():
            if number in (signal.SIGINT, signal.SIGTERM):
                self._press(number)
            elif number in FORWARDED:
                self._channel.send(FORWARD + bytes((number,)))
            elif number == signal.SIGWINCH:
                self._tell_size()
            elif number == signal.SIGCONT:
                self._take_terminal()
            elif number == signal.SIGTSTP:
                self._suspend()
            elif number == signal.SIGHUP:
                raise Detached

    def _press(self, number: int) -> None:
        """What the guard said before it counts: it may have come to what a press means something else for."""
        self._receive()
        press = self._ladder.press()
        if press >= LEAVE_AT:
            raise Left
        self._channel.send(STOP + bytes((number, press)))

    def _suspend(self) -> None:
        """Ctrl-Z: the job stops, then we; with `fg` or `bg` both go on."""
        if self._log < 0 or not terminal.has_job_control():
            return
        self._channel.send(FORWARD + bytes((signal.SIGTSTP,)))
        if self._outer is not None:
            self._outer.restore()
            self._reads_keys = False
        terminal.suspend_ourselves()
        self._channel.send(FORWARD + bytes((signal.SIGCONT,)))
        self._take_terminal()
        self._tell_size()

    def _receive(self) -> None:
        self._channel.flush()
        while len(self._queue) < MOST_QUEUED and (message := self._channel.receive()) is not None:
            kind, rest = message[:1], message[1:]
            if kind == TYPED:
                self._credit += int.from_bytes(rest, "little")
            elif kind == ANEW:
                self._ladder.anew()
            elif kind == NAMED:
                self.run_id = rest.decode()
            else:
                self._queue.append((kind, rest))

    # --- showing, in order ------------------------------------------------------------------------

    def _show(self) -> None:
        """As much as the readers take without waiting, and nothing beyond the last word that we wait for."""
        for outlet in self._outlets.values():
            outlet.flush()
        while self._answer is None and self._queue and not self._is_full:
            kind, rest = self._queue[0]
            if kind == RANGE:
                if self._show_range(*SPAN.unpack(rest)):
                    self._queue.popleft()
                continue
            self._queue.popleft()
            if kind == DATA:
                self._outlet(rest[0]).feed(rest[1:])
            elif kind == EVENT:
                self._listeners.event(pickle.loads(rest))  # noqa: S301 - from the guard that we forked
            elif kind == BEGUN:
                self._begun(pickle.loads(rest))  # noqa: S301
            elif kind == ERROR:
                raise pickle.loads(rest)  # noqa: S301
            elif kind == FINAL:
                self._answer = pickle.loads(rest)  # noqa: S301
                self._channel.send(LEFT)

    @property
    def _is_full(self) -> bool:
        return any(outlet.pending for outlet in self._outlets.values())

    def _begun(self, record: Any) -> None:
        if self._log < 0:
            self.read_log_at(record.log)
        if self._listeners.begun(record):
            self._answer = record
        else:
            self._take_terminal()

    def _show_range(self, stream: int, offset: int, length: int) -> bool:
        """Show a part of it; True when all of it has been handed on."""
        end = offset + length
        at = max(offset, self.seen)
        outlet = self._outlet(stream)
        while at < end and not outlet.pending:
            data = b"" if outlet.broken else os.pread(self._log, min(CHUNK, end - at), at)
            if not data:
                at = end  # Nobody reads it, or somebody cut the log.
                break
            outlet.feed(data)
            at += len(data)
        self.seen = at
        return at >= end

    def _outlet(self, stream: int) -> Outlet:
        if stream not in self._outlets:
            self._outlets[stream] = Outlet(stream)
        return self._outlets[stream]

    def _wait_for_readers(self) -> float | None:
        """The run is over, and somebody does not take its output: for how long we still wait, in seconds.

        None before the end. They have STALLED_READER_S from the last byte that they took.
        """
        if not self._queue or self._queue[-1][0] != FINAL:
            return None
        now, left = time.monotonic(), sum(outlet.pending for outlet in self._outlets.values())
        if (self.seen, left) != self._taken:
            self._taken, self._taken_at = (self.seen, left), now
        return max(0.0, self._taken_at + STALLED_READER_S - now)

    def _give_up_readers(self) -> None:
        for outlet in self._outlets.values():
            if outlet.pending:
                outlet.give_up()
        self._listeners.stalled()

    # --- our terminal -----------------------------------------------------------------------------

    @property
    def _in_background(self) -> bool:
        """Is there a terminal whose keys go to somebody else for now? A shell's `fg` tells us nothing."""
        return self._outer is not None and self._log >= 0 and not self._reads_keys

    def _take_terminal(self) -> None:
        """Start (or, after a return to the foreground, resume) handing keys to the job."""
        if self._outer is not None and self._log >= 0:
            self._reads_keys = self._outer.enter()

    def _tell_size(self) -> None:
        for descriptor in (0, 1, 2):
            if os.isatty(descriptor):
                self._channel.send(SIZE + terminal.size_of(descriptor))
                return

    def _read_keys(self) -> None:
        try:
            keys = os.read(0, min(4096, self._credit))
        except BlockingIOError:
            return
        except OSError:
            self._reads_keys = False  # We are in the background now, or the terminal is gone.
            return
        if not keys:
            raise Detached
        self._credit -= len(keys)
        self._channel.send(KEYS + keys)

    def _close(self) -> None:
        if self._outer is not None:
            self._outer.restore()
        for outlet in self._outlets.values():
            outlet.close()
        self._selector.close()
        self._channel.close()
        if self._log >= 0:
            os.close(self._log)
