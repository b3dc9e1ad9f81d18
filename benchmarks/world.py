"""Where the benches run: a folder, and commands on pipes and terminals that leave nothing behind."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import time
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.processes import COOKIE, processes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE_S = 30.0
POLITE_S = 3.0
HERE = Path(__file__).resolve().parent
# Nothing of the caller's environment but what a program needs to run.
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "XDG_RUNTIME_DIR")


class BenchError(Exception):
    """A figure that cannot be had; the text says why, and stands in the table."""


@dataclass(frozen=True)
class World:
    """`folder` holds state and logs; `child` starts a job of child.c; `quick` makes everything small."""

    folder: Path
    colab_run: list[str]
    child: list[str]
    quick: bool
    cookie: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def home(self) -> Path:
        """COLAB_RUN_HOME."""
        return self.folder / "home"

    @property
    def env(self) -> dict[str, str]:
        """What every command sees."""
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        return {**kept, "TERM": "xterm", "COLAB_RUN_HOME": str(self.home), COOKIE: self.cookie}

    def few(self, full: int, quick: int) -> int:
        """A number of rounds."""
        return quick if self.quick else full

    def executed(self, *job: str) -> list[str]:
        """`job` under colab-run."""
        return [*self.colab_run, "exec", "--", *job]

    def fresh(self, folder: Path) -> World:
        """The same in another folder with a cookie of its own."""
        return replace(self, folder=folder, cookie=uuid.uuid4().hex)

    def log(self) -> Path:
        """The log of the one run in the state folder."""
        found = {path.resolve() for path in self.home.glob("runs/*/log")}
        if len(found) != 1:
            raise BenchError(f"{len(found)} logs where one was expected")
        return found.pop()

    def forget(self) -> None:
        """Remove the state folder, so that every run finds the same."""
        shutil.rmtree(self.home, ignore_errors=True)

    @contextmanager
    def running(self, argv: list[str], *, terminal: bool = False, **more: str) -> Iterator[Running]:
        """Start a command; at the end nothing of it is left. `more` goes into the environment."""
        running = start(argv, self.folder, {**self.env, **more}, terminal)
        try:
            yield running
        finally:
            running.stop()
            os.close(running.output)
            end_all(self.cookie, running.process)


@dataclass(frozen=True)
class Running:
    """A command and the descriptor to read its output from. `began`: just before it was started, ns."""

    process: subprocess.Popen[bytes]
    output: int
    began: int

    def stop(self) -> None:
        """End a command that still runs, politely: killed, a guard would leave a lease for the next bench."""
        if self.process.poll() is None:
            self.process.terminate()
            with suppress(BenchError):
                self.ended(POLITE_S)

    def ended(self, patience_s: float = PATIENCE_S) -> tuple[int, bytes]:
        """When the command's end was seen (ns) and all its output, which is read meanwhile."""
        out = bytearray()
        pidfd = os.pidfd_open(self.process.pid)
        try:
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            poll.register(self.output, select.POLLIN)
            deadline = time.monotonic() + patience_s
            while time.monotonic() < deadline:
                ready = [descriptor for descriptor, _ in poll.poll(1000)]
                if pidfd in ready:
                    at = time.monotonic_ns()
                    self.process.wait()
                    return at, bytes(out) + self.rest()
                if self.output in ready and not (data := self.read()):
                    poll.unregister(self.output)
                elif self.output in ready:
                    out += data
        finally:
            os.close(pidfd)
        raise BenchError(f"no end within {patience_s:g} s")

    def read(self) -> bytes:
        """What is there now, at least a byte; empty at the end."""
        try:
            return os.read(self.output, 1 << 16)
        except OSError:  # EIO: the terminal's last user is gone.
            return b""

    def rest(self) -> bytes:
        """What is there and can be had without waiting."""
        out = b""
        while select.select((self.output,), (), (), 0)[0] and (data := self.read()):
            out += data
        return out

    def wait_for(self, text: bytes) -> bytes:
        """Everything until `text` has come."""
        out = b""
        deadline = time.monotonic() + PATIENCE_S
        while text not in out:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select((self.output,), (), (), left)[0] or not (data := self.read()):
                raise BenchError(f"{text!r} did not come, but {out[-300:]!r}")
            out += data
        return out


def start(argv: list[str], folder: Path, env: dict[str, str], terminal: bool) -> Running:
    """Start a command in a session of its own, on a new terminal with its usual modes or on a pipe."""
    master, slave = os.openpty() if terminal else os.pipe()
    with open(folder / "stderr", "wb") as errors:
        # A terminal is all three, as in a cell; beside a pipe, what we say ourselves is not the job's output.
        others = (slave, slave) if terminal else (subprocess.DEVNULL, errors.fileno())
        began = time.monotonic_ns()
        process = subprocess.Popen(
            argv,
            stdin=others[0],
            stdout=slave,
            stderr=others[1],
            cwd=folder,
            env=env,
            start_new_session=True,
        )
    os.close(slave)
    return Running(process, master, began)


def end_all(cookie: str, process: subprocess.Popen[bytes]) -> None:
    """Wait a moment for what a bench started, wherever it went; then kill it, and wait until it is gone."""
    polite = time.monotonic() + POLITE_S
    deadline = polite + PATIENCE_S
    while True:
        left = processes_of(cookie)
        for pid in left if time.monotonic() > polite else ():
            with suppress(ProcessLookupError):  # It went by itself.
                os.kill(pid, signal.SIGKILL)
        process.poll()
        if not left:
            break
        if time.monotonic() > deadline:
            raise BenchError(f"{len(left)} processes do not end")
        time.sleep(0.005)
    process.wait()


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition, by looking."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise BenchError(f"not seen in {PATIENCE_S:g} s: {what}")
        time.sleep(0.005)


def stamp_in(output: bytes) -> int:
    """The time that the job wrote (ns): the only word that is a number."""
    numbers = [int(word) for word in output.split() if word.isdigit()]
    if len(numbers) != 1:
        raise BenchError(f"no time of the job in {output[-300:]!r}")
    return numbers[0]


def build_child(folder: Path) -> list[str]:
    """How to start a job of child.c: compiled, or child.py where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is not None:
        target = folder / "child"
        made = subprocess.run([compiler, "-O2", "-o", target, HERE / "child.c"], check=False)
        if made.returncode == 0:
            return [str(target)]
    return [sys.executable, "-I", "-S", str(HERE / "child.py")]


def find_command() -> list[str]:
    """`colab-run` of the environment that runs us, else of PATH."""
    beside = Path(sys.executable).parent / "colab-run"
    found = str(beside) if beside.exists() else shutil.which("colab-run")
    if found is None:
        raise SystemExit("there is no colab-run beside this Python or on PATH: make bench, or --command")
    return [found]
