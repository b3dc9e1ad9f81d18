"""State folders and writers for the ledger's tests: real processes, killed at the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROGRAM = Path(__file__).with_name("writer.py")
BOOT = "boot-1"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty state folder."""
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Mount a file system of its own with these options; skips where that is not allowed."""
    mounted: list[Path] = []

    def mount(options: str) -> Path:
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"mode=0700,{options}", "tmpfs", folder],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            pytest.skip(f"a file system cannot be mounted here: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", folder], check=True)


@dataclass
class Child:
    """A forked process; what it writes to its descriptor comes out of `out`, to the end."""

    pid: int
    out: int
    over: bool = False

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def end(self) -> tuple[str, int]:
        """What it said, and its status (negative: the signal that ended it)."""
        with open(self.out, encoding="utf-8") as file:
            said = file.read()
        _, status = os.waitpid(self.pid, 0)
        self.over = True
        return said, os.waitstatus_to_exitcode(status)


@pytest.fixture
def fork() -> Iterator[Callable[[Callable[[int], None]], Child]]:
    """Start a function in a child, which gets a descriptor to write to: a start in a millisecond."""
    started: list[Child] = []

    def start(work: Callable[[int], None]) -> Child:
        out, into = os.pipe()
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                os.close(out)
                work(into)
                code = 0
            except BaseException:
                traceback.print_exc()
                raise
            finally:
                os._exit(code)
        os.close(into)
        child = Child(pid, out)
        started.append(child)
        return child

    yield start
    for child in started:
        if not child.over:
            child.kill()
            child.end()


@pytest.fixture
def program() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start writer.py with these words; it has its own Python, and says `ready` where that matters."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: object, before: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [*before, sys.executable, str(PROGRAM), *map(str, words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(child)
        return child

    yield start
    for child in started:
        if child.poll() is None:
            child.kill()
        child.communicate()
