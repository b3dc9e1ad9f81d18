"""Which GPUs a run gets: its own, seen by its job alone, free again afterwards. The fake driver has eight."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from helpers import fake_nvml
from helpers.lab import until
from helpers.ours import kill_both
from launcher import gpu_claims

if TYPE_CHECKING:
    from helpers.scene import Scene

pytestmark = pytest.mark.skipif(fake_nvml.compiler() is None, reason="no C compiler for the fake driver")

SHOW = 'echo "visible=${CUDA_VISIBLE_DEVICES-unset}"'
HOLD = f"{SHOW} > $NAME; until [ -e go ]; do sleep 0.05; done"


def eight(scene: Scene) -> dict[str, str]:
    """The environment of a machine with eight L4."""
    return fake_nvml.environment("eight-l4", scene.folder / "driver")


def job(gpu: str, run: str, name: str = "a", more: str = "") -> str:
    return f"name: {name}\nenv: {{NAME: {name}}}\nresources: {{gpu: {gpu}{more}}}\nrun: |\n  {run}\n"


def visible(scene: Scene, name: str) -> list[str]:
    """What the job of that name sees, once it runs."""
    path = scene.work / name
    until(lambda: path.exists() and path.read_text().endswith("\n"), f"the job {name}")
    told = path.read_text().strip().removeprefix("visible=")
    return [] if told == "unset" else told.split(",")


def start(scene: Scene, text: str, name: str) -> None:
    """A detached run that holds its GPUs until the file `go` is there."""
    scene.write_job(text, f"{name}.yaml")
    ended = scene.run("run", "--detach", f"{name}.yaml", env=eight(scene))
    assert ended.code == 0, ended.err


def let_go(scene: Scene) -> None:
    (scene.work / "go").touch()
    until(lambda: all(one["state"] == "done" for one in scene.results()), "the end of the runs")


def test_two_runs_get_their_own_and_a_third_is_refused(scene: Scene) -> None:
    """Four of eight each; who asks then is told who has them, and what to do."""
    start(scene, job("L4:4", HOLD, "a"), "a")
    start(scene, job("L4:4", HOLD, "b"), "b")
    first, second = visible(scene, "a"), visible(scene, "b")
    assert (len(first), len(second), set(first) & set(second)) == (4, 4, set())
    assert all(uuid.startswith("GPU-") for uuid in first + second)
    assert sorted(scene.results()[0]["gpus"] + scene.results()[1]["gpus"]) == sorted(first + second)
    scene.write_job(job("L4", "true", "c"), "c.yaml")
    refused = scene.run("run", "--json", "c.yaml", env=eight(scene))
    assert refused.code == 69
    (row,) = [row for row in refused.document["findings"] if row["status"] == "short"]
    assert (row["code"], row["wanted"], row["found"]) == ("CR117", 1, 0)
    shown = scene.run("check", "c.yaml", env=eight(scene))
    assert shown.code == 69
    assert scene.results()[0]["run_id"] in shown.out
    assert "--wait 30m" in " ".join(shown.out.split())
    let_go(scene)
    assert scene.run("run", "c.yaml", env=eight(scene)).code == 0


def test_runs_that_start_at_the_same_moment(scene: Scene) -> None:
    """Five ask for two of eight: four get two each, the fifth none, whoever that is."""
    names = ["a", "b", "c", "d", "e"]
    for name in names:
        scene.write_job(job("L4:2", HOLD, name), f"{name}.yaml")
    started = [scene.start("run", "--detach", f"{name}.yaml", env=eight(scene)) for name in names]
    codes = [scene.end(process).code for process in started]
    assert sorted(codes) == [0, 0, 0, 0, 69]
    seen = [visible(scene, name) for name, code in zip(names, codes, strict=True) if code == 0]
    assert sorted(len(one) for one in seen) == [2, 2, 2, 2]
    assert len({uuid for one in seen for uuid in one}) == 8
    let_go(scene)


def test_who_gets_all_of_them_keeps_the_variable(scene: Scene) -> None:
    """Libraries that read numbers go on working: nothing is set that changes nothing."""
    scene.write_job(job("L4:8", SHOW))
    ended = scene.run("run", "job.yaml", env=eight(scene))
    assert ended.out == "visible=unset\n"
    assert len(scene.results()[0]["gpus"]) == 8


def test_within_what_is_visible_already(scene: Scene) -> None:
    """An inherited list is the whole world of the job."""
    scene.write_job(job("L4", SHOW))
    ended = scene.run("run", "job.yaml", env={**eight(scene), "CUDA_VISIBLE_DEVICES": "5,2"})
    uuid = ended.out.strip().removeprefix("visible=")
    every = scene.run("run", "job.yaml", "--set", "resources.gpu=L4:8", env=eight(scene))
    assert every.code == 0
    uuids = scene.results()[1]["gpus"]
    assert uuid in (uuids[2], uuids[5])


def test_what_the_job_file_says_stays(scene: Scene) -> None:
    """`env: {CUDA_VISIBLE_DEVICES: …}` is not changed, and what it names is this run's."""
    text = f'env: {{CUDA_VISIBLE_DEVICES: "1,3"}}\nresources: {{gpu: L4}}\nrun: {SHOW}\n'
    scene.write_job(text)
    assert scene.run("run", "job.yaml", env=eight(scene)).out == "visible=1,3\n"
    assert len(scene.results()[0]["gpus"]) == 2


def test_no_gpu_asked_for(scene: Scene) -> None:
    """Nothing is set, nothing is taken."""
    scene.write_job(f"run: {SHOW}\n")
    assert scene.run("run", "job.yaml", env=eight(scene)).out == "visible=unset\n"
    assert "gpus" not in scene.results()[0]


def test_sharing_is_asked_for(scene: Scene) -> None:
    """All are taken: who says that it shares runs all the same, beside whom it may be."""
    start(scene, job("L4:8", HOLD, "a"), "a")
    visible(scene, "a")
    scene.write_job(job("L4", SHOW, "b", ", gpu_sharing: true"), "b.yaml")
    ended = scene.run("run", "b.yaml", env=eight(scene))
    assert ended.code == 0, ended.err
    assert ended.out.startswith("visible=GPU-")
    let_go(scene)


def test_who_shares_keeps_it_when_the_run_beside_it_ends(scene: Scene) -> None:
    """Nobody gets a GPU for itself that somebody still works on."""
    start(scene, job("L4:8", HOLD, "a"), "a")
    visible(scene, "a")
    keeps = HOLD.replace("-e go", "-e go2")
    start(scene, job("L4:8", keeps, "b", ", gpu_sharing: true"), "b")
    until((scene.work / "b").exists, "the job that shares")
    (scene.work / "go").touch()
    until(lambda: scene.results()[0]["state"] == "done", "the end of the first run")
    scene.write_job(job("L4", "true", "c"), "c.yaml")
    assert scene.run("run", "c.yaml", env=eight(scene)).code == 69
    (scene.work / "go2").touch()
    until(lambda: scene.results()[1]["state"] == "done", "the end of the second run")
    assert scene.run("run", "c.yaml", env=eight(scene)).code == 0


def test_a_killed_guard_keeps_them(scene: Scene) -> None:
    """The watcher holds them meanwhile; the next attempt, of the second guard, sees the same."""
    again = "retry: {max_restarts: 1, backoff: 0s}\n"
    run = (
        f"{SHOW} > $NAME$COLAB_RUN_ATTEMPT; until [ -e go ]; do sleep 0.05; done; [ $COLAB_RUN_ATTEMPT = 2 ]"
    )
    start(scene, job("L4:3", run) + again, "a")
    before = visible(scene, "a1")
    (guard,) = scene.guards()
    os.kill(guard, signal.SIGKILL)
    until(lambda: scene.guards() not in ([], [guard]), "the next guard")
    assert all(gpu_claims.holder(uuid) for uuid in before)
    let_go(scene)
    assert visible(scene, "a2") == before
    assert scene.results()[0]["outcome"] == "succeeded"
    assert not any(gpu_claims.holder(uuid) for uuid in before)


def test_a_job_inherits_no_claim(scene: Scene) -> None:
    """Both of a run's processes are killed: its GPUs are free, although its job still runs."""
    start(scene, job("L4:2", HOLD), "a")
    mine = visible(scene, "a")
    pids = [pid for pid in scene.leftovers() if _name(pid).startswith("colab-run-")]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    until(lambda: not any(gpu_claims.holder(uuid) for uuid in mine), "the end of the claims")
    assert [pid for pid in scene.leftovers() if pid not in pids], "the job lives on"
    (scene.work / "go").touch()
    scene.run("ps")
    until(lambda: not scene.leftovers(), "the end of the job")


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def test_exec_may_share_too(scene: Scene) -> None:
    """`--gpu-sharing` beside a run that has all of them; without it 69."""
    start(scene, job("L4:8", HOLD, "a"), "a")
    visible(scene, "a")
    words = ("--gpu", "L4:8", "--", "true")
    assert scene.run("exec", *words, env=eight(scene)).code == 69
    assert scene.run("exec", "--gpu-sharing", *words, env=eight(scene)).code == 0
    let_go(scene)


def test_a_stop_while_the_guard_waits(scene: Scene) -> None:
    """Both looked while all were free: the later one waits, and a press of stop ends it with 130."""
    for name in ("a", "b"):
        scene.write_job(job("L4:8", HOLD, name), f"{name}.yaml")
    first, second = (scene.start("run", f"{name}.yaml", "--wait", "5m", env=eight(scene)) for name in "ab")
    until(lambda: (scene.work / "a").exists() or (scene.work / "b").exists(), "one of the jobs")
    waits, runs = (second, first) if (scene.work / "a").exists() else (first, second)
    waits.send_signal(signal.SIGINT)
    assert scene.end(waits).code == 130
    assert not ((scene.work / "a").exists() and (scene.work / "b").exists())
    (scene.work / "go").touch()
    assert scene.end(runs).code == 0


def test_runs_of_a_matrix_beside_each_other(scene: Scene) -> None:
    """Eight at a time are asked for, each with two of eight GPUs: four go on, and none is shared."""
    run = (
        'echo "$CUDA_VISIBLE_DEVICES" > sees-$N; touch at-$N; [ $N -ge 5 ] || '
        "until [ -e at-1 -a -e at-2 -a -e at-3 -a -e at-4 ]; do sleep 0.02; done"
    )
    job = {"resources": {"gpu": "L4:2"}, "matrix": {"env.N": [1, 2, 3, 4, 5, 6], "parallel": 8}, "run": run}
    ended = scene.run_job(json.dumps(job), env=eight(scene))
    assert ended.code == 0, ended.err
    seen = [(scene.work / f"sees-{number}").read_text().strip().split(",") for number in (1, 2, 3, 4)]
    first = [uuid for one in seen for uuid in one]
    assert len(first) == len(set(first)) == 8
    assert [len(one["gpus"]) for one in scene.results() if "queue" in one] == [2] * 6


def test_a_matrix_beside_another_run(scene: Scene) -> None:
    """Six of eight are taken: two go on at a time, and none is refused for want of a GPU."""
    start(scene, job("L4:6", HOLD, "a"), "a")
    visible(scene, "a")
    matrix = {"resources": {"gpu": "L4"}, "matrix": {"env.N": [1, 2, 3, 4]}, "run": "sleep 0.3"}
    scene.write_job(json.dumps(matrix), "matrix.yaml")
    ended = scene.run("run", "matrix.yaml", env=eight(scene))
    assert ended.code == 0, ended.err
    let_go(scene)


def test_taken_between_check_and_start(scene: Scene) -> None:
    """The guard refuses it: 69, `refused`, and who has them; nothing of the run is left."""
    shown = scene.run("probe", "--json", env=eight(scene)).document
    with gpu_claims.choosing():
        process = scene.start("run", "--json", scene.write_job(job("L4:8", "touch ran")), env=eight(scene))
        # The guard has begun, so the check is over; it chooses when we let it.
        until(lambda: list(scene.home.glob("runs/*/job.yaml")), "the folder of the run")
        held = gpu_claims.take(shown["gpus"][3]["uuid"], "20260101-000000-dddd")
    assert held is not None
    ended = scene.end(process)
    os.close(held)
    assert ended.code == 69, ended.err
    assert (ended.document["outcome"], ended.document["state"]) == ("refused", "done")
    (row,) = [row for row in ended.document["findings"] if row["status"] == "short"]
    assert (row["code"], row["wanted"], row["found"]) == ("CR117", 8, 7)
    assert row["run_ids"] == ["20260101-000000-dddd"]
    assert "20260101-000000-dddd" in ended.document["error"]
    assert not (scene.work / "ran").exists()
    assert list(scene.home.glob("runs/*")) == []


def test_an_inherited_list_that_is_too_short(scene: Scene) -> None:
    """Eight are here, two may be seen: that is said before the start, and sharing is no way out."""
    scene.write_job(job("L4:4", "touch ran", more=", gpu_sharing: true"))
    ended = scene.run("run", "--json", "job.yaml", env={**eight(scene), "CUDA_VISIBLE_DEVICES": "5,2"})
    assert ended.code == 69
    (row,) = [row for row in ended.document["findings"] if row["status"] == "short"]
    assert (row["requirement"], row["code"]) == ("visible gpu", "CR111")
    none = scene.run("check", "job.yaml", env={**eight(scene), "CUDA_VISIBLE_DEVICES": ""})
    assert none.code == 69
    assert "CUDA_VISIBLE_DEVICES" in none.out
    assert not (scene.work / "ran").exists()


AGAIN = "retry: {max_restarts: 1, on: [lost], backoff: 0s}\nstop_grace: 1s\n"
TWICE = f"{SHOW} > $NAME$COLAB_RUN_ATTEMPT; until [ -e go ]; do sleep 0.05; done"


def test_a_lost_run_that_is_started_again_has_gpus_of_its_own(scene: Scene) -> None:
    """Chosen anew from what it saw before, whatever the shell sees that finds it; nobody else gets them."""
    scene.write_job(job("L4:2", TWICE) + AGAIN, "a.yaml")
    env = {**eight(scene), "CUDA_VISIBLE_DEVICES": "0,1,2,3"}
    assert scene.run("run", "--detach", "a.yaml", env=env).code == 0
    before = visible(scene, "a1")
    kill_both(scene)
    scene.run("ps", env=eight(scene))
    after = visible(scene, "a2")
    assert after == before
    assert all(gpu_claims.holder(uuid) for uuid in after)
    assert scene.results()[0]["gpus"] == after
    scene.write_job(job("L4:7", "true", "b"), "b.yaml")
    assert scene.run("run", "b.yaml", env=eight(scene)).code == 69
    let_go(scene)


def test_a_lost_run_whose_gpus_others_have_is_not_started_again(scene: Scene) -> None:
    """Two runs never share one: it stays lost, and says why."""
    start(scene, job("L4:8", TWICE) + AGAIN, "a")
    until((scene.work / "a1").exists, "the job")
    mine = scene.results()[0]["gpus"]
    kill_both(scene)
    held = gpu_claims.take(mine[0], "20260101-000000-eeee")
    assert held is not None
    scene.run("ps", env=eight(scene))
    until(lambda: scene.results()[0]["state"] == "done", "the end of the run")
    os.close(held)
    assert scene.results()[0]["outcome"] == "lost"
    assert not (scene.work / "a2").exists()
