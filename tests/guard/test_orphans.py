"""What tini and dumb-init promise: orphans are adopted, zombies reaped, and nobody is left."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.lab import processes_with, until

if TYPE_CHECKING:
    from helpers.lab import Lab

# Makes 300 orphans that end at once, says so, and waits.
ORPHANS = """
import os, sys
for turn in range(300):
    if os.fork() == 0:
        if os.fork() == 0:
            os._exit(turn % 256)
        os._exit(0)
    os.wait()
open("made", "w").write("300\\n")
sys.stdin.read()
"""


def children_of(pid: int) -> list[str]:
    """The states of a process's children."""
    states = []
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if entry.name.isdigit() and int(fields[1]) == pid:
            states.append(fields[0])
    return states


def guard_of(lab: Lab) -> int:
    """The guard's pid."""
    return next(
        pid
        for pid in processes_with(lab.cookie)
        if Path(f"/proc/{pid}/comm").read_text() == "colab-run-guard\n"
    )


def test_hundreds_of_orphans_leave_no_zombie(lab: Lab) -> None:
    """They become the guard's children, which reaps them while the job runs."""
    job = lab.job(run=lab.python("orphans.py", ORPHANS).split())
    read, write = os.pipe()
    process = lab.start("run", job, stdin=read)
    os.close(read)
    lab.seen("made")
    guard = guard_of(lab)
    until(lambda: "Z" not in children_of(guard), "no zombie")
    os.close(write)
    assert lab.end(process).code == 0


def test_an_orphan_that_lives_is_the_jobs(lab: Lab) -> None:
    """Nobody but the guard adopts it, so it is found and ended when the job is over."""
    leave = "(setsid sh -c 'echo $$ > orphan; exec sleep 100' &)"
    job = f"{leave}; until test -s orphan; do sleep 0.01; done; exit 4"
    end = lab.run("exec", "--", "bash", "-c", job)
    assert end.code == 4
    (pid,) = lab.lines("orphan")
    assert not os.path.exists(f"/proc/{pid}")
    assert b"1 process that it left behind was stopped" in end.err


def test_orphans_while_the_client_is_gone(lab: Lab) -> None:
    """The same without a client: the job ends when its last process does."""
    job = lab.job(
        run="(setsid sh -c 'touch orphan; exec sleep 0.5' &); until test -e orphan; do sleep 0.01; done",
        leftovers="wait",
    )
    assert lab.run("run", "--detach", job).code == 0
    until(lambda: lab.result().get("outcome") == "succeeded", "the end of the run")
    assert lab.result()["duration_s"] >= 0.5
