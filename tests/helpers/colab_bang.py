"""Colab's `!command` without Colab: a kernel process of its own (colab_kernel.py) that tests click on.

    with ColabKernel(cwd=folder) as kernel:
        cell = kernel.bang("my command")
        cell.wait_for("ready")
        kernel.press_stop()
        assert cell.wait() == -signal.SIGINT

The command is a child of the kernel, in the kernel's session and process group, on a terminal that is not its
controlling one. One press sends SIGINT to that group and, from the kernel, once more to the direct child; two
that come before a process has run are one to it, as everywhere.
Left out: IPython puts variables in place of {name} and $name before the command is run.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.marked import PATIENCE_S, end_all, group_is_gone, living, notebook_env

if TYPE_CHECKING:
    from collections.abc import Callable

SHUTDOWN_STEP_S = 2.5  # jupyter_client: request, this long, SIGTERM, this long, SIGKILL


class Cell:
    """One `!command`. `state`: queued, running, ended, interrupted (third press), lost (with its kernel)."""

    def __init__(self, kernel: ColabKernel, command: str) -> None:
        self.command = command
        self.state = "queued"
        self.pid = 0  # the direct child: bash, or what bash became
        self.exit_code: int | None = None  # as `_exit_code`: negative for a signal; None unless `ended`
        self.presses = 0  # of the stop button, answered by the kernel
        self._kernel = kernel
        self._pieces: list[str] = []

    @property
    def output(self) -> str:
        """So far."""
        return "".join(self._pieces)

    @property
    def done(self) -> bool:
        """The next cell could run."""
        return self.state not in ("queued", "running")

    def wait(self) -> int | None:
        """The exit code, once the cell is done."""
        self._kernel.wait_until(lambda: self.done, "the end of the cell")
        return self.exit_code

    def wait_for(self, text: str) -> str:
        """All of the output so far, once `text` is part of it."""
        self._kernel.wait_until(lambda: text in self.output or self.done, f"{text!r}")
        assert text in self.output, f"no {text!r} from {self!r}"
        return self.output

    def type(self, keys: bytes) -> None:
        """Into the cell's input field."""
        self._kernel.order(keys=keys.decode("latin-1"))

    def hear(self, event: dict) -> None:
        """What the kernel says of it."""
        if "started" in event:
            self.state, self.pid = "running", event["started"]
        elif "output" in event:
            self._pieces.append(event["output"])
        elif "press" in event:
            self.presses += 1
        else:
            self.state, self.exit_code = event["state"], event["code"]

    def __repr__(self) -> str:
        return f"<!{self.command}: {self.state}, {self.exit_code}, {self.output[-600:]!r}>"


class ColabKernel:
    """A kernel; at the end of `with` nothing of it is left, and `left_behind` says what had outlived it.

    `env` replaces the whole environment. Processes that drop their environment cannot be found again.
    `last_words_s`: from SIGTERM to SIGKILL at a second press, half a second in Colab.
    """

    def __init__(
        self,
        *,
        env: dict[str, str] | None = None,
        cwd: Path | str | None = None,
        last_words_s: float = 0.5,
    ) -> None:
        self._last_words_s = last_words_s
        self.mark = uuid.uuid4().hex
        self.left_behind: dict[int, str] = {}
        self._env, self._cwd = notebook_env(env, self.mark), cwd
        self._changed = threading.Condition()
        self._cells: list[Cell] = []

    def __enter__(self) -> ColabKernel:
        self._start()
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            self.shutdown(now=True)
        finally:
            self.left_behind = end_all(self.mark)

    @property
    def pid(self) -> int:
        """The kernel's process, and its process group, and its session."""
        return self._process.pid

    def bang(self, command: str) -> Cell:
        """Run `!command` in a cell, after the cells that run or wait."""
        cell = Cell(self, command)
        self._cells.append(cell)
        self.order(cell=command)
        return cell

    def press_stop(self) -> None:
        """One click; comes back when the kernel has passed it on to the direct child, or the cell is done."""
        cell = self._current()
        if cell is None:
            self._signal(signal.SIGINT)
            return
        self.wait_until(lambda: cell.pid or cell.done, "the start of the cell")
        before = cell.presses
        self._signal(signal.SIGINT)
        self.wait_until(lambda: cell.done or cell.presses > before, "an answer to the press")

    def close_tab(self) -> None:
        """Nothing happens: the kernel is not told."""

    def restart(self, *, now: bool = False) -> None:
        """A new kernel; cells of the old one are `lost` unless they ended in time."""
        self.shutdown(now=now)
        self._start()

    def shutdown(self, *, now: bool = False) -> None:
        """As jupyter_client does it: SIGINT to the group, then a request, or SIGKILL to the group."""
        self._signal(signal.SIGINT)
        if now:
            self._kill()
        elif self._process.poll() is None:
            self.order(shutdown=True)
            if not self._ends_in_time():
                self._signal(signal.SIGTERM)
            if not self._ends_in_time():
                self._kill()
        self._process.wait(PATIENCE_S)
        self._listener.join(PATIENCE_S)
        for pipe in (self._process.stdin, self._process.stdout):
            pipe.close()

    def survivors(self) -> dict[int, str]:
        """What lives now of everything ever started from here, the kernel apart: process id and command."""
        return {pid: command for pid, command in living(self.mark).items() if pid != self.pid}

    def order(self, **order: object) -> None:
        """One order to the kernel's process."""
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()

    def wait_until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for something that the kernel says."""
        with self._changed:
            seen = self._changed.wait_for(condition, PATIENCE_S)
            assert seen, f"not seen in {PATIENCE_S:g} s: {what}; {self._cells}"

    def _start(self) -> None:
        program = str(Path(__file__).with_name("colab_kernel.py"))
        self._process = subprocess.Popen(
            [sys.executable, "-I", program, str(self._last_words_s)],
            env=self._env,
            cwd=self._cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._life = "starting"
        self._listener.start()
        self.wait_until(lambda: self._life != "starting", "start of the kernel")
        assert self._life == "ready", "the kernel could not start"

    def _listen(self) -> None:
        """Events belong to the first cell that is not done: cells run one after another."""
        for line in self._process.stdout:
            event = json.loads(line)
            with self._changed:
                if "ready" in event:
                    self._life = "ready"
                else:
                    self._current().hear(event)
                self._changed.notify_all()
        with self._changed:
            self._life = "gone"
            while (cell := self._current()) is not None:
                cell.state = "lost"
            self._changed.notify_all()

    def _current(self) -> Cell | None:
        return next((cell for cell in self._cells if not cell.done), None)

    def _signal(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            os.killpg(self.pid, number)

    def _kill(self) -> None:
        if self._process.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
            group_is_gone(self.mark, self.pid)

    def _ends_in_time(self) -> bool:
        try:
            self._process.wait(SHUTDOWN_STEP_S)
        except subprocess.TimeoutExpired:
            return False
        return True
