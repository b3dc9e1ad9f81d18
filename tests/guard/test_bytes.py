"""Every byte of the job reaches our streams and the log, in order, whoever reads them."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from helpers.lab import Reader, processes_with, until

if TYPE_CHECKING:
    from pathlib import Path

    from helpers.lab import Lab

HUNDRED_MB = 100_000_000
ALTERNATE = """
import os
for turn in range(2000):
    os.write(1 + turn % 2, b"%d\\n" % turn)
"""
IN_ORDER = b"".join(b"%d\n" % turn for turn in range(2000))


def random_file(lab: Lab) -> tuple[str, str]:
    """(path, sha256) of 100 MB, every byte value among them."""
    data = random.Random(7).randbytes(HUNDRED_MB)
    path = lab.work / "random"
    path.write_bytes(data)
    return str(path), hashlib.sha256(data).hexdigest()


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def log_of(lab: Lab) -> Path:
    (path,) = lab.home.glob("runs/*/log")
    return path


def test_100_mb_through_pipes(lab: Lab) -> None:
    """100 MB of random bytes arrive unchanged on stdout and in the log."""
    path, digest = random_file(lab)
    end = lab.run("run", lab.job(run=["cat", path]))
    assert end.code == 0
    assert hashlib.sha256(end.out).hexdigest() == digest
    assert sha256(log_of(lab)) == digest


def test_100_mb_through_a_terminal(lab: Lab) -> None:
    """The same on a terminal: the job's inner one changes no byte, nor the order of our own words."""
    path, digest = random_file(lab)
    terminal = lab.terminal()
    process = lab.start_on(terminal, "run", lab.job(run=["cat", path]), stderr=subprocess.PIPE)
    errors = Reader(process.stderr.fileno())
    code, out = lab.wait(process), terminal.seen()
    assert code == 0, errors.all()
    assert hashlib.sha256(out).hexdigest() == digest
    assert sha256(log_of(lab)) == digest


def test_one_pipe_for_both_keeps_the_order(lab: Lab) -> None:
    """With `2>&1` the lines of stdout and stderr come in the order in which they were written."""
    end = lab.run("exec", "--", *lab.python("alternate.py", ALTERNATE).split(), stderr=subprocess.STDOUT)
    assert IN_ORDER in end.out
    assert lab.log() == IN_ORDER


def test_one_terminal_for_both_keeps_the_order(lab: Lab) -> None:
    """The same on a terminal."""
    terminal = lab.terminal()
    process = lab.start_on(terminal, "exec", "--", *lab.python("alternate.py", ALTERNATE).split())
    assert lab.wait(process) == 0
    assert IN_ORDER in terminal.seen()
    assert lab.log() == IN_ORDER


def test_two_pipes_stay_two(lab: Lab) -> None:
    """stdout has the job's stdout and nothing else; its stderr comes out of ours; the log has both."""
    end = lab.run("exec", "--", *lab.python("alternate.py", ALTERNATE).split())
    assert end.out == b"".join(b"%d\n" % turn for turn in range(0, 2000, 2))
    others = [b"%d" % turn for turn in range(1, 2000, 2)]
    assert [line for line in end.err.split(b"\n") if line in set(others)] == others
    assert sorted(lab.log().split()) == sorted(IN_ORDER.split())


def test_json_has_stdout_for_itself(lab: Lab) -> None:
    """With --json stdout holds one document, and the job's output is on stderr in its order."""
    end = lab.run("exec", "--json", "--", *lab.python("alternate.py", ALTERNATE).split())
    assert end.document["schema_version"] == 1
    assert IN_ORDER in end.err
    assert lab.log() == IN_ORDER


def test_tty_gives_the_job_a_terminal(lab: Lab) -> None:
    """With --tty the job sees a terminal where we have pipes, and the log still has its very bytes."""
    end = lab.run("exec", "--tty", "--", "sh", "-c", "test -t 1 && test -t 2 && printf 'a\\nb\\r\\nc'")
    assert (end.code, end.out, lab.log()) == (0, b"a\nb\r\nc", b"a\nb\r\nc")


def test_a_reader_that_is_gone(lab: Lab) -> None:
    """`| head -1` ends neither the job nor the log."""
    job = "echo ready; while ! test -e go; do sleep 0.01; done; seq 100000"
    process = lab.start("exec", "--", "sh", "-c", job, stderr=subprocess.DEVNULL)
    assert process.stdout.readline() == b"ready\n"
    process.stdout.close()
    (lab.work / "go").touch()
    assert lab.wait(process) == 0
    assert lab.log() == b"ready\n" + b"".join(b"%d\n" % number for number in range(1, 100_001))


@pytest.mark.parametrize("together", [True, False], ids=["one pipe", "two pipes"])
def test_a_reader_that_stalls_stops_no_limit(lab: Lab, together: bool) -> None:
    """While nobody reads our output, max_duration still ends the job; a late reader gets every byte.

    In a cell our own words go the same way as the job's output: they must not make us wait either.
    """
    job = lab.job(
        run="head -c 3000000 /dev/zero | tr '\\0' y; exec sleep 100", max_duration="4s", stop_grace="1s"
    )
    process = lab.start("run", job, stderr=subprocess.STDOUT if together else subprocess.DEVNULL)
    until(lambda: lab.result().get("processes"), "the job has started")
    main = lab.result()["processes"]["run"]
    until(lambda: not os.path.exists(f"/proc/{main}"), "the end of the job")
    end = lab.end(process)
    log = lab.log()
    assert end.code == 124
    assert len(log) == 3_000_000
    assert log in end.out if together else log == end.out


def test_a_reader_that_never_takes_anything(lab: Lab) -> None:
    """The job does not wait for it, nor does the end of the run; the client gives up after a while."""
    process = lab.start("exec", "--", "sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x; touch over")
    until((lab.work / "over").exists, "the end of the job")
    until(lambda: lab.result().get("outcome"), "the end of the run")
    assert process.poll() is None
    assert (lab.wait(process), len(lab.log())) == (0, 3_000_000)
    assert b"the rest is in the log only" in b" ".join(process.stderr.read().split())


@pytest.mark.parametrize("kind", ["pipe", "terminal"])
def test_no_last_byte_is_lost(lab: Lab, kind: str) -> None:
    """200 jobs that write 4,000 bytes and end at once: every log has 4,000 bytes."""
    commands = [["printf", "%4000s", "x"]] * 200
    if kind == "pipe":
        rows = lab.supervise(commands)
    else:
        terminal = lab.terminal()
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), terminal.slave)
        assert lab.wait(lab.start_supervised(commands, options=streams)) == 0
        rows = lab.answer()
    assert {row["bytes"] for row in rows} == {4000}


def test_what_reads_the_end_of_a_pipe_gets_its_last_bytes(lab: Lab) -> None:
    """`> >(cat > copy)`: that `cat` is left over for a moment, and must not be stopped in it."""
    for _ in range(3):
        assert lab.run("run", lab.job(run="seq 50000 > >(cat > copy)")).code == 0
        assert len(lab.lines("copy")) == 50000


def test_a_full_disk_behind_stdout(lab: Lab) -> None:
    """What stdout refuses is in the log, and the job goes on."""
    with open("/dev/full", "wb") as full:
        end = lab.run("exec", "--", "sh", "-c", "seq 1000; echo done", stdout=full)
    assert end.code == 0
    assert lab.log().endswith(b"1000\ndone\n")


def test_our_output_as_a_file(lab: Lab) -> None:
    """A file that is appended to keeps what it had."""
    path = lab.work / "all.txt"
    path.write_bytes(b"before\n")
    with path.open("ab") as file:
        end = lab.run("exec", "--", "echo", "after", stdout=file)
    assert (end.code, path.read_bytes()) == (0, b"before\nafter\n")


def test_a_socket_as_our_output(lab: Lab) -> None:
    """Also where our stdout is a socket, as under some notebook servers and ssh daemons."""
    import socket

    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = lab.start("exec", "--", "seq", "100000", stdout=theirs.fileno())
        theirs.close()
        out = Reader(ours.fileno()).all()
        assert lab.end(process).code == 0
    assert out == b"".join(b"%d\n" % number for number in range(1, 100_001))


def test_nothing_is_left_when_our_stdout_was_closed_from_the_start(lab: Lab) -> None:
    """`>&-` and `2>&-`: no file of ours takes the number, the job runs, the log is whole."""
    process = lab.start(
        "exec", "--", "sh", "-c", "echo out; echo err >&2", before=lambda: [os.close(1), os.close(2)]
    )
    assert lab.wait(process) == 0
    assert sorted(lab.log().split()) == [b"err", b"out"]
    until(lambda: not processes_with(lab.cookie), "the end of everything")
    assert process.returncode != -signal.SIGPIPE
