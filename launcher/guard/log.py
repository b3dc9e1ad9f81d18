"""The log file of a run: exactly the job's bytes. A full disk loses bytes, never the job."""

from __future__ import annotations

import os


class Log:
    """Appends to an open file; `end` is its length, `bytes_lost` what the file system refused."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.bytes_lost = 0
        self.end = os.fstat(descriptor).st_size

    def feed(self, data: bytes) -> int:
        """Append; how many bytes of the beginning were taken."""
        taken = 0
        while taken < len(data):
            try:
                written = os.write(self.descriptor, memoryview(data)[taken:] if taken else data)
            except OSError:
                self.bytes_lost += len(data) - taken
                break
            taken += written
        self.end += taken
        return taken

    def close(self) -> None:
        """Close it; who releases the machine makes it durable first."""
        os.close(self.descriptor)


def open_log(path: str) -> int:
    """The descriptor of an existing log. Raises OSError."""
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
