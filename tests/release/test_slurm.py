"""`with: slurm` in a real Slurm: our own allocation is handed back, and no other."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from helpers.cli import command
from helpers.ours import is_dead, name_of
from helpers.scene import until
from helpers.slurm import Slurm, free_port, missing
from launcher.release.slurm import Slurm as Backend
from launcher.release.slurm import job_of
from launcher.values import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from helpers.scene import Scene

WHY_NOT = missing()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)

RELEASES = "release: {with: slurm, when: always, grace: 0s, confirm: 1s}\n"


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    with Slurm(tmp_path_factory.mktemp("slurm") / "cluster") as slurm:
        yield slurm


@pytest.fixture
def other(slurm: Slurm) -> Iterator[str]:
    """An allocation that is somebody else's business; it must be there at the end."""
    job = slurm.submit("sleep 1000")
    slurm.wait_for(job, "RUNNING")
    yield job
    assert slurm.state(job) == "RUNNING"
    slurm.call("scancel", job)


def line(*words: str) -> str:
    return shlex.join([*command(), *words])


def inside(scene: Scene, slurm: Slurm, words: str, *options: str) -> str:
    """A batch job that does this in the scene's work folder; its number."""
    script = f"cd {shlex.quote(str(scene.work))}\n{words}"
    job = slurm.submit(script, *options, env=scene.env)
    scene.env = {**scene.env, **slurm.env}
    return job


def elsewhere(slurm: Slurm) -> dict[str, str]:
    """The environment of a cluster whose controller does not run."""
    conf = slurm.folder / "elsewhere.conf"
    text = (slurm.folder / "slurm.conf").read_text()
    conf.write_text(re.sub("SlurmctldPort=.*", f"SlurmctldPort={free_port()}", text))
    return {**slurm.env, "SLURM_CONF": str(conf)}


def backend(slurm: Slurm, job: str, **more: str) -> Backend:
    environ = {**slurm.env, "SLURM_JOB_ID": job, **more}
    return Backend(job_of(environ), environ)


def test_the_allocation_ends_and_another_stays(scene: Scene, slurm: Slurm, other: str) -> None:
    """The batch script has more to do; the release ends it all the same, and what it says is on disk."""
    scene.write_job('run: "true"\n' + RELEASES)
    job = inside(scene, slurm, f"{line('run', 'job.yaml')}\nsleep 1000")
    assert slurm.wait_for(job, "CANCELLED") == "CANCELLED"
    until(lambda: scene.results()[0]["release"]["status"] in ("requested", "accepted", "confirmed"), "a word")
    assert scene.logs() == [b""]


def test_a_guard_that_outlives_its_allocation_confirms(scene: Scene, slurm: Slurm) -> None:
    """Without cgroups what is detached survives `scancel`: our guard sees that the allocation has gone."""
    scene.write_job('run: "true"\n' + RELEASES)
    inside(scene, slurm, f"{line('run', 'job.yaml')}\nsleep 1000")
    until(lambda: scene.results() and scene.results()[0]["release"]["status"] == "confirmed", "confirmed")
    (result,) = scene.results()
    assert (result["release"]["reason"], result["money_still_running"]) == ("gone", False)


def test_one_element_of_an_array_ends_and_its_sibling_stays(scene: Scene, slurm: Slurm) -> None:
    """The number of one element is that of the whole array: `scancel` of that would end all of it."""
    scene.write_job('run: "true"\n' + RELEASES)
    last = f'[ "$SLURM_ARRAY_JOB_ID" = "$SLURM_JOB_ID" ] && {line("run", "job.yaml")}'
    array = inside(scene, slurm, f"{last}\nsleep 1000", "--array=0-1")
    until(lambda: len([1 for n in "01" if slurm.state(f"{array}_{n}") == "CANCELLED"]) == 1, "one cancelled")
    assert sorted(slurm.state(f"{array}_{n}") for n in "01") == ["CANCELLED", "RUNNING"]
    slurm.call("scancel", array)


def test_a_job_that_an_element_of_an_array_submitted_is_its_own(scene: Scene, slurm: Slurm) -> None:
    """It inherits the array's variables: its release ends itself, and not the element that they name."""
    array = slurm.submit("sleep 1000", "--array=0-1")
    slurm.wait_for(f"{array}_1", "RUNNING")
    scene.write_job('run: "true"\n' + RELEASES)
    scene.env = {**scene.env, "SLURM_ARRAY_JOB_ID": array, "SLURM_ARRAY_TASK_ID": "1"}
    mine = '[ "$SLURM_ARRAY_TASK_ID" = 1 ] && ' + line("run", "job.yaml")
    job = inside(scene, slurm, f"{mine}\nsleep 1000")
    assert slurm.wait_for(job, "CANCELLED") == "CANCELLED", slurm.output(job)
    assert [slurm.state(f"{array}_{n}") for n in "01"] == ["RUNNING", "RUNNING"]
    slurm.call("scancel", array)


def test_without_the_key_the_end_of_the_script_is_the_release(scene: Scene, slurm: Slurm) -> None:
    """Nothing is asked for inside an allocation unless `with: slurm` says so."""
    scene.write_job('run: "true"\nrelease: {when: always, grace: 0s}\n')
    job = inside(scene, slurm, line("run", "job.yaml"))
    assert slurm.wait_for(job, "COMPLETED", "FAILED", "CANCELLED") == "COMPLETED", slurm.output(job)
    assert scene.results()[0]["release"]["status"] == "not-managed"


def test_a_failed_job_keeps_the_allocation(scene: Scene, slurm: Slurm) -> None:
    """`when: success` and a failure: the script goes on, with the job's own code."""
    scene.write_job("run: exit 3\nrelease: {with: slurm, when: success, grace: 0s}\n")
    job = inside(scene, slurm, f"{line('run', 'job.yaml')}; exit $?")
    slurm.wait_for(job, "FAILED")
    assert "ExitCode=3:0" in slurm.call("scontrol", "--oneliner", "show", "job", job)
    assert scene.results()[0]["release"]["status"] == "held"


def test_a_run_in_the_same_allocation_holds_it_and_one_in_another_does_not(
    scene: Scene, slurm: Slurm
) -> None:
    """The lease is of the allocation: a second run in it is waited for, one beside it is not."""
    scene.write_job("run: touch started; while [ ! -e go ]; do sleep 0.05; done\n", "long.yaml")
    scene.write_job("run: touch elsewhere; sleep 1000\n", "elsewhere.yaml")
    scene.write_job('run: "true"\n' + RELEASES)
    both = f"{line('run', 'long.yaml')} & while [ ! -e started ]; do sleep 0.05; done\n"
    beside = inside(scene, slurm, line("run", "elsewhere.yaml"))
    until((scene.work / "elsewhere").exists, "the run in another allocation")
    job = inside(scene, slurm, f"{both}{line('run', 'job.yaml')}\ntouch told\nsleep 1000")
    until((scene.work / "told").exists, "the last word")
    assert slurm.state(job) == "RUNNING"
    held = [result["release"]["reason"] for result in scene.results()]
    assert "another-run" in held
    (scene.work / "go").touch()
    slurm.wait_for(job, "CANCELLED")
    assert slurm.state(beside) == "RUNNING"
    slurm.call("scancel", beside)


# --- before the job starts ------------------------------------------------------------------------


def test_permission_is_asked_of_the_cluster(slurm: Slurm, other: str) -> None:
    """Ours and running: nothing speaks against it; otherwise why it would not work."""
    assert backend(slurm, other).permission() == ""
    assert "is not there" in str(backend(slurm, "4294967").permission())
    assert "SLURM_JOB_ID is not set" in str(backend(slurm, "").permission())
    assert "scancel is not on the PATH" in str(
        Backend(other, {**slurm.env, "PATH": "/nonexistent"}).permission()
    )
    assert "squeue does not answer" in str(Backend(other, elsewhere(slurm)).permission())


def test_an_allocation_of_another_user_is_not_ours(slurm: Slurm) -> None:
    """Even root's `squeue` lists it, and root could cancel it: it is not the one that we stand in."""
    # Held, so that they stay as they are: that user may not even enter the folder of this cluster.
    own, job = (slurm.submit("sleep 1000", "--hold", *more) for more in ((), ("--uid=nobody",)))
    assert slurm.state(job) == "PENDING"
    assert "belongs to another user" in str(backend(slurm, job).permission())
    assert "another user" not in str(backend(slurm, own).permission())
    slurm.call("scancel", own, job)


def test_a_release_that_cannot_work_is_said_first(scene: Scene) -> None:
    """Outside of any allocation: said before the job starts, and 75 at its end."""
    ended = scene.run_job('run: "true"\n' + RELEASES)
    assert ended.code == 75, ended.err
    assert ended.err.index("the release cannot work: SLURM_JOB_ID is not set") < ended.err.index("succeeded")
    assert scene.results()[0]["release"]["reason"] == "no-allocation"


# --- asking ---------------------------------------------------------------------------------------


def test_gone_before_we_ask_counts_as_accepted(slurm: Slurm) -> None:
    """A guard before us had asked, and was killed before it could note the answer."""
    job = slurm.submit("sleep 1000")
    slurm.wait_for(job, "RUNNING")
    ours = backend(slurm, job)
    assert ours.gone(20, lambda: None) == Known(False)
    assert ours.ask("n", 20, lambda: None).accepted
    slurm.wait_for(job, "CANCELLED")
    until(lambda: ours.gone(20, lambda: None) == Known(True), "its end in the list")
    assert ours.ask("n", 20, lambda: None).accepted


HIDES = {
    "SQUEUE_STATES": "PENDING",
    "SQUEUE_PARTITION": "none",
    "SQUEUE_FORMAT": "%i",
    "SLURM_CLUSTERS": "elsewhere",
    "SCANCEL_STATE": "PENDING",
    "SCANCEL_NAME": "none",
}


def test_what_a_person_set_for_slurm_hides_nothing(slurm: Slurm) -> None:
    """With these a running job is not listed, and `scancel` ends with 0 without having ended anything."""
    job = slurm.submit("sleep 1000")
    slurm.wait_for(job, "RUNNING")
    ours = backend(slurm, job, **HIDES)
    assert ours.permission() == ""
    assert ours.gone(20, lambda: None) == Known(False)
    assert ours.ask("n", 20, lambda: None).accepted
    slurm.wait_for(job, "CANCELLED")


def test_a_cluster_that_does_not_answer_is_no_success(slurm: Slurm, other: str) -> None:
    """Neither accepted nor gone: unknown, and asked again; within the time that it was given."""
    deaf = Backend(other, elsewhere(slurm))
    began = time.monotonic()
    answer = deaf.ask("n", 4, lambda: None)
    assert time.monotonic() - began < 4 + 2
    assert (answer.accepted, answer.reason in ("exit-1", "timeout")) == (False, True)
    assert isinstance(deaf.gone(1, lambda: None), Unknown)


def test_what_is_written_down_names_the_allocation_only(scene: Scene, slurm: Slurm, other: str) -> None:
    """Whoever finds the run without a guard needs its number; nothing of the environment is there."""
    scene.write_job("run: touch started; sleep 1000\n" + RELEASES)
    job = inside(scene, slurm, line("run", "job.yaml"))
    until((scene.work / "started").exists, "the job")
    (path,) = scene.home.glob("runs/*/plan.json")
    plan = json.loads(path.read_text())
    assert plan["target"] == f"slurm:{job}"
    assert plan["backend"] == {
        "name": "slurm",
        "job": job,
        "folder": str(Path(shutil.which("scancel") or "").parent),
        "conf": slurm.env["SLURM_CONF"],
    }
    slurm.call("scancel", job)
    slurm.wait_for(job, "CANCELLED")


def _ours(scene: Scene) -> list[int]:
    """Client, watcher and guard of the scene's run, in this order: each would go on without the next."""
    names = {pid: name_of(pid) for pid in scene.leftovers()}
    ours = [pid for pid, name in names.items() if name not in ("bash", "sleep", "slurm_script")]
    later = {"colab-run-watch": 1, "colab-run-guard": 2}
    return sorted(ours, key=lambda pid: later.get(names[pid], 0))


def test_a_lost_run_gives_its_own_allocation_back(scene: Scene, slurm: Slurm, other: str) -> None:
    """Everything of ours is killed; a shell that does not know where Slurm is ends the job and releases."""
    scene.write_job("run: touch started; sleep 1000\n" + RELEASES.replace("}", ", unsaved: discard}"))
    job = inside(scene, slurm, f"{line('run', 'job.yaml')}\nsleep 1000")
    until((scene.work / "started").exists, "the job")
    ours = _ours(scene)
    assert len(ours) >= 3
    for pid in ours:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until(lambda: all(map(is_dead, ours)), "their ends")
    del scene.env["SLURM_CONF"]
    assert "SLURM_JOB_ID" not in scene.env
    assert scene.run("ps").code == 0
    slurm.wait_for(job, "CANCELLED")
