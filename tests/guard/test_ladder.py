"""Presses of stop, and Ctrl-Z: what each one means, to whom, and what stays as it was."""

from __future__ import annotations

import os
import signal
import sys
import termios
import time
from typing import TYPE_CHECKING

import pytest

from helpers.cli import command
from helpers.lab import Lab, state_of
from helpers.ours import guard_of, has_open, is_dead, kill
from helpers.scene import until
from launcher.guard import control
from launcher.guard.ladder import Ladder

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from helpers.scene import Scene

# Hears neither SIGINT nor SIGTERM, and has something to save.
DEAF = """
import os, signal, time
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda *_: open("heard", "a").write("x"))
os.mkdir("out")
with open("out/weights", "wb") as file:
    file.truncate(200_000_000)
open("ready", "w").close()
while True:
    time.sleep(1)
"""
SAVES = "stop_grace: 10m\noutputs: [{path: out, to: ../saved}]\nrelease: {when: always, grace: 0s}\n"
# Lives until it is told to go on; then it reads a line.
READS = """
import os, time
print("ready", os.getpid(), flush=True)
print("got", input(), flush=True)
"""
# A press that comes later is one of its own, also where one of them is heard late.
APART_S = 2.2


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A world of its own for one test."""
    lab = Lab(tmp_path / "lab")
    yield lab
    lab.close()


def press(process: subprocess.Popen[str]) -> float:
    """Press stop; when that was."""
    process.send_signal(signal.SIGINT)
    return time.monotonic()


def apart_from(pressed: float) -> None:
    """Wait until the next press is not a part of that one."""
    until(lambda: time.monotonic() - pressed > APART_S, "a press of its own")


def begin(scene: Scene) -> subprocess.Popen[str]:
    """A deaf job under a client."""
    (scene.work / "deaf.py").write_text(DEAF)
    process = scene.start("run", scene.write_job(f"run: [{sys.executable}, deaf.py]\n" + SAVES))
    until((scene.work / "ready").exists, "the job")
    return process


def suspended_save(scene: Scene) -> int:
    """The process that copies, found and suspended while it is at work."""

    def copying() -> int:
        weights = str(scene.work / "out" / "weights")
        return next((pid for pid in scene.leftovers() if has_open(pid, weights)), 0)

    pid: int = until(copying, "whoever copies")
    os.kill(pid, signal.SIGSTOP)
    return pid


# --- presses --------------------------------------------------------------------------------------


def test_what_is_a_press() -> None:
    """Within a second it is the same one; what a press means may change, and one may reach nobody."""
    now = 0.0
    ladder = Ladder(lambda: now)
    counted = []
    for now in (0.0, 0.9, 1.0, 2.0):  # noqa: B007 - the clock of the ladder
        counted.append(ladder.press())
    assert counted == [1, 0, 2, 3]
    ladder.anew()
    now = 2.5
    assert ladder.press() == 0, "a part of the last one still, whatever it means now"
    now = 3.1
    assert ladder.press() == 1
    ladder.take_back()
    now = 4.2
    assert ladder.press() == 1


def test_what_was_pressed_before_does_not_count_while_results_are_saved(scene: Scene) -> None:
    """Two presses end the job; the next one is the first about the saving, and the client stays for it."""
    with scene.managed() as endpoint:
        process = begin(scene)
        first = press(process)
        until((scene.work / "heard").exists, "the polite signal")
        apart_from(first)
        second = press(process)
        copying = suspended_save(scene)
        apart_from(second)
        third = press(process)
        apart_from(third)
        assert process.poll() is None, "the third press was about the saving"
        press(process)
        until(lambda: is_dead(copying), "the end of the copy")
        ended = scene.end(process)
        assert ended.code == 130, ended.err
        assert endpoint.requests == []
    (result,) = scene.results()
    assert (result["state"], result["outcome"]) == ("done", "interrupted")
    assert result["saved"][0]["complete"] is False


def test_a_third_press_leaves_and_the_guard_goes_on(scene: Scene) -> None:
    """A guard that hears nothing does not keep the client; when it does again, it does all that is left."""
    with scene.managed():
        process = begin(scene)
        guard = guard_of(scene)
        os.kill(guard, signal.SIGSTOP)
        for _ in range(3):
            assert process.poll() is None
            apart_from(press(process))
        assert scene.end(process).code == 130
        assert scene.results()[0]["state"] == "started"
        os.kill(guard, signal.SIGCONT)
        until(lambda: scene.results()[0]["state"] == "done", "the end of the run")
    (result,) = scene.results()
    assert result["outcome"] == "interrupted"
    assert (result["saved"][0]["complete"], result["saved"][0]["files"]) == (True, 1)
    assert (result["release"]["status"], result["release"]["reason"]) == ("held", "ended-by-person")


# --- Ctrl-Z ---------------------------------------------------------------------------------------


def test_ctrl_z_and_fg(lab: Lab) -> None:
    """In a shell with job control job and client stop, the shell has the terminal; `fg` resumes both."""
    terminal = lab.terminal()
    words = " ".join(
        f"'{word}'" for word in [*command(), "exec", "--", *lab.python("reads.py", READS).split()]
    )
    shell = lab.start_on(terminal, argv=["bash", "--norc", "--noprofile", "--noediting", "-i"])
    terminal.type(f"{words}\n".encode())
    seen = terminal.reader.wait_for(b"ready ")
    job = int(until(lambda: terminal.reader.seen.split(b"ready ")[-1].split(b"\n")[0].strip(), "its pid"))
    terminal.type(b"\x1a")
    terminal.reader.wait_for(b"Stopped")
    until(lambda: state_of(job) == "T", "the job suspended")
    terminal.type(b"echo the-shell''-is-here\n")
    terminal.reader.wait_for(b"the-shell-is-here")
    terminal.resize(40, 90)
    terminal.type(b"fg\n")
    until(lambda: state_of(job) != "T", "the job resumed")
    terminal.type(b"hello\n")
    terminal.reader.wait_for(b"got hello")
    until(lambda: terminal.modes()[3] & termios.ICANON, "the terminal as it was")
    terminal.type(b"exit 5\n")
    assert lab.wait(shell) == 5
    assert seen.count(b"Stopped") == 0


WORKS = """
import os, time
open("ready", "w").write(str(os.getpid()))
while not os.path.exists("go"):
    end = time.monotonic() + 0.05
    while time.monotonic() < end:
        pass
    time.sleep(0.05)
"""


def start_working(scene: Scene, keys: str = "") -> tuple[subprocess.Popen[str], int]:
    """A job that always works; its pid."""
    (scene.work / "works.py").write_text(WORKS)
    process = scene.start("run", scene.write_job(f"run: [{sys.executable}, works.py]\n" + keys))
    ready = scene.work / "ready"
    return process, int(until(lambda: ready.exists() and ready.read_text(), "the job"))


def look_on(scene: Scene) -> control.Line:
    """As `attach` does."""
    line = control.call(scene.results()[0]["run_id"])
    line.ask({"ask": "view"})
    assert line.answer_by(time.monotonic() + 10)["view"]
    return line


def suspend(line: control.Line, pid: int) -> None:
    """As `attach` does it at Ctrl-Z."""
    line.ask({"ask": "signal", "number": int(signal.SIGTSTP)})
    until(lambda: state_of(pid) == "T", "the job suspended")


def test_a_suspended_job_is_not_stalled(scene: Scene) -> None:
    """Three times `idle.after` long: nobody warns, nobody stops it; afterwards it has all of it again."""
    process, pid = start_working(scene, "idle: {after: 3s, action: stop}\n")
    began = time.monotonic()
    until(lambda: time.monotonic() - began > 1.0, "some looks")
    line = look_on(scene)
    suspend(line, pid)
    began = time.monotonic()
    until(lambda: time.monotonic() - began > 9.0, "three times the window")
    line.ask({"ask": "signal", "number": int(signal.SIGCONT)})
    until(lambda: state_of(pid) != "T", "the job resumed")
    began = time.monotonic()
    until(lambda: time.monotonic() - began > 0.5, "some more looks")
    (scene.work / "go").touch()
    ended = scene.end(process)
    line.close()
    assert (ended.code, scene.results()[0].get("stalls")) == (0, None), ended.err


def test_who_takes_over_resumes_a_suspended_job(scene: Scene) -> None:
    """Whoever suspended it told only the guard that is gone, and may be gone too."""
    process, pid = start_working(scene)
    line = look_on(scene)
    suspend(line, pid)
    kill(guard_of(scene))
    until(lambda: state_of(pid) != "T", "the job resumed")
    line.close()
    (scene.work / "go").touch()
    assert scene.end(process).code == 0
