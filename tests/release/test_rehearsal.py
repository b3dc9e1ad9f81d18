"""`release --rehearse` does every step but the last; `release JOB` releases as the job file says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from helpers.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

JOB = """
run: touch started
outputs: [{{path: out, to: {to}}}]
release: {{when: success, with: {{command: "echo gone > {word}"}}}}
"""


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path)
    yield scene
    scene.close()


def job(scene: Scene, to: str = "../safe") -> str:
    return scene.write_job(JOB.format(to=to, word=scene.folder / "word"))


def steps(document: dict) -> dict[str, bool]:
    return {row["step"]: row["ok"] for row in document["rehearsal"]}


def test_a_rehearsal_sends_nothing_and_leaves_nothing(scene: Scene) -> None:
    """On a managed runtime: no request; the canary has gone through the output and is gone."""
    with scene.managed() as endpoint:
        name = scene.write_job("run: touch started\noutputs: [{path: out, to: ../safe}]\n")
        ended = scene.run("release", "--rehearse", name)
        assert ended.code == 0, ended.out
        assert f"POST http://{endpoint.address}/unassign" in ended.out
        assert endpoint.requests == []
    assert "Nothing was released" in ended.out
    assert not (scene.work / "started").exists()
    left = [path for path in (scene.folder / "safe").rglob("*") if path.is_file()]
    assert [path.name for path in left if path.name != "lock"] == []


def test_an_output_that_cannot_be_saved_is_74(scene: Scene) -> None:
    """Before the job has cost anything."""
    (scene.folder / "file").write_text("in the way")
    with scene.managed():
        name = scene.write_job("run: 'true'\noutputs: [{path: a, to: ../file}, {path: b, to: ../safe}]\n")
        ended = scene.run("release", "--rehearse", name, "--json")
    assert ended.code == 74
    found = steps(ended.document)
    assert found[str(scene.folder / "file")] is False
    assert found[str(scene.folder / "safe")] is True


def test_what_would_hold_a_release_is_75(scene: Scene) -> None:
    """Unsaved files of an earlier run, and a keep."""
    with scene.managed() as endpoint:
        scene.run_job("run: echo precious > model.bin\nrelease: {when: always, grace: 0s}\n")
        ended = scene.run("release", "--rehearse", "--json")
        assert ended.code == 75
        assert steps(ended.document)["unsaved"] is False
        scene.run("release", "--discard")
        assert len(endpoint.requests) == 1
        scene.run("keep", "10m")
        ended = scene.run("release", "--rehearse", "--json")
        assert (ended.code, steps(ended.document)["runs"]) == (75, False)


def test_a_rehearsal_of_nothing_says_so(scene: Scene) -> None:
    """A laptop: nothing would be released, which is no failure."""
    ended = scene.run("release", "--rehearse")
    assert ended.code == 0
    assert "nothing would be released" in ended.out


def test_release_with_a_job_file_does_what_it_names(scene: Scene) -> None:
    """Elsewhere than on Colab only the job file knows how."""
    with scene.managed() as endpoint:
        name = job(scene)
        rehearsed = scene.run("release", name, "--rehearse")
        assert (rehearsed.code, (scene.folder / "word").exists()) == (0, False), rehearsed.out
        ended = scene.run("release", name, "--json")
        assert (ended.code, json.loads(ended.out)["release"]["status"]) == (0, "accepted"), ended.err
        assert endpoint.requests == []
    assert (scene.folder / "word").read_text() == "gone\n"
    assert not (scene.work / "started").exists()


def test_a_job_file_with_problems_releases_nothing(scene: Scene) -> None:
    """65, as for a run."""
    with scene.managed() as endpoint:
        name = scene.write_job("run: 'true'\nrelease: {with: banana}\n")
        assert scene.run("release", name).code == 65
        assert scene.run("release", "absent.yaml", "--rehearse").code == 64
        assert endpoint.requests == []
