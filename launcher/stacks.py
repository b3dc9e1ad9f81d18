"""Where the Python processes of a job stand: by py-spy, or by what the job itself has offered.

All of it is done in a child with a deadline. No process is stopped for it, and none gets a signal that it
has not asked for.
"""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from launcher.children import Child
from launcher.guard import tree
from launcher.masking import mask_text
from launcher.values import Known

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from launcher.clock import Clock
    from launcher.guard.tree import ProcessRef

DEADLINE_S = 10.0
# The child ends by itself before.
WORK_S = 8.0
# For one process; of a job with many the first ones are told.
ONE_S = 3.0
LONGEST = 1 << 16
LONGEST_COMMAND = 300
LOOK_S = 0.02
NAME = "stacks."
# Our own processes beside the job, by what they are called.
OURS = ("colab-run-guard", "colab-run-watch")
CUT = b"\n(cut off here)\n"


class Stacks:
    """For the supervisor, as `guard.sideline.Sideline`: at work when it was asked to be.

    `file` is written anew each time (0600, LONGEST bytes), with the values of `secrets` masked.
    """

    def __init__(self, file: str, environ: Mapping[str, str], secrets: Sequence[str], clock: Clock) -> None:
        self._file, self._secrets, self._clock = file, tuple(secrets), clock
        self._path = environ.get("PATH", os.defpath)
        self._then: Callable[[str | None], None] | None = None
        self._child: Child | None = None
        self._until = 0.0

    def ask(self, then: Callable[[str | None], None]) -> None:
        """Find out where the job stands, and call `then(file)`; None where nothing could be found out."""
        folder = os.path.dirname(self._file)
        if shutil.which("py-spy", path=self._path) is None and not any(_notes(folder)):
            then(None)
        else:
            self._then = then

    @property
    def busy(self) -> bool:
        """Was it asked, and has it not answered yet?"""
        return self._then is not None

    @property
    def pid(self) -> int:
        """The child that asks; 0 for none."""
        return 0 if self._child is None else self._child.pid

    def due_in(self) -> float | None:
        """At once when it was asked; then until the deadline."""
        if self._then is None:
            return None
        return 0.0 if self._child is None else max(0.0, self._until - self._clock.monotonic())

    def tend(self, forking: Callable[[], None]) -> bool:
        """Start the child; give it up at its deadline."""
        if self._then is None:
            return False
        if self._child is not None:
            if self._clock.monotonic() >= self._until:
                self.ended()
            return False
        guard = os.getpid()
        forking()
        try:
            self._child = Child(lambda: write_stacks(self._file, guard, self._path, self._secrets))
        except OSError:
            self._answer(None)
            return False
        self._until = self._clock.monotonic() + DEADLINE_S
        return True

    def ended(self) -> None:
        """Take the answer of the child; what it had written before its deadline counts."""
        child, self._child = self._child, None
        answer = None if child is None else child.end()
        self._answer(self._file if isinstance(answer, Known) and answer.value else self._written())

    def _written(self) -> str | None:
        with suppress(OSError):
            if os.stat(self._file).st_size:
                return self._file
        return None

    def _answer(self, file: str | None) -> None:
        then, self._then = self._then, None
        if then is not None:
            then(file)

    def stop(self) -> None:
        """The job is over: nobody wants to know any more."""
        self._then = None
        if self._child is not None:
            child, self._child = self._child, None
            child.end()


# --- in the child ---------------------------------------------------------------------------------


def write_stacks(file: str, guard: int, path: str, secrets: Sequence[str]) -> bool:
    """Write the stacks of every Python process of the job below `guard`; is there anything in the file?

    Raises OSError where the file cannot be written.
    """
    give_up = time.monotonic() + WORK_S
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    left = LONGEST
    with open(os.open(file, flags, 0o600), "wb", buffering=0) as out:
        py_spy = shutil.which("py-spy", path=path)
        for text in _each(os.path.dirname(file), guard, py_spy, give_up, secrets):
            data = mask_text(text, secrets).encode("utf-8", "replace")
            out.write(data if len(data) <= left else data[: max(0, left - len(CUT))] + CUT)
            left -= len(data)
            if left <= 0:
                break
    return left < LONGEST


def _each(
    folder: str, guard: int, py_spy: str | None, give_up: float, secrets: Sequence[str]
) -> Iterator[str]:
    for process in job_processes(guard):
        until = min(time.monotonic() + ONE_S, give_up)
        if time.monotonic() >= give_up:
            return
        if not _is_python(process.pid):
            continue
        text = _by_py_spy(py_spy, process.pid, until) if py_spy else ""
        text = text or _by_itself(folder, process, until)
        if text:
            command = mask_text(_command(process.pid), secrets)[:LONGEST_COMMAND]
            yield f"process {process.pid}: {command}\n{text.rstrip()}\n\n"


def job_processes(guard: int) -> list[ProcessRef]:
    """Everything below the guard but what works for it, and what is below that."""
    ours = (one for one in tree.descendants(guard) if _read(one.pid, "comm").strip() in OURS)
    return tree.descendants(guard, frozenset(ours))


def _read(pid: int, name: str) -> str:
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read(LONGEST).decode("utf-8", "replace")
    except OSError:
        return ""


def _is_python(pid: int) -> bool:
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe")).startswith("python")
    except OSError:
        return False


def _command(pid: int) -> str:
    words = _read(pid, "cmdline").replace("\0", " ").strip()
    return "".join(char if char.isprintable() else " " for char in words)


def _by_py_spy(program: str, pid: int, until: float) -> str:
    """What it says; empty where it may not look, or does not answer.

    Without a pause: a job that stands still is read as it is, and one that is stopped stays so.
    """
    argv = [program, "dump", "--nonblocking", "--pid", str(pid)]
    try:
        with subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd="/"
        ) as process:
            try:
                out, _ = process.communicate(timeout=max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                return ""
    except OSError:
        return ""
    return out[: LONGEST + 1].decode("utf-8", "replace") if process.returncode == 0 else ""


# --- what the job has offered (launcher.dumps) ----------------------------------------------------


def _notes(folder: str) -> Iterator[str]:
    """Files of processes that want to be asked."""
    with suppress(OSError):
        names = os.listdir(folder)
        yield from (name for name in names if name.removeprefix(NAME).isdigit() and name.startswith(NAME))


def _by_itself(folder: str, process: ProcessRef, until: float) -> str:
    """What faulthandler writes; empty where the process has not asked for the signal, or does not answer."""
    path = os.path.join(folder, f"{NAME}{process.pid}")
    before = _content(path)
    if not before.startswith(f"{process.pid} {process.start}\n".encode()) or not _waits(process.pid, path):
        return ""
    if not tree.send(process, signal.SIGUSR2):
        return ""
    size = len(before)
    while time.monotonic() < until:
        time.sleep(LOOK_S)
        now = _content(path)
        if len(now) == size and size > len(before):
            return now[len(before) :].decode("utf-8", "replace")
        size = len(now)
    return ""


def _waits(pid: int, path: str) -> bool:
    """Has it a handler for the signal, and still the file open that it is written to?

    Both end with an exec: whatever program has come then has not asked for anything.
    """
    bit = 1 << (signal.SIGUSR2 - 1)
    caught = [line for line in _read(pid, "status").splitlines() if line.startswith("SigCgt:")]
    if not caught or not int(caught[0].split()[1], 16) & bit:
        return False
    with suppress(OSError):
        own = os.stat(path)
        for name in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                there = os.stat(f"/proc/{pid}/fd/{name}")
                if (there.st_dev, there.st_ino) == (own.st_dev, own.st_ino):
                    return True
    return False


def _content(path: str) -> bytes:
    """Of a regular file that lies there itself; the job may have put anything in its place."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            return file.read(LONGEST) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else b""
    except OSError:
        return b""
