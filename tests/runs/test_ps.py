"""`ps` shows every run of the machine, whatever its state folder and whatever state its guard is in."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from typing import TYPE_CHECKING

from helpers.lab import processes_with, until
from helpers.shell import GATED, Shell, is_connected
from launcher.clock import SystemClock
from launcher.guard.meeting import folder
from launcher.ledger.place import DATABASE
from launcher.release import marks

if TYPE_CHECKING:
    from pathlib import Path

    from helpers.lab import Lab


def test_another_shell_with_another_state_folder(lab: Lab, shell: Shell, tmp_path: Path) -> None:
    """A living run is seen, asked and waited for from a shell that knows nothing of its folder."""
    run_id = shell.python(GATED)
    elsewhere = {"COLAB_RUN_HOME": str(tmp_path / "other home")}
    row = shell.rows(env=elsewhere)[run_id]
    assert (row["state"], row["guarded"], row["exit_code"]) == ("started", True, None)
    assert (row["folder"], row["uid"]) == (str(lab.home / "runs" / run_id), os.geteuid())
    assert lab.run("logs", run_id, env=elsewhere).out == b"ready\n"
    waiting = lab.start("wait", run_id, env=elsewhere)
    until(lambda: is_connected(waiting), "a connection")
    shell.open_gate()
    assert lab.end(waiting).code == 3
    # Ended, it is one of its own state folder only.
    until(lambda: run_id not in shell.rows(env=elsewhere), "the end of its guard")
    assert shell.row(run_id)["guarded"] is False


def test_ps_without_json_is_a_table(lab: Lab, shell: Shell) -> None:
    """Id, name, what it does, how long, code: in a line each, within 80 columns."""
    run_id = shell.python(GATED)
    text = lab.run("ps").out.decode()
    assert [line.split()[:3] for line in text.splitlines() if run_id in line] == [
        [run_id, shell.row(run_id)["job"], "running"]
    ]
    shell.open_gate()
    shell.until_over(run_id)
    lines = lab.run("ps").out.decode().splitlines()
    assert next(line.split()[-1] for line in lines if run_id in line) == "3"
    assert max(map(len, lines)) <= 80


def test_the_last_few_that_have_ended_or_all(lab: Lab) -> None:
    """Seven have ended: `ps` shows five and says how to see all, `ps --all` shows seven."""
    for _ in range(7):
        assert lab.run("exec", "--", "true").code == 0
    until(lambda: not processes_with(lab.cookie), "the end of all guards")
    few, everything = (lab.run(*words).out.decode() for words in (("ps",), ("ps", "--all")))
    ids = sorted(path.name for path in lab.home.glob("runs/*"))
    assert [run_id in few for run_id in ids] == [False, False, *[True] * 5]
    assert "colab-run ps --all" in few
    assert all(run_id in everything for run_id in ids)


def test_a_guard_that_hangs_is_shown_as_such(lab: Lab, shell: Shell) -> None:
    """A suspended guard is not left out, nor waited for longer than 2 s; its process is named."""
    run_id = shell.python(GATED)
    guard = shell.guard_of(run_id)
    os.kill(guard, signal.SIGSTOP)
    try:
        began = time.monotonic()
        row = shell.row(run_id)
        assert time.monotonic() - began < 6.0
        assert row["state"] == {"unknown": "not-answering"}
        assert (row["guard_pid"], row["guarded"]) == (guard, True)
        assert "not answering" in lab.run("ps").out.decode()
        stopped = lab.run("stop", run_id)
        assert (stopped.code, f"kill -CONT {guard}" in stopped.err.decode()) == (70, True)
    finally:
        os.kill(guard, signal.SIGCONT)
    shell.open_gate()
    assert lab.run("wait", run_id).code in (3, 130)


def test_a_run_of_another_user_is_shown_and_no_more(lab: Lab, shell: Shell, tmp_path: Path) -> None:
    """Its note is all that is known of it: name, id and whose it is; it cannot be asked."""
    note = marks.RunNote("20000101-000000-0000", str(tmp_path), "theirs \x1b]0;title\x07", 12345, "somewhere")
    own = marks.announce("somewhere", note)
    try:
        os.chown(own.path, 12345, -1)
    except PermissionError:
        own.withdraw()
        return  # Only root can make a file of somebody else's.
    try:
        row = shell.rows()[note.run_id]
        assert (row["uid"], row["job"]) == (12345, note.name)
        assert row["state"] == {"unknown": "another-user"}
        shown = lab.run("ps").out.decode()
        assert "other user's" in shown
        assert "\x1b" not in shown
        asked = lab.run("stop", note.run_id)
        assert (asked.code, "belongs to another user" in asked.err.decode()) == (64, True)
    finally:
        own.withdraw()


def test_without_runs_it_is_one_line(lab: Lab) -> None:
    """Nothing of this state folder; other tests' runs may live beside us."""
    text = lab.run("ps").out.decode()
    assert "ended" not in text
    document = lab.run("ps", "--json").document
    assert not [row for row in document["runs"] if str(lab.home) in str(row["folder"])]


def test_a_ledger_that_cannot_be_used_is_made_up_for(lab: Lab, shell: Shell) -> None:
    """The folders of the runs say the same."""
    assert lab.run("exec", "--", "sh", "-c", "exit 7").code == 7
    (run_id,) = shell.own_ids()
    before = until(lambda: row if not (row := shell.row(run_id))["guarded"] else None, "its guard's end")
    (lab.home / DATABASE).unlink()
    (lab.home / DATABASE).mkdir()
    assert shell.row(run_id) == before


def test_a_run_whose_folder_is_gone_is_in_the_ledger(lab: Lab, shell: Shell) -> None:
    """How it ended is known; what only its folder knew is said to be unknown."""
    assert lab.run("exec", "--", "sh", "-c", "exit 7").code == 7
    (run_id,) = shell.own_ids()
    shell.until_gone(run_id)
    shutil.rmtree(lab.home / "runs" / run_id)
    row = shell.row(run_id)
    assert (row["state"], row["outcome"], row["exit_code"]) == ("done", "failed", 7)
    assert row["log"] == {"unknown": "no-record"}
    logs = lab.run("logs", run_id)
    assert (logs.code, "No such file" in logs.err.decode()) == (73, True)


def test_a_run_that_its_machine_took_along_is_lost(lab: Lab, shell: Shell) -> None:
    """Another boot has no note of it: its last record is not done, and nobody guards it."""
    assert lab.run("exec", "--", "true").code == 0
    (run_id,) = shell.own_ids()
    shell.until_gone(run_id)
    result = lab.home / "runs" / run_id / "result.json"
    result.write_text(json.dumps({**json.loads(result.read_text()), "state": "started", "exit_code": None}))
    row = shell.row(run_id)
    assert (row["state"], row["guarded"]) == ("started", False)
    assert "lost" in lab.run("ps").out.decode()
    waited = lab.run("wait", run_id, "--json")
    assert (waited.code, waited.document["outcome"]) == (137, "lost")


def test_what_a_killed_guard_left_behind_is_cleared_away(lab: Lab) -> None:
    """A socket that refuses, of a run of which there is no note, is of no use to anybody."""
    import socket

    assert lab.run("exec", "--", "true").code == 0  # There is a folder.
    path = os.path.join(folder(), f"20000101-000000-{os.getpid() % 10000:04d}")
    dead = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    dead.bind(path)
    dead.close()
    began = SystemClock().monotonic()
    assert os.path.basename(path) not in lab.run("ps").out.decode()
    assert not os.path.exists(path)
    assert SystemClock().monotonic() - began < 5.0
