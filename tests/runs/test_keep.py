"""`keep`: no run of this machine releases it for a while, from any shell; `--drop` takes that back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from helpers.scene import until
from launcher.release import lease, marks

if TYPE_CHECKING:
    from pathlib import Path

    from helpers.scene import Scene

RELEASES = "name: kept\nrun: 'true'\nrelease: {when: always, grace: 0s, unsaved: discard}\n"


def test_a_release_waits_until_it_is_dropped(scene: Scene, tmp_path: Path) -> None:
    """The run is over and waits, says for what, and releases when nobody keeps the machine any more."""
    other_shell = {"COLAB_RUN_HOME": str(tmp_path / "other home")}
    with scene.managed() as endpoint:
        kept = scene.run("keep", "2h", "--json", env=other_shell).document
        assert 7190 < kept["kept_s"] <= 7200
        assert kept["releasable"] is True
        run_id = scene.run_job(RELEASES, "--json").document["run_id"]
        (row,) = (row for row in scene.run("ps", "--json").document["runs"] if row["run_id"] == run_id)
        assert (row["guarded"], row["state"], row["exit_code"]) == (True, "done", 0)
        assert (row["release"]["status"], row["release"]["reason"]) == ("held", "keep")
        assert "somebody wants to keep this runtime" in scene.run("ps").out
        assert endpoint.requests == []
        assert scene.run("keep", "--drop", env=other_shell).code == 0
        until(lambda: endpoint.requests, "the release")


def test_stop_ends_what_a_release_waits_for(scene: Scene) -> None:
    """A press after the job's end: the runtime stays, the guard goes."""
    with scene.managed() as endpoint:
        scene.run("keep", "2h")
        run_id = scene.run_job(RELEASES, "--json").document["run_id"]
        stopped = scene.run("stop", run_id)
        assert (stopped.code, "this runtime stays" in " ".join(stopped.out.split())) == (0, True)
        until(lambda: not scene.guards(), "the end of the guard")
        assert endpoint.requests == []
        assert scene.results()[0]["release"]["reason"] == "wait-stopped"


def test_the_longest_counts(scene: Scene) -> None:
    """A shorter one afterwards takes nothing back, and says so by the time that it names."""
    with scene.managed():
        scene.run("keep", "2h")
        assert scene.run("keep", "10m", "--json").document["kept_s"] > 7000
        assert scene.run("keep", "--drop", "--json").document == {
            "schema_version": 1,
            "kept_s": None,
            "kept_until": None,
            "releasable": True,
        }


def test_a_machine_that_nobody_manages(scene: Scene) -> None:
    """Said so; and it is still noted."""
    kept = scene.run("keep")
    assert (kept.code, "nothing would release" in " ".join(kept.out.split())) == (0, True)
    assert scene.run("keep", "--drop").code == 0


@pytest.mark.parametrize("words", [("30",), ("0s",), ("soon",), ("30m", "--drop")])
def test_what_is_no_time(scene: Scene, words: tuple[str, ...]) -> None:
    """64."""
    assert scene.run("keep", *words).code == 64


def test_a_shell_without_an_address_keeps_every_runtime(tmp_path: Path) -> None:
    """Behind ssh nobody knows the address of the release: what is asked there is meant for all."""
    marks.keep(lease.ANY_TARGET, 60.0, "keep", folder=tmp_path, now=100.0)
    assert marks.kept("10.0.0.1:8080", folder=tmp_path, now=110.0) == 50.0
    marks.keep("elsewhere", 600.0, "keep", folder=tmp_path, now=100.0)
    assert marks.kept("10.0.0.1:8080", folder=tmp_path, now=110.0) == 50.0
