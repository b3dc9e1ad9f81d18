"""Run one program for a release: in a child with a deadline, and tell what it said.

The program leads a session of its own. What it leaves in the background after exit code 0 goes on (`nohup …
&` is a way to end a machine); after any other end, at the deadline, and when we are killed, all of that
session is killed: a request must not outlive the lease that it was sent under.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any, NamedTuple

from launcher.children import call_in_child
from launcher.masking import mask_text
from launcher.release.request import reason_of
from launcher.values import Known

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

# Who asked must not lose patience before the child has killed its program.
_MARGIN_S = 2.0
_LARGEST_OUTPUT = 1 << 16
_LONGEST_LINE = 200
_PR_SET_PDEATHSIG = 1


class Ran(NamedTuple):
    """How a program ended.

    `code` is its exit code (128+n for a signal), None when it did not end in time or could not be started;
    `reason` a stable code (`exit-1`, `signal-9`, `timeout`, `file-not-found`); `output` the end of what it
    wrote to stdout and stderr.
    """

    code: int | None
    reason: str
    output: str = ""

    @property
    def said(self) -> str:
        """The last line with anything in it, short enough for a sentence."""
        lines = ["".join(filter(str.isprintable, line)).strip() for line in self.output.splitlines()]
        return next((line[:_LONGEST_LINE] for line in reversed(lines) if line), "")


def run(
    argv: Sequence[str],
    environ: Mapping[str, str],
    deadline_s: float,
    *,
    folder: str = "/",
    meanwhile: Callable[[], None] = lambda: None,
    secrets: Collection[str] = (),
) -> Ran:
    """Run `argv` in `folder` with this environment; its input is empty. Never raises.

    `meanwhile()` is called a few times a second; `secrets` are masked in what it said.
    """

    def serve() -> bool:
        meanwhile()
        return False

    answer = call_in_child(
        lambda: _run(list(argv), dict(environ), folder, deadline_s),
        deadline_s=deadline_s + _MARGIN_S,
        abort=serve,
    )
    if not isinstance(answer, Known):
        return Ran(None, reason_of(answer))
    code, output = answer.value["code"], mask_text(answer.value["output"], secrets)
    if code is None:
        return Ran(None, "timeout", output)
    return Ran(128 - code, f"signal-{-code}", output) if code < 0 else Ran(code, f"exit-{code}", output)


def which(name: str, environ: Mapping[str, str]) -> str | None:
    """The path of a program, by the PATH of `environ` and nothing else."""
    for folder in environ.get("PATH", "").split(os.pathsep):
        path = os.path.join(folder, name)
        if folder and os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None


# --- in the child ---------------------------------------------------------------------------------


def _run(argv: list[str], environ: dict[str, str], folder: str, deadline_s: float) -> dict[str, Any]:
    import subprocess

    # Not a pipe: what is left in the background may keep it open for ever.
    output = os.memfd_create("colab-run-release")
    # Whoever waits for us may be killed at any moment: before we know what to kill we hear nothing of it.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM,))
    sessions: list[int] = []
    _kill_with_us(sessions)
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=environ,
        cwd=folder,
        start_new_session=True,
        preexec_fn=_hear_sigterm,
    )
    sessions.append(process.pid)
    _hear_sigterm()
    code: int | None
    try:
        code = process.wait(timeout=deadline_s)
    except subprocess.TimeoutExpired:
        code = None
    if code != 0:
        _kill_session(process.pid)
    return {"code": code, "output": _end_of(output)}


def _hear_sigterm() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM,))


def _kill_with_us(sessions: list[int]) -> None:
    """Whoever waits for us is killed: so is the program, with all that it started."""

    def end(number: int, frame: object) -> None:
        for session in sessions:
            _kill_session(session)
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    parent = os.getppid()
    try:
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        return  # Not Linux.
    if os.getppid() != parent:
        end(0, None)


def _kill_session(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except OSError:
        return  # All gone.


def _end_of(output: int) -> str:
    size = os.fstat(output).st_size
    data = os.pread(output, _LARGEST_OUTPUT, max(0, size - _LARGEST_OUTPUT))
    return data.decode("utf-8", "replace")
