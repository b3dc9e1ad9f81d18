"""A file system that hangs: a real FUSE mount whose requests nobody answers."""

from __future__ import annotations

import ctypes
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DETACH = 2


@contextmanager
def hanging(folder: Path) -> Iterator[None]:
    """Whoever touches `folder` waits until the end of the block; skips where nothing may be mounted."""
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        pytest.skip(f"no FUSE here: {error}")
    options = f"fd={device},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}".encode()
    try:
        if libc.mount(b"hangs", os.fsencode(folder), b"fuse", 0, options) != 0:
            pytest.skip(f"nothing may be mounted here: {os.strerror(ctypes.get_errno())}")
        try:
            yield
        finally:
            libc.umount2(os.fsencode(folder), DETACH)
    finally:
        os.close(device)  # Everybody who waits gets an error.
