"""How the job's stdin, stdout and stderr are connected to ours, and the pumping of bytes.

Each is a terminal where ours is a terminal, otherwise a pipe (stdin: the very thing that ours is);
two of ours that are one open file stay one pipe, so that the order of their bytes is kept.
"""

from __future__ import annotations

import os
import selectors
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from launcher.guard import terminal
from launcher.guard.outlet import Log, Outlet
from launcher.words import reason, words

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.words import Text

CHUNK = 1 << 16
# Typed or pasted text that the job does not read yet; the line discipline itself holds 4,095 bytes.
INPUT_LIMIT = 1 << 16


@dataclass(frozen=True, slots=True)
class StreamMode:
    """`json`: our stdout is for one document, so the job's output goes to our stderr, by pipes.

    `tty`: a terminal for the job whatever ours is.
    """

    json: bool = False
    tty: bool = False


@dataclass(eq=False, slots=True)
class Source:
    """One stream of the job: read from `descriptor`, written to `outlet` and, if `logged`, to the log."""

    descriptor: int
    outlet: Outlet | None
    logged: bool
    open: bool = True


@dataclass(eq=False, slots=True)
class Streams:
    """All streams of a run; they stay the same for `setup` and `run`."""

    log: Log
    stdio: tuple[int, int, int]
    sources: list[Source]
    master: int | None = None
    controlling: int | None = None
    outer: terminal.OuterTerminal | None = None
    _input: bytearray = field(default_factory=bytearray)
    _reads_input: bool = False
    _input_gone: bool = False
    _close_later: list[int] = field(default_factory=list)

    def register(self, selector: selectors.BaseSelector) -> None:
        """Watch everything that is to be watched now; called before every select."""
        for source in self.sources:
            paused = source.outlet is not None and source.outlet.full
            _watch(selector, source.descriptor, self._events(source, paused), source)
            if source.outlet is not None and not source.outlet.broken and source.outlet.pending:
                _watch(selector, source.outlet.pollable, selectors.EVENT_WRITE, source.outlet)
            elif source.outlet is not None:
                _watch(selector, source.outlet.pollable, 0, source.outlet)
        if self.outer is not None:
            wanted = self._reads_input and len(self._input) < INPUT_LIMIT
            _watch(selector, 0, selectors.EVENT_READ if wanted else 0, self)

    def _events(self, source: Source, paused: bool) -> int:
        if not source.open:
            return 0
        events = 0 if paused else selectors.EVENT_READ
        if source.descriptor == self.master and self._input:
            events |= selectors.EVENT_WRITE
        return events

    def handle(self, key: selectors.SelectorKey, events: int) -> None:
        """Move bytes for one ready descriptor."""
        if isinstance(key.data, Outlet):
            key.data.flush()
        elif isinstance(key.data, Source):
            if events & selectors.EVENT_WRITE:
                self._type()
            if events & selectors.EVENT_READ:
                self._pump(key.data)
        else:
            self._read_input()

    def _pump(self, source: Source) -> bool:
        """Read once; False when nothing was there. An end of file never means that the job ended."""
        try:
            data = os.read(source.descriptor, CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            data = b""  # EIO: the last process closed the terminal.
        if not data:
            source.open = False
            return False
        if source.logged:
            self.log.feed(data)
        if source.outlet is not None:
            source.outlet.feed(data)
        return True

    def _read_input(self) -> None:
        try:
            data = os.read(0, 4096)
        except BlockingIOError:
            return
        except OSError:
            self._reads_input = False  # We are in the background now.
            return
        if not data:
            self._reads_input, self._input_gone = False, True  # The terminal has vanished.
            return
        self._input += data
        self._type()

    def _type(self) -> None:
        if self.master is None:
            self._input.clear()
            return
        try:
            while self._input:
                written = os.write(self.master, self._input[:4096])
                del self._input[:written]
        except BlockingIOError:
            return
        except OSError:
            self._input.clear()

    def take_terminal(self) -> None:
        """Start (or, after a return to the foreground, resume) handing keys to the job."""
        if self.outer is not None and not self._input_gone:
            self._reads_input = self.outer.enter()

    @property
    def in_background(self) -> bool:
        """Is there a terminal whose keys go to somebody else for now? A shell's `fg` tells us nothing."""
        return self.outer is not None and not self._reads_input and not self._input_gone

    def resize(self) -> None:
        """Our window changed."""
        if self.master is not None:
            terminal.copy_size(_first_terminal(), self.master)

    def job_side_done(self) -> None:
        """No further process will be started: keep no write end, so that an end of file can come."""
        for descriptor in self._close_later:
            os.close(descriptor)
        self._close_later.clear()

    def drained(self) -> bool:
        """Every stream came to its end and everything was handed on."""
        return not any(source.open for source in self.sources) and not self.undelivered()

    def undelivered(self) -> int:
        """Bytes that our readers have not taken yet."""
        return sum(source.outlet.pending for source in self.sources if source.outlet is not None)

    def give_up_readers(self) -> None:
        """They take nothing, and the job is over: from now on for the log only."""
        for source in self.sources:
            if source.outlet is not None:
                source.outlet.give_up()

    def close(self) -> None:
        """Close everything that is ours and give the terminal back."""
        self.job_side_done()
        if self.outer is not None:
            self.outer.restore()
        for source in self.sources:
            if source.outlet is not None:
                source.outlet.close()
            os.close(source.descriptor)
        self.log.close()


def _watch(selector: selectors.BaseSelector, descriptor: int, events: int, data: object) -> None:
    """Bring the selector to watch `descriptor` for `events` (0: not at all)."""
    try:
        key = selector.get_key(descriptor)
    except KeyError:
        if events:
            selector.register(descriptor, events, data)
        return
    if not events:
        selector.unregister(descriptor)
    elif key.events != events:
        selector.modify(descriptor, events, data)


def same_open_file(first: int, second: int) -> bool:
    """Do two descriptors lead to one file, pipe or terminal?"""
    try:
        one, other = os.fstat(first), os.fstat(second)
    except OSError:
        return False
    return (one.st_dev, one.st_ino, one.st_rdev) == (other.st_dev, other.st_ino, other.st_rdev)


def connect(log_path: str, mode: StreamMode, warn: Callable[[Text], None]) -> Streams:
    """Open the job's streams to match ours. Where no terminal can be had, pipes and one warning."""
    terminals = [_is_terminal(descriptor, mode) for descriptor in (0, 1, 2)]
    master = slave = None
    if any(terminals):
        try:
            master, slave = terminal.open_inner(_first_terminal())
        except OSError as error:
            warn(words("no terminal for the job ({why}); it gets pipes", why=reason(error.strerror)))
            terminals = [False, False, False]
    streams = Streams(log=Log(log_path), stdio=(0, 0, 0), sources=[], master=master, controlling=slave)
    stdin = _connect_input(streams, terminals[0], slave)
    stdout, stderr = _connect_outputs(streams, terminals, slave, mode)
    streams.stdio = (stdin, stdout, stderr)
    if master is not None and slave is not None:
        _connect_master(streams, master, terminals, mode)
        streams._close_later.append(slave)
    return streams


def _first_terminal() -> int:
    """The one of our descriptors whose modes and size the job's terminal has."""
    return next((descriptor for descriptor in (0, 1, 2) if os.isatty(descriptor)), 0)


def _is_terminal(descriptor: int, mode: StreamMode) -> bool:
    if mode.tty:
        return True
    return not mode.json and os.isatty(descriptor)


def _connect_input(streams: Streams, is_terminal: bool, slave: int | None) -> int:
    if is_terminal and slave is not None and os.isatty(0):
        streams.outer = terminal.OuterTerminal(0)
        return slave
    if os.isatty(0):
        # --json from a terminal: the job gets no terminal, and nobody types into a pipe.
        stdin = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        streams._close_later.append(stdin)
        return stdin
    return 0


def _connect_outputs(
    streams: Streams, terminals: list[bool], slave: int | None, mode: StreamMode
) -> tuple[int, int]:
    ends: list[int] = []
    for descriptor in (1, 2):
        if terminals[descriptor] and slave is not None:
            ends.append(slave)
        elif descriptor == 2 and ends[0] != slave and (mode.json or same_open_file(1, 2)):
            ends.append(ends[0])
        else:
            read, write = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(read, False)
            streams._close_later.append(write)
            streams.sources.append(Source(read, Outlet(2 if mode.json else descriptor), logged=True))
            ends.append(write)
    return ends[0], ends[1]


def _connect_master(streams: Streams, master: int, terminals: list[bool], mode: StreamMode) -> None:
    """What comes out of the inner terminal goes to our stdout, or to whichever of ours is a terminal."""
    writes = terminals[1] or terminals[2]
    if mode.json:
        outlet = Outlet(2)
    elif terminals[1]:
        outlet = Outlet(1)
    elif terminals[2]:
        outlet = Outlet(2)
    else:
        outlet = Outlet(0)  # Only stdin is a terminal: what comes back is the echo of what is typed.
    streams.sources.append(Source(master, outlet, logged=writes))
