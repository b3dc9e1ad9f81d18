"""Opens the streams of a job to match the client's, or takes over those that a dead guard left."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from launcher.guard import terminal
from launcher.guard.log import Log, open_log
from launcher.guard.streams import Source, StreamMode, Streams, same_open_file
from launcher.words import reason, words

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.guard.desk import Desk
    from launcher.guard.watcher import Seat
    from launcher.words import Text


def connect(log_path: str, mode: StreamMode, desk: Desk, seat: Seat, warn: Callable[[Text], None]) -> Streams:
    """Streams for `setup` and `run`. Where no terminal can be had, pipes and one warning.

    Our own 0, 1 and 2 are the client's until now, and /dev/null from here on. Raises OSError.
    """
    if seat.streams_taken and "log" in seat.kept:
        return _adopt(desk, seat)
    streams = _open(log_path, mode, desk, seat, warn)
    seat.keep("log", streams.log.descriptor)
    for source in streams.sources:
        seat.keep(source.label, source.descriptor)
    # A watcher that has to start `setup` or `run` itself needs the job's ends too.
    for number, descriptor in enumerate(streams.stdio):
        seat.keep(f"stdio {number}", descriptor)
    seat.take_streams()
    return streams


def _adopt(desk: Desk, seat: Seat) -> Streams:
    """What the watcher kept is all that there is."""
    streams = Streams(Log(seat.kept["log"]), (-1, -1, -1), [], desk, seat)
    for label, descriptor in seat.kept.items():
        if label.startswith("source "):
            _, stream, logged = label.split()
            source = Source(descriptor, int(stream), logged == "1")
            streams.sources.append(source)
            if os.isatty(descriptor):
                streams.master = descriptor
    stdio = [seat.kept.get(f"stdio {number}", -1) for number in range(3)]
    if -1 not in stdio:
        streams.have_stdio((stdio[0], stdio[1], stdio[2]))
        if streams.master is not None:
            streams.controlling = next((end for end in stdio if os.isatty(end)), None)
    return streams


def _open(log_path: str, mode: StreamMode, desk: Desk, seat: Seat, warn: Callable[[Text], None]) -> Streams:
    streams = Streams(Log(open_log(log_path)), (-1, -1, -1), [], desk, seat)
    terminals = [_is_terminal(descriptor, mode) for descriptor in (0, 1, 2)]
    slave = None
    if any(terminals):
        try:
            streams.master, slave = terminal.open_inner(_first_terminal())
        except OSError as error:
            warn(words("no terminal for the job ({why}); it gets pipes", why=reason(error.strerror)))
            terminals = [False, False, False]
    streams.controlling = slave
    stdin = _open_input(mode, slave if terminals[0] else None)
    stdout, stderr = _open_outputs(streams, terminals, slave, mode)
    streams.have_stdio((stdin, stdout, stderr))
    if streams.master is not None and slave is not None:
        streams.sources.append(_terminal_source(streams.master, terminals, mode))
        if slave not in streams.stdio:
            streams.close_later("terminal", slave)
    return streams


def _first_terminal() -> int:
    """The one of our descriptors whose modes and size the job's terminal has."""
    return next((descriptor for descriptor in (0, 1, 2) if os.isatty(descriptor)), 0)


def _is_terminal(descriptor: int, mode: StreamMode) -> bool:
    return mode.tty or (not mode.pipes and os.isatty(descriptor))


def _open_input(mode: StreamMode, slave: int | None) -> int:
    if slave is not None:
        return slave
    if mode.detached or os.isatty(0):
        # The job gets no terminal, and nobody types into a pipe.
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    return _private(0)


def _private(descriptor: int) -> int:
    """A copy of ours that no exec inherits."""
    import fcntl

    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)


def _open_outputs(
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
            streams.sources.append(Source(read, 2 if mode.json else descriptor, logged=True))
            ends.append(write)
    return ends[0], ends[1]


def _terminal_source(master: int, terminals: list[bool], mode: StreamMode) -> Source:
    """What comes out of the inner terminal is for stdout, or for whichever of the client's is a terminal."""
    logged = terminals[1] or terminals[2]
    if mode.json:
        return Source(master, 2, logged)
    if terminals[1]:
        return Source(master, 1, logged)
    # Only stdin is a terminal: what comes back is the echo of what is typed.
    return Source(master, 2 if terminals[2] else 0, logged)


def let_go(seat: Seat) -> None:
    """The end of the job is noted: nobody will have to go on with its streams."""
    seat.drop("log")
    for stream in (0, 1, 2):
        for logged in (False, True):
            seat.drop(Source(-1, stream, logged).label)
