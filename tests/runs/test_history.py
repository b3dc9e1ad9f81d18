"""`history`: what became of every run, also on machines that are gone, and what the next one says of them."""

from __future__ import annotations

import hashlib
import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from helpers.drive import DriveScene
from helpers.machines import Mirror, NextMachine
from helpers.scene import until
from launcher.ledger.store import Ledger
from launcher.release import lease
from launcher.report.lines import columns

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path

    from helpers.scene import Scene

SAVES = "outputs: [{path: out, to: ../saved}]\n"
NOW = "release: {when: always, grace: 0s}\n"
JOB = f"run: mkdir -p out; echo 1 >out/model\n{SAVES}{NOW}"
GOES_ON = f"run: mkdir -p out; touch ready; until [ -e go ]; do sleep 0.01; done\n{SAVES}{NOW}"
LONG_AGO = 3600.0


@pytest.fixture
def mirror(scene: Scene) -> Mirror:
    """Where the runs of the job above leave their rows."""
    return Mirror(scene.folder / "saved" / ".colab-run" / "ledger")


def rows_of(machine: Scene | NextMachine, *words: str) -> list[dict[str, Any]]:
    """`history --json`."""
    ended = machine.run("history", *words, "--json")
    assert ended.code == 0, ended.err
    return ended.document["runs"]


def row_of(machine: Scene | NextMachine, *words: str) -> dict[str, Any]:
    """Of the only run."""
    (row,) = rows_of(machine, *words)
    return row


def released(scene: Scene, mirror: Mirror) -> str:
    """A run whose release was accepted, and whose machine is gone; its id."""
    with scene.managed():
        ended = scene.run_job(JOB, "--json")
        assert ended.code == 0, ended.err
        until(lambda: mirror.kinds().count("receipt") == 2, "the last receipt in the mirror")
        scene.vanish()
    return ended.document["run_id"]


# --- what a run leaves ----------------------------------------------------------------------------


def test_each_step_is_a_file_of_its_own(scene: Scene, mirror: Mirror) -> None:
    """In order, with what was saved and with the receipt: before the request, and with its answer."""
    run_id = released(scene, mirror)
    assert [name[:20] for name in mirror.names()] == [run_id] * 8
    assert [name[21:-5] for name in mirror.names()] == [
        *("01-planned", "02-started", "03-ended", "04-saved"),
        *("05-requested", "06-receipt", "07-accepted", "08-receipt"),
    ]
    assert mirror.read("ended")["facts"]["outcome"] == "succeeded"
    assert mirror.read("planned")["boot_id"] == lease.boot_id()
    (saved,) = mirror.read("saved")["facts"]["saved"]
    assert (saved["files"], saved["bytes"], saved["verified"]) == (1, 2, "read-back")


def test_the_receipt_says_what_was_known(scene: Scene, mirror: Mirror) -> None:
    """Who asked and why, hashes, the answer of the endpoint; the first one says that it lacks the answer."""
    released(scene, mirror)
    first, last = [
        json.loads((mirror.folder / name).read_text()) for name in mirror.names() if "receipt" in name
    ]
    assert (first["final"], first["release"]["status"]) == (False, "requested")
    assert (last["final"], last["release"]["status"], last["release"]["http_status"]) == (
        True,
        "accepted",
        200,
    )
    assert (last["asked_by"], last["asked_when"], last["boot_id"]) == (
        *("release.when", "always"),
        lease.boot_id(),
    )
    for receipt in (first, last):
        (file,) = receipt["manifest"]
        assert file["sha256"] == hashlib.sha256(b"1\n").hexdigest()


def test_secrets_are_masked(scene: Scene, mirror: Mirror) -> None:
    """In every file of the mirror."""
    job = JOB.replace("run:", "name: has-s3cr3t-thing-in-it\nsecrets: [TOKEN]\nrun:")
    with scene.managed():
        assert scene.run_job(job, env={"TOKEN": "s3cr3t-thing"}).code == 0
        until(lambda: mirror.kinds().count("receipt") == 2, "the last receipt in the mirror")
        scene.vanish()
    texts = [(mirror.folder / name).read_text() for name in mirror.names()]
    assert not [text for text in texts if "s3cr3t-thing" in text]
    assert "has-" in mirror.read("planned")["facts"]["name"]


def test_two_runs_at_once_share_a_mirror(scene: Scene, mirror: Mirror) -> None:
    """Neither touches what the other wrote."""
    jobs = [scene.write_job(f"name: j{n}\n{JOB.replace(NOW, '')}", f"{n}.yaml") for n in (1, 2)]
    started = [scene.start("run", job, "--json") for job in jobs]
    ids = [scene.end(process).document["run_id"] for process in started]
    until(lambda: all("done" in mirror.kinds(run_id)[-2:] for run_id in ids), "the last rows")
    for run_id in ids:
        assert sorted(mirror.kinds(run_id)) == ["done", "ended", "planned", "receipt", "saved", "started"]
    assert {row["run_id"] for row in rows_of(scene)} == set(ids)


# --- the next machine -----------------------------------------------------------------------------


def test_the_next_machine_shows_and_confirms(scene: Scene, mirror: Mirror) -> None:
    """With a job file and an empty state folder; once, however often somebody looks."""
    run_id = released(scene, mirror)
    mirror.grow_older(LONG_AGO)
    after = NextMachine(scene)
    for _ in range(2):
        row = row_of(after, "job.yaml")
        assert (row["run_id"], row["job"], row["outcome"], row["exit_code"]) == (
            run_id,
            "job",
            "succeeded",
            0,
        )
        assert (row["saved"]["files"], row["saved"]["bytes"], row["saved"]["complete"]) == (1, 2, True)
        assert (row["release"]["status"], row["release"]["heard"]) == ("confirmed", True)
        assert row["boot_id"] == lease.boot_id() != after.boot_id
    (name,) = [name for name in mirror.names() if "-08-confirmed-" in name]
    said = json.loads((mirror.folder / name).read_text())
    assert (said["boot_id"], said["facts"]["after"]) == (after.boot_id, "accepted")
    shown = after.run("history", "job.yaml").out
    assert "confirmed by the next machine" in " ".join(shown.split())


def test_a_machine_never_confirms_itself(scene: Scene, mirror: Mirror) -> None:
    """Another state folder is no other machine."""
    released(scene, mirror)
    mirror.grow_older(LONG_AGO)
    ended = scene.run("history", "job.yaml", "--json", env={"COLAB_RUN_HOME": str(scene.folder / "other")})
    (row,) = ended.document["runs"]
    assert row["release"]["status"] == "accepted"
    assert not any("confirmed" in name for name in mirror.names())


def test_nothing_is_confirmed_too_early(scene: Scene, mirror: Mirror) -> None:
    """Two minutes after the answer the old machine may still say that it is here."""
    released(scene, mirror)
    assert row_of(NextMachine(scene), "job.yaml")["release"]["status"] == "accepted"


def test_a_machine_that_was_still_here_is_not_confirmed(scene: Scene, mirror: Mirror) -> None:
    """It said so in the mirror, when it had looked again."""
    job = JOB.replace("grace: 0s", "grace: 0s, confirm: 0.2s")
    with scene.managed():
        assert scene.run_job(job).code == 0
        until(lambda: "still-here" in mirror.kinds(), "that it is still here")
        scene.vanish()
    mirror.grow_older(LONG_AGO)
    row = row_of(NextMachine(scene), "job.yaml")
    assert row["release"]["status"] in ("still-here", "failed")
    assert not any("confirmed" in name for name in mirror.names())


def test_a_machine_that_vanished_with_the_request(scene: Scene, mirror: Mirror) -> None:
    """No answer was noted: confirmed all the same, later than with one, and that is said."""

    def gone(handler: BaseHTTPRequestHandler) -> None:
        scene.vanish()

    with scene.managed(gone) as endpoint:
        scene.run_job(JOB)
        assert len(endpoint.requests) == 1
    assert mirror.kinds()[-2:] == ["requested", "receipt"]
    after = NextMachine(scene)
    mirror.grow_older(200.0)
    assert row_of(after, "job.yaml")["release"]["status"] == "requested"
    mirror.grow_older(LONG_AGO)
    release = row_of(after, "job.yaml")["release"]
    assert (release["status"], release["heard"]) == ("confirmed", False)


def test_a_machine_that_vanished_while_the_job_ran(scene: Scene, mirror: Mirror) -> None:
    """How it ended nobody knows; that is what is said, and nothing is confirmed."""
    process = scene.start("run", scene.write_job(GOES_ON))
    until(lambda: "started" in mirror.kinds(), "that it has started")
    scene.vanish()
    process.communicate()
    mirror.grow_older(LONG_AGO)
    after = NextMachine(scene)
    row = row_of(after, "job.yaml")
    assert (row["outcome"], row["release"]) == ({"unknown": "not-ended"}, {"unknown": "not-told"})
    assert row["state"] == "started"
    assert "nobody has heard how it ended" in " ".join(after.run("history", "job.yaml").out.split())


def test_a_run_on_the_next_machine_confirms(scene: Scene, mirror: Mirror) -> None:
    """Without anybody asking for history: its guard looks around when its own first rows are there."""
    run_id = released(scene, mirror)
    mirror.grow_older(LONG_AGO)
    ended = NextMachine(scene).run("run", "job.yaml", "--no-release")
    assert ended.code == 0, ended.err
    until(lambda: any("confirmed" in kind for kind in mirror.kinds(run_id)), "the confirmation")


def test_runs_that_go_on_from_each_other_are_one_story(scene: Scene, mirror: Mirror) -> None:
    """Three machines, each of which restores what the one before it has saved."""
    job = "run: mkdir -p out; echo 1 >>out/steps\n" + SAVES.replace("../saved", "../saved, restore: true")
    scene.write_job(job)
    ids = []
    for machine in (NextMachine(scene, str(number)) for number in range(3)):
        shutil.rmtree(scene.work / "out", ignore_errors=True)
        ended = machine.run("run", "job.yaml", "--json")
        assert ended.code == 0, ended.err
        ids.append(ended.document["run_id"])
        until(lambda: "done" in mirror.kinds(ids[-1]), "the last row")
    assert (scene.folder / "saved" / "out" / "steps").read_text() == "1\n" * 3
    found = [(row["run_id"], row["resumed_from"], row["story"]) for row in rows_of(machine, "job.yaml")]
    first, second, third = ids
    assert found == [(third, second, first), (second, first, first), (first, None, first)]
    assert f"resumed from {second}" in " ".join(machine.run("history", "job.yaml").out.split())


def test_an_earlier_boot_of_the_same_disk(scene: Scene, mirror: Mirror) -> None:
    """The ledger itself says it, where the state folder is on a disk that stays."""
    run_id = released(scene, mirror)
    shutil.rmtree(mirror.folder)
    after = NextMachine(scene, home=scene.home)
    assert row_of(after)["release"]["status"] == "confirmed"
    ledger = Ledger.open(str(scene.home), "", read_only=True)
    last = ledger.last(run_id)
    ledger.close()
    assert (last.state.value, last.boot_id) == ("confirmed", after.boot_id)


# --- Drive, which is unmounted before the request -------------------------------------------------

ON_DRIVE = (
    f"run: mkdir -p out; echo 1 >out/model\noutputs: [{{path: out, to: /content/drive/MyDrive/x}}]\n{NOW}"
)


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[DriveScene]:
    """A VM with Drive, not mounted yet."""
    scene = DriveScene(tmp_path)
    yield scene
    scene.close()


def test_what_drive_was_told_before_it_was_unmounted(drive: DriveScene) -> None:
    """That the release is asked for next, and a receipt without the answer; confirmed later than others."""
    with drive.mounted():
        with drive.managed():
            assert drive.run_job(ON_DRIVE).code == 0
            drive.vanish()
        there = Mirror(drive.google / "MyDrive" / "x" / ".colab-run" / "ledger")
        assert there.kinds()[-2:] == ["requested", "receipt"]
        assert (there.read("requested")["facts"]["reason"], there.read("receipt")["final"]) == (
            "unmounted-first",
            False,
        )
        after = NextMachine(drive)
        there.grow_older(1000.0)  # A flush may take a quarter of an hour, and nobody hears of it.
        assert row_of(after, "--mirror", str(there.folder))["release"]["status"] == "requested"
        there.grow_older(LONG_AGO)
        release = row_of(after, "--mirror", str(there.folder))["release"]
        assert (release["status"], release["heard"]) == ("confirmed", False)


def test_a_release_that_was_not_asked_for_after_all(drive: DriveScene) -> None:
    """Drive could not be flushed: the mirror hears of the hold, and nobody takes the machine for gone."""
    with drive.mounted(), drive.managed() as endpoint:
        drive.flush_is("fail")
        assert drive.run_job(ON_DRIVE.replace("grace: 0s", "grace: 0s, hold: 1h")).code == 0
        there = Mirror(drive.my_drive / "x" / ".colab-run" / "ledger")
        until(lambda: "held" in there.kinds(), "the hold")
        assert endpoint.requests == []
        drive.vanish()
        there.grow_older(10 * LONG_AGO)
        assert row_of(NextMachine(drive), "--mirror", str(there.folder))["release"]["status"] == "held"


# --- what is shown --------------------------------------------------------------------------------


def test_known_here_and_there_is_one_row(scene: Scene, mirror: Mirror) -> None:
    """The mirror that a run used is read without being named."""
    run_id = released(scene, mirror)
    row = row_of(scene)
    assert (row["run_id"], row["known_from"]) == (run_id, ["local", str(mirror.folder)])
    assert row["receipt"] == str(scene.home / "runs" / run_id / "receipt.json")
    shutil.rmtree(scene.home)
    row = row_of(scene, "--mirror", str(mirror.folder))
    assert (row["run_id"], row["known_from"]) == (run_id, [str(mirror.folder)])


def test_a_job_file_is_about_its_own_runs(scene: Scene) -> None:
    """Others of the same state folder are left out; the newest comes first."""
    for name in ("one", "two", "one"):
        assert scene.run_job(f"name: {name}\nrun: 'true'\n").code == 0
    scene.write_job("name: one\nrun: 'true'\n")
    assert [row["job"] for row in rows_of(scene)] == ["one", "two", "one"]
    mine = rows_of(scene, "job.yaml")
    assert [row["job"] for row in mine] == ["one", "one"]
    assert mine[0]["run_id"] > mine[1]["run_id"]


def test_what_is_odd_in_a_mirror_is_named(scene: Scene, mirror: Mirror) -> None:
    """Damaged, foreign, a folder, a newer version: the rest is shown, and the exit code is 0."""
    run_id = released(scene, mirror)
    (mirror.folder / f"{run_id}-03-ended.json").write_text("{")
    (mirror.folder / f"{run_id}-02-started.json").write_text('{"version": 99}')
    (mirror.folder / "desktop.ini").write_text("x")
    (mirror.folder / f".{run_id}-09-done.json.0123abcd.part").write_text("x")
    (mirror.folder / f"{run_id}-20-held.json").mkdir()
    ended = NextMachine(scene).run("history", "job.yaml", "--json")
    assert ended.code == 0, ended.err
    assert {problem["path"].rpartition("/")[2]: problem["why"] for problem in ended.document["problems"]} == {
        f"{run_id}-03-ended.json": "damaged",
        f"{run_id}-02-started.json": "newer-version",
        "desktop.ini": "name",
        f"{run_id}-20-held.json": "not-a-file",
    }
    assert ended.document["runs"][0]["release"]["status"] == "accepted"
    assert "desktop.ini" in NextMachine(scene).run("history", "job.yaml").out


@pytest.mark.parametrize("language", ["en", "zh-TW", "zh-CN"])
def test_the_table_fits(scene: Scene, language: str) -> None:
    """80 columns, with a name of Chinese characters and a long one."""
    for name in ("訓練模型訓練模型訓練模型", "a-very-long-name-that-nobody-would-type-twice"):
        assert scene.run_job(f"name: {name}\n{JOB}").code == 0
    lines = scene.run("--lang", language, "history").out.splitlines()
    assert max(map(columns, lines)) <= 80
    assert len([line for line in lines if "…" in line]) >= 2


def test_no_runs_is_one_line(scene: Scene) -> None:
    """And an empty list."""
    assert "no runs" in scene.run("history").out
    assert rows_of(scene) == []


@pytest.mark.parametrize(
    "words",
    [("nosuch.yaml",), ("--mirror", "nosuch"), ("job.yaml", "--mirror", "."), ("--mirror", "job.yaml")],
)
def test_what_is_not_there_is_64(scene: Scene, words: tuple[str, ...]) -> None:
    """A job file or a folder that does not exist, or both at once."""
    scene.write_job("run: 'true'\n")
    ended = scene.run("history", *words)
    assert (ended.code, "Traceback" in ended.err) == (64, False)
