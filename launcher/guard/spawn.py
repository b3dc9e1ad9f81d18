"""Start one command of the job: own session, clean signals, no descriptor of ours but 0, 1 and 2."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import signal
import termios
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from launcher.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True, slots=True)
class CannotStart(Exception):
    """`exit_code` is 126 or 127, `why` a sentence with the command and the system's reason."""

    exit_code: int
    why: str


def spawn(
    argv: Sequence[str],
    *,
    env: dict[str, str],
    workdir: str,
    stdio: tuple[int, int, int],
    controlling_terminal: int | None,
    on_forked: Callable[[int], None],
) -> int:
    """Start `argv`, looked up in the PATH of `env`; its pid once the exec has succeeded.

    `on_forked(pid)` runs while the child still waits at a gate: what it notes is on record before
    the first instruction of the job. If it raises, the child ends without having started anything.
    Raises CannotStart.
    """
    gate_read, gate_write = os.pipe2(os.O_CLOEXEC)
    report_read, report_write = os.pipe2(os.O_CLOEXEC)
    try:
        pid = os.fork()
    except OSError as error:
        for descriptor in (gate_read, gate_write, report_read, report_write):
            os.close(descriptor)
        raise CannotStart(
            ExitCode.NOT_EXECUTABLE, f"no process could be created: {error.strerror}"
        ) from error
    if pid == 0:
        _child(argv, env, workdir, stdio, controlling_terminal, gate_read, report_write)
    os.close(gate_read)
    os.close(report_write)
    try:
        on_forked(pid)
        os.write(gate_write, b"g")
    finally:
        os.close(gate_write)
    with open(report_read, "rb", closefd=True) as report:
        failure = report.read()
    if failure:
        os.waitpid(pid, 0)
        stage, number = failure.decode().split()
        raise _explain(argv[0], workdir, stage, int(number), env.get("PATH"))
    return pid


def _child(
    argv: Sequence[str],
    env: dict[str, str],
    workdir: str,
    stdio: tuple[int, int, int],
    controlling_terminal: int | None,
    gate: int,
    report: int,
) -> NoReturn:
    """Runs in the forked child and never returns; a failure is told through `report`."""
    stage = "session"
    try:
        os.setsid()
        if controlling_terminal is not None:
            fcntl.ioctl(controlling_terminal, termios.TIOCSCTTY, 0)
        # Through copies above 2, because a target may also be a source.
        for target, copy in enumerate([fcntl.fcntl(source, fcntl.F_DUPFD, 3) for source in stdio]):
            os.dup2(copy, target, inheritable=True)
        _reset_signals()
        if os.read(gate, 1) != b"g":
            os._exit(0)
        _close_all_but(report)
        stage = "workdir"
        os.chdir(workdir)
        stage = "exec"
        os.execvpe(argv[0], list(argv), env)  # noqa: S606 - the user's own command
    except OSError as error:
        os.write(report, f"{stage} {error.errno}".encode())
    except BaseException:
        os.write(report, f"{stage} {errno.EINVAL}".encode())
    finally:
        os._exit(ExitCode.NOT_FOUND)


def _reset_signals() -> None:
    """Python ignores SIGPIPE and SIGXFSZ, a notebook or nohup may ignore more; exec would pass it on."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _close_all_but(keep: int) -> None:
    """Ours close on exec by themselves; these are the ones that we inherited from who started us."""
    for entry in os.listdir("/proc/self/fd"):
        if int(entry) > 2 and int(entry) != keep:
            with contextlib.suppress(OSError):
                os.close(int(entry))


def _explain(command: str, workdir: str, stage: str, number: int, path: str | None) -> CannotStart:
    reason = os.strerror(number)
    if stage == "workdir":
        return CannotStart(ExitCode.NOT_EXECUTABLE, f"workdir {workdir}: {reason}")
    if stage == "session":
        return CannotStart(ExitCode.NOT_EXECUTABLE, f"no session for the job: {reason}")
    if number != errno.ENOENT:
        return CannotStart(ExitCode.NOT_EXECUTABLE, f"{command}: {reason}")
    # The file may be there and its interpreter (the #! line, the ELF loader) may not.
    present = (
        os.path.exists(os.path.join(workdir, command)) if "/" in command else shutil.which(command, path=path)
    )
    if present:
        return CannotStart(ExitCode.NOT_EXECUTABLE, f"{command}: its interpreter does not exist")
    return CannotStart(ExitCode.NOT_FOUND, f"{command}: command not found")
