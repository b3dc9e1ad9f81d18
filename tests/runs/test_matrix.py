"""`matrix:` in a job file: a run for each combination, a few at a time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from helpers.queues import queue_of, stands, until_done
from helpers.scene import Scene, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ALWAYS = {"when": "always", "grace": "0s", "unsaved": "discard"}


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """A managed runtime."""
    scene = Scene(tmp_path)
    yield scene
    scene.close()


def test_every_combination_with_its_values_and_its_folder(scene: Scene) -> None:
    """In order; `--set` holds for all; results of one run never lie on another's; one release."""
    job = {
        "name": "tune",
        "env": {"WHO": "nobody"},
        "matrix": {"env.LR": [0.1, 0.01], "env.SEED": [1, 2]},
        "run": 'mkdir -p out; echo "$WHO $LR $SEED" | tee out/a; echo "$COLAB_RUN_MATRIX" >> seen',
        "outputs": [{"path": "out", "to": "../saved"}],
        "release": ALWAYS,
    }
    with scene.managed() as endpoint:
        ended = scene.run_job(json.dumps(job), "--set", "env.WHO=me")
        assert ended.code == 0, ended.err
        assert ended.out == "me 0.1 1\nme 0.1 2\nme 0.01 1\nme 0.01 2\n"
        seen = [json.loads(line) for line in (scene.work / "seen").read_text().splitlines()]
        assert seen[2] == {"env.LR": "0.01", "env.SEED": "1"}
        queue = until_done(scene)
        assert [run["job"] for run in queue["runs"]][:2] == ["tune LR=0.1 SEED=1", "tune LR=0.1 SEED=2"]
        saved = scene.folder / "saved"
        assert (saved / "LR=0.01,SEED=1" / "out" / "a").read_text() == "me 0.01 1\n"
        assert sorted(path.name for path in saved.iterdir() if "=" in path.name) == sorted(
            f"LR={rate},SEED={seed}" for rate in ("0.1", "0.01") for seed in (1, 2)
        )
        for folder in saved.glob("LR=*"):
            rows = {path.name[:20] for path in (folder / ".colab-run" / "ledger").glob("[!.]*")}
            assert len(rows) == 1, rows  # Only its own run's.
        assert len(endpoint.requests) == 1


def test_a_few_at_a_time(scene: Scene) -> None:
    """`parallel: 2` of four: never more, and two really at once."""
    meet = """
mkdir at-$N; touch was-$N
if [ "$N" -lt 3 ]; then until [ -e was-1 ] && [ -e was-2 ]; do sleep 0.02; done; fi
ls -d at-* | wc -l >> counts
sleep 0.2
rmdir at-$N
"""
    job = {"matrix": {"env.N": [1, 2, 3, 4], "parallel": 2}, "run": meet, "release": ALWAYS}
    with scene.managed() as endpoint:
        ended = scene.run_job(json.dumps(job))
        assert ended.code == 0, ended.err
        counts = [int(line) for line in (scene.work / "counts").read_text().split()]
        assert len(counts) == 4
        assert max(counts) == 2
        assert "4 of 4: job N=4 succeeded" in ended.err
        assert len(endpoint.requests) == 1


def test_one_that_fails_lets_the_others_finish(scene: Scene) -> None:
    """What runs beside it goes on to its end; what waits is not started."""
    run = "[ $N = 1 ] && exit 3; until [ -e failed ]; do sleep 0.02; done; echo done"
    job = {"matrix": {"env.N": [1, 2, 3], "parallel": 2}, "run": run, "release": ALWAYS}
    with scene.managed() as endpoint:
        process = scene.start("run", scene.write_job(json.dumps(job)))
        until(lambda: any(one["exit_code"] == 3 for one in queue_of(scene).get("runs", ())), "the failure")
        assert endpoint.requests == []
        (scene.work / "failed").touch()
        ended = scene.end(process)
        queue = until_done(scene)
        assert (ended.code, stands(queue)) == (3, ["ended", "ended", "not-started"])
        assert [run["exit_code"] for run in queue["runs"]] == [3, 0, None]
        assert len(endpoint.requests) == 1


def test_what_one_of_them_needs_is_looked_at_first(scene: Scene) -> None:
    """69 before anything is started, for the combination that does not fit."""
    job = {"matrix": {"resources.ram": ["1MB", "900TB"]}, "run": "touch started"}
    ended = scene.run_job(json.dumps(job))
    assert (ended.code, (scene.work / "started").exists()) == (69, False)
    assert scene.results() == []


def test_a_budget_of_one_of_them_is_looked_at_too(scene: Scene) -> None:
    """Nobody knows here what an hour costs, so not how long the first of them could last."""
    job = {"budget": {"usd": 1}, "matrix": {"budget": ["{usd: 1}", "{usd: 1, usd_per_hour: 2}"]}}
    ended = scene.run_job(json.dumps({**job, "run": "touch started"}), "--json")
    assert (ended.code, (scene.work / "started").exists()) == (69, False)
    assert [row["status"] for row in ended.document["findings"]] == ["unknown"]


def test_a_value_that_its_key_does_not_take(scene: Scene) -> None:
    """65, with the option it would be."""
    job = {"matrix": {"resources.ram": ["1MB", "much"]}, "run": "touch started"}
    ended = scene.run_job(json.dumps(job))
    assert (ended.code, scene.results()) == (65, [])
    assert "resources.ram" in ended.err
