"""What a reader of the guard found, one test for each."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.marked import until
from helpers.programs import NOTE_SIGNALS, noted, pid_of

if TYPE_CHECKING:
    from helpers.lab import Lab
    from helpers.scene import Scene

NOW = "release: {when: always, grace: 0s, unsaved: discard}\n"
MANY = """
for turn in range(20000):
    with open(f"file-{turn}", "w") as file:
        file.write("x")
"""


def parent_of(pid: int) -> int:
    """The guard adopted it."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_a_child_that_ended_at_its_gate_is_started_again(lab: Lab) -> None:
    """Its end without a word means: nothing was started. It is no success."""
    (row,) = lab.supervise([["sh", "-c", "touch started; exit 5"]], at_gate=True)
    assert (row["code"], (lab.work / "started").exists()) == (5, True)


def test_many_unsaved_files_hold_like_a_few(scene: Scene) -> None:
    """What is noted of a run may be large."""
    (scene.work / "many.py").write_text(MANY)
    with scene.managed() as endpoint:
        ended = scene.run_job("run: exec python3 many.py\nrelease: {when: always, grace: 0s}\n")
        assert (ended.code, endpoint.requests) == (0, []), ended.err
    (result,) = scene.results()
    assert (result["release"]["status"], result["state"]) == ("held", "done")


def test_a_stop_while_leftovers_end_is_not_forgotten_with_the_guard(scene: Scene) -> None:
    """A person wanted to keep the runtime; who takes over knows."""
    (scene.work / "note.py").write_text(NOTE_SIGNALS)
    start = "(setsid python3 note.py left deaf &); until test -s left; do sleep 0.01; done"
    with scene.managed() as endpoint:
        process = scene.start("run", scene.write_job(f"run: {start}\nstop_grace: 3s\n{NOW}"))
        left = scene.work / "left"
        until(lambda: left.exists() and "SIGTERM" in left.read_text(), "the polite signal to what is left")
        process.send_signal(signal.SIGINT)
        until(lambda: "SIGINT" in noted(left.read_text().splitlines()), "the press")
        os.kill(parent_of(pid_of(left.read_text().splitlines())), signal.SIGKILL)
        assert scene.end(process).code == 0
        assert endpoint.requests == []
    assert scene.results()[0]["release"]["reason"] == "ended-by-person"


def test_a_person_who_stops_a_hold_is_heard_by_who_takes_over(scene: Scene) -> None:
    """The guard is killed right after the stop: its watcher does not begin the hold anew."""
    hold = "release: {when: always, grace: 0s, hold: 2m, after_hold: release}\n"  # Longer than `until` waits.
    with scene.managed() as endpoint:
        scene.run_job("run: echo weights > model.bin\n" + hold)
        (guard,) = scene.guards()
        assert scene.run("stop", "last").code == 0
        try:  # Whoever was told that the stop was taken need not wait for more.
            os.kill(guard, signal.SIGKILL)
        except ProcessLookupError:
            pass  # It had nothing more to do.
        until(lambda: not scene.leftovers(), "the end of the guard")
        assert endpoint.requests == []
    assert scene.results()[0]["release"]["reason"] == "wait-stopped"
