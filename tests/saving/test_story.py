"""The whole story, once: a machine is lost in the middle of a training, and the next one goes on from it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.endpoint import hang_up
from helpers.kills import states
from helpers.machines import Mirror, NextMachine
from helpers.ours import guard_of, is_dead, kill_both, watcher_of
from helpers.scene import Scene, until
from launcher.release import lease

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from http.server import BaseHTTPRequestHandler

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "checkpoints"
JOB = """
name: train
run: python3 train.py --epochs {epochs} --seconds {seconds}
stop_grace: 2s
outputs: [{{path: checkpoints, to: {to}, every: 10s, restore: true}}]
release: {{when: always, grace: 0s}}
"""
# More than it will ever come to.
FOR_EVER = 100_000
MORE_EPOCHS = 5
LONG_AGO_S = 3600.0


def machine(folder: Path) -> Scene:
    """With the example's script in its workdir, as a fresh clone has it."""
    folder.mkdir()
    scene = Scene(folder)
    shutil.copy(EXAMPLE / "train.py", scene.work)
    return scene


def epochs(folder: Path) -> list[int]:
    """Of the checkpoints that are there."""
    return sorted(int(path.stem.partition("-")[2]) for path in folder.glob("epoch-*.json"))


def saved_epochs(target: Path) -> Iterator[int]:
    """Of the checkpoints that the manifest names."""
    manifest = states.manifest_of(target, "checkpoints")
    for row in manifest["files"] if manifest else ():
        yield int(re.findall(r"epoch-(\d+)", row["path"])[0])


def test_a_training_outlives_its_machine(tmp_path: Path) -> None:
    """Checkpoints, a launcher that is killed, recovery, release, receipt; then the next machine goes on."""
    drive = tmp_path / "drive"
    first = machine(tmp_path / "first")
    mirror = Mirror(drive / ".colab-run" / "ledger")
    try:
        run_id, last = lost_and_recovered(first, drive, mirror)
    finally:
        first.vanish()
    mirror.grow_older(LONG_AGO_S)
    second = machine(tmp_path / "second")
    after = NextMachine(second, home=second.home)
    try:
        goes_on(second, after, drive, run_id, last)
        both_are_one_story(second, after, run_id)
    finally:
        second.close()


def lost_and_recovered(scene: Scene, drive: Path, mirror: Mirror) -> tuple[str, int]:
    """The first machine until it is handed back; the id of its run, and the last epoch that was saved."""
    with scene.managed() as endpoint:
        job = scene.write_job(JOB.format(epochs=FOR_EVER, seconds=0.2, to=drive))
        client = scene.start("run", job)
        until(lambda: list(saved_epochs(drive)), "checkpoints that are saved while it trains")
        (told,) = scene.results()
        assert told["state"] == "started"
        job_pid = told["processes"]["run"]

        client.kill()
        kill_both(scene)
        client.communicate()
        at_kill = max(epochs(scene.work / "checkpoints"))
        until(lambda: max(epochs(scene.work / "checkpoints")) > at_kill, "an epoch without a launcher")
        assert not is_dead(job_pid)
        assert endpoint.requests == []

        assert scene.run("probe").code == 0
        until(lambda: endpoint.requests, "the release by whom the next call has left behind")
        assert is_dead(job_pid)
        until(lambda: mirror.kinds().count("receipt") == 2, "the last receipt")
    last = max(epochs(scene.work / "checkpoints"))
    assert last > at_kill
    everything_is_saved(scene, drive)
    the_receipt_says_so(drive, mirror, told["run_id"])
    return told["run_id"], last


def everything_is_saved(scene: Scene, drive: Path) -> None:
    """To the byte, what the training has left."""
    manifest = states.manifest_of(drive, "checkpoints")
    assert manifest is not None
    source = states.state_of(scene.work / "checkpoints")
    assert states.promised(manifest) == source == states.there(drive, "checkpoints", manifest)
    assert states.left_over(drive, "checkpoints") == []


def the_receipt_says_so(drive: Path, mirror: Mirror, run_id: str) -> None:
    """Beside the output, and in the mirror: who asked, what was saved, what the endpoint said."""
    beside = json.loads((drive / f"colab-run-{run_id}.receipt.json").read_text())
    mirrored = mirror.read("receipt")
    assert (mirrored["run_id"], mirrored["final"], mirrored["boot_id"]) == (run_id, True, lease.boot_id())
    assert (mirrored["release"]["status"], mirrored["release"]["http_status"]) == ("accepted", 200)
    assert (mirrored["outcome"], mirrored["asked_when"]) == ("lost", "always")
    for receipt in (beside, mirrored):
        assert len(receipt["manifest"]) == len(list(saved_epochs(drive)))
        for row in receipt["manifest"]:
            assert states.sha256(row["path"]) == row["sha256"]


def goes_on(scene: Scene, after: NextMachine, drive: Path, run_id: str, last: int) -> None:
    """Another boot, another state folder, another workdir: only the drive is the same."""
    assert not (scene.work / "checkpoints").exists()
    assert list(scene.folder.glob("home/*")) == []
    with scene.managed() as endpoint:
        job = scene.write_job(JOB.format(epochs=last + MORE_EPOCHS, seconds=0, to=drive))
        ended = after.run("run", job)
        assert ended.code == 0, ended.err
        assert len(endpoint.requests) == 1
    assert ended.out.startswith(f"going on after epoch {last} (resumed: 1)\nepoch {last + 1}: loss ")
    (result,) = scene.results()
    assert (result["resumed_from"], result["story"], result["outcome"]) == (run_id, run_id, "succeeded")
    (restored,) = result["restored"]
    assert (restored["complete"], restored["run_id"]) == (True, run_id)
    everything_is_saved(scene, drive)
    assert max(saved_epochs(drive)) == last + MORE_EPOCHS


def both_are_one_story(scene: Scene, after: NextMachine, run_id: str) -> None:
    """`history` there: the run that was lost, its release as confirmed, and the one that went on."""
    told = after.run("history", "--json")
    assert told.code == 0, told.err
    rows: dict[str, dict[str, Any]] = {row["run_id"]: row for row in told.document["runs"]}
    (own,) = set(rows) - {run_id}
    assert own == scene.results()[0]["run_id"]
    assert (rows[run_id]["outcome"], rows[own]["outcome"]) == ("lost", "succeeded")
    assert (rows[run_id]["release"]["status"], rows[run_id]["release"]["heard"]) == ("confirmed", True)
    assert (rows[own]["resumed_from"], rows[own]["story"], rows[run_id]["story"]) == (run_id,) * 3
    assert rows[run_id]["boot_id"] == lease.boot_id() != rows[own]["boot_id"] == after.boot_id


SAVES = """
name: train
run: {run}
outputs: [{{path: out, to: ../safe, restore: true}}]
release: {{when: {when}, grace: 0s}}
"""


def kill_the_launcher(scene: Scene, client: subprocess.Popen[str]) -> None:
    """The client first: it would look after its run."""
    client.kill()
    kill_both(scene)
    client.communicate()


def test_a_run_that_lost_its_guard_stays_in_its_story(scene: Scene) -> None:
    """Whoever brings it to its end knows which run it went on from, and what was restored."""
    first = scene.run_job(SAVES.format(run="mkdir out; echo 1 > out/model", when="never"), "--json")
    assert first.code == 0, first.err
    story = first.document["run_id"]
    shutil.rmtree(scene.work / "out")
    with scene.managed() as endpoint:
        job = SAVES.format(run="echo 2 > out/more; read line < /dev/zero", when="always")
        client = scene.start("run", scene.write_job(job))
        until((scene.work / "out" / "more").exists, "the job")
        kill_the_launcher(scene, client)
        scene.run("probe")
        until(lambda: endpoint.requests, "the release")
        until(lambda: scene.results()[-1]["release"]["status"] == "accepted", "the answer")
    result = scene.results()[-1]
    assert (result["story"], result["resumed_from"], result["outcome"]) == (story, story, "lost")
    assert result["restored"][0]["run_id"] == story
    manifest = states.manifest_of(scene.folder / "safe", "out")
    assert manifest is not None
    assert (manifest["run_id"], manifest["story"]) == (result["run_id"], story)
    rows = {row["run_id"]: row for row in scene.run("history", "--json").document["runs"]}
    assert (rows[result["run_id"]]["story"], rows[result["run_id"]]["resumed_from"]) == (story, story)


def test_what_was_saved_is_known_when_everything_is_killed_at_the_request(scene: Scene) -> None:
    """It is not saved again: what the guard had written of it stays in the result and in the receipt."""
    pids: list[int] = []

    def kill_everything(handler: BaseHTTPRequestHandler) -> None:
        for pid in (client.pid, watcher_of(scene), guard_of(scene)):
            os.kill(pid, signal.SIGKILL)
            pids.append(pid)
        hang_up(handler)

    with scene.managed(kill_everything, 200) as endpoint:
        job = SAVES.format(run="mkdir out; echo 1 > out/a; echo 2 > out/b", when="always")
        client = scene.start("run", scene.write_job(job))
        client.communicate()
        until(lambda: len(pids) == 3 and all(map(is_dead, pids)), "the end of everything")
        scene.run("probe")
        until(lambda: scene.results()[0]["release"]["status"] == "accepted", "the answer")
        assert len({request.nonce for request in endpoint.requests}) == 1
        (result,) = scene.results()
        (row,) = result["saved"]
        assert (row["files"], row["bytes"], row["complete"]) == (2, 4, True)
        assert result["log_saved_to"] == str(scene.folder / f"safe/colab-run-{result['run_id']}.log")
        mirror = Mirror(scene.folder / "safe" / ".colab-run" / "ledger")
        until(lambda: mirror.read("receipt")["final"], "the last receipt")
    receipt = mirror.read("receipt")
    assert (receipt["saved"], len(receipt["manifest"])) == (result["saved"], 2)
