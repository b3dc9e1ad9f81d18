"""Start one command of the job: own session, clean signals, no descriptor of ours but 0, 1 and 2."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from launcher.errors import ExitCode
from launcher.guard.notes import BEGUN, FAILED, NOT_BEGUN
from launcher.guard.session import Keeper, fork_in_session, take_foreground
from launcher.words import reason, words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from launcher.guard.notes import Notes
    from launcher.words import Text


@dataclass(frozen=True, slots=True)
class CannotStart(Exception):
    """`exit_code` is 126 or 127, `why` a sentence with the command and the system's reason."""

    exit_code: int
    why: Text


@dataclass(frozen=True, slots=True)
class Started:
    """The main process, and the keeper of its session where it has a terminal."""

    pid: int
    keeper: Keeper | None


@dataclass(frozen=True, slots=True)
class Command:
    """What to start: `argv` is looked up in the PATH of `env`, `terminal` is the slave side of one.

    `oom_score` is what `/proc/self/oom_score_adj` said before we changed our own; empty if we did not.
    """

    argv: Sequence[str]
    env: dict[str, str]
    workdir: str
    stdio: tuple[int, int, int]
    terminal: int | None
    oom_score: str = ""


def spawn(command: Command, notes: Notes, on_forked: Callable[[int, Keeper | None], None]) -> Started:
    """Start a command; what was started, once the exec has succeeded.

    `on_forked(pid, keeper)` runs while the child still waits at a gate: what it notes is on record
    before the first instruction of the job. If it raises, or if we end, the child ends without having
    started anything. Raises CannotStart.
    """
    notes.close_gate()
    gate_read, gate_write = os.pipe2(os.O_CLOEXEC)
    done_read, done_write = os.pipe2(os.O_CLOEXEC)

    def job() -> NoReturn:
        # Its own copies of our ends would keep the gate from closing with us.
        os.close(gate_write)
        os.close(done_read)
        _child(command, notes, gate_read)

    try:
        try:
            pid, keeper = _fork(command.terminal, job)
        except OSError as error:
            os.close(gate_write)
            why = words("no process could be created: {why}", why=reason(error.strerror))
            raise CannotStart(ExitCode.NOT_EXECUTABLE, why) from error
        finally:
            os.close(gate_read)
            os.close(done_write)
        try:
            on_forked(pid, keeper)
            with contextlib.suppress(BrokenPipeError):  # Killed at the gate: its status will tell.
                os.write(gate_write, b"g")
        finally:
            os.close(gate_write)
        os.read(done_read, 1)  # Its end comes with the exec, or with the child.
    finally:
        os.close(done_read)
    if (failure := failed_start(command, notes)) is not None:
        os.waitpid(pid, 0)
        raise failure
    return Started(pid, keeper)


def failed_start(command: Command, notes: Notes) -> CannotStart | None:
    """Why the child that was let through the gate last could not exec; None if it did."""
    state, stage, number = notes.beginning()
    return _explain(command, stage, number) if state == FAILED else None


def has_begun(notes: Notes) -> bool:
    """Was the last child let through the gate, and nothing has failed since?"""
    return notes.beginning()[0] == BEGUN


def never_began(notes: Notes) -> bool:
    """Did the last child end at the gate, because the guard had ended?"""
    return notes.beginning()[0] == NOT_BEGUN


def _fork(terminal: int | None, job: Callable[[], NoReturn]) -> tuple[int, Keeper | None]:
    # Until the child has let go of our handlers, a signal to it would count as one to us.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        if terminal is not None:
            return fork_in_session(terminal, job)
        pid = os.fork()
        if pid == 0:
            job()
        return pid, None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _child(command: Command, notes: Notes, gate: int) -> NoReturn:
    """Runs in the forked child and never returns; a failure is noted."""
    stage = "session"
    try:
        if command.terminal is None:
            os.setsid()
        else:
            take_foreground(command.terminal)
        # Through copies above 2, because a target may also be a source.
        copies = [fcntl.fcntl(source, fcntl.F_DUPFD, 3) for source in command.stdio]
        for target, copy in enumerate(copies):
            os.dup2(copy, target, inheritable=True)
        _reset_signals()
        _be_killed_first(command.oom_score)
        if os.read(gate, 1) != b"g":
            os._exit(0)
        notes.begin()
        _close_inherited()
        stage = "workdir"
        os.chdir(command.workdir)
        stage = "exec"
        os.execvpe(command.argv[0], list(command.argv), command.env)  # noqa: S606 - the user's own command
    except OSError as error:
        notes.fail(stage, error.errno or errno.EINVAL)
    except BaseException:
        notes.fail(stage, errno.EINVAL)
    finally:
        os._exit(ExitCode.NOT_FOUND)


def _be_killed_first(oom_score: str) -> None:
    """What spares the guard when memory runs out is not for the job."""
    if oom_score:
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write(oom_score)


def _reset_signals() -> None:
    """Python ignores SIGPIPE and SIGXFSZ, a notebook or nohup may ignore more; exec would pass it on."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _close_inherited() -> None:
    """Ours close on exec by themselves; these are the ones that we inherited from who started us."""
    for entry in os.listdir("/proc/self/fd"):
        if int(entry) > 2 and not _closes_on_exec(int(entry)):
            with contextlib.suppress(OSError):
                os.close(int(entry))


def _closes_on_exec(descriptor: int) -> bool:
    try:
        return bool(fcntl.fcntl(descriptor, fcntl.F_GETFD) & fcntl.FD_CLOEXEC)
    except OSError:
        return True  # The one of the listing itself.


def _explain(command: Command, stage: str, number: int) -> CannotStart:
    why, name = reason(os.strerror(number)), command.argv[0]
    if stage == "workdir":
        return CannotStart(
            ExitCode.NOT_EXECUTABLE, words("workdir {folder}: {why}", folder=command.workdir, why=why)
        )
    if stage == "session":
        return CannotStart(ExitCode.NOT_EXECUTABLE, words("no session for the job: {why}", why=why))
    # A PATH may name what is no folder; only of a name with a slash that tells something.
    missing = number == errno.ENOENT or (number == errno.ENOTDIR and "/" not in name)
    if not missing:
        return CannotStart(ExitCode.NOT_EXECUTABLE, words("{name}: {why}", name=name, why=why))
    # The file may be there and its interpreter (the #! line, the ELF loader) may not.
    if "/" in name:
        present = os.path.exists(os.path.join(command.workdir, name))
    else:
        import shutil  # 1 MB, for an error only

        present = shutil.which(name, path=command.env.get("PATH")) is not None
    if present:
        return CannotStart(
            ExitCode.NOT_EXECUTABLE, words("{name}: its interpreter does not exist", name=name)
        )
    return CannotStart(ExitCode.NOT_FOUND, words("{name}: command not found", name=name))
