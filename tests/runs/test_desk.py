"""The guard's socket: for us alone, and nothing that comes through it harms the run or delays its end."""

from __future__ import annotations

import json
import os
import resource
import socket
import stat
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from helpers.lab import until
from helpers.shell import GATED
from launcher.guard import control, meeting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from helpers.lab import Lab
    from helpers.shell import Shell

WAIT = b'{"ask": "wait"}'
GARBAGE = {
    "no JSON": b"\xff\xfe\x00garbage",
    "nothing": b"{}",
    "a list": b"[1, 2]",
    "a number": b"7",
    "deeper than Python goes": b"[" * 100_000,
    "a question of a strange type": b'{"ask": {"a": []}}',
    "longer than a message may be": b"x" * ((1 << 17) + 1),
}


@contextmanager
def called(run_id: str, room: int = 1 << 20) -> Iterator[socket.socket]:
    """A connection to a guard, of the rawest kind; `room` bytes of questions wait in it."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, room)
        connection.settimeout(10)
        connection.connect(os.path.join(meeting.folder(), run_id))
        yield connection
    finally:
        connection.close()


def test_nobody_else_can_call(shell: Shell) -> None:
    """Folder 0700, socket 0600, both ours; the path is short enough for a socket."""
    run_id = shell.python(GATED)
    path = os.path.join(meeting.folder(), run_id)
    found = [os.lstat(meeting.folder()), os.lstat(path)]
    assert [stat.S_IMODE(one.st_mode) for one in found] == [0o700, 0o600]
    assert {one.st_uid for one in found} == {os.geteuid()}
    assert len(path) <= meeting.LONGEST_PATH
    shell.open_gate()
    shell.until_gone(run_id)
    assert not os.path.exists(path)


@pytest.mark.parametrize("mode", [0o711, 0o770])
def test_a_folder_that_others_can_enter_is_not_used(tmp_path, mode: int) -> None:
    """Whoever made it could have put a socket there."""
    tmp_path.chmod(mode)
    with pytest.raises(PermissionError):
        meeting.check(str(tmp_path))


def test_a_folder_of_another_user_is_not_used(tmp_path) -> None:
    """Nor a link to one of ours."""
    if os.geteuid() == 0:
        theirs = tmp_path / "theirs"
        theirs.mkdir(mode=0o700)
        os.chown(theirs, 12345, -1)
        with pytest.raises(PermissionError):
            meeting.check(str(theirs))
    ours = tmp_path / "ours"
    ours.mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(ours)
    meeting.check(str(ours))
    with pytest.raises(PermissionError):
        meeting.check(str(tmp_path / "link"))


def test_what_is_no_socket_is_not_called(shell: Shell) -> None:
    """A file, a link, a path out of the folder."""
    run_id = shell.detach("true")  # There is a folder.
    name = f"{run_id}0"
    path = os.path.join(meeting.folder(), name)
    os.symlink(os.path.join(meeting.folder(), run_id), path)
    try:
        for one in (name, f"../{name}", "..", "nosuch"):
            with pytest.raises(OSError, match=r"not a socket|No such|not a folder"):
                control.call(one)
    finally:
        os.unlink(path)
    shell.until_gone(run_id)


def test_garbage_is_hung_up_on(lab: Lab, shell: Shell) -> None:
    """Each kind of it, and messages without an end; the guard is the same one, the job ends as ever."""
    run_id = shell.python(GATED)
    guard = shell.guard_of(run_id)
    for kind, message in GARBAGE.items():
        with called(run_id) as connection:
            connection.send(message)
            assert connection.recv(100) == b"", kind
    with called(run_id) as connection, pytest.raises(OSError, match=r"pipe|reset"):
        for _ in range(10_000):
            connection.send(b"P" + b"x" * 30_000)
    assert shell.guard_of(run_id) == guard
    shell.open_gate()
    assert lab.run("wait", run_id).code == 3


def test_a_question_of_a_newer_version_is_answered(lab: Lab, shell: Shell) -> None:
    """That it is not known; the connection stays, for what is."""
    run_id = shell.python(GATED)
    with called(run_id) as connection:
        connection.send(b'{"ask": "hand-over", "to": "somebody"}')
        assert json.loads(connection.recv(1 << 17)[1:]) == {"unknown": "hand-over"}
        connection.send(b'{"ask": "status"}')
        assert json.loads(connection.recv(1 << 17)[1:])["run_id"] == run_id
    shell.open_gate()
    assert lab.run("wait", run_id).code == 3


@contextmanager
def many_files(count: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        pytest.skip(f"this system lets us open {hard} files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_thousand_callers(lab: Lab, shell: Shell) -> None:
    """Callers that ask nothing make room for those that do; the end is noticed in time and told."""
    run_id = shell.python(GATED)
    with many_files(1200):
        idle = []
        for _ in range(1000):
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            connection.connect(os.path.join(meeting.folder(), run_id))
            idle.append(connection)
        try:
            assert shell.row(run_id)["state"] == "started"
            waiting = lab.start("wait", run_id)
            shell.open_gate()
            assert lab.end(waiting).code == 3
        finally:
            for connection in idle:
                connection.close()


def test_everybody_waits_and_somebody_stops(lab: Lab, shell: Shell) -> None:
    """As many as may wait do; one more is turned away, comes again, and is told from the record."""
    run_id = shell.python(GATED)
    lines = [control.call(run_id) for _ in range(128)]
    for line in lines:
        line.ask(control.WAIT)
    late = lab.start("wait", run_id)
    shell.open_gate()
    told = [line.answer_by(time.monotonic() + 20) for line in lines]
    assert {document["exit_code"] for document in told} == {3}
    assert lab.end(late).code == 3
    for line in lines:
        line.close()


def test_a_caller_that_never_reads(lab: Lab, shell: Shell) -> None:
    """It asks until nothing goes through any more, and takes no answer: nobody else notices."""
    run_id = shell.python(GATED)
    with called(run_id, room=4096) as connection:
        connection.setblocking(False)
        asked = 0

        def is_stuck() -> bool:
            nonlocal asked
            try:
                connection.send(b'{"ask": "status"}')
            except BlockingIOError:
                return True
            asked += 1
            return False

        until(is_stuck, "a full connection")
        assert asked > 10
        assert shell.row(run_id)["state"] == "started"
        waiting = lab.start("wait", run_id)
        shell.open_gate()
        assert lab.end(waiting).code == 3


def test_who_asks_twice_is_told(shell: Shell) -> None:
    """Waiting twice on one connection is waiting once; hanging up afterwards harms nobody."""
    run_id = shell.python(GATED)
    with called(run_id) as first, called(run_id) as second:
        for connection in (first, second):
            connection.send(WAIT)
            connection.send(WAIT)
            connection.send(b'{"ask": "status"}')
            assert json.loads(connection.recv(1 << 17)[1:])["state"] == "started"
        first.close()
        shell.open_gate()
        assert json.loads(second.recv(1 << 17)[1:])["exit_code"] == 3
    shell.until_gone(run_id)
