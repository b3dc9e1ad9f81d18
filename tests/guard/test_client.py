"""The client may go at any moment: the run does not notice."""

from __future__ import annotations

import os
import pickle
import signal
from types import SimpleNamespace
from typing import TYPE_CHECKING

from helpers.lab import until
from helpers.programs import NOTE_SIGNALS, noted, pid_of
from launcher.guard import channel
from launcher.guard.client import Client, Listeners
from launcher.guard.inbox import Inbox

if TYPE_CHECKING:
    from pathlib import Path

    from helpers.lab import Lab


def noting(lab: Lab, name: str, manners: str) -> list[str]:
    """A job that notes its signals."""
    return [*lab.python("note.py", NOTE_SIGNALS).split(), name, manners]


def test_a_closed_terminal_ends_nothing(lab: Lab) -> None:
    """The window is closed: the job goes on to its end, and the log has what it then wrote."""
    terminal = lab.terminal()
    job = "echo ready; while ! test -e go; do sleep 0.01; done; seq 1000 || exit 9; echo whole"
    process = lab.start_on(terminal, "exec", "--", "bash", "-c", job)
    terminal.reader.wait_for(b"ready")
    terminal.hang_up()
    (lab.work / "go").touch()
    assert lab.wait(process) == 129
    until(lambda: lab.result().get("outcome") == "succeeded", "the end of the run")
    assert lab.log().endswith(b"1000\nwhole\n")


def test_a_hangup_ends_the_client_only(lab: Lab) -> None:
    """As when an ssh connection breaks: the command is gone, the job is not told, and comes to its end."""
    process = lab.start("run", lab.job(run=noting(lab, "job", "polite")))
    pid = pid_of(lab.seen("job"))
    process.send_signal(signal.SIGHUP)
    assert lab.end(process).code == 129
    os.kill(pid, signal.SIGTERM)
    until(lambda: lab.result().get("outcome") == "succeeded", "the end of the run")
    assert noted(lab.lines("job")) == ["SIGTERM"]


def test_nohup(lab: Lab) -> None:
    """Where a hangup is ignored from the start, the client stays."""
    job = lab.job(run=noting(lab, "job", "polite"))
    process = lab.start("run", job, before=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    pid = pid_of(lab.seen("job"))
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGUSR1)
    lab.seen("job", 2)
    os.kill(pid, signal.SIGTERM)
    assert lab.end(process).code == 0


def test_a_detached_client_leaves_with_the_start_although_the_end_is_there(tmp_path: Path) -> None:
    """A short job on a busy machine: all of its messages wait before the first one is read."""
    log = tmp_path / "log"
    log.touch()
    started = SimpleNamespace(log=str(log), exit_code=None)
    ended = SimpleNamespace(log=str(log), exit_code=75)
    ours, theirs = channel.pair()
    for kind, thing in ((channel.BEGUN, started), (channel.EVENT, "it failed"), (channel.FINAL, ended)):
        theirs.send(kind + pickle.dumps(thing))
    told: list[object] = []
    with Inbox() as inbox:
        client = Client(ours, inbox, Listeners(told.append, lambda record: True, list), takes_keys=False)
        assert (client.follow(), told) == (started, [])
    theirs.close()


ALTERNATE = """
import os, pathlib, time
while not pathlib.Path("go").exists():
    time.sleep(0.01)
for turn in range(3000):
    os.write(1 + turn % 2, b"%d\\n" % turn)
"""


def test_a_client_that_was_suspended_has_the_last_word_too(lab: Lab) -> None:
    """Ctrl-Z of a whole pipeline while the run ends: after `fg` there is all of the output, and the code."""
    process = lab.start("exec", "--", *lab.python("alternate.py", ALTERNATE).split())
    until(lambda: lab.result().get("state") == "started", "the job")
    process.send_signal(signal.SIGSTOP)
    (lab.work / "go").touch()
    until(lambda: lab.result().get("state") == "done", "the end of the run")
    process.send_signal(signal.SIGCONT)
    end = lab.end(process)
    assert end.code == 0
    assert end.out == b"".join(b"%d\n" % turn for turn in range(0, 3000, 2))
