"""`--once KEY`: the same key never runs twice."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from helpers.queues import job, kill_all, marks, open_gate, ours_of, until_marked
from helpers.scene import Scene, until
from launcher.release import lease
from launcher.release.marks import RunNote, announce

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """A folder, a state folder, and nothing to release."""
    scene = Scene(tmp_path)
    yield scene
    scene.close()


def test_the_second_starts_nothing(scene: Scene) -> None:
    """Its document and its exit code are those of the first; another key is another run."""
    name = job(scene, "a", "exit 3", release={"when": "never"})
    first = scene.run(name, "--once", "k", "--json")
    second = scene.run(name, "--once", "k", "--json")
    assert (first.code, second.code, marks(scene)) == (3, 3, ["a"])
    assert second.document["run_id"] == first.document["run_id"]
    assert scene.run(name, "--once", "other").code == 3
    assert marks(scene) == ["a", "a"]


def test_one_that_runs_is_waited_for(scene: Scene) -> None:
    """Without --detach; with it, its document as it stands, and 0."""
    name = job(scene, "a", "exit 5", gated=True, release={"when": "never"})
    run_id = scene.run(name, "--once", "k", "--detach", "--json").document["run_id"]
    until_marked(scene, "a")
    again = scene.run(name, "--once", "k", "--detach", "--json")
    assert (again.code, again.document["run_id"], again.document["state"]) == (0, run_id, "started")
    process = scene.start(name, "--once", "k")
    open_gate(scene, "a")
    assert scene.end(process).code == 5
    assert marks(scene) == ["a"]


def test_of_many_at_once_one_runs(scene: Scene) -> None:
    """Six commands at the same moment, one key."""
    name = job(scene, "a", "exit 7", release={"when": "never"})
    ended = [scene.end(one) for one in [scene.start(name, "--once", "k") for _ in range(6)]]
    assert [one.code for one in ended] == [7] * 6
    assert marks(scene) == ["a"]
    assert len(scene.results()) == 1
    assert scene.run("ps").code == 0


@pytest.mark.parametrize(
    ("keys", "code"),
    [({"resources": {"ram": "900TB"}}, 69), ({"argv": ["no-such-command"]}, 127)],
)
def test_what_never_started_leaves_the_key(scene: Scene, keys: dict, code: int) -> None:
    """A refused run, and one whose command could not start."""
    assert scene.run(job(scene, "a", release={"when": "never"}, **keys), "--once", "k").code == code
    assert scene.run(job(scene, "b", release={"when": "never"}), "--once", "k").code == 0
    assert marks(scene) == ["b"]


def test_a_guard_that_is_about_to_go_has_not_used_it(scene: Scene) -> None:
    """Its record says that nothing was started; its note is there for a moment more."""
    never = {"when": "never"}
    assert scene.run(job(scene, "a", release=never, argv=["no-such-command"]), "--once", "k").code == 127
    (first,) = scene.results()
    note = RunNote(first["run_id"], str(scene.home), "a", os.geteuid(), lease.MACHINE)
    held = announce(lease.MACHINE, note)
    try:
        assert scene.run(job(scene, "b", release=never), "--once", "k").code == 0
    finally:
        held.withdraw()
    assert marks(scene) == ["b"]


def test_a_lost_run_has_used_it(scene: Scene) -> None:
    """Watcher and guard were killed while the job ran: it is ended, and not run again."""
    name = job(scene, "a", "sleep 600", release={"when": "never"})
    run_id = scene.run(name, "--once", "k", "--detach", "--json").document["run_id"]
    until_marked(scene, "a")
    kill_all(*ours_of(scene, run_id))
    assert scene.run(name, "--once", "k").code == 137
    assert marks(scene) == ["a"]


def test_another_machine_has_used_it(scene: Scene) -> None:
    """Found in the mirror, though our own state folder knows nothing of it."""
    name = job(scene, "a", "exit 3", release={"when": "never"}, ledger={"mirror": "../mirror"})
    first = scene.run(name, "--once", "k", "--json").document["run_id"]
    until(lambda: list((scene.folder / "mirror").glob("*-ended.json")), "the mirror")
    elsewhere = {"env": {"COLAB_RUN_HOME": str(scene.folder / "elsewhere")}}
    again = scene.run(name, "--once", "k", "--json", **elsewhere)
    assert (again.code, again.document["run_id"], marks(scene)) == (3, first, ["a"])
    told = {name: again.document[name] for name in ("schema_version", "state", "outcome", "timed_out")}
    assert told == {"schema_version": 1, "state": "done", "outcome": "failed", "timed_out": False}
    assert again.document["job"] == "a"


def test_a_mirror_that_cannot_be_read(scene: Scene) -> None:
    """73, and nothing is started: another machine may have used the key."""
    (scene.folder / "mirror").write_text("no folder")
    name = job(scene, "a", release={"when": "never"}, ledger={"mirror": "../mirror"})
    ended = scene.run(name, "--once", "k")
    assert (ended.code, marks(scene)) == (73, [])
    assert "start it without --once" in " ".join(ended.err.split())


@pytest.mark.parametrize("key", ["", "a\nb", "x" * 101])
def test_what_is_no_key(scene: Scene, key: str) -> None:
    """64, and nothing is started."""
    assert scene.run(job(scene, "a"), "--once", key).code == 64
    assert marks(scene) == []


def test_a_queue_takes_no_key(scene: Scene) -> None:
    """It belongs to one run."""
    assert scene.run(job(scene, "a"), job(scene, "b"), "--once", "k").code == 64
    matrix = scene.write_job(json.dumps({"matrix": {"env.A": [1, 2]}, "run": "true"}))
    assert scene.run(matrix, "--once", "k").code == 64
