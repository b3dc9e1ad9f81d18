"""An outlet takes bytes without ever waiting; a log takes all that the disk has room for."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from helpers.lab import until
from launcher.guard.log import Log, open_log
from launcher.guard.outlet import BUFFER_LIMIT, Outlet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PIECES = [random.Random(3).randbytes(size) for size in (1, 70_000, 4096, 300_000, 17, 900_000)]
WHOLE = b"".join(PIECES)


class Channel:
    """Both ends of something that an outlet may stand on."""

    def __init__(self, kind: str, stack: ExitStack) -> None:
        if kind == "pipe":
            self.read, self.write = os.pipe()
        elif kind == "terminal":
            self.read, self.write = os.openpty()
            subprocess.run(["stty", "raw"], stdin=self.write, check=True)
        else:
            ours, theirs = socket.socketpair()
            self.read, self.write = ours.detach(), theirs.detach()
        os.set_blocking(self.read, False)
        stack.callback(self.close)

    def take(self) -> bytes:
        """What can be read now."""
        try:
            return os.read(self.read, 1 << 20)
        except BlockingIOError:
            return b""

    def close(self, *which: str) -> None:
        """Close both ends, or those named."""
        for name in which or ("read", "write"):
            if getattr(self, name) >= 0:
                os.close(getattr(self, name))
                setattr(self, name, -1)


@pytest.fixture(params=["pipe", "terminal", "socket"])
def channel(request: pytest.FixtureRequest) -> Iterator[Channel]:
    """A pipe, a raw terminal, a socket."""
    with ExitStack() as stack:
        yield Channel(request.param, stack)


def test_everything_arrives_in_order(channel: Channel) -> None:
    """Whatever the sizes, with a reader that takes its time; afterwards nothing waits."""
    outlet = Outlet(channel.write)
    for piece in PIECES:
        outlet.feed(piece)
    got = bytearray()

    def turn() -> bool:
        got.extend(channel.take())
        outlet.flush()
        return len(got) == len(WHOLE)

    until(turn, "all bytes")
    outlet.close()
    assert bytes(got) == WHOLE
    assert outlet.pending == 0


def test_it_says_when_it_is_full(channel: Channel) -> None:
    """Full at a bound, with room again once the reader has taken enough."""
    outlet = Outlet(channel.write)
    while not outlet.full:
        outlet.feed(b"x" * 65536)
    assert BUFFER_LIMIT <= outlet.pending < BUFFER_LIMIT + 65536

    def turn() -> bool:
        channel.take()
        outlet.flush()
        return not outlet.full

    until(turn, "room")
    outlet.close()


def test_a_reader_that_is_gone(channel: Channel) -> None:
    """Then it takes everything and keeps nothing: the job must not notice."""
    outlet = Outlet(channel.write)
    channel.close("read")
    outlet.feed(WHOLE)
    assert (outlet.broken, outlet.pending, outlet.full) == (True, 0, False)
    outlet.feed(WHOLE)
    outlet.close()


def test_giving_up(channel: Channel) -> None:
    """What waits is dropped, and nothing is taken any more."""
    outlet = Outlet(channel.write)
    outlet.feed(b"x" * 2_000_000)
    outlet.give_up()
    outlet.feed(b"y")
    assert (outlet.pending, outlet.full) == (0, False)
    outlet.close()


def test_the_descriptor_stays_as_it_was(channel: Channel) -> None:
    """Our parent shares it: it stays open, and stays blocking."""
    outlet = Outlet(channel.write)
    outlet.feed(b"x")
    assert os.get_blocking(channel.write)
    outlet.close()
    os.write(channel.write, b"y")
    until(lambda: channel.take(), "both bytes")


def test_a_descriptor_that_is_not_open() -> None:
    """Nothing to write to is like a reader that is gone."""
    read, write = os.pipe()
    os.close(read), os.close(write)
    outlet = Outlet(write)
    outlet.feed(b"x")
    assert outlet.broken


# --- the log ------------------------------------------------------------------------------------


def test_the_log_appends(tmp_path: Path) -> None:
    """All of it, after what was there."""
    path = tmp_path / "log"
    path.write_bytes(b"before ")
    log = Log(open_log(str(path)))
    for piece in PIECES:
        log.feed(piece)
    log.close()
    assert path.read_bytes() == b"before " + WHOLE
    assert log.bytes_lost == 0


LIMITED = """
import resource, signal, sys
from launcher.guard.log import Log, open_log
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
log = Log(open_log(sys.argv[1]))
for _ in range(5):
    log.feed(b"x" * 3_000)
log.close()
print(log.bytes_lost)
"""


def test_the_log_counts_what_it_loses(tmp_path: Path) -> None:
    """A file that may not grow takes what there is room for, and the rest is counted to the byte."""
    path = tmp_path / "log"
    path.touch()
    out = subprocess.run(
        [sys.executable, "-c", LIMITED, path], capture_output=True, text=True, check=True
    ).stdout
    assert (path.stat().st_size, int(out)) == (10_000, 5_000)
