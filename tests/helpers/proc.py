"""Readings of processes in turn with what a test does, and a /proc with the processes that a test wants."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from launcher.idle.model import Sign
from launcher.probes.life.processes import job_readers, runtime_readers
from launcher.values import Known

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from launcher.idle.interface import Reader

TICKS = os.sysconf("SC_CLK_TCK")


class Read:
    """Readings of one group, in turn with what a test does."""

    def __init__(self, readers: Mapping[Sign, Reader], group: str) -> None:
        self._readers, self._group = readers, group
        self.reading: dict[str, Any] = {}

    def take(self, sign: Sign) -> dict[str, Any]:
        found = self._readers[sign]()
        assert isinstance(found, Known), found
        self.reading = found.value["groups"][self._group]
        return self.reading

    def seconds(self) -> float:
        return float(self.take(Sign.CPU)["seconds"])

    def bytes(self) -> int:
        return int(self.take(Sign.DISK)["bytes"])


class Proc:
    """A /proc with the processes that a test wants."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "proc"
        (self.folder / "self").mkdir(parents=True)
        (self.folder / "self" / "io").write_text("")
        self.put(1, 0, "init")

    def put(
        self,
        pid: int,
        parent: int,
        name: str = "python",
        *,
        own: float = 0.0,
        waited: float = 0.0,
        moved: int = 0,
        command: str = "",
        flags: int = 0,
        start: int = 7,
        state: str = "S",
        session: int | None = None,
    ) -> None:
        """Without `session` it leads one of its own."""
        folder = self.folder / str(pid)
        folder.mkdir(exist_ok=True)
        times = f"{round(own * TICKS)} 0 {round(waited * TICKS)} 0"
        (folder / "stat").write_text(
            f"{pid} ({name}) {state} {parent} 1 {session or pid} 0 -1 {flags} 0 0 0 0 {times} "
            f"20 0 1 0 {start} 0 0\n"
        )
        read = moved // 3
        (folder / "io").write_text(f"rchar: 99\nwchar: 99\nread_bytes: {read}\nwrite_bytes: {moved - read}\n")
        (folder / "comm").write_text(f"{name}\n")
        (folder / "cmdline").write_text(command.replace(" ", "\0") + "\0" if command else "")

    def remove(self, pid: int) -> None:
        for file in (self.folder / str(pid)).iterdir():
            file.unlink()
        (self.folder / str(pid)).rmdir()

    def job(self, root: int) -> Read:
        return Read(job_readers(root, str(self.folder)), "job")

    def machine(self, group: str) -> Read:
        return Read(runtime_readers(str(self.folder)), group)
