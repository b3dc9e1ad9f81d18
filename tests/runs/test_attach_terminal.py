"""`attach` in a real terminal: keys, window, the key that leaves, Ctrl-Z; and what it is attached to."""

from __future__ import annotations

import json
import os
import signal
import socket
import termios
import threading
import time
from typing import TYPE_CHECKING

import pytest

from helpers.cli import command
from helpers.lab import processes_with, state_of, until
from helpers.ours import has_open
from launcher.guard import meeting
from launcher.release import marks
from launcher.report.lines import columns

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from helpers.lab import Lab, Terminal
    from helpers.shell import Shell

READS = """
import os, signal
def show(*_):
    size = os.get_terminal_size()
    print("window", size.lines, size.columns, flush=True)
signal.signal(signal.SIGWINCH, show)
print("ready", os.getpid(), flush=True)
while (line := input()) != "end":
    print("got", line, flush=True)
"""


def reading(lab: Lab) -> tuple[str, int]:
    """A detached run with a terminal that repeats what is typed; its id, and the job's pid."""
    words = lab.python("reads.py", READS).split()
    ended = lab.run("exec", "--detach", "--tty", "--json", "--", *words)
    assert ended.code == 0, ended.err.decode()
    until(lambda: b"ready " in lab.log() and lab.log().endswith(b"\n"), "the job")
    return str(ended.document["run_id"]), int(lab.log().split()[1])


def attached(lab: Lab, run_id: str, *words: str, **size: int) -> tuple[Terminal, subprocess.Popen]:
    """In a terminal of its own, once it hands on keys."""
    terminal = lab.terminal(**size)
    process = lab.start_on(terminal, "attach", run_id, *words)
    until(lambda: not terminal.modes()[3] & termios.ICANON, "keys one by one")
    return terminal, process


def test_what_is_typed_before_the_guard_has_answered_is_not_lost(lab: Lab, shell: Shell) -> None:
    """It waits in the terminal, which stays as it was until then."""
    run_id, _ = reading(lab)
    guard = shell.guard_of(run_id)
    os.kill(guard, signal.SIGSTOP)
    terminal = lab.terminal()
    process = lab.start_on(terminal, "attach", run_id)
    terminal.reader.wait_for(b"leaves")
    for number in range(10):
        terminal.type(b"line %d\n" % number)
        seen = time.monotonic() + 0.1
        until(lambda seen=seen: time.monotonic() > seen, "some looks of ours")
    assert terminal.modes()[3] & termios.ICANON
    os.kill(guard, signal.SIGCONT)
    terminal.reader.wait_for(b"got line 9")
    terminal.type(b"end\n")
    assert lab.wait(process) == 0
    said = [line for line in lab.log().splitlines() if line.startswith(b"got ")]
    assert said == [b"got line %d" % number for number in range(10)]


# --- keys and window ------------------------------------------------------------------------------


def test_keys_window_and_the_key_that_leaves(lab: Lab) -> None:
    """What is typed is echoed once and read by the job; Ctrl-\\ leaves with 0, the terminal as it was."""
    run_id, _ = reading(lab)
    terminal, process = attached(lab, run_id, rows=33, columns=101)
    terminal.reader.wait_for(b"window 33 101")
    terminal.resize(50, 120)
    terminal.reader.wait_for(b"window 50 120")
    terminal.type(b"hello\n")
    terminal.reader.wait_for(b"got hello")
    assert bytes(terminal.reader.seen).count(b"hello") == 2, "once as it is typed, once as the answer"
    terminal.type(b"\x1c")
    assert lab.wait(process) == 0
    assert terminal.modes()[3] & termios.ICANON
    again, second = attached(lab, run_id, "--detach-key", "ctrl-a")
    again.type(b"\x01")
    assert lab.wait(second) == 0
    last, third = attached(lab, run_id)
    last.type(b"end\n")
    assert lab.wait(third) == 0


def test_ctrl_z_and_fg(lab: Lab) -> None:
    """In a shell with job control: job and command are suspended; `fg` resumes both."""
    run_id, job = reading(lab)
    terminal = lab.terminal()
    shell = lab.start_on(terminal, argv=["bash", "--norc", "--noprofile", "--noediting", "-i"])
    words = " ".join(f"'{word}'" for word in [*command(), "attach", run_id])
    terminal.type(f"{words}\n".encode())
    until(lambda: not terminal.modes()[3] & termios.ICANON, "keys one by one")
    terminal.type(b"\x1a")
    terminal.reader.wait_for(b"Stopped")
    until(lambda: state_of(job) == "T", "the job suspended")
    terminal.type(b"fg\n")
    until(lambda: state_of(job) != "T", "the job resumed")
    until(lambda: not terminal.modes()[3] & termios.ICANON, "keys one by one")
    terminal.type(b"hello\n")
    terminal.reader.wait_for(b"got hello")
    terminal.type(b"end\n")
    until(lambda: terminal.modes()[3] & termios.ICANON, "the terminal as it was")
    terminal.type(b"exit 5\n")
    assert lab.wait(shell) == 5


def test_a_narrow_terminal_in_chinese(lab: Lab) -> None:
    """Our words are there, and no character is cut in two."""
    run_id, _ = reading(lab)
    terminal = lab.terminal(rows=10, columns=24)
    process = lab.start_on(terminal, "--lang", "zh-TW", "attach", run_id)
    until(lambda: not terminal.modes()[3] & termios.ICANON, "keys one by one")
    terminal.type(b"\xe4\xb8\xad\xe6\x96\x87\n")
    terminal.reader.wait_for("got 中文".encode())
    terminal.type(b"\x1c")
    assert lab.wait(process) == 0
    out = terminal.seen().decode()
    ours = [line for line in out.splitlines() if "Ctrl-" in line]
    assert ours, out
    assert any(ord(letter) > 0x2E80 for line in ours for letter in line), out
    assert "\ufffd" not in out
    assert max(columns(line) for line in out.splitlines()) <= 110, out
    stopped = lab.run("stop", run_id, "--kill")
    assert stopped.code == 0, stopped.err


# --- what it may be attached to -------------------------------------------------------------------


def test_before_the_job_has_started(lab: Lab, shell: Shell) -> None:
    """`setup` is at work: what it says is shown, and all that comes after it."""
    job = lab.job(
        setup="echo preparing; while ! test -e gate; do sleep 0.01; done",
        run="echo ran; exit 4",
        name="early",
    )
    client = lab.start("run", job)
    until(lambda: b"preparing" in _log_or_nothing(lab), "the set-up")
    looking = lab.start("attach", "early")
    until(lambda: _onlookers(shell.own_ids()[0]) >= 2, "somebody who looks on")
    shell.open_gate()
    ended = lab.end(looking)
    assert (ended.code, ended.out) == (4, b"preparing\nran\n")
    assert lab.end(client).code == 4


def _log_or_nothing(lab: Lab) -> bytes:
    return b"".join(path.read_bytes() for path in lab.home.glob("runs/*/log"))


def _onlookers(run_id: str) -> int:
    """Connections to its guard."""
    with open("/proc/net/unix", encoding="ascii") as file:
        return sum(meeting.socket_of(run_id) in line and line.split()[5] == "03" for line in file)


def test_while_its_results_are_saved(lab: Lab, shell: Shell) -> None:
    """The output that was, and the code at the end of the saving."""
    make = "mkdir out; truncate -s 200M out/weights; echo made; exit 0"
    job = lab.job(run=make, outputs=[{"path": "out", "to": "../saved"}], name="saves")
    client = lab.start("run", job)
    weights = str(lab.work / "out" / "weights")
    copying = until(
        lambda: next((pid for pid in processes_with(lab.cookie) if has_open(pid, weights)), 0), "the copy"
    )
    os.kill(copying, signal.SIGSTOP)
    (run_id,) = shell.own_ids()
    looking = lab.start("attach", run_id)
    until(lambda: _onlookers(run_id) == 2, "that it is attached")
    assert shell.row(run_id)["state"] == "saving"
    os.kill(copying, signal.SIGCONT)
    ended = lab.end(looking)
    assert (ended.code, ended.out) == (0, b"made\n"), ended.err
    assert lab.end(client).code == 0


def test_a_run_of_another_user(lab: Lab, tmp_path) -> None:
    """Refused, and said why."""
    note = marks.RunNote("20000101-000000-0000", str(tmp_path), "theirs", 12345, "somewhere")
    own = marks.announce("somewhere", note)
    try:
        os.chown(own.path, 12345, -1)
        ended = lab.run("attach", "theirs")
        assert ended.code == 64
        assert b"belongs to another user" in ended.err
    except PermissionError:
        pytest.skip("only root can make a file of somebody else's")
    finally:
        own.withdraw()


def test_a_queue(lab: Lab, shell: Shell) -> None:
    """Its code is that of the first run that did not succeed."""
    for name, run in (("one", "while ! test -e gate; do sleep 0.01; done"), ("two", "exit 6")):
        (lab.work / f"{name}.yaml").write_text(json.dumps({"run": run, "name": name}))
    ended = lab.run("one.yaml", "two.yaml", "--detach", "--json")
    assert ended.code == 0, ended.err
    queue_id = str(ended.document.get("queue_id") or ended.document["run_id"])
    looking = lab.start("attach", queue_id)
    until(lambda: _onlookers(queue_id) >= 1, "somebody who looks on")
    shell.open_gate()
    ended = lab.end(looking)
    assert ended.code == 6, ended.err


# --- other guards ---------------------------------------------------------------------------------


class OlderGuard:
    """Answers `status`, keeps whoever waits, and hangs up on every other question. `asked` tells which."""

    def __init__(self, run_id: str, folder: str) -> None:
        self.asked: list[str] = []
        self.modern = False
        self._status = {"run_id": run_id, "job": "old", "state": "started", "guard_pid": os.getpid()}
        self._status |= {"folder": folder, "log": f"{folder}/log"}
        self._path = f"{meeting.folder()}/{run_id}"
        self._waiting: list[socket.socket] = []
        self.listen()

    def listen(self) -> None:
        """Be there, or be there again as the one that took over."""
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(self._path)
        self._listener.listen(16)
        threading.Thread(target=self._serve, args=(self._listener,), daemon=True).start()

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._hear, args=(connection,), daemon=True).start()

    def _hear(self, connection: socket.socket) -> None:
        while message := connection.recv(1 << 17):
            ask = json.loads(message)["ask"]
            self.asked.append(ask)
            if ask == "status":
                connection.send(b"A" + json.dumps(self._status).encode())
            elif ask == "wait":
                self._waiting.append(connection)
            elif ask == "view" and self.modern:
                connection.send(b"A" + json.dumps({"view": True, "terminal": False}).encode())
            else:
                break
        if connection not in self._waiting:
            connection.close()

    def tell_end(self, document: dict[str, object]) -> None:
        """To all who wait."""
        for connection in self._waiting:
            connection.send(b"A" + json.dumps(document).encode())

    def leave(self) -> None:
        """As a guard that is killed: all who wait are hung up on, and nobody listens."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        os.unlink(self._path)
        for connection in self._waiting:
            connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._waiting.clear()


@pytest.fixture
def older(lab: Lab) -> Iterator[tuple[OlderGuard, str]]:
    """Such a guard, and the log that it writes."""
    folder = lab.home / "runs" / "20000101-000000-0abc"
    folder.mkdir(parents=True)
    meeting.make_folder()
    log = folder / "log"
    log.write_bytes(b"first\n")
    guard = OlderGuard(folder.name, str(folder))
    yield guard, str(log)
    guard.leave()


def test_a_guard_of_an_older_version(lab: Lab, older: tuple[OlderGuard, str]) -> None:
    """It hangs up on what it does not know, once: the log is followed, and the end is told."""
    guard, log = older
    looking = lab.start("attach", "20000101-000000-0abc")
    until(lambda: "view" in guard.asked and "wait" in guard.asked, "its questions")
    with open(log, "ab") as file:
        file.write(b"second\n")
    until(lambda: _taken(looking, b"second"), "what came meanwhile")
    guard.tell_end({"state": "done", "exit_code": 9, "outcome": "failed"})
    assert looking.wait(20) == 9
    assert guard.asked.count("view") == 1
    looking.stdout.close()
    looking.stderr.close()


def _taken(process: subprocess.Popen, text: bytes) -> bool:
    return text in os.read(process.stdout.fileno(), 1 << 16)


def test_who_takes_over_is_asked_again(lab: Lab, older: tuple[OlderGuard, str]) -> None:
    """A guard that was killed hung up as well: the next one may know more."""
    guard, _ = older
    looking = lab.start("attach", "20000101-000000-0abc")
    until(lambda: "view" in guard.asked and "wait" in guard.asked, "its questions")
    guard.leave()
    guard.modern = True
    guard.listen()
    until(lambda: min(guard.asked.count(ask) for ask in ("view", "wait")) >= 2, "what the next one is asked")
    guard.tell_end({"state": "done", "exit_code": 9, "outcome": "failed"})
    assert lab.end(looking).code == 9
