"""A function in a child process with a deadline: whatever it does, the caller goes on and nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from launcher.children import Failed, call_in_child
from launcher.values import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LONG = 30.0


def until(condition: Callable[[], bool], timeout: float = 5.0) -> None:
    """Wait for `condition`, at most `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """True for a process that runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """After every test: no child of ours, no descriptor more, no signal blocked."""
    # Of a test before us: a busy machine takes its time to end what was killed.
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
    descriptors = len(os.listdir("/proc/self/fd"))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask


def test_the_result_comes_back() -> None:
    """What the function returns is known, as JSON gives it."""
    assert call_in_child(lambda: {"a": (1, None, "ü")}, deadline_s=LONG) == Known({"a": [1, None, "ü"]})
    assert call_in_child(lambda: None, deadline_s=LONG) == Known(None)


def test_a_big_result_comes_back_whole() -> None:
    """A result larger than any pipe buffer arrives whole."""
    assert call_in_child(lambda: "x" * 5_000_000, deadline_s=LONG) == Known("x" * 5_000_000)


def test_the_child_sees_what_we_have_in_memory_and_we_see_nothing_of_it() -> None:
    """The function runs on a copy of our memory."""
    seen = [1]
    assert call_in_child(lambda: seen.append(2) or seen, deadline_s=LONG) == Known([1, 2])
    assert seen == [1]


def test_a_function_that_never_returns_costs_its_deadline() -> None:
    """A hang ends at the deadline, as unknown."""
    started = time.monotonic()
    assert call_in_child(signal.pause, deadline_s=0.2) == Unknown("timeout")
    assert 0.2 <= time.monotonic() - started < 2


def test_a_wait_can_be_called_off() -> None:
    """`abort` ends the wait long before the deadline, and the child with it; deadlines may be endless."""
    started = time.monotonic()
    asked = iter([False, True])
    result = call_in_child(signal.pause, deadline_s=float("inf"), abort=lambda: next(asked))
    assert result == Unknown("aborted")
    assert time.monotonic() - started < 5
    assert call_in_child(lambda: 1, deadline_s=float("inf")) == Known(1)


def test_a_child_that_ignores_every_signal_is_ended_all_the_same() -> None:
    """What cannot be asked to stop is killed."""

    def stubborn() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while True:
            time.sleep(1)

    assert call_in_child(stubborn, deadline_s=0.2) == Unknown("timeout")


def test_a_crash_is_unknown() -> None:
    """A child that dies without an answer, by a signal or by leaving, has crashed."""
    assert call_in_child(os.abort, deadline_s=LONG) == Unknown("crashed")
    assert call_in_child(lambda: os._exit(0), deadline_s=LONG) == Unknown("crashed")


def test_half_an_answer_is_a_crash() -> None:
    """A message that stops in the middle is not taken for a result."""

    def half() -> None:
        for fd in os.listdir("/proc/self/fd"):
            if link_of(fd).startswith("pipe:"):
                os.write(int(fd), (100).to_bytes(8, "big") + b'{"value": 1')
        os._exit(0)

    assert call_in_child(half, deadline_s=LONG) == Unknown("crashed")


@pytest.mark.parametrize(
    ("function", "detail"),
    [
        (lambda: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda: sys.exit(3), "SystemExit: 3"),
        (lambda: float("nan"), "ValueError"),
        (lambda: object(), "TypeError"),
    ],
    ids=["raises", "exits", "not a number", "not JSON"],
)
def test_an_exception_is_unknown_with_its_words(function: Callable[[], object], detail: str) -> None:
    """What the function raised is told, and is not raised here."""
    result = call_in_child(function, deadline_s=LONG)
    assert isinstance(result, Failed)
    assert result.reason == "failed"
    assert result.detail.startswith(detail)


def test_the_child_holds_nothing_of_ours(tmp_path: Path) -> None:
    """A lease is an open descriptor: the child has none but its standard streams and its own pipe."""
    with (tmp_path / "lease").open("w") as lease:
        os.set_inheritable(lease.fileno(), True)

        def descriptors() -> list[str]:
            return sorted(os.readlink(f"/proc/self/fd/{fd}") for fd in (0, 1, 2)) + [
                name
                for name in map(link_of, os.listdir("/proc/self/fd"))
                if name and name != "/dev/null" and "/proc/" not in name
            ]

        result = call_in_child(descriptors, deadline_s=LONG)
    assert isinstance(result, Known)
    assert result.value[:3] == ["/dev/null"] * 3
    assert len(result.value) == 4
    assert result.value[3].startswith("pipe:")


def link_of(fd: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""


def test_a_descriptor_can_be_kept() -> None:
    """A copy into an open file needs that file: `keep_fds` leaves it open."""
    reader, writer = os.pipe()
    try:
        assert call_in_child(lambda: os.write(writer, b"kept"), deadline_s=LONG, keep_fds=[writer]) == Known(
            4
        )
        assert os.read(reader, 10) == b"kept"
    finally:
        os.close(reader)
        os.close(writer)


def test_the_child_has_no_handler_of_ours() -> None:
    """Our handlers write to our wakeup descriptor and take our decisions: in the child there are none."""
    previous = signal.signal(signal.SIGUSR1, lambda *_: None)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    old_fd = signal.set_wakeup_fd(writer)
    try:
        result = call_in_child(
            lambda: [signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL, signal.set_wakeup_fd(-1)],
            deadline_s=LONG,
        )
    finally:
        signal.set_wakeup_fd(old_fd)
        signal.signal(signal.SIGUSR1, previous)
        os.close(reader)
        os.close(writer)
    assert result == Known([True, -1])


def test_writing_to_a_closed_connection_is_an_exception() -> None:
    """SIGPIPE stays ignored, as in any Python process: a server that hangs up does not kill the child."""

    def write_to_nobody() -> None:
        reader, writer = os.pipe()
        os.close(reader)
        os.write(writer, b"x")

    result = call_in_child(write_to_nobody, deadline_s=LONG)
    assert isinstance(result, Failed)
    assert result.detail.startswith("BrokenPipeError")


def test_what_the_child_started_dies_with_it() -> None:
    """A helper that itself hangs in a command leaves no grandchild behind."""
    reader, writer = os.pipe()

    def start_and_hang() -> None:
        grandchild = subprocess.Popen(["sleep", "60"])
        os.write(writer, f"{grandchild.pid}\n".encode())
        signal.pause()

    try:
        result = call_in_child(start_and_hang, deadline_s=5.0, keep_fds=[writer])
        grandchild = int(os.read(reader, 20))
    finally:
        os.close(reader)
        os.close(writer)
    assert result == Unknown("timeout")
    until(lambda: not is_alive(grandchild))


def test_an_answer_does_not_wait_for_a_grandchild() -> None:
    """A background process that keeps the pipe open does not hold back the answer."""

    def leave_one_behind() -> str:
        if os.fork() == 0:
            signal.pause()
        return "done"

    started = time.monotonic()
    assert call_in_child(leave_one_behind, deadline_s=LONG) == Known("done")
    assert time.monotonic() - started < 5


def test_an_interruption_leaves_no_child(tmp_path: Path) -> None:
    """Ctrl-C while we wait is raised here, and the child is gone."""
    note = tmp_path / "pid"

    def write_pid_and_hang() -> None:
        note.write_text(str(os.getpid()))
        signal.pause()

    def press_when_it_runs() -> None:
        until(lambda: note.exists() and note.read_text() != "")
        os.kill(os.getpid(), signal.SIGINT)

    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    finger = threading.Thread(target=press_when_it_runs)
    finger.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            call_in_child(write_pid_and_hang, deadline_s=LONG)
    finally:
        finger.join()
        signal.signal(signal.SIGINT, previous)
    assert not is_alive(int(note.read_text()))


def test_a_signal_that_we_handle_does_not_end_the_wait() -> None:
    """A handler may run while we wait (a window changes its size); the answer still comes."""
    seen: list[int] = []
    previous = signal.signal(signal.SIGUSR1, lambda number, _: seen.append(number))
    caller = os.getpid()

    def signal_the_caller() -> str:
        for _ in range(20):
            os.kill(caller, signal.SIGUSR1)
        return "done"

    try:
        assert call_in_child(signal_the_caller, deadline_s=LONG) == Known("done")
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert seen


def test_the_child_dies_with_its_caller(tmp_path: Path) -> None:
    """SIGKILL of the caller leaves no helper behind that could touch anything."""
    note = tmp_path / "pid"
    program = (
        "import os, pathlib, signal, sys\n"
        "from launcher.children import call_in_child\n"
        "def hang():\n"
        "    pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))\n"
        "    signal.pause()\n"
        "call_in_child(hang, deadline_s=60)\n"
    )
    caller = subprocess.Popen([sys.executable, "-c", program, str(note)], cwd=tmp_path)
    try:
        until(lambda: note.exists() and note.read_text() != "")
        child = int(note.read_text())
        assert is_alive(child)
    finally:
        caller.kill()
        caller.wait()
    until(lambda: not is_alive(child))


def test_from_a_thread_too() -> None:
    """A call from another thread than the main one works, as from a notebook's worker."""
    results: list[object] = []
    worker = threading.Thread(target=lambda: results.append(call_in_child(lambda: 1, deadline_s=LONG)))
    worker.start()
    worker.join()
    assert results == [Known(1)]


def test_a_hundred_calls_leave_nothing() -> None:
    """No descriptor, zombie or blocked signal is left by many calls, good and bad (checked after)."""
    for number in range(50):
        assert call_in_child(lambda: number, deadline_s=LONG) == Known(number)  # noqa: B023 - called at once
        assert call_in_child(os.abort, deadline_s=LONG) == Unknown("crashed")


def test_no_descriptor_to_spare_is_unknown() -> None:
    """Where not even a pipe can be made, the answer is a failure with its reason, not an exception."""
    import resource

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        result = call_in_child(lambda: 1, deadline_s=LONG)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert isinstance(result, Failed)
    assert result.detail.startswith("OSError")
