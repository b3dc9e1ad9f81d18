"""`wait` ends with the run's exit code, whatever happens to its guard meanwhile."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from helpers.lab import state_of, until
from helpers.shell import GATED, alive, is_connected
from launcher.record import RunRow
from launcher.release import marks
from launcher.runs import Awaited

if TYPE_CHECKING:
    from helpers.lab import Lab
    from helpers.shell import Shell

CODES = (0, 1, 2, 64, 65, 69, 70, 73, 74, 75, 124, 126, 130, 137, 255)


def test_every_code_comes_through(lab: Lab, shell: Shell) -> None:
    """Codes that are also ours too: `decided_by` says that it was the job."""
    runs = {code: shell.detach("sh", "-c", f"exit {code}") for code in CODES}
    for code, run_id in runs.items():
        ended = lab.run("wait", run_id, "--json")
        document = ended.document
        assert (ended.code, document["exit_code"], document["decided_by"]) == (code, code, "job")
        assert (document["run_id"], document["timed_out"]) == (run_id, False)


def test_a_signal_is_128_and_its_number(lab: Lab, shell: Shell) -> None:
    """As everywhere."""
    run_id = shell.detach("sh", "-c", "kill -KILL $$")
    assert lab.run("wait", run_id).code == 137


def test_a_run_that_goes_on_is_124(lab: Lab, shell: Shell) -> None:
    """Our own code, decided by us; the run goes on, and its record knows nothing of it."""
    run_id = shell.python(GATED)
    began = time.monotonic()
    ended = lab.run("wait", run_id, "--timeout", "1s", "--json")
    assert 1.0 <= time.monotonic() - began < 8.0
    document = ended.document
    assert (ended.code, document["exit_code"], document["decided_by"]) == (124, 124, "colab-run")
    assert (document["state"], document["timed_out"]) == ("started", True)
    assert shell.row(run_id)["exit_code"] is None
    shell.open_gate()
    assert lab.run("wait", run_id, "--timeout", "30s").code == 3


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_the_guard_is_killed_meanwhile(lab: Lab, shell: Shell, number: int) -> None:
    """The watcher takes over; whoever waits does not notice, and gets the job's own code."""
    run_id = shell.python(GATED)
    guard = shell.guard_of(run_id)
    waiting = lab.start("wait", run_id, "--json")
    until(lambda: is_connected(waiting), "a connection")
    os.kill(guard, number)
    until(lambda: not alive(guard) or state_of(guard) == "Z", "the guard's end")
    assert shell.guard_of(run_id) != guard
    assert waiting.poll() is None
    shell.open_gate()
    ended = lab.end(waiting)
    assert (ended.code, ended.document["decided_by"]) == (3, "job")


def test_watcher_and_guard_are_killed_meanwhile(lab: Lab, shell: Shell) -> None:
    """Whoever waits finds the run without a guard, has it brought to its end, and says that it was lost."""
    run_id = shell.python(GATED)
    guard = shell.guard_of(run_id)
    watcher = int(Path(f"/proc/{guard}/stat").read_text().rpartition(")")[2].split()[1])
    waiting = lab.start("wait", run_id, "--json")
    until(lambda: is_connected(waiting), "a connection")
    os.kill(watcher, signal.SIGKILL)
    os.kill(guard, signal.SIGKILL)
    ended = lab.end(waiting)
    assert (ended.code, ended.document["outcome"], ended.document["decided_by"]) == (137, "lost", "colab-run")


def test_who_waits_for_a_lost_run_has_it_looked_after(tmp_path: Path) -> None:
    """Nobody holds its note: whoever waits says so; when the note is gone too, the run was lost."""
    home = str(tmp_path)
    note = marks.RunNote("20000101-000000-0000", home, "lost", os.geteuid(), home)
    own = marks.announce(home, note)
    own.close()
    row = RunRow(note.run_id, note.name, guarded=True, told={"state": "started"}, place=None, uid=note.uid)
    called = []

    def look_after() -> None:
        called.append(note.run_id)
        Path(own.path).unlink(missing_ok=True)

    told = Awaited(row, look_after).look(10.0)
    assert called == [note.run_id]
    assert told is not None
    assert (told["outcome"], told["exit_code"]) == ("lost", 137)


def test_ctrl_c_ends_only_who_waits(lab: Lab, shell: Shell) -> None:
    """130, without a traceback; the run goes on."""
    run_id = shell.python(GATED)
    waiting = lab.start("wait", run_id)
    until(lambda: is_connected(waiting), "a connection")
    waiting.send_signal(signal.SIGINT)
    ended = lab.end(waiting)
    assert (ended.code, b"Traceback" in ended.err) == (130, False)
    assert shell.row(run_id)["state"] == "started"
    shell.open_gate()
    assert lab.run("wait", run_id).code == 3


@pytest.mark.parametrize("timeout", ["30", "0s", "soon"])
def test_a_time_that_is_none(lab: Lab, timeout: str) -> None:
    """64, before anything is looked for."""
    ended = lab.run("wait", "last", "--timeout", timeout)
    assert (ended.code, b"--timeout" in ended.err) == (64, True)
