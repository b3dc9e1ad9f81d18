"""One test's world for the guard: its own state folder and environment, real pipes and real terminals."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.cli import command
from helpers.leases import forget_runs_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

COOKIE = "GUARD_TEST_COOKIE"
PATIENCE_S = 30.0
# Nothing of the pytest process but what a program needs to run.
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "PYTHONPATH", "LD_LIBRARY_PATH")


def until(condition: Callable[[], Any], what: str) -> Any:
    """The first true value of `condition()`; fails with `what` after PATIENCE_S."""
    deadline = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not seen in {PATIENCE_S:g} s: {what}"
        time.sleep(0.005)
    return value


def processes_with(cookie: str) -> list[int]:
    """Every living process that was started with this cookie in its environment."""
    found = []
    needle = f"{COOKIE}={cookie}".encode()
    for entry in Path("/proc").iterdir():
        try:
            if (
                entry.name.isdigit()
                and needle in (entry / "environ").read_bytes()
                and state_of(int(entry.name)) not in ("Z", "")
            ):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def state_of(pid: int) -> str:
    """The letter of a process's state, empty where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def cpu_seconds(pid: int) -> float:
    """What a process has used of the processor."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Reader:
    """Reads a descriptor to its end in a thread; `seen` is everything so far."""

    def __init__(self, descriptor: int) -> None:
        self.seen = bytearray()
        self._descriptor = descriptor
        self._stopper, self._stop = os.pipe()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while True:
            # Not a read that blocks: it would keep the file open after a close.
            if self._stopper in select.select((self._descriptor, self._stopper), (), ())[0]:
                return
            try:
                data = os.read(self._descriptor, 1 << 16)
            except OSError:
                return  # EIO: the terminal's last user is gone.
            if not data:
                return
            self.seen += data

    def stop(self) -> None:
        """Read no more."""
        if self._stop >= 0:
            os.close(self._stop)
            self._thread.join(PATIENCE_S)
            os.close(self._stopper)
            self._stop = -1

    def wait_for(self, text: bytes) -> bytes:
        """Everything, once `text` is part of it."""
        until(lambda: text in self.seen, f"{text!r} in {bytes(self.seen)[-600:]!r}")
        return bytes(self.seen)

    def all(self) -> bytes:
        """Everything, once the end has come."""
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "no end of the output"
        return bytes(self.seen)


class Terminal:
    """A terminal for a command: we have the master, `slave` is held open to look at its modes."""

    def __init__(self, *, rows: int = 24, columns: int = 80, translate: bool = False) -> None:
        self.master, self.slave = pty.openpty()
        if not translate:
            modes = termios.tcgetattr(self.slave)
            modes[1] &= ~termios.OPOST
            termios.tcsetattr(self.slave, termios.TCSANOW, modes)
        self.resize(rows, columns)
        self.reader = Reader(self.master)

    def resize(self, rows: int, columns: int) -> None:
        """As a person does it with the mouse."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def modes(self) -> list[Any]:
        """As `stty -a` shows them."""
        return termios.tcgetattr(self.slave)

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self.master, keys)

    def seen(self) -> bytes:
        """All of the output; only when nobody writes any more."""
        os.close(self.slave)
        self.slave = -1
        return self.reader.all()

    def hang_up(self) -> None:
        """Close the window."""
        self.reader.stop()
        self.close()

    def close(self) -> None:
        """Close what is open."""
        self.reader.stop()
        for descriptor in (self.slave, self.master):
            if descriptor >= 0:
                os.close(descriptor)
        self.slave = self.master = -1


@dataclass
class Ended:
    """How one command ended."""

    code: int
    out: bytes
    err: bytes

    @property
    def document(self) -> dict[str, Any]:
        """The JSON document on stdout."""
        return json.loads(self.out)


@dataclass
class Lab:
    """Starts commands; `close` proves that nothing of them is left."""

    folder: Path
    cookie: str = field(default_factory=lambda: uuid.uuid4().hex)
    terminals: list[Terminal] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.home, self.work = self.folder / "home", self.folder / "work"
        self.work.mkdir(parents=True)
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        self.env = {**kept, "COLAB_RUN_HOME": str(self.home), COOKIE: self.cookie}

    # --- what to run ----------------------------------------------------------------------------

    def job(self, **keys: object) -> str:
        """Write job.yaml (JSON is YAML); its name."""
        (self.work / "job.yaml").write_text(json.dumps(keys))
        return "job.yaml"

    def script(self, name: str, text: str, mode: int = 0o755) -> Path:
        """Write a file into the work folder."""
        path = self.work / name
        path.write_text(text)
        path.chmod(mode)
        return path

    def python(self, name: str, text: str) -> str:
        """Write a Python program; the shell words that run it."""
        return f"{shlex.quote(sys.executable)} {self.script(name, text)}"

    # --- run it ---------------------------------------------------------------------------------

    def start(
        self, *words: str, before: Callable[[], None] | None = None, **options: Any
    ) -> subprocess.Popen:
        """Start `colab-run WORDS`, by default with nothing on stdin and pipes for the rest."""
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        env = {**self.env, **options.pop("env", {})}
        argv = options.pop("argv", [*command(), *words])
        return subprocess.Popen(
            argv, cwd=self.work, env=env, preexec_fn=before, **{"bufsize": 0, **pipes, **options}
        )

    def end(self, process: subprocess.Popen, data: bytes | None = None) -> Ended:
        """Wait for a started command."""
        try:
            out, err = process.communicate(data, timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return Ended(process.returncode, out or b"", err or b"")

    def run(self, *words: str, data: bytes | None = None, **options: Any) -> Ended:
        """Run `colab-run WORDS` to its end, with `data` on a pipe as its stdin if given."""
        if data is not None:
            options["stdin"] = subprocess.PIPE
        return self.end(self.start(*words, **options), data)

    def supervise(self, commands: list[list[str]], **changes: object) -> list[dict[str, Any]]:
        """Supervise each command in one process that is not the command line's; a row for each."""
        end = self.end(self.start_supervised(commands, **changes))
        assert end.code == 0, end.err.decode()
        return self.answer()

    def start_supervised(
        self, commands: list[list[str]], options: dict[str, Any] | None = None, **changes: object
    ) -> subprocess.Popen:
        """The same, without waiting: `answer()` has the rows when it has ended."""
        script = str(Path(__file__).with_name("supervised.py"))
        asked = json.dumps({"commands": commands, "changes": changes})
        return self.start(argv=[sys.executable, script, asked], **(options or {}))

    def answer(self) -> list[dict[str, Any]]:
        """The rows of `start_supervised`."""
        return json.loads((self.work / "answer.json").read_text())

    def terminal(self, **options: Any) -> Terminal:
        """A terminal that is closed at the end of the test."""
        terminal = Terminal(**options)
        self.terminals.append(terminal)
        return terminal

    def start_on(self, terminal: Terminal, *words: str, **options: Any) -> subprocess.Popen:
        """Start `colab-run WORDS` as a shell in that terminal would: it is the controlling one."""

        def take_it() -> None:
            os.setsid()
            fcntl.ioctl(terminal.slave, termios.TIOCSCTTY, 0)

        streams = dict.fromkeys(("stdin", "stdout", "stderr"), terminal.slave)
        return self.start(*words, before=take_it, **{**streams, **options})

    def wait(self, process: subprocess.Popen) -> int:
        """The exit code of a command whose output somebody else reads."""
        return process.wait(60)

    # --- what it left ---------------------------------------------------------------------------

    def log(self) -> bytes:
        """The log of the one run."""
        (path,) = self.home.glob("runs/*/log")
        return path.read_bytes()

    def result(self) -> dict[str, Any]:
        """The result.json of the one run, or nothing yet."""
        return next((json.loads(path.read_text()) for path in self.home.glob("runs/*/result.json")), {})

    def lines(self, name: str) -> list[str]:
        """The lines of a file in the work folder, none while it does not exist."""
        path = self.work / name
        return path.read_text().splitlines() if path.exists() else []

    def seen(self, name: str, count: int = 1) -> list[str]:
        """The lines of such a file once there are `count`."""
        return until(
            lambda: lines if len(lines := self.lines(name)) >= count else None, f"{count} lines in {name}"
        )

    def close(self) -> None:
        """Nothing may be left; what is left is ended, so that it harms no other test, and told."""
        for terminal in self.terminals:
            terminal.close()
        left = {}
        for pid in self._settled():
            with suppress(OSError):  # It has just ended.
                left[pid] = Path(f"/proc/{pid}/cmdline").read_bytes()
                os.kill(pid, signal.SIGKILL)
        forget_runs_of(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)
        assert not left, f"processes left behind: {left}"

    def _settled(self) -> Iterable[int]:
        """What does not end: a guard ends when it has written down the end, a helper with a pipe."""
        deadline = time.monotonic() + PATIENCE_S
        while processes_with(self.cookie) and time.monotonic() < deadline:
            time.sleep(0.01)
        return processes_with(self.cookie)
