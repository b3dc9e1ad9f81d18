"""What the guard knows of its run, in memory that outlives it: the watcher reads it when the guard is gone.

One writer at a time. A note is whole or absent however its writer ends: it is written beside the last
one, and a single byte then says which of the two holds. Pickle is imported when it is needed: the
watcher never needs it.
"""

from __future__ import annotations

import mmap
import os
import struct
from typing import Any

HEADER = 4096
_WHICH = 0
_BEGAN = 8
# Where the job's child says, before its exec, that it was let through the gate; and why an exec failed.
_FAILURE = struct.Struct("q8sq")
NOT_BEGUN, BEGUN, FAILED = range(3)
# Whose bytes the end of the log holds, and up to where the client was told of them.
_STREAM = 64
_TOLD = struct.Struct("q")
_TOLD_AT = 72


class Notes:
    """Shared with every process that is forked from the one that made it. Raises OSError."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, HEADER)
        # Two files without a name, as large as what is noted: a run may have saved many thousand files.
        self._slots = [os.memfd_create("colab-run-notes", os.MFD_CLOEXEC) for _ in range(2)]

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What has to stay open."""
        return tuple(self._slots)

    def write(self, noted: Any) -> None:
        """Replace what is noted, by anything that pickle takes. Where memory is short the last note stays."""
        import pickle

        data = memoryview(pickle.dumps(noted, pickle.HIGHEST_PROTOCOL))
        which = 2 if self._memory[_WHICH] == 1 else 1
        slot = self._slots[which - 1]
        try:
            os.ftruncate(slot, len(data))
            at = 0
            while at < len(data):
                at += os.pwrite(slot, data[at:], at)
        except OSError:
            return
        self._memory[_WHICH] = which

    def read(self) -> Any:
        """What was noted last; None if nothing was."""
        import pickle

        which = self._memory[_WHICH]
        return None if which == 0 else pickle.loads(_content(self._slots[which - 1]))  # noqa: S301 - ours

    # --- the gate of the job ----------------------------------------------------------------------

    def close_gate(self) -> None:
        """A command is about to be forked: so far it has not begun."""
        _FAILURE.pack_into(self._memory, _BEGAN, NOT_BEGUN, b"", 0)

    def begin(self) -> None:
        """In the job's child: let through the gate, the next thing is its exec."""
        _FAILURE.pack_into(self._memory, _BEGAN, BEGUN, b"", 0)

    def fail(self, stage: str, number: int) -> None:
        """In the job's child: it could not be started after all; `number` is an errno."""
        _FAILURE.pack_into(self._memory, _BEGAN, FAILED, stage.encode(), number)

    def beginning(self) -> tuple[int, str, int]:
        """(NOT_BEGUN, BEGUN or FAILED; the stage that failed; its errno)."""
        state, stage, number = _FAILURE.unpack_from(self._memory, _BEGAN)
        return state, stage.rstrip(b"\0").decode(), number

    # --- what the client was told -----------------------------------------------------------------

    def mark_stream(self, stream: int) -> None:
        """What is appended to the log from now on is of this stream."""
        self._memory[_STREAM] = stream

    def mark_told(self, end: int) -> None:
        """The client was told of the log up to this offset."""
        _TOLD.pack_into(self._memory, _TOLD_AT, end)

    def untold(self) -> tuple[int, int]:
        """(stream, offset) from which on the client was not told."""
        return self._memory[_STREAM] or 1, _TOLD.unpack_from(self._memory, _TOLD_AT)[0]


def plan_file() -> int:
    """A file without a name for the plan of a run: whoever takes over reads it anew."""
    return os.memfd_create("colab-run-plan", os.MFD_CLOEXEC)


def write_plan(descriptor: int, plan: Any) -> None:
    """Put the plan into its file."""
    import pickle

    data = memoryview(pickle.dumps(plan, pickle.HIGHEST_PROTOCOL))
    at = 0
    while at < len(data):
        at += os.pwrite(descriptor, data[at:], at)


def read_plan(descriptor: int) -> Any:
    """The plan, as often as it is needed."""
    import pickle

    return pickle.loads(_content(descriptor))  # noqa: S301 - written by the process that we were forked from


def _content(descriptor: int) -> bytes:
    size = os.fstat(descriptor).st_size
    data = bytearray()
    while len(data) < size:
        data += os.pread(descriptor, size - len(data), len(data))
    return bytes(data)
