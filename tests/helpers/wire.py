"""A network that is not the loopback: a pair of interfaces into a namespace, and who sends over it slowly."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from contextlib import contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS, THEIRS = "10.213.77.1", "10.213.77.2"
NO_WIRE = "a network namespace needs root, ip, unshare and nsenter"
CHUNK = 40_000
EVERY_S = 0.1


@cache
def can_lay() -> bool:
    """May we?"""
    if os.geteuid() != 0 or not all(map(shutil.which, ("ip", "unshare", "nsenter"))):
        return False
    made = subprocess.run(
        ["unshare", "--net", "ip", "link", "add", "w0", "type", "veth", "peer", "name", "w1"],
        check=False,
        capture_output=True,
    )
    return made.returncode == 0


@contextmanager
def wire(pid: int) -> Iterator[None]:
    """From us to the network namespace of this process."""
    name = f"w{os.getpid() % 100000}a"
    inside = ("nsenter", "--net", "--target", str(pid), "ip")
    lines = [
        ("ip", "link", "add", name, "type", "veth", "peer", "name", "w1", "netns", str(pid)),
        ("ip", "address", "add", f"{OURS}/30", "dev", name),
        ("ip", "link", "set", name, "up"),
        (*inside, "address", "add", f"{THEIRS}/30", "dev", "w1"),
        (*inside, "link", "set", "w1", "up"),
        (*inside, "link", "set", "lo", "up"),
    ]
    try:
        for line in lines:
            subprocess.run(line, check=True, capture_output=True)
        yield
    finally:
        subprocess.run(("ip", "link", "delete", name), check=False, capture_output=True)


@contextmanager
def dripping(seconds: float) -> Iterator[int]:
    """A server whose one answer takes so long, 400 kB/s; its port."""
    over = threading.Event()
    with socket.create_server((OURS, 0)) as server:
        thread = threading.Thread(target=_drip, args=(server, seconds, over), daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            over.set()
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            thread.join(5.0)


def _drip(server: socket.socket, seconds: float, over: threading.Event) -> None:
    with suppress(OSError):
        connection, _ = server.accept()
        with connection:
            for _ in range(round(seconds / EVERY_S)):
                connection.sendall(b"." * CHUNK)
                if over.wait(EVERY_S):
                    return
