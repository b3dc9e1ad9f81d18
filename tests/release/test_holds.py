"""Rule 2 and rule 3: not while somebody else is at work, and not without the work."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from helpers.endpoint import COOKIE, Endpoint, dead_address
from helpers.scene import Scene, until

MAKES_A_FILE = "run: echo weights > model.bin\n"
NOW = "release: {when: always, grace: 0s}\n"


def test_the_endpoint_sees_a_living_process_of_the_job(tmp_path) -> None:
    """The witness of every scene can really see: a live process with run id and cookie is counted."""
    with Endpoint("seen") as endpoint:
        job = subprocess.Popen(
            [sys.executable, "-c", "input()"],
            stdin=subprocess.PIPE,
            env={COOKIE: "seen", "COLAB_RUN_ID": "x"},
        )
        try:
            until(lambda: _post(endpoint.address) and endpoint.requests[-1].alive == [job.pid], "the process")
        finally:
            job.communicate(b"\n")
        _post(endpoint.address)
        assert endpoint.requests[-1].alive == []


def _post(address: str) -> bool:
    import http.client

    connection = http.client.HTTPConnection(address, timeout=5)
    connection.request("POST", "/unassign")
    connection.getresponse().read()
    connection.close()
    return True


# --- files that exist nowhere else --------------------------------------------------------------


def test_unsaved_files_hold_the_release(scene: Scene) -> None:
    """With no outputs declared, a file of the run holds the release: which, how large, and the way on."""
    with scene.managed() as endpoint:
        ended = scene.run_job(MAKES_A_FILE + NOW)
        assert (ended.code, endpoint.requests) == (0, [])
    assert "model.bin" in ended.err
    assert "colab-run release --discard" in ended.err
    (result,) = scene.results()
    assert (result["release"]["status"], result["release"]["reason"]) == ("held", "unsaved-files")
    assert result["unsaved"] == {"files": 1, "bytes": 8, "largest": [{"path": "model.bin", "bytes": 8}]}


def test_what_will_hold_is_said_before_the_launch(scene: Scene) -> None:
    """A job that could end in a hold is told so first, with the line that avoids it."""
    with scene.managed():
        ended = scene.run_job("run: echo started >&2\n" + NOW)
    assert ended.err.index("outputs:") < ended.err.index("started\n")
    with scene.managed():
        ended = scene.run_job("run: 'true'\nrelease: {when: always, grace: 0s, unsaved: discard}\n")
    assert "outputs:" not in ended.err


def test_discard_releases_over_unsaved_files(scene: Scene) -> None:
    """`unsaved: discard` is the word that allows it."""
    with scene.managed() as endpoint:
        ended = scene.run_job(MAKES_A_FILE + "release: {when: always, grace: 0s, unsaved: discard}\n")
        assert (ended.code, len(endpoint.requests)) == (0, 1)


def test_what_is_no_result_does_not_hold(scene: Scene) -> None:
    """Caches, virtual environments, core files, our state, old files and what `setup` made hold nothing."""
    (scene.work / "old.txt").write_text("from before")
    scene.env["COLAB_RUN_HOME"] = str(scene.work / "state")
    scene.home = scene.work / "state"
    job = """
setup: echo made > by-setup.txt
run: |
  mkdir -p __pycache__ venv/lib .cache
  echo x > __pycache__/a.pyc
  echo x > venv/pyvenv.cfg
  echo x > venv/lib/module.py
  echo x > .cache/download
  echo x > core.1234
  : > empty-marker
  ln -s old.txt link
"""
    with scene.managed() as endpoint:
        with (scene.work / "redirected.txt").open("w") as log:
            ended = scene.run_job(job + NOW, "--result", "result.json", stdout=log, stderr=subprocess.STDOUT)
        assert (ended.code, len(endpoint.requests)) == (0, 1), (scene.work / "redirected.txt").read_text()


def test_a_hold_ends_in_a_release_when_that_is_what_was_asked(scene: Scene) -> None:
    """`after_hold: release`: the cell comes back at once, and a process of ours releases after `hold`."""
    with scene.managed() as endpoint:
        job = MAKES_A_FILE + "release: {when: always, grace: 0s, hold: 5s, after_hold: release}\n"
        ended = scene.run_job(job)
        assert (ended.code, endpoint.requests) == (0, [])
        assert scene.results()[0]["release"]["status"] == "held"
        until(lambda: endpoint.requests, "the request at the end of the hold")
        until(lambda: scene.results()[0]["release"]["status"] == "accepted", "the last word in result.json")


def test_a_hold_that_stays_leaves_no_process(scene: Scene) -> None:
    """`after_hold: stay`, and the default without Drive: nothing of ours waits for anything."""
    with scene.managed() as endpoint:
        scene.run_job(MAKES_A_FILE + "release: {when: always, grace: 0s, hold: 0s, after_hold: stay}\n")
        until(lambda: not scene.leftovers(), "the end of the guard")
        assert endpoint.requests == []


def test_a_new_run_keeps_the_end_of_a_hold_from_releasing(scene: Scene) -> None:
    """Who waits out a hold asks for the lease like everybody else."""
    with scene.managed() as endpoint:
        scene.run_job(MAKES_A_FILE + "release: {when: always, grace: 0s, hold: 10s, after_hold: release}\n")
        subprocess.run(["mkfifo", scene.work / "gate"], check=True)
        second = scene.start("run", scene.write_job("run: touch ready; read line < gate\n"))
        until((scene.work / "ready").exists, "the second run")
        until(lambda: scene.results()[0]["release"]["reason"] == "another-run", "the hold's end")
        assert endpoint.requests == []
        (scene.work / "gate").write_text("go\n")
        scene.end(second)


def test_a_later_run_does_not_release_over_files_of_an_earlier_one(scene: Scene) -> None:
    """A hold speaks against every release of this boot until its files are gone or somebody says discard."""
    with scene.managed() as endpoint:
        scene.run_job(MAKES_A_FILE + NOW)
        saved = "run: mkdir -p out; echo 1 > out/a\noutputs: [{path: out, to: ../saved}]\n"
        assert scene.run_job(saved + NOW).code == 0
        assert endpoint.requests == []
        assert scene.results()[1]["release"]["reason"] == "unsaved-files-of-an-earlier-run"
        (scene.work / "model.bin").unlink()
        assert scene.run_job(saved + NOW).code == 0
        assert len(endpoint.requests) == 1


def test_the_end_of_a_hold_spares_files_of_another_run(scene: Scene) -> None:
    """`after_hold: release` gives up its own files, not those of a run that asked to stay."""
    with scene.managed() as endpoint:
        stays = f"workdir: {scene.folder / 'stays'}\n"
        (scene.folder / "stays").mkdir()
        scene.run_job(MAKES_A_FILE + stays + "release: {when: always, grace: 0s, after_hold: stay}\n")
        scene.run_job(MAKES_A_FILE + "release: {when: always, grace: 0s, hold: 0s, after_hold: release}\n")
        until(lambda: not scene.leftovers(), "the end of the process that waited")
        assert endpoint.requests == []


def test_every_run_has_a_hold_of_its_own(scene: Scene) -> None:
    """A run that is held by an earlier one notes its own files as well, and the earlier hold spares them."""
    with scene.managed() as endpoint:
        (scene.folder / "second").mkdir()
        second = f"workdir: {scene.folder / 'second'}\n"
        release = "release: {when: always, grace: 0s, hold: 6s, after_hold: release}\n"
        scene.run_job(MAKES_A_FILE + release)
        scene.run_job(MAKES_A_FILE + second + NOW)
        until(lambda: not scene.leftovers(), "the end of the process that waited")
        assert endpoint.requests == []
        assert scene.results()[1]["release"]["reason"] == "unsaved-files"


def test_the_last_of_several_holds_releases(scene: Scene) -> None:
    """A hold that has ended in a release speaks no more against the next one."""
    with scene.managed() as endpoint:
        for hold in ("0s", "1s"):
            policy = f"release: {{when: always, grace: 0s, hold: {hold}, after_hold: release}}\n"
            folder = scene.folder / f"held-{hold}"
            folder.mkdir()
            scene.run_job(MAKES_A_FILE + f"workdir: {folder}\n" + policy, "--set", "name=x")
        until(lambda: endpoint.requests, "the request of the last hold")


def test_discard_covers_the_files_of_its_own_run_only(scene: Scene) -> None:
    """`unsaved: discard` gives up what this run did not name, not what another one left."""
    with scene.managed() as endpoint:
        (scene.folder / "other").mkdir()
        scene.run_job(MAKES_A_FILE + f"workdir: {scene.folder / 'other'}\n" + NOW)
        scene.run_job(MAKES_A_FILE + "release: {when: always, grace: 0s, unsaved: discard}\n")
        assert endpoint.requests == []


def test_holds_are_seen_from_every_state_folder(scene: Scene) -> None:
    """A hold is about the machine: another state folder, or user, does not release over it."""
    with scene.managed() as endpoint:
        scene.run_job(MAKES_A_FILE + NOW)
        elsewhere = {"COLAB_RUN_HOME": str(scene.folder / "other-home")}
        assert scene.run("release", env=elsewhere).code == 75
        assert endpoint.requests == []


def test_a_hold_says_when_it_ends_and_how(scene: Scene) -> None:
    """`release.until` and `release.then` in the document."""
    with scene.managed():
        scene.run_job(MAKES_A_FILE + "release: {when: always, grace: 0s, hold: 1h, after_hold: stay}\n")
    release = scene.results()[0]["release"]
    assert (release["then"], release["until"][-1]) == ("stay", "Z")


def test_a_signal_to_who_waits_out_a_hold_keeps_the_runtime(scene: Scene) -> None:
    """SIGTERM to the detached process ends it without a request."""
    with scene.managed() as endpoint:
        scene.run_job(MAKES_A_FILE + "release: {when: always, grace: 0s, hold: 1h, after_hold: release}\n")
        (guard,) = scene.guards()
        os.kill(guard, signal.SIGTERM)
        until(lambda: not scene.leftovers(), "its end")
        assert endpoint.requests == []
        assert scene.results()[0]["release"]["reason"] == "wait-stopped"


# --- outputs ------------------------------------------------------------------------------------

OUTPUT = "outputs: [{path: out, to: ../saved}]\n"


def test_outputs_are_saved_before_the_request(scene: Scene) -> None:
    """Outputs, log and receipt lie at the target when the request arrives; the receipt names every hash."""
    saved = scene.folder / "saved"
    seen: list[list[str]] = []

    def look(handler) -> None:
        files = (path.relative_to(saved) for path in saved.rglob("*") if path.is_file())
        seen.append(sorted(path.name for path in files if path.parts[0] != ".colab-run"))
        handler.send_response(200)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    with scene.managed(look):
        ended = scene.run_job("run: mkdir -p out/deep; echo 1 > out/deep/model; echo said\n" + OUTPUT + NOW)
        assert ended.code == 0, ended.err
    (result,) = scene.results()
    run_id = result["run_id"]
    assert seen == [[f"colab-run-{run_id}.log", f"colab-run-{run_id}.receipt.json", "model"]]
    assert (saved / f"colab-run-{run_id}.log").read_bytes() == b"said\n" == scene.logs()[0]
    receipt = json.loads((saved / f"colab-run-{run_id}.receipt.json").read_text())
    (entry,) = receipt["manifest"]
    assert entry["path"] == str(saved / "out/deep/model")
    assert entry["sha256"] == "4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865"
    assert result["saved"][0]["complete"] is True
    assert result["log_saved_to"] == str(saved / f"colab-run-{run_id}.log")


def test_outputs_of_a_failed_job_are_saved_too(scene: Scene) -> None:
    """A crash after ten epochs must not cost the ten epochs."""
    with scene.managed() as endpoint:
        ended = scene.run_job("run: mkdir out; echo 1 > out/checkpoint; exit 9\n" + OUTPUT + NOW)
        assert (ended.code, len(endpoint.requests)) == (9, 1)
    assert (scene.folder / "saved/out/checkpoint").read_text() == "1\n"


def test_an_output_that_is_not_there_is_74_and_holds(scene: Scene) -> None:
    """The job succeeded, its declared output does not exist: 74, and the runtime is not given away."""
    with scene.managed() as endpoint:
        ended = scene.run_job('run: "true"\n' + OUTPUT + NOW)
        assert (ended.code, endpoint.requests) == (74, []), ended.err
    (result,) = scene.results()
    assert (result["outcome"], result["decided_by"]) == ("succeeded", "colab-run")
    assert (result["release"]["status"], result["release"]["reason"]) == ("held", "not-saved")


def test_a_failed_job_without_outputs_loses_nothing(scene: Scene) -> None:
    """A job that crashed before it wrote anything keeps its code, and the runtime goes."""
    with scene.managed() as endpoint:
        ended = scene.run_job("run: exit 2\n" + OUTPUT + NOW)
        assert (ended.code, len(endpoint.requests)) == (2, 1)


def test_a_rerun_that_saves_the_output_ends_the_hold(scene: Scene) -> None:
    """What could not be saved the first time, and is saved now, holds nothing any more."""
    saved = scene.folder / "saved"
    with scene.managed() as endpoint:
        job = (
            # The mirror of the ledger may be written there just now.
            "run: mkdir -p out; echo 1 > out/a; [ -e again ] || until rm -rf ../saved && echo x > ../saved;"
            " do true; done\n" + OUTPUT + NOW
        )
        assert scene.run_job(job).code == 74
        saved.unlink()
        (scene.work / "again").touch()
        assert scene.run_job(job).code == 0
        assert len(endpoint.requests) == 1


@pytest.mark.parametrize("output", ["{path: o, to: o}", "{path: ., to: .}", "{path: o, to: .}"])
def test_an_output_onto_itself_is_refused(scene: Scene, output: str) -> None:
    """69 before the start: nothing would be copied anywhere."""
    ended = scene.run_job(f"run: touch started\noutputs: [{output}]\n" + NOW)
    assert ended.code == 69
    assert not (scene.work / "started").exists()


def test_what_is_no_file_is_not_saved(scene: Scene) -> None:
    """A pipe as an output is a failure, not `saved and verified: 0 files`."""
    with scene.managed() as endpoint:
        assert scene.run_job("run: mkfifo out\n" + OUTPUT + NOW).code == 74
        assert endpoint.requests == []


def test_an_output_that_cannot_be_written_holds(scene: Scene) -> None:
    """The target turned into something else while the job ran: 74, nothing lost, nothing released."""
    with scene.managed() as endpoint:
        ended = scene.run_job(
            # The mirror of the ledger may be written there just now.
            "run: mkdir out; echo 1 > out/a; until rm -rf ../saved && echo x > ../saved; do true; done\n"
            + OUTPUT
            + NOW
        )
        assert (ended.code, endpoint.requests) == (74, []), ended.err
    assert (scene.work / "out/a").read_text() == "1\n"
    assert "NOT saved" in ended.err


def test_drive_that_is_not_mounted_refuses_before_the_start(scene: Scene) -> None:
    """A path under /content/drive would be a local folder that goes with the VM: 69, with the cell to run."""
    with scene.managed() as endpoint:
        ended = scene.run_job(
            "run: touch started\noutputs: [{path: out, to: /content/drive/MyDrive/x}]\n" + NOW
        )
        assert (ended.code, endpoint.requests) == (69, [])
    assert "drive.mount('/content/drive')" in ended.err
    assert not (scene.work / "started").exists()


# --- the lease ----------------------------------------------------------------------------------


def test_a_release_waits_for_nobody_and_hurts_nobody(scene: Scene) -> None:
    """While a run is at work, `release` and another run's end send nothing and say why."""
    with scene.managed() as endpoint:
        subprocess.run(["mkfifo", scene.work / "gate"], check=True)
        job = scene.write_job("run: touch ready; read line < gate\n", "long.yaml")
        long = scene.start("run", job, env={"COLAB_RUN_HOME": str(scene.folder / "other-home")})
        until((scene.work / "ready").exists, "the long run")
        released = scene.run("release", "--json")
        assert released.code == 75
        assert released.document["release"]["reason"] == "another-run"
        assert released.document["money_still_running"] is True
        ended = scene.run_job('run: "true"\n' + NOW)
        assert (ended.code, endpoint.requests) == (0, [])
        assert scene.results()[0]["release"]["status"] == "held"
        assert scene.results()[0]["release"]["reason"] == "another-run"
        (scene.work / "gate").write_text("go\n")
        assert scene.end(long).code == 0
        # The guard of the held run has waited for this.
        until(lambda: scene.results()[0]["release"]["status"] == "accepted", "the release when both are over")
        assert len(endpoint.requests) == 1


def test_a_run_that_starts_into_a_release_is_refused(scene: Scene) -> None:
    """Between request and answer nothing may start: 69, with the reason, and no folder is made."""
    second: list = []

    def start_now(handler) -> None:
        second.append(scene.run("exec", "--json", "--", "touch", "started"))
        handler.send_response(200)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    scene.ask_in("30s")
    with scene.managed(start_now):
        assert scene.run("release").code == 0
    assert second[0].code == 69, second[0].err
    assert "handed back" in second[0].err
    assert second[0].document["decided_by"] == "colab-run"
    assert not (scene.work / "started").exists()


def test_release_asks_for_discard_while_files_are_held(scene: Scene) -> None:
    """`colab-run release` after a hold says what would be lost; --discard is the word that allows it."""
    with scene.managed() as endpoint:
        scene.run_job(MAKES_A_FILE + NOW)
        held = scene.run("release", "--json")
        assert (held.code, held.document["release"]["status"], endpoint.requests) == (75, "held", [])
        assert held.document["release"]["detail"].startswith("1 file")
        assert scene.run("release", "--discard").code == 0
        assert len(endpoint.requests) == 1


def test_release_elsewhere_is_not_managed(scene: Scene) -> None:
    """On a machine that nobody manages `release` says so and ends with 0."""
    ended = scene.run("release", "--json")
    assert (ended.code, ended.document["release"]["status"]) == (0, "not-managed")


def test_release_that_nobody_accepts_is_75(scene: Scene) -> None:
    """A dead endpoint is reported."""
    ended = scene.run("release", "--json", env={"TBE_RUNTIME_ADDR": dead_address()})
    assert (ended.code, ended.document["release"]["reason"]) == (75, "connection-refused")
