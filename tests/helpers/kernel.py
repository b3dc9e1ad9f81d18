"""A real Jupyter kernel for one test.

    with Kernel(cwd=folder) as kernel:
        cell = kernel.start("!my command")
        cell.wait_for("ready")
        kernel.interrupt()
        cell.wait()

Stock IPython's `!` is not Colab's: it runs `$SHELL -c` on a terminal in a session of its own, at an interrupt
it types ^C there, then hangs up, interrupts and kills within a second, and it refuses `!command &`.
It puts variables in place of {name} and $name first.
For a child in the kernel's own process group use `subprocess` in the cell, or colab_bang.py.
"""

from __future__ import annotations

import queue
import re
import shutil
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

from helpers.marked import PATIENCE_S, end_all, group_is_gone, living, notebook_env

if TYPE_CHECKING:
    from collections.abc import Callable

COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Cell:
    """One execution. `state`: queued, running, ok, error, aborted (one before failed), lost (no kernel)."""

    def __init__(self, kernel: Kernel, code: str) -> None:
        self.code = code
        self.state = "queued"
        self.error = ""  # the exception's name
        self._kernel = kernel
        self._pieces: list[str] = []

    def output(self) -> str:
        """Streams, results and tracebacks so far, without colours."""
        self._kernel.hear_all()
        return "".join(self._pieces)

    def done(self) -> bool:
        """The next cell could run."""
        self._kernel.hear_all()
        return self.ended

    @property
    def ended(self) -> bool:
        """The same, as far as the kernel has been heard."""
        return self.state not in ("queued", "running")

    def wait(self) -> str:
        """All of the output, once the cell is done."""
        self._kernel.wait_until(lambda: self.ended, "the end of the cell")
        return self.output()

    def wait_for(self, text: str) -> str:
        """All of the output so far, once `text` is part of it."""
        self._kernel.wait_until(lambda: self.ended or text in "".join(self._pieces), f"{text!r}")
        assert text in self.output(), f"no {text!r} from {self!r}"
        return self.output()

    def hear(self, kind: str, content: dict) -> None:
        """One iopub message that has this cell as its parent."""
        if kind == "execute_input":
            self.state = "running"
        elif kind == "stream":
            self._pieces.append(content["text"])
        elif kind == "error":
            self.error = content["ename"]
            self._pieces.append(COLOURS.sub("", "\n".join(content["traceback"])) + "\n")
        elif kind in ("execute_result", "display_data"):
            self._pieces.append(content["data"].get("text/plain", "") + "\n")
        elif kind == "status" and content["execution_state"] == "idle":
            # What was aborted goes from busy to idle without having begun.
            self.state = "error" if self.error else "ok" if self.state == "running" else "aborted"

    def __repr__(self) -> str:
        return f"<{self.code}: {self.state} {self.error}, {''.join(self._pieces)[-600:]!r}>"


class Kernel:
    """ipykernel in a process, group and session of its own; `left_behind` says what outlived the `with`.

    `env` replaces the whole environment. Everything is heard in the caller's thread, when a method is called.
    """

    def __init__(self, *, env: dict[str, str] | None = None, cwd: Path | str | None = None) -> None:
        self.mark = uuid.uuid4().hex
        self.left_behind: dict[int, str] = {}
        self._env, self._cwd = notebook_env(env, self.mark), cwd
        self._cells: dict[str, Cell] = {}

    def __enter__(self) -> Kernel:
        self._folder = Path(tempfile.mkdtemp(prefix="kernel-"))
        mine = {"IPYTHONDIR": str(self._folder / "ipython"), "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
        # kernel_dirs: this interpreter's ipykernel, not one that is installed under the same name elsewhere.
        self._manager = KernelManager(
            transport="ipc",
            ip=str(self._folder / "socket"),
            connection_file=str(self._folder / "connection.json"),
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[]),
        )
        self._client = None
        try:
            self._manager.start_kernel(env={"SHELL": "/bin/bash", **self._env, **mine}, cwd=self._cwd)
            self._connect()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            self.shutdown(now=True)
        finally:
            self.left_behind = end_all(self.mark)
            shutil.rmtree(self._folder)

    def start(self, code: str) -> Cell:
        """Execute a cell, after those that run or wait; if one before it fails, it is aborted."""
        cell = Cell(self, code)
        self._cells[self._client.execute(code, stop_on_error=True)] = cell
        return cell

    def run(self, code: str) -> str:
        """Execute a cell that must not fail; its output."""
        cell = self.start(code)
        cell.wait()
        assert cell.state == "ok", repr(cell)
        return cell.output()

    def interrupt(self) -> None:
        """The stop button: SIGINT to the kernel's process group, once the cell that is next has begun."""
        cell = self._current()
        if cell is not None:
            self.wait_until(lambda: cell.state != "queued", "the start of the cell")
        self._manager.interrupt_kernel()

    def restart(self, *, now: bool = False) -> None:
        """A new kernel; cells of the old one are `lost` unless they ended in time."""
        group = self.pid
        self._manager.restart_kernel(now=now)
        self._disconnect()
        if now:
            group_is_gone(self.mark, group)
        self._connect()

    def shutdown(self, *, now: bool = False) -> None:
        """Request it, and end the group of a kernel that takes longer than 5 s; with `now`, at once."""
        if self._manager.has_kernel:
            group = self.pid
            self._manager.shutdown_kernel(now=now)
            if now:
                group_is_gone(self.mark, group)
        self._disconnect()

    @property
    def pid(self) -> int:
        """The kernel's process, and its process group, and its session; 0 without a kernel."""
        return self._manager.provisioner.pid if self._manager.has_kernel else 0

    def survivors(self) -> dict[int, str]:
        """What lives now of everything ever started from here, the kernel apart: process id and command."""
        return {pid: command for pid, command in living(self.mark).items() if pid != self.pid}

    def hear_all(self) -> None:
        """Take what the kernel has said."""
        while self._hear(0):
            pass

    def wait_until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for something that the kernel says."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, (
                f"not seen in {PATIENCE_S:g} s: {what}; {[*self._cells.values()]}"
            )
            if not self._hear(0.2) and not self._manager.is_alive():
                self._lose_cells()

    def _connect(self) -> None:
        self._client = self._manager.blocking_client()
        self._client.start_channels(hb=False)
        self._client.wait_for_ready(timeout=PATIENCE_S)

    def _disconnect(self) -> None:
        """Hear the last words and leave."""
        if self._client is not None:
            self.hear_all()
            self._client.stop_channels()
            self._client = None
        self._lose_cells()

    def _lose_cells(self) -> None:
        while (cell := self._current()) is not None:
            cell.state = "lost"

    def _current(self) -> Cell | None:
        return next((cell for cell in self._cells.values() if not cell.ended), None)

    def _hear(self, patience_s: float) -> bool:
        """Take one message, if one comes in that time."""
        if self._client is None:
            return False
        try:
            message = self._client.get_iopub_msg(timeout=patience_s)
        except queue.Empty:
            return False
        cell = self._cells.get(message["parent_header"].get("msg_id", ""))
        if cell is not None and not cell.ended:
            cell.hear(message["msg_type"], message["content"])
        return True
