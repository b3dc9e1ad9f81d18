"""How far a copy has come: four counters in shared memory, written by the child, read by whoever waits."""

from __future__ import annotations

import mmap
import struct
from typing import NamedTuple

_LAYOUT = struct.Struct("qqqq")


class Reading(NamedTuple):
    """Bytes and files, of how many (0: not known yet). `ticks` grows with every sign of life."""

    done: int
    total: int
    files: int
    ticks: int


class Meter:
    """Made before the fork; exactly one process writes."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _LAYOUT.size)

    def read(self) -> Reading:
        """How far it is."""
        return Reading(*_LAYOUT.unpack_from(self._memory))

    def expect(self, total: int) -> None:
        """So many bytes are to be moved or looked at."""
        done, _, files, ticks = self.read()
        _LAYOUT.pack_into(self._memory, 0, done, total, files, ticks + 1)

    def add(self, size: int = 0, files: int = 0) -> None:
        """So much more is done; 0 and 0: we live."""
        now = self.read()
        _LAYOUT.pack_into(self._memory, 0, now.done + size, now.total, now.files + files, now.ticks + 1)

    def close(self) -> None:
        """Nobody reads it any more."""
        self._memory.close()
