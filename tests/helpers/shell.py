"""Several shells on one machine: runs that were detached in one, and asked about in another."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from helpers.lab import until

if TYPE_CHECKING:
    import subprocess

    from helpers.lab import Lab

# A job that says that it runs, and ends with 3 when a file appears.
GATED = """
import os, sys, time
print("ready", flush=True)
while not os.path.exists("gate"):
    time.sleep(0.01)
print("last", flush=True)
sys.exit(3)
"""


def alive(pid: int) -> bool:
    """Is there such a process?"""
    return os.path.exists(f"/proc/{pid}")


@dataclass
class Shell:
    """A lab's commands, and runs that were detached in it."""

    lab: Lab

    def detach(self, *argv: str, **options: Any) -> str:
        """Start a command that goes on by itself; the run's id."""
        ended = self.lab.run("exec", "--detach", "--json", "--", *argv, **options)
        assert ended.code == 0, ended.err.decode()
        return str(ended.document["run_id"])

    def python(self, text: str) -> str:
        """Detach a Python program."""
        script = self.lab.python("job.py", text).split()
        return self.detach(*script)

    def rows(self, **options: Any) -> dict[str, dict[str, Any]]:
        """`ps --json` by id."""
        ended = self.lab.run("ps", "--all", "--json", **options)
        assert ended.code == 0, ended.err.decode()
        return {row["run_id"]: row for row in ended.document["runs"]}

    def own_ids(self) -> list[str]:
        """The runs of this lab, the newest first; others live on the same machine."""
        return [run_id for run_id, row in self.rows().items() if str(self.lab.home) in str(row["folder"])]

    def row(self, run_id: str) -> dict[str, Any]:
        """One of them."""
        return self.rows()[run_id]

    def guard_of(self, run_id: str) -> int:
        """The process that guards a run."""
        return int(until(lambda: self.row(run_id)["guard_pid"], "its guard"))

    def until_over(self, run_id: str) -> dict[str, Any]:
        """The row of a run once it has ended."""
        return until(lambda: row if (row := self.row(run_id))["state"] == "done" else None, "its end")

    def until_gone(self, run_id: str) -> None:
        """Wait until nobody guards it any more."""
        until(lambda: not self.row(run_id)["guarded"], "the end of its guard")

    def open_gate(self) -> None:
        """Let jobs of GATED end."""
        (self.lab.work / "gate").touch()


def is_connected(process: subprocess.Popen) -> bool:
    """Has a command of ours got through to a guard?"""
    found = []
    for number in os.listdir(f"/proc/{process.pid}/fd"):
        with suppress(FileNotFoundError):  # It was closed just now.
            found.append(os.readlink(f"/proc/{process.pid}/fd/{number}"))
    return any(link.startswith("socket:") for link in found)
