"""What the job reads, and the terminal that it has: as ours is, and given back as it was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import termios
from typing import TYPE_CHECKING

import pytest

from helpers.cli import command
from helpers.lab import Reader, until

if TYPE_CHECKING:
    from helpers.lab import Lab

ASK = """
try:
    print("got", input("name? "))
    input()
except EOFError:
    print("end of file")
"""
WINDOW = """
import os, signal
def show(*_):
    size = os.get_terminal_size()
    print("window", size.lines, size.columns, flush=True)
signal.signal(signal.SIGWINCH, show)
show()
while os.get_terminal_size().lines != 50:
    signal.pause()
print("ready")
"""


def test_a_pipe_as_stdin(lab: Lab) -> None:
    """What is piped into us is the job's to read, every byte of it."""
    data = bytes(range(256)) * 4000
    end = lab.run("exec", "--", "cat", data=data)
    assert (end.code, end.out) == (0, data)


def test_a_file_as_stdin(lab: Lab) -> None:
    """The job has the very file: it can seek in it."""
    path = lab.script("numbers", "12345")
    seek = "import os; print(os.lseek(0, 3, os.SEEK_SET), os.read(0, 9))"
    with path.open("rb") as file:
        end = lab.run("exec", "--", sys.executable, "-c", seek, stdin=file)
    assert end.out == b"3 b'45'\n"


def test_nothing_as_stdin(lab: Lab) -> None:
    """/dev/null is an end of file at once."""
    assert lab.run("exec", "--", *lab.python("ask.py", ASK).split()).out == b"name? end of file\n"


def test_a_job_that_does_not_read_a_pipe(lab: Lab) -> None:
    """More than a pipe holds waits on stdin, nobody reads it, and the run ends."""
    process = lab.start("exec", "--", "true", stdin=subprocess.PIPE)
    os.set_blocking(process.stdin.fileno(), False)
    os.write(process.stdin.fileno(), b"x" * 200_000)
    assert lab.wait(process) == 0
    lab.end(process)


def test_typing_into_the_job(lab: Lab) -> None:
    """input() works at a terminal: a line, echoed once, and Ctrl-D as the end of the file."""
    terminal = lab.terminal()
    process = lab.start_on(terminal, "exec", "--", *lab.python("ask.py", ASK).split())
    terminal.reader.wait_for(b"name? ")
    terminal.type(b"Ada\n")
    terminal.reader.wait_for(b"got Ada")
    terminal.type(b"\x04")
    assert lab.wait(process) == 0
    out = terminal.seen()
    assert b"end of file" in out
    assert out.count(b"Ada") == 2, "typed once, answered once"


def test_a_terminal_for_stdin_only(lab: Lab) -> None:
    """`colab-run … 2>&1 | tee`: the job still reads what is typed, and its output is a pipe."""
    terminal = lab.terminal()
    job = lab.python("ask.py", ASK + "\nimport sys; print(sys.stdin.isatty(), sys.stdout.isatty())").split()
    process = lab.start_on(terminal, "exec", "--", *job, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out = Reader(process.stdout.fileno())
    out.wait_for(b"name? ")
    terminal.type(b"Ada\n\x04")
    assert lab.wait(process) == 0
    assert out.all() == b"name? got Ada\nend of file\nTrue False\n"
    assert lab.log() == out.all(), "the echo of what is typed is on the terminal only"
    process.stderr.close()


def test_the_size_of_the_window(lab: Lab) -> None:
    """The job's window has our size from the start, and follows it."""
    terminal = lab.terminal(rows=33, columns=101)
    process = lab.start_on(terminal, "exec", "--", *lab.python("window.py", WINDOW).split())
    terminal.reader.wait_for(b"window 33 101")
    terminal.resize(50, 120)
    terminal.reader.wait_for(b"ready")
    assert lab.wait(process) == 0
    assert b"window 50 120" in terminal.seen()


@pytest.mark.parametrize("how", ["end", "Ctrl-C", "SIGTERM"])
def test_our_terminal_is_given_back(lab: Lab, how: str) -> None:
    """Its modes are as before after every end of a run, although the job changed those of its own."""
    terminal = lab.terminal(translate=True)
    before = terminal.modes()
    job = "stty raw -echo; echo ready; while ! test -e go; do sleep 0.01; done"
    process = lab.start_on(terminal, "exec", "--", "sh", "-c", job)
    terminal.reader.wait_for(b"ready")
    until(lambda: terminal.modes() != before, "our terminal hands on single keys")
    if how == "end":
        (lab.work / "go").touch()
    elif how == "Ctrl-C":
        terminal.type(b"\x03")
    else:
        process.send_signal(signal.SIGTERM)
    assert lab.wait(process) == {"end": 0, "Ctrl-C": 130, "SIGTERM": 143}[how]
    assert terminal.modes() == before


def test_in_the_background_of_a_shell(lab: Lab) -> None:
    """Neither SIGTTOU nor SIGTTIN stops us there, and the modes are left to the foreground."""
    terminal = lab.terminal()
    subprocess.run(["stty", "tostop"], stdin=terminal.slave, check=True)
    before = terminal.modes()
    words = " ".join([*(f"'{word}'" for word in command()), "exec -- seq 2000"])
    shell = ["bash", "-m", "-c", f"{words} & wait $!; echo code $?"]
    process = lab.start_on(terminal, argv=shell)
    terminal.reader.wait_for(b"code 0")
    assert terminal.modes() == before
    lab.wait(process)
    assert lab.log() == b"".join(b"%d\n" % number for number in range(1, 2001))


def test_a_prompt_on_the_controlling_terminal(lab: Lab) -> None:
    """ssh and git ask for passwords on /dev/tty: the job has one."""
    terminal = lab.terminal()
    job = "printf 'password? ' > /dev/tty; read -r x < /dev/tty; echo got $x"
    process = lab.start_on(terminal, "exec", "--", "sh", "-c", job)
    terminal.reader.wait_for(b"password? ")
    terminal.type(b"secret\n")
    assert lab.wait(process) == 0
    assert b"got secret" in terminal.seen()


def test_job_control_in_the_job(lab: Lab) -> None:
    """An interactive shell as the job is master of its terminal: no complaint, jobs can be moved."""
    terminal = lab.terminal()
    process = lab.start_on(terminal, "exec", "--", "bash", "--norc", "-i", env={"PS1": "prompt: "})
    terminal.reader.wait_for(b"prompt: ")
    terminal.type(b"sleep 100 & echo $-\n")
    terminal.type(b"kill %1; wait; exit 7\n")
    assert lab.wait(process) == 7
    assert b"job control" not in terminal.seen()


def test_setup_and_run_share_the_terminal(lab: Lab) -> None:
    """The end of setup is no end of the terminal: `run` writes to it, and what setup started lives on."""
    terminal = lab.terminal()
    server = "trap 'echo hung up' HUP; while ! test -e go; do sleep 0.01; done; echo served"
    lab.script("server", f"#!/bin/bash\n{server}\n")
    job = lab.job(setup="./server & echo prepared", run="touch go; wait; echo ran; tty", leftovers="wait")
    process = lab.start_on(terminal, "run", job)
    assert lab.wait(process) == 0
    out = terminal.seen()
    assert b"hung up" not in out
    assert all(word in out for word in (b"prepared", b"served", b"ran", b"/dev/pts/"))


# --- behind `!` in a cell -----------------------------------------------------------------------

CELL = """
import json, os, pty, signal, subprocess, sys, termios
# Colab's `!`: bash on a terminal that is nobody's controlling one, in the kernel's own process group.
master, slave = os.openpty()
modes = termios.tcgetattr(slave)
modes[1] &= ~termios.ONLCR
termios.tcsetattr(slave, termios.TCSANOW, modes)
signal.signal(signal.SIGINT, lambda *_: None)
streams = dict.fromkeys(("stdin", "stdout", "stderr"), slave)
child = subprocess.Popen(sys.argv[1], shell=True, executable="/bin/bash", **streams)
os.close(slave)
out = b""
pressed = False
while True:
    try:
        data = os.read(master, 65536)
    except OSError:
        break
    out += data
    if b"ready" in out and not pressed:
        pressed = True
        # The stop button: to the group of the kernel, and again to the child.
        os.killpg(0, signal.SIGINT)
        child.send_signal(signal.SIGINT)
print(json.dumps([child.wait(), out.decode()]))
"""
COUNT = """
import os, signal, sys, time
def note(number, frame):
    with open("signals", "a") as file:
        file.write(signal.Signals(number).name + "\\n")
    if number == signal.SIGTERM:
        sys.exit(0)
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, note)
print([os.isatty(stream) for stream in range(3)], tuple(os.get_terminal_size(1)), "ready", flush=True)
while True:
    signal.pause()
"""


def test_the_stop_button_of_a_cell(lab: Lab) -> None:
    """One press comes twice and is one polite stop: SIGINT once, SIGTERM later, 130, interrupted."""
    job = lab.job(run=lab.python("count.py", COUNT).split(), stop_grace="4s")
    words = " ".join(f"'{word}'" for word in [*command(), "run", job])
    cell = [sys.executable, "-c", CELL, words]
    end = lab.end(lab.start(argv=cell, start_new_session=True))
    code, out = json.loads(end.out)
    assert code == 130, out
    assert "[True, True, True] (0, 0) ready" in out
    assert lab.lines("signals") == ["SIGINT", "SIGTERM"]
    assert (lab.result()["outcome"], lab.result()["exit_code"]) == ("interrupted", 130)


def test_brought_to_the_foreground(lab: Lab) -> None:
    """`colab-run … &` and then `fg`: from then on what is typed reaches the job."""
    terminal = lab.terminal()
    job = ["exec", "--", "sh", "-c", "echo ready; read line; echo got $line"]
    words = " ".join(f"'{word}'" for word in [*command(), *job])
    # Without line editing the shell leaves the modes alone: what changes them is us.
    shell = lab.start_on(terminal, argv=["bash", "--norc", "--noprofile", "--noediting", "-i"])
    terminal.type(f"{words} &\n".encode())
    terminal.reader.wait_for(b"ready\n")
    terminal.type(b"fg\n")
    until(lambda: not terminal.modes()[3] & termios.ICANON, "our hold of the terminal")
    terminal.type(b"hello\n")
    terminal.reader.wait_for(b"got hello")
    until(lambda: terminal.modes()[3] & termios.ICANON, "the terminal as it was")
    terminal.type(b"exit\n")
    assert lab.wait(shell) == 0
