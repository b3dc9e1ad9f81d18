"""Rule 2: one machine with several runs, somebody who wants to keep it, a notebook kernel that is at work."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import TYPE_CHECKING

from helpers.jupyter import StandIn
from helpers.scene import until

if TYPE_CHECKING:
    from helpers.scene import Scene

NOW = "release: {when: always, grace: 0s, unsaved: discard, confirm: 1h}\n"
GATED = "run: touch ready; read line < gate\n"


def status(scene: Scene, home: str = "home") -> dict:
    """What is known of the release of the one run of a state folder."""
    (path,) = (scene.folder / home).glob("runs/*/result.json")
    return dict(json.loads(path.read_text())["release"])


def test_two_runs_in_two_state_folders_release_once_after_the_second(scene: Scene) -> None:
    """The first to end waits for the other; then exactly one of the two guards asks."""
    with scene.managed() as endpoint:
        subprocess.run(["mkfifo", scene.work / "gate"], check=True)
        other = {"COLAB_RUN_HOME": str(scene.folder / "other")}
        second = scene.start("run", scene.write_job(GATED + NOW, "second.yaml"), env=other)
        until((scene.work / "ready").exists, "the second run")
        first = scene.run_job('run: "true"\n' + NOW)
        assert (first.code, status(scene)["status"], status(scene)["reason"]) == (0, "held", "another-run")
        assert "another run" in " ".join(first.err.split())
        assert endpoint.requests == []
        (scene.work / "gate").write_text("go\n")
        assert scene.end(second).code == 0
        until(
            lambda: {status(scene)["status"], status(scene, "other")["status"]} == {"accepted"},
            "the last word on both",
        )
        assert len(endpoint.requests) == 1


def test_the_end_of_another_run_lets_a_held_one_release(scene: Scene) -> None:
    """Also where that other run asks for no release itself: the reason is gone."""
    with scene.managed() as endpoint:
        subprocess.run(["mkfifo", scene.work / "gate"], check=True)
        other = {"COLAB_RUN_HOME": str(scene.folder / "other")}
        job = scene.write_job(GATED + "release: {when: never}\n", "second.yaml")
        second = scene.start("run", job, env=other)
        until((scene.work / "ready").exists, "the second run")
        scene.run_job('run: "true"\n' + NOW)
        assert endpoint.requests == []
        (scene.work / "gate").write_text("go\n")
        assert scene.end(second).code == 0
        until(lambda: len(endpoint.requests) == 1, "the release")


def test_keep_holds_a_release_until_it_is_taken_back(scene: Scene) -> None:
    """`colab-run keep` from any shell: the cell comes back, the guard waits, and releases afterwards."""
    with scene.managed() as endpoint:
        assert scene.run("keep", "1h").code == 0
        ended = scene.run_job('run: "true"\n' + NOW)
        assert (ended.code, status(scene)["status"], status(scene)["reason"]) == (0, "held", "keep")
        assert endpoint.requests == []
        assert scene.run("keep", "--drop").code == 0
        until(lambda: len(endpoint.requests) == 1, "the release")


def test_a_hold_file_holds_a_release_until_it_is_removed(scene: Scene) -> None:
    """HOLD in the run's folder."""
    with scene.managed() as endpoint:
        scene.run_job('run: touch "$COLAB_RUN_DIR/HOLD"\n' + NOW)
        assert (status(scene)["status"], status(scene)["reason"]) == ("held", "hold-file")
        (hold,) = scene.home.glob("runs/*/HOLD")
        hold.unlink()
        until(lambda: len(endpoint.requests) == 1, "the release")


def test_a_busy_notebook_kernel_holds_a_release_until_it_is_idle(scene: Scene) -> None:
    """Somebody works in another notebook of this machine: not under their hands."""
    state = "busy"

    def answer(handler) -> None:
        kernel = {"id": "a-1", "name": "python3", "execution_state": state, "connections": 1}
        body = json.dumps([{**kernel, "last_activity": "2026-11-22T12:00:00Z"}]).encode()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    with scene.managed() as endpoint, StandIn(answer) as server:
        colab = {"COLAB_JUPYTER_IP": "127.0.0.1", "KMP_TARGET_PORT": str(server.port)}
        ended = scene.run_job('run: "true"\n' + NOW, env=colab)
        assert (ended.code, status(scene)["status"], status(scene)["reason"]) == (0, "held", "kernel-busy")
        assert endpoint.requests == []
        state = "idle"
        until(lambda: len(endpoint.requests) == 1, "the release")


def test_a_person_who_stops_a_run_keeps_the_machine(scene: Scene) -> None:
    """They are about to change a line and run again: a guard that waits does not release meanwhile."""
    with scene.managed() as endpoint:
        job = scene.write_job("run: touch ready; sleep 100\nstop_grace: 1s\n" + NOW, "second.yaml")
        second = scene.start("run", job, env={"COLAB_RUN_HOME": str(scene.folder / "other")})
        until((scene.work / "ready").exists, "the second run")
        scene.run_job('run: "true"\n' + NOW)
        assert status(scene)["reason"] == "another-run"
        second.send_signal(signal.SIGINT)
        assert scene.end(second).code == 130
        until(lambda: status(scene)["reason"] == "keep", "the first run's guard sees why")
        assert endpoint.requests == []
        # The next run is what they wanted to keep it for: its own rules hold again.
        assert (
            scene.run_job('run: "true"\n' + NOW, env={"COLAB_RUN_HOME": str(scene.folder / "third")}).code
            == 0
        )
        until(lambda: len(endpoint.requests) == 1, "the release")
