"""Batches of small files in processes of their own: for these, Python itself is half of the work.

The processes are forked before there is any thread, hold nothing of ours, and end with us.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
from typing import TYPE_CHECKING, Any

from launcher.children import become_helper

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_HEADER = 8
_CHUNK = 1 << 20


def in_processes(
    work: Callable[[Any], Any], batches: Sequence[Any], count: int, received: Callable[[int, Any], None]
) -> list[int]:
    """`work(batch)` of every batch in `count` processes; `received(number, answer)` here, as they come.

    Answers that can be pickled. Returns the numbers of the batches that no answer came of: their process
    ended early, or could not be made.
    """
    left = set(range(len(batches)))
    readers: dict[int, tuple[int, bytearray]] = {}
    for first in range(min(count, len(batches))):
        try:
            pid, reader = _fork(work, batches, range(first, len(batches), count))
        except OSError:
            break
        readers[reader] = pid, bytearray()
    try:
        while readers:
            for reader in select.select(list(readers), (), ())[0]:
                pid, buffer = readers[reader]
                data = os.read(reader, _CHUNK)
                buffer += data
                for number, answer in _messages(buffer):
                    left.discard(number)
                    received(number, answer)
                if not data:
                    del readers[reader]
                    _end(pid, reader)
    finally:
        for reader, (pid, _) in readers.items():
            _end(pid, reader)
    return sorted(left)


def _messages(buffer: bytearray) -> list[tuple[int, Any]]:
    """Those that are whole, taken out of the buffer."""
    found = []
    while len(buffer) >= _HEADER:
        end = _HEADER + int.from_bytes(buffer[:_HEADER], "big")
        if len(buffer) < end:
            break
        found.append(pickle.loads(bytes(buffer[_HEADER:end])))  # noqa: S301 - from our own child
        del buffer[:end]
    return found


def _end(pid: int, reader: int) -> None:
    os.close(reader)
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except OSError:
        pass  # gone, and reaped by somebody who reaps everything


def _fork(work: Callable[[Any], Any], batches: Sequence[Any], numbers: range) -> tuple[int, int]:
    reader, writer = os.pipe()
    parent = os.getpid()
    try:
        pid = os.fork()
    except OSError:
        os.close(reader)
        os.close(writer)
        raise
    if pid == 0:
        try:
            become_helper(parent, {writer})
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            for number in numbers:
                message = pickle.dumps((number, work(batches[number])))
                rest = memoryview(len(message).to_bytes(_HEADER, "big") + message)
                while rest:
                    rest = rest[os.write(writer, rest) :]
        finally:
            os._exit(0)
    os.close(writer)
    return pid, reader
