"""A house of its own for a scene: processes inside see each other and nobody else.

What else this machine does (other tests, whoever watches us) is CPU, too, and would keep a runtime awake.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from helpers.scene import Scene
from launcher.guard import meeting
from launcher.release import lease

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENTER = ("nsenter", "--pid", "--mount", "--target")
# Its own leases and sockets; and a bash with a child reaps whoever becomes an orphan in it.
_SET_UP = """
for folder in "$@"; do mkdir -p "$folder"; mount -t tmpfs -o mode=1777,size=1m tmpfs "$folder"; done
chmod 700 "$2"
echo ready
exec >&2
sleep infinity & wait
"""
NO_HOUSE = "a PID namespace needs root, unshare and nsenter"


@cache
def can_build() -> bool:
    """May we?"""
    if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "nsenter"))):
        return False
    return subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", "true"], check=False).returncode == 0


@dataclass
class House(Scene):
    """A scene whose commands run in a PID namespace; `tenant` starts what else lives there."""

    target: int = field(default=0)
    apart: bool = False

    @property
    def _way_in(self) -> tuple[str, ...]:
        return (*_ENTER, str(self.target), *(["--net"] if self.apart else []))

    def start(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """As in a scene, inside."""
        return super().start(*words, before=(*self._way_in, "env", "-C", str(self.work)), **options)

    @contextmanager
    def tenant(self, *words: str, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
        """A process that lives in the house, and has nothing to do with us."""
        command = [*self._way_in, *words]
        with subprocess.Popen(command, start_new_session=True, **options) as process:
            try:
                yield process
            finally:
                os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def house(folder: Any, *, apart: bool = False) -> Iterator[House]:
    """Build it, and take it down with everybody in it. `apart`: with a network of its own."""
    command = ["unshare", *(["--net"] if apart else []), "--pid", "--fork", "--mount-proc", "--kill-child"]
    command += ["bash", "-c", _SET_UP, "bash", lease.FOLDER, meeting.folder()]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as outer:
        try:
            assert outer.stdout is not None
            assert outer.stdout.readline() == b"ready\n"
            yield House(folder, target=_first_child(outer.pid), apart=apart)
        finally:
            outer.kill()


def _first_child(pid: int) -> int:
    while True:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            if found := file.read().split():
                return int(found[0])
