"""Outputs with `every` are saved while the job runs, and restored before the next one: whole runs."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from helpers.ours import guard_of, kill
from helpers.scene import Scene, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Writes one checkpoint that is complete, one that never is, and waits for a word.
JOB = """
name: train
run: |
  mkdir -p out/step1 out/step2
  echo one > out/step1/weights
  exec 3> out/step2/weights
  echo half >&3
  echo ready > {flag}
  read line < {gate}
  echo two > out/step1/weights
outputs: [{{path: out, to: {to}, every: 10s, restore: true}}]
release: {{when: always, grace: 0s}}
"""


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path)
    os.mkfifo(scene.work / "gate")
    yield scene
    scene.close()


def job(scene: Scene) -> str:
    return JOB.format(flag=scene.work / "flag", gate=scene.work / "gate", to=scene.folder / "safe")


def manifest(scene: Scene) -> dict[str, Any] | None:
    path = scene.folder / "safe" / ".colab-run" / "out" / "saved.json"
    return json.loads(path.read_text()) if path.exists() else None


def files_of(document: dict[str, Any] | None) -> list[str]:
    return [] if document is None else [row["path"] for row in document["files"]]


def open_gate(scene: Scene) -> None:
    """The job goes on."""
    (scene.work / "gate").write_text("go\n")


def test_what_is_complete_is_saved_while_the_job_runs_and_the_rest_at_its_end(scene: Scene) -> None:
    """A checkpoint that is open for writing is left out; `ps` and the result say what was saved, and when."""
    with scene.managed() as endpoint:
        process = scene.start("run", scene.write_job(job(scene)))
        until(lambda: files_of(manifest(scene)) == ["step1/weights"], "the first save")
        assert not (scene.folder / "safe" / "out" / "step2").exists()
        assert (scene.folder / "safe" / "out" / "step1" / "weights").read_text() == "one\n"
        (result,) = until(
            lambda: [row for row in scene.results() if row.get("checkpoints")], "the checkpoint in the result"
        )
        assert result["state"] == "started"
        (checkpoint,) = result["checkpoints"]
        assert checkpoint["files"] == 1
        assert checkpoint["still_being_written"] == 1
        assert checkpoint["why"] is None
        assert endpoint.requests == []
        open_gate(scene)
        ended = scene.end(process)
        assert ended.code == 0, ended.err
        assert len(endpoint.requests) == 1
    assert files_of(manifest(scene)) == ["step1/weights", "step2/weights"]
    assert (scene.folder / "safe" / "out" / "step1" / "weights").read_text() == "two\n"


def test_a_guard_that_is_killed_while_checkpoints_are_saved_is_replaced_by_one_that_saves_on(
    scene: Scene,
) -> None:
    """The job lives on, and so does the rhythm."""
    with scene.managed():
        process = scene.start("run", scene.write_job(job(scene)))
        until(lambda: manifest(scene), "the first save")
        kill(guard_of(scene))
        (scene.work / "out" / "step3").mkdir()
        (scene.work / "out" / "step3" / "weights").write_text("three\n")
        until(lambda: "step3/weights" in files_of(manifest(scene)), "a save by the next guard")
        open_gate(scene)
        assert scene.end(process).code == 0
    (result,) = scene.results()
    assert result["saved"][0]["files"] == 3


def test_the_next_machine_goes_on_from_the_last_complete_save(scene: Scene) -> None:
    """The machine vanishes; on the next one the output is restored, and the job is told."""
    with scene.managed():
        scene.start("run", scene.write_job(job(scene)))
        until(lambda: manifest(scene), "the first save")
        first = scene.results()[0]["run_id"]
        scene.vanish()
    next_one = Scene(new_folder(scene, "next"))
    with next_one.managed() as endpoint:
        ended = next_one.run_job(
            f"""
            name: train
            run: |
              cat out/step1/weights; ls out; echo resumed=$COLAB_RUN_RESUMED restored=$COLAB_RUN_RESTORED
            outputs: [{{path: out, to: {scene.folder / "safe"}, restore: true}}]
            release: {{when: success, grace: 0s}}
            """
        )
        assert ended.code == 0, ended.err
        assert ended.out == f"one\nstep1\nresumed=1 restored={next_one.work / 'out'}\n"
        assert len(endpoint.requests) == 1
    (result,) = next_one.results()
    assert (result["resumed_from"], result["story"]) == (first, first)
    next_one.close()


def test_nothing_saved_yet_starts_from_scratch_and_what_is_in_place_is_not_touched(scene: Scene) -> None:
    """COLAB_RUN_RESUMED is 0 the first time, and 1 when the work of an earlier run still lies there."""
    text = f"""
    run: mkdir -p out; echo more >> out/log; echo resumed=$COLAB_RUN_RESUMED restored=$COLAB_RUN_RESTORED
    outputs: [{{path: out, to: {scene.folder / "safe"}, restore: true}}]
    """
    assert scene.run_job(text).out == "resumed=0 restored=\n"
    assert scene.run_job(text).out == "resumed=1 restored=\n"
    assert (scene.work / "out" / "log").read_text() == "more\nmore\n"


def test_a_save_that_was_tampered_with_is_not_restored_and_the_job_not_started(scene: Scene) -> None:
    """Exit code 69, nothing at the path, nothing released; the save is still there to be looked at."""
    text = f"""
    run: mkdir -p out; echo whole > out/weights
    outputs: [{{path: out, to: {scene.folder / "safe"}, restore: true}}]
    release: {{when: always, grace: 0s}}
    """
    scene.run_job(text.replace("when: always, grace: 0s", "when: never"))
    (scene.folder / "safe" / "out" / "weights").write_text("wrong\n")
    (scene.work / "out" / "weights").unlink()
    with scene.managed() as endpoint:
        ended = scene.run_job(text)
        assert ended.code == 69, ended.err
        assert "could not be restored" in ended.err
        assert endpoint.requests == []
    assert scene.results()[-1]["outcome"] == "refused"
    assert scene.logs()[-1] == b""
    assert list((scene.work / "out").iterdir()) == []


def test_a_stop_during_the_restore_ends_the_run_before_its_job(scene: Scene) -> None:
    """Nothing is started, nothing half is left, exit code 130."""
    safe = scene.folder / "safe"
    text = f"""
    run: mkdir -p out; head -c 300000000 /dev/urandom > out/weights; touch {scene.work}/ran
    outputs: [{{path: out, to: {safe}, restore: true}}]
    """
    assert scene.run_job(text).code == 0
    (scene.work / "ran").unlink()
    (scene.work / "out" / "weights").unlink()
    process = scene.start("run", scene.write_job(text))
    until(lambda: list(scene.work.glob(".colab-run-*")), "the beginning of the restore")
    process.send_signal(signal.SIGINT)
    assert scene.end(process).code == 130
    assert not (scene.work / "ran").exists()
    assert list((scene.work / "out").iterdir()) == []


def new_folder(scene: Scene, name: str) -> Path:
    folder = scene.folder / name
    folder.mkdir()
    return folder
