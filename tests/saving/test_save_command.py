"""`colab-run save`: of runs that have ended, are held, still run; and what it says when it cannot.

The runs are named by their ids: `last` is the newest on this machine, whoever started it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from helpers.drive import DriveScene
from helpers.kills import states
from helpers.outputs import small_disk
from helpers.scene import until

if TYPE_CHECKING:
    from pathlib import Path

    from helpers.scene import Ended, Scene

OUTPUT = "outputs: [{path: out, to: ../safe}]\n"
SAVES = "name: train\nrun: mkdir -p out/deep; echo 1 > out/a; echo 2 > out/deep/b\n" + OUTPUT
MAKES_A_FILE = "name: train\nrun: mkdir -p runs; echo weights > runs/model.bin; echo said\n"
SETTLED_S = 5.0


def save(scene: Scene, *words: str) -> Ended:
    """Of the only run of this scene."""
    return scene.run("save", run_id_of(scene), *words)


def run_id_of(scene: Scene) -> str:
    """The only run of this scene."""
    (result,) = scene.results()
    return result["run_id"]


def release(**keys: str) -> str:
    """`always`, at once, and what else is said."""
    told = {"when": "always", "grace": "0s", **keys}
    return "release: {" + ", ".join(f"{name}: {value}" for name, value in told.items()) + "}\n"


def test_an_ended_run_is_saved_once_more_to_where_its_job_file_says(scene: Scene) -> None:
    """What is there already is verified, not copied; what has come since is."""
    assert scene.run_job(SAVES).code == 0
    run_id = scene.results()[0]["run_id"]
    (scene.work / "out" / "later").write_text("later\n")
    saved = save(scene, "--json")
    assert saved.code == 0, saved.err
    document = saved.document
    assert (document["run_id"], document["complete"], document["hold_lifted"]) == (run_id, True, False)
    (row,) = document["saved"]
    assert (row["path"], row["to"]) == (str(scene.work / "out"), str(scene.folder / "safe"))
    assert (row["files"], row["bytes"], row["copied_bytes"], row["complete"]) == (3, 10, 6, True)
    assert states.state_of(scene.folder / "safe" / "out") == states.state_of(scene.work / "out")


def test_everything_of_an_ended_run_goes_into_one_folder(scene: Scene) -> None:
    """With `--to`: outputs, and the log beside them, by people's words."""
    assert scene.run_job(SAVES + "release: {when: never}\n").code == 0
    run_id = scene.results()[0]["run_id"]
    saved = save(scene, "--to", "../rescued")
    assert saved.code == 0, saved.err
    place = scene.folder / "rescued" / f"train-{run_id}"
    assert states.state_of(place / "out") == states.state_of(scene.work / "out")
    assert (scene.folder / "rescued" / f"colab-run-{run_id}.log").read_bytes() == scene.logs()[0]
    assert "saved and verified" in saved.out


def test_a_held_run_that_is_saved_goes_at_once(scene: Scene) -> None:
    """A guard that waits out a hold of hours sees that what it was about is safe, and releases."""
    with scene.managed() as endpoint:
        scene.run_job(MAKES_A_FILE + release(hold="3h", after_hold="release"))
        assert endpoint.requests == []
        saved = save(scene, "--to", "../rescued", "--json")
        assert (saved.code, saved.document["hold_lifted"]) == (0, True), saved.err
        until(lambda: endpoint.requests, "the request of the guard that waited")
        until(lambda: scene.results()[0]["release"]["status"] == "accepted", "the answer")
    place = scene.folder / "rescued" / f"train-{scene.results()[0]['run_id']}"
    assert states.state_of(place) == {
        "runs/model.bin": ("file", states.sha256(scene.work / "runs/model.bin"))
    }


def test_a_held_run_that_is_saved_needs_no_archive(tmp_path: Path) -> None:
    """On a VM with Drive: what is safe already is not copied to Drive, and the runtime goes."""
    scene = DriveScene(tmp_path)
    with scene.mounted(), scene.managed() as endpoint:
        scene.run_job(MAKES_A_FILE + release(hold="3h"))
        assert scene.results()[0]["release"]["then"] == "archive"
        assert save(scene, "--to", "../rescued").code == 0
        until(lambda: endpoint.requests, "the request of the guard that waited")
        until(lambda: scene.results()[0]["release"]["status"] == "accepted", "the answer")
    assert not (scene.google / "MyDrive" / "colab-run").exists()
    assert scene.results()[0]["saved"] == []


def test_a_run_that_stays_held_speaks_against_no_release_once_it_is_saved(scene: Scene) -> None:
    """No `--discard` is needed any more, and what to type is said."""
    with scene.managed() as endpoint:
        scene.run_job(MAKES_A_FILE + release(after_hold="stay"))
        assert scene.run("release").code == 75
        saved = save(scene, "--to", "../rescued")
        assert "colab-run release" in saved.out
        assert scene.run("release").code == 0
        assert len(endpoint.requests) == 1


def test_an_output_that_could_not_be_saved_is_saved_when_that_works_again(scene: Scene) -> None:
    """The hold of `not-saved` ends with it."""
    with scene.managed() as endpoint:
        job = SAVES.replace("run: ", "run: rm -rf ../safe; echo x > ../safe; ") + release(
            hold="3h", after_hold="release"
        )
        assert scene.run_job(job).code == 74
        again = save(scene, "--json")
        assert (again.code, again.document["complete"], again.document["hold_lifted"]) == (74, False, False)
        assert endpoint.requests == []
        (scene.folder / "safe").unlink()
        saved = save(scene, "--json")
        assert (saved.code, saved.document["hold_lifted"]) == (0, True), saved.err
        until(lambda: endpoint.requests, "the request of the guard that waited")
        until(lambda: scene.results()[0]["release"]["status"] == "accepted", "the answer")
    assert states.state_of(scene.folder / "safe" / "out") == states.state_of(scene.work / "out")


@pytest.mark.parametrize("to", [(), ("--to", "../rescued")], ids=["as declared", "--to"])
def test_of_a_run_that_still_runs_what_is_complete_is_saved(scene: Scene, to: tuple[str, ...]) -> None:
    """What it is still writing is left out, and the run goes on undisturbed."""
    os.mkfifo(scene.work / "gate")
    job = """
    name: train
    run: |
      mkdir -p out/whole out/half; echo 1 > out/whole/weights
      exec 3> out/half/weights; echo half >&3; touch ready; read line < gate; echo whole >&3
    outputs: [{path: out, to: ../safe}]
    """
    process = scene.start("run", scene.write_job(job))
    until((scene.work / "ready").exists, "the job")
    whole = (scene.work / "out" / "whole" / "weights").stat().st_ctime
    until(lambda: time.time() - whole > SETTLED_S + 0.1, "a file that rests")
    saved = save(scene, *to, "--json")
    assert saved.code == 0, saved.err
    assert scene.results()[0]["state"] == "started"
    run_id = saved.document["run_id"]
    place = scene.folder / "rescued" / f"train-{run_id}" if to else scene.folder / "safe"
    assert [str(path.relative_to(place)) for path in place.rglob("weights")] == ["out/whole/weights"]
    (scene.work / "gate").write_text("go\n")
    assert scene.end(process).code == 0
    assert states.state_of(scene.folder / "safe" / "out") == states.state_of(scene.work / "out")


def test_a_full_target_is_74_and_says_what_is_missing(scene: Scene) -> None:
    """Nothing half lies there under its name."""
    job = "name: train\nrun: mkdir out; head -c 3000000 /dev/urandom > out/big; echo 1 > out/small\n"
    assert scene.run_job(job + OUTPUT).code == 0
    with small_disk(scene.folder / "stick", "size=1m"):
        saved = save(scene, "--to", "../stick", "--json")
        assert saved.code == 74
        row = saved.document["saved"][0]
        assert (row["complete"], saved.document["complete"]) == (False, False)
        assert any("big" in failure["path"] for failure in row["failures"])
        assert [path.name for path in (scene.folder / "stick").rglob("big")] == []
        shown = save(scene, "--to", "../stick")
        assert shown.code == 74
        assert "NOT saved" in shown.out


def test_a_run_that_nobody_knows_is_64(scene: Scene) -> None:
    """With the command that shows which there are."""
    scene.run_job('run: "true"\n')
    ended = scene.run("save", "nothing-like-that")
    assert ended.code == 64
    assert "colab-run ps" in ended.err
    document = scene.run("save", "nothing-like-that", "--json").document
    assert document["error"]


def test_a_run_without_outputs_has_to_be_told_where_to(scene: Scene) -> None:
    """64, with what to type; and nothing to save is said to be nothing."""
    scene.run_job('run: "true"\n')
    ended = save(scene)
    assert ended.code == 64
    assert "--to" in ended.err
    empty = save(scene, "--to", "../rescued")
    assert empty.code == 64
    assert "has made no files" in empty.err
    assert not (scene.folder / "rescued").exists()


def test_ctrl_c_ends_a_save_that_hangs(scene: Scene) -> None:
    """130, and what copied is gone."""
    assert scene.run_job(SAVES).code == 0
    hangs = f"command: touch {scene.folder}/begun; sleep 1000; echo {{path}}"
    process = scene.start("save", run_id_of(scene), "--to", hangs, stdout=subprocess.PIPE)
    until((scene.folder / "begun").exists, "the copy")
    process.send_signal(signal.SIGINT)
    assert scene.end(process).code == 130
    until(lambda: not scene.leftovers(), "the end of what copied")
