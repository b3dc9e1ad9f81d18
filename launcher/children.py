"""Run a function in a child process with a deadline: for what can hang or crash its process.

A driver call that never returns cannot be interrupted from Python, only killed with its process.

Why fork, and not a fresh interpreter: a fresh one costs its start-up on every call and might import
a `launcher.py` that happens to lie in the user's folder. Forking costs a few milliseconds and needs
nothing on disk. A fork of a process with several threads may inherit a held lock; what follows from
it is bounded by the deadline and reported as `timeout`.

The child holds none of our leases (every descriptor from 3 up is closed), cannot outlive us
(PR_SET_PDEATHSIG; so the calling *thread* must live through the call, which it does by waiting) and
leads a process group of its own: a stop button pressed at the terminal does not reach it, and what
it started is killed with it.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from launcher.values import Known, Reading, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

# A killed process that has not gone after this long hangs in the kernel (state D): nobody can end it.
_REAP_S = 0.5
# How long a person's second press may go unseen while we wait for a child.
_ABORT_S = 0.2
_HEADER_BYTES = 8
# poll() counts milliseconds in a C int; a deadline may be longer, or infinite.
_LONGEST_POLL_S = 3600.0
_CHUNK = 1 << 16
_PR_SET_PDEATHSIG = 1
_FIRST_PRIVATE_FD = 3


@dataclass(frozen=True, slots=True)
class Failed(Unknown):
    """The function raised, or no child could be made. `detail` is `ValueError: what it said`."""

    detail: str = ""


def call_in_child(
    function: Callable[[], Any],
    *,
    deadline_s: float,
    keep_fds: Collection[int] = (),
    abort: Callable[[], bool] | None = None,
) -> Reading[Any]:
    """What `function()` returns in a forked child, waiting `deadline_s` seconds at most.

    The result must be JSON (finite numbers); it comes back as JSON gives it: tuples as lists. Never
    raises for what happens in the child: `Unknown("timeout")` when the deadline passed (the child is
    killed), `Unknown("crashed")` when it ended without an answer, `Failed("failed", detail)` when
    the function raised, `Unknown("aborted")` when `abort()`, asked a few times a second, said so. An
    exception in the caller meanwhile (Ctrl-C) leaves no child behind.

    `function` sees the caller's memory as of the fork but none of its descriptors except `keep_fds`;
    its standard streams are /dev/null.
    """
    deadline = time.monotonic() + deadline_s
    mask_before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        # Until the child has reset its handlers and its pid is ours to kill, no handler may run.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            pid, reader = _fork_child(function, keep_fds)
        except OSError as error:
            return Failed("failed", _describe(error))
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask_before)
            payload = _receive(reader, deadline, abort)
        finally:
            # A second Ctrl-C must not stop us from ending the child.
            try:
                signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            finally:
                os.close(reader)
                _end(pid)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask_before)
    return _decode(payload)


class Child:
    """The same without waiting: `function()` at work in a child, for a caller that has a loop of its own.

    The answer has to be short (a pipe's 64 KiB), since nobody reads it before the child has ended. `pid` is
    its process and its process group. Raises OSError where no process can be created.
    """

    def __init__(self, function: Callable[[], Any], *, keep_fds: Collection[int] = ()) -> None:
        mask_before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            self.pid, self._reader = _fork_child(function, keep_fds)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask_before)

    def done(self, seconds: float) -> bool:
        """Has it answered, or ended? Waits so long at most."""
        poller = select.poll()
        poller.register(self._reader, select.POLLIN)
        return bool(poller.poll(max(0, int(min(seconds, _LONGEST_POLL_S) * 1000))))

    def end(self) -> Reading[Any]:
        """Kill what is left of it, and of what it started; its answer, if it had one.

        To be called once, and before anybody reaps the child.
        """
        _end(self.pid)
        os.set_blocking(self._reader, False)
        received = bytearray()
        try:
            while chunk := os.read(self._reader, _CHUNK):
                received += chunk
        except BlockingIOError:
            pass  # A grandchild that nobody could end keeps the pipe.
        finally:
            os.close(self._reader)
        whole = _HEADER_BYTES + int.from_bytes(received[:_HEADER_BYTES], "big")
        complete = len(received) >= max(_HEADER_BYTES, whole)
        return _decode(bytes(received[_HEADER_BYTES:whole]) if complete else b"")


def _decode(payload: bytes | Unknown) -> Reading[Any]:
    if isinstance(payload, Unknown):
        return payload
    if not payload:
        return Unknown("crashed")
    answer = json.loads(payload)
    if "failed" in answer:
        return Failed("failed", answer["failed"])
    return Known(answer["value"])


# --- the parent's side --------------------------------------------------------------------------


def _receive(reader: int, deadline: float, abort: Callable[[], bool] | None) -> bytes | Unknown:
    """The child's message; empty when the pipe closed before it was whole.

    The length comes first, so that a grandchild that keeps the pipe open does not make us wait.
    """
    poller = select.poll()
    poller.register(reader, select.POLLIN)
    received = bytearray()
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            return Unknown("timeout")
        if abort is not None and abort():
            return Unknown("aborted")
        if not poller.poll(max(1, int(min(left, _ABORT_S if abort else _LONGEST_POLL_S) * 1000))):
            continue
        chunk = os.read(reader, _CHUNK)
        received += chunk
        whole = _HEADER_BYTES + int.from_bytes(received[:_HEADER_BYTES], "big")
        if len(received) >= _HEADER_BYTES and len(received) >= whole:
            return bytes(received[_HEADER_BYTES:whole])
        if not chunk:
            return b""


def _end(pid: int) -> None:
    """Kill what is left of the child and of the processes it started, and reap the child itself."""
    # The child is not reaped yet, so neither its pid nor its group can belong to anyone else.
    for kill in (os.killpg, os.kill):
        try:
            kill(pid, signal.SIGKILL)
        except OSError:
            pass  # no group (the child had no time to make one), or already gone
    give_up = time.monotonic() + _REAP_S
    pause = 0.0005
    while time.monotonic() < give_up:
        try:
            if os.waitpid(pid, os.WNOHANG)[0] == pid:
                return
        except ChildProcessError:
            return  # the caller ignores SIGCHLD or reaps every child
        time.sleep(pause)
        pause = min(pause * 2, 0.02)


# --- the child's side ---------------------------------------------------------------------------


def _fork_child(function: Callable[[], Any], keep_fds: Collection[int]) -> tuple[int, int]:
    """Fork; pid and answer pipe in the parent, no return in the child. All signals are blocked here."""
    reader, writer = os.pipe()
    try:
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            try:
                become_helper(parent, {writer, *keep_fds})
                _send(writer, _answer(function))
            finally:
                _exit_now()
    except OSError:
        os.close(reader)
        raise
    finally:
        os.close(writer)
    return pid, reader


def _exit_now() -> NoReturn:
    # Not sys.exit: no atexit handler, no flush of a buffer that is the parent's to write.
    os._exit(0)


def become_helper(parent: int, keep_fds: Collection[int]) -> None:
    """In a forked child: give up everything that is the parent's, and end when the parent ends.

    Its signal handlers, its process group and its descriptors (the lease above all), except `keep_fds`;
    the standard streams become /dev/null.
    """
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE}:
        try:
            signal.signal(number, signal.SIG_DFL)
        except (OSError, ValueError):
            pass  # a number that the C library keeps for itself
    # As in any Python process: writing to a closed connection is an exception, not a death.
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    os.setpgid(0, 0)
    _die_with(parent)
    let_go_of_descriptors(keep_fds)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _die_with(parent: int) -> None:
    """Ask the kernel to kill us when the parent goes; exit if it has gone already."""
    try:
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        pass  # not Linux: the deadline still bounds us while the parent lives
    if os.getppid() != parent:
        _exit_now()


def let_go_of_descriptors(keep_fds: Collection[int]) -> None:
    """Close everything but `keep_fds`; the standard streams become /dev/null."""
    null = os.open(os.devnull, os.O_RDWR)
    for stream in range(_FIRST_PRIVATE_FD):
        if stream not in keep_fds:
            os.dup2(null, stream)
    try:
        # /dev/fd is a link to /proc/self/fd on Linux.
        open_fds = [int(name) for name in os.listdir("/dev/fd")]
    except OSError:
        open_fds = list(range(min(os.sysconf("SC_OPEN_MAX"), _CHUNK)))
    for fd in open_fds:
        if fd >= _FIRST_PRIVATE_FD and fd not in keep_fds:
            try:
                os.close(fd)
            except OSError:
                pass  # the descriptor of the listing itself


def _answer(function: Callable[[], Any]) -> bytes:
    try:
        return json.dumps({"value": function()}, allow_nan=False).encode()
    except BaseException as error:
        return json.dumps({"failed": _describe(error)}).encode()


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _send(writer: int, payload: bytes) -> None:
    rest = memoryview(len(payload).to_bytes(_HEADER_BYTES, "big") + payload)
    while rest:
        rest = rest[os.write(writer, rest) :]
