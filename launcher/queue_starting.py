"""Starting a run of a queue: our own command in a process of its own, as a person would type it."""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

from launcher.guard.tree import children
from launcher.guard.watcher import name_process

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Isolated from the working folder and from variables; the package is the one that we are.
_PROGRAM = "import sys; sys.path.append({root!r}); from launcher.__main__ import main; main()"
_NAME = "colab-run-start"
_WATCHER = "colab-run-watch"
# Of what was said by a command that could not start its run.
MOST_SAID = 1 << 14


def start(
    words: Sequence[str], environ: Mapping[str, str], cwd: str, said: str, *, one_stream: bool = False
) -> int:
    """Start `colab-run WORDS` in `cwd`; its pid. What it says goes to the file `said`. Raises OSError.

    Nothing of it reaches our own streams. With `one_stream` its stdout and stderr are one open file, so
    that those of the job will be.
    """
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    argv = [sys.executable, "-I", "-c", _PROGRAM.format(root=root), *words]
    # Until it has let go of our handlers, a signal to it would count as one to us.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            _become(argv, environ, cwd, said, one_stream=one_stream)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return pid


def _become(
    argv: Sequence[str], environ: Mapping[str, str], cwd: str, said: str, *, one_stream: bool
) -> NoReturn:
    try:
        signal.set_wakeup_fd(-1)
        for number in signal.valid_signals():
            if number not in (signal.SIGKILL, signal.SIGSTOP):
                with suppress(OSError, ValueError):
                    signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        name_process(_NAME)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        null = os.open(os.devnull, os.O_RDWR)
        try:
            told = os.open(said, flags, 0o600)
        except OSError:
            told = os.open(os.devnull, os.O_WRONLY)
        for descriptor, stream in ((null, 0), (told if one_stream else null, 1), (told, 2)):
            os.dup2(descriptor, stream)
        os.closerange(3, max(map(int, os.listdir("/proc/self/fd"))) + 1)
        os.setsid()
        os.chdir(cwd)
        os.execve(argv[0], list(argv), dict(environ))  # noqa: S606 - our own command
    finally:
        os._exit(126)


def reap(pids: Sequence[int]) -> dict[int, int]:
    """Those of our children that have ended, with their exit codes (-n: by signal n)."""
    ended = {}
    for pid in pids:
        try:
            found, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            found, status = pid, 0
        if found:
            ended[pid] = os.waitstatus_to_exitcode(status)
    return ended


def reap_watchers() -> None:
    """Watchers of our runs become our children when who started them has ended; each ends with its run.

    Nobody else is reaped here: whoever forked a helper waits for it.
    """
    for child in children(os.getpid()):
        try:
            with open(f"/proc/{child.pid}/stat", encoding="utf-8", errors="replace") as file:
                text = file.read()
        except OSError:
            continue
        name, state = text[text.find("(") + 1 : text.rfind(")")], text[text.rfind(")") + 2 :][:1]
        if name == _WATCHER and state == "Z":
            with suppress(ChildProcessError):
                os.waitpid(child.pid, os.WNOHANG)


def read_result(path: str) -> dict[str, Any]:
    """The document that such a command has left; empty without one."""
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def read_said(path: str) -> str:
    """What it has said, from its beginning."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(MOST_SAID)
    except OSError:
        return ""
