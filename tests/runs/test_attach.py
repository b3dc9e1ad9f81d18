"""`attach`: the output of a run from another shell, whatever happens to guard and onlookers meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from helpers.lab import state_of, until
from helpers.shell import GATED, alive
from launcher.guard import control

if TYPE_CHECKING:
    from pathlib import Path

    from helpers.lab import Lab
    from helpers.shell import Shell

# Two streams, told apart, once it is looked at.
BOTH = """
import os, sys, time
print("ready", flush=True)
while not os.path.exists("gate"):
    time.sleep(0.01)
for number in range(200):
    os.write(1, b"out %d\\n" % number)
    time.sleep(0.001)
    os.write(2, b"err %d\\n" % number)
    time.sleep(0.001)
"""
FLOOD = """
import os, sys, time
print("ready", flush=True)
while not os.path.exists("gate"):
    time.sleep(0.01)
for number in range(4000):
    os.write(1, b"%06d " % number * 200 + b"\\n")
open("flooded", "w").write("x\\n")
"""


def until_attached(lab: Lab, run_id: str, count: int = 1) -> None:
    """Wait until so many are told of the run's log: they have said that they are attached."""
    path = f"/tmp/colab-run-{os.geteuid()}/{run_id}"

    def connections() -> bool:
        with open("/proc/net/unix", encoding="ascii") as file:
            # One to be told of the end, one to look on, for each.
            return sum(path in line and line.split()[5] == "03" for line in file) >= 2 * count

    until(connections, f"{count} onlookers")


def test_what_was_and_what_comes_and_the_code(lab: Lab, shell: Shell) -> None:
    """Output to our stdout, our own words to stderr, the run's own code."""
    run_id = shell.python(GATED)
    until(lambda: b"ready" in lab.log(), "output")
    attached = lab.start("attach", run_id)
    until_attached(lab, run_id)
    shell.open_gate()
    ended = lab.end(attached)
    assert (ended.code, ended.out) == (3, b"ready\nlast\n")
    assert b"Ctrl-\\ leaves" in ended.err
    assert b"exit code 3" in ended.err


def test_the_guard_says_from_where_on_it_tells(lab: Lab, shell: Shell) -> None:
    """The end of the log at that moment: all that comes later has its stream, however late we hear of it."""
    run_id = shell.python(GATED)
    until(lambda: b"ready" in lab.log(), "output")
    line = control.call(run_id)
    line.ask({"ask": "view"})
    told = line.answer_by(time.monotonic() + 20)
    assert told["end"] == len(lab.log()) == len(b"ready\n")
    shell.open_gate()
    assert line.answer_by(time.monotonic() + 20)["span"] == [1, told["end"], len(b"last\n")]
    line.close()


def test_two_streams_stay_two(lab: Lab, shell: Shell) -> None:
    """What the job writes to stderr while somebody looks on comes on stderr; byte for byte."""
    script = lab.python("job.py", BOTH).split()
    assert lab.run("exec", "--detach", "--", *script).code == 0
    (run_id,) = shell.own_ids()
    until(lambda: b"ready" in lab.log(), "output")
    attached = lab.start("attach", run_id)
    until_attached(lab, run_id)
    shell.open_gate()
    ended = lab.end(attached)
    out = b"ready\n" + b"".join(b"out %d\n" % number for number in range(200))
    err = b"".join(b"err %d\n" % number for number in range(200))
    assert (ended.code, ended.out) == (0, out)
    assert err in b"".join(line for line in ended.err.splitlines(True) if line.startswith(b"err "))
    assert b"out " not in ended.err.replace(b"without", b"")


@pytest.mark.parametrize(("tail", "first"), [("0", None), ("3", 98), ("all", 1)])
def test_the_tail_of_what_has_ended(lab: Lab, shell: Shell, tail: str, first: int | None) -> None:
    """After the end: the last lines, and its code."""
    run_id = shell.detach("sh", "-c", "seq 100; exit 7")
    shell.until_over(run_id)
    ended = lab.run("attach", run_id, "--tail", tail)
    lines = [] if first is None else [b"%d" % number for number in range(first, 101)]
    assert (ended.code, ended.out.split()) == (7, lines)
    assert b"leaves" not in ended.err


def test_json(lab: Lab, shell: Shell) -> None:
    """One document on stdout, output on stderr."""
    run_id = shell.detach("sh", "-c", "echo here; exit 4")
    ended = lab.run("attach", run_id, "--json")
    document = ended.document
    assert (ended.code, document["exit_code"], document["left"], document["run_id"]) == (4, 4, None, run_id)
    assert b"here\n" in ended.err


def test_the_guard_is_killed_meanwhile(lab: Lab, shell: Shell) -> None:
    """Its successor is found; no byte is missing or doubled."""
    run_id = shell.python(GATED)
    until(lambda: b"ready" in lab.log(), "output")
    guard = shell.guard_of(run_id)
    attached = lab.start("attach", run_id)
    until_attached(lab, run_id)
    os.kill(guard, signal.SIGKILL)
    until(lambda: not alive(guard) or state_of(guard) == "Z", "the guard's end")
    until_attached(lab, run_id)
    shell.open_gate()
    ended = lab.end(attached)
    assert (ended.code, ended.out) == (3, b"ready\nlast\n")


def test_one_that_stalls_and_one_that_is_killed_harm_nobody(lab: Lab, shell: Shell) -> None:
    """The job goes on at its own pace; whoever reads gets every byte, the one that stalled too, later."""
    run_id = shell.python(FLOOD)
    until(lambda: b"ready" in lab.log(), "output")
    stalled = lab.start("attach", run_id, stdout=subprocess.PIPE)
    killed, reading = (lab.start("attach", run_id) for _ in range(2))
    until_attached(lab, run_id, 3)
    os.kill(stalled.pid, signal.SIGSTOP)
    killed.kill()
    lab.end(killed)
    shell.open_gate()
    lab.seen("flooded")
    assert lab.end(reading).out == lab.log()
    os.kill(stalled.pid, signal.SIGCONT)
    ended = lab.end(stalled)
    assert (ended.code, ended.out) == (0, lab.log())


def test_the_ladder_without_a_terminal(lab: Lab, shell: Shell) -> None:
    """First politely, then SIGKILL; a press that comes twice counts once."""
    text = 'import signal, time\nsignal.signal(2, lambda *a: print("polite", flush=True))\n'
    text += "signal.signal(15, signal.SIG_IGN)\nprint('ready', flush=True)\nwhile True: time.sleep(1)\n"
    run_id = shell.python(text)
    until(lambda: b"ready" in lab.log(), "output")
    attached = lab.start("attach", run_id)
    until_attached(lab, run_id)
    attached.send_signal(signal.SIGINT)
    until(lambda: b"polite" in lab.log(), "the first press")
    attached.send_signal(signal.SIGINT)
    pressed_again(attached)
    ended = lab.end(attached)
    assert ended.code == 130
    said = b" ".join(ended.err.split())
    assert b"press again to kill" in said
    assert b"is killed now" in said
    assert lab.log().count(b"polite") == 1


def pressed_again(attached: subprocess.Popen) -> None:
    """Press until it has ended: a press of its own, not a part of the one before."""
    import time

    began = time.monotonic()
    until(lambda: time.monotonic() - began > 1.2, "the time between two presses")
    attached.send_signal(signal.SIGINT)


def test_sigterm_ends_only_us(lab: Lab, shell: Shell) -> None:
    """Nobody pressed stop: the run goes on."""
    run_id = shell.python(GATED)
    attached = lab.start("attach", run_id)
    until_attached(lab, run_id)
    attached.terminate()
    ended = lab.end(attached)
    assert ended.code == 143
    assert b"goes on without" in ended.err
    shell.open_gate()
    assert lab.run("wait", run_id).code == 3


@pytest.mark.parametrize(
    "words", [("--tail", "-3"), ("--tail", "x"), ("--detach-key", "ctrl-c"), ("--detach-key", "a")]
)
def test_what_is_no_tail_and_no_key(lab: Lab, shell: Shell, words: tuple[str, str]) -> None:
    """Refused before anything is looked at."""
    ended = lab.run("attach", "last", *words)
    assert ended.code == 64
    assert words[0].encode() in ended.err


def test_there_is_no_such_run(lab: Lab, tmp_path: Path) -> None:
    """As everywhere."""
    assert lab.run("attach", "none").code == lab.run("wait", "none").code == 64
