"""What can be expected of the file system of a target, and how its caches are written out and dropped."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from typing import Any

# File systems of this kernel: what was written out can be read back at once, before the file is closed, and
# one syncfs is a sync of every file, with its errors (since Linux 5.8). A network or FUSE file system is
# told by fsync and close when a file is complete: gcsfuse uploads it then, each time anew.
_OURS = frozenset(("ext2", "ext3", "ext4", "xfs", "f2fs", "tmpfs"))
_SYNCFS_TELLS = (5, 8)
_WAIT_BEFORE, _WRITE, _WAIT_AFTER = 1, 2, 4


@dataclass(slots=True)
class Disk:
    """`quick`: written windows can be read back early, and syncfs stands for many fsyncs."""

    quick: bool

    @classmethod
    def of(cls, folder: str) -> Disk:
        """By the type of the file system that `folder` is on; what cannot be told is not quick."""
        return cls(_type_of(folder) in _OURS and _kernel() >= _SYNCFS_TELLS and _libc() is not None)

    def sync_all(self, descriptor: int) -> None:
        """Everything written to the file system of `descriptor` is durable now. OSError if it may not be."""
        libc = _libc()
        if libc is None or libc.syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


def begin_writing(descriptor: int, start: int, size: int) -> None:
    """Let these bytes go to the disk while we go on. A hint: errors are fsync's to tell."""
    libc = _libc()
    if libc is not None:
        libc.sync_file_range(descriptor, ctypes.c_int64(start), ctypes.c_int64(size), _WRITE)


def drop_cache(descriptor: int, start: int = 0, size: int = 0) -> None:
    """What is read next comes from the disk, where the file system lets us say so. `size` 0: to the end."""
    libc = _libc()
    if libc is not None and size:
        flags = _WAIT_BEFORE | _WRITE | _WAIT_AFTER
        libc.sync_file_range(descriptor, ctypes.c_int64(start), ctypes.c_int64(size), flags)
    try:
        os.posix_fadvise(descriptor, start, size, os.POSIX_FADV_DONTNEED)
    except (OSError, AttributeError):
        pass  # The read is then what the file system makes of it.


_loaded: list[Any] = []


def _libc() -> Any:
    """The C library if it has both calls, else None."""
    if not _loaded:
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            _loaded.append(libc if libc.sync_file_range and libc.syncfs else None)
        except (OSError, AttributeError):
            _loaded.append(None)
    return _loaded[0]


def _kernel() -> tuple[int, int]:
    numbers = os.uname().release.split(".")
    try:
        return int(numbers[0]), int(numbers[1].split("-")[0])
    except (ValueError, IndexError):
        return 0, 0


def _type_of(folder: str) -> str:
    """The type of the mount with the device of `folder`; empty if none is listed."""
    try:
        device = os.stat(folder).st_dev
        with open("/proc/self/mountinfo", "rb") as reader:
            for line in reader:
                fields = line.split()
                if fields[2] == b"%d:%d" % (os.major(device), os.minor(device)):
                    return fields[fields.index(b"-") + 1].decode()
    except (OSError, ValueError, IndexError):
        pass
    return ""
