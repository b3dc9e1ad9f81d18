"""A tiny process of ours around each tool: nothing that a tool started outlives us, or the tool.

It is a subreaper and leads a process group of its own, so that whoever the tool left behind becomes its
child. It ends with us (SIGTERM from the kernel), and ends everything below it first.
"""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any, NoReturn

from launcher.children import let_go_of_descriptors

if TYPE_CHECKING:
    from collections.abc import Callable

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_OURS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
# What cannot be killed for so long hangs in the kernel.
_END_S = 5.0
_LOOK_S = 5.0


def supervised() -> Callable[[], None] | None:
    """For `preexec_fn`: the caller of exec becomes a child of the process that was forked for it."""
    try:
        import ctypes

        prctl = ctypes.CDLL(None).prctl
    except (ImportError, OSError, AttributeError):
        return None  # not Linux
    parent = os.getpid()
    return lambda: _split(prctl, parent)


def _split(prctl: Any, parent: int) -> None:
    """Returns only in the process that is to become the tool."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _OURS)
    os.setpgid(0, 0)
    prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    ours = os.getpid()
    tool = os.fork() if os.getppid() == parent else os._exit(1)
    if tool:
        _look_after(tool, parent)
    prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != ours:
        os._exit(1)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _OURS)


def _look_after(tool: int, parent: int) -> NoReturn:
    """Until the tool has ended, or our parent has; then end what is left, and end as the tool did."""
    code = 1
    try:
        # Our ends of its streams would keep them open.
        let_go_of_descriptors(())
        code = _wait(tool, parent)
        _end_all()
    finally:
        if code < 0:
            _die_of(-code)
        os._exit(code)


def _wait(tool: int, parent: int) -> int:
    while True:
        try:
            while (reaped := os.waitpid(-1, os.WNOHANG))[0]:
                if reaped[0] == tool:
                    return os.waitstatus_to_exitcode(reaped[1])
        except ChildProcessError:
            return 1
        told = signal.sigtimedwait(_OURS, _LOOK_S)
        if (told and told.si_signo != signal.SIGCHLD) or os.getppid() != parent:
            return -int(signal.SIGTERM)


def _end_all() -> None:
    """Round by round: who is killed leaves children, and they become ours."""
    give_up = time.monotonic() + _END_S
    while time.monotonic() < give_up:
        for pid in _children():
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass  # It became another user, or ended.
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        signal.sigtimedwait((signal.SIGCHLD,), 0.02)


def _children() -> list[int]:
    """A child's pid is not reused before we have reaped it."""
    ours, found = str(os.getpid()).encode(), []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as reader:
                    if reader.read().rpartition(b")")[2].split()[1] == ours:
                        found.append(int(name))
            except (OSError, IndexError):
                pass  # gone since
    return found


def _die_of(number: int) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)
