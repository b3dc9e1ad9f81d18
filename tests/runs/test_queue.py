"""Several job files are a queue: each a run of its own, and one release after the last."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

from helpers.queues import (
    ALWAYS,
    job,
    kill_all,
    marks,
    open_gate,
    ours_of,
    queue_of,
    runs_of,
    stands,
    until_done,
    until_marked,
)
from helpers.scene import Scene, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

IDLE = {"when": "success", "grace": "0s", "unsaved": "discard"}


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """A managed runtime."""
    scene = Scene(tmp_path)
    yield scene
    scene.close()


# --- to the end -------------------------------------------------------------------------------------


def test_one_after_the_other_and_one_release(scene: Scene) -> None:
    """What each writes is shown; only the queue asks for the release."""
    with scene.managed() as endpoint:
        first = job(scene, "first", "echo out")
        second = job(scene, "second", "cat marks")
        ended = scene.run(first, second)
        assert (ended.code, ended.out) == (0, "out\nfirst\nsecond\n")
        assert marks(scene) == ["first", "second"]
        assert len(endpoint.requests) == 1
        queue = queue_of(scene)
        assert (queue["outcome"], queue["release"]["status"]) == ("succeeded", "accepted")
        assert [run["job"] for run in queue["runs"]] == ["first", "second"]
        for run in runs_of(scene):
            assert (run["release"]["status"], run["release"]["reason"]) == ("kept", "left-to-queue")
            assert run["queue"] == queue["queue_id"]


def test_one_document_for_all(scene: Scene) -> None:
    """--json: the queue's, with each run in short; the jobs' output is on stderr."""
    files = [job(scene, "first", "echo loud"), job(scene, "second")]
    ended = scene.run("--json", *files, "--result", "last.json")
    document = ended.document
    assert (ended.code, document["exit_code"], stands(document)) == (0, 0, ["ended", "ended"])
    assert [run["outcome"] for run in document["runs"]] == ["succeeded", "succeeded"]
    assert [run["number"] for run in document["runs"]] == [1, 2]
    assert "loud\n" in ended.err
    assert json.loads((scene.work / "last.json").read_text())["queue_id"] == document["queue_id"]


def test_the_first_that_fails_ends_it(scene: Scene) -> None:
    """Its code is the queue's; the rest is not started. `success` then means: not now, but once idle."""
    with scene.managed() as endpoint:
        files = [job(scene, "first", "exit 3"), job(scene, "second", release=IDLE)]
        ended = scene.run(*files)
        assert (ended.code, marks(scene)) == (3, ["first"])
        queue = queue_of(scene)
        assert (queue["outcome"], queue["exit_code"]) == ("failed", 3)
        assert stands(queue) == ["ended", "not-started"]
        assert queue["release"]["reason"] == "when-success"
        assert endpoint.requests == []


def test_keep_going(scene: Scene) -> None:
    """All are started; the code is that of the first that failed, and the release is for a failure."""
    with scene.managed() as endpoint:
        failure = {**ALWAYS, "when": "failure"}
        files = [job(scene, "a"), job(scene, "b", "exit 3"), job(scene, "c", "exit 4")]
        files.append(job(scene, "d", release=failure))
        ended = scene.run("run", "--keep-going", *files)
        assert (ended.code, marks(scene)) == (3, ["a", "b", "c", "d"])
        assert len(endpoint.requests) == 1


def test_what_cannot_start_ends_it_too(scene: Scene) -> None:
    """127 of a run, after one that was started: released by the last file's word."""
    with scene.managed() as endpoint:
        files = [job(scene, "first"), job(scene, "gone", argv=["no-such-command"]), job(scene, "last")]
        ended = scene.run(*files)
        assert (ended.code, marks(scene)) == (127, ["first"])
        assert [run["outcome"] for run in queue_of(scene)["runs"]][:2] == ["succeeded", "could_not_start"]
        assert len(endpoint.requests) == 1


def test_a_file_that_is_broken_meanwhile(scene: Scene) -> None:
    """Each file is read again when its turn comes; what is wrong then is said, and is no run."""
    with scene.managed() as endpoint:
        second = job(scene, "second")
        first = job(scene, "first", f"echo 'run: [' > {second}")
        ended = scene.run(first, second)
        assert ended.code == 65
        assert f"{second}:1:" in ended.err
        assert len(runs_of(scene)) == 1
        assert len(endpoint.requests) == 1


# --- checked before anything is started ---------------------------------------------------------------


def test_all_problems_of_all_files(scene: Scene) -> None:
    """65, and no queue comes to be."""
    one, two = scene.write_job("rum: x\n", "one.yaml"), scene.write_job("run: []\n", "two.yaml")
    ended = scene.run("--json", one, job(scene, "good"), two)
    assert (ended.code, marks(scene)) == (65, [])
    assert {problem["file"] for problem in ended.document["problems"]} == {"one.yaml", "two.yaml"}
    assert "one.yaml:1:1" in ended.err
    assert "two.yaml:1:" in ended.err
    assert scene.results() == []


def test_a_need_that_is_not_met(scene: Scene) -> None:
    """69 for the second of them; the first is not started either."""
    files = [job(scene, "first"), job(scene, "large", resources={"ram": "900TB"})]
    ended = scene.run(*files)
    assert (ended.code, marks(scene), scene.results()) == (69, [], [])


def test_the_needs_of_all_that_are_refused(scene: Scene) -> None:
    """A script sees all of them at once, and whose they are."""
    needs = {"one": {"ram": "900TB"}, "good": {"ram": "1MB"}, "two": {"disk": "900TB", "cpus": 1}}
    files = [job(scene, name, resources=need) for name, need in needs.items()]
    ended = scene.run("--json", *files)
    assert (ended.code, marks(scene)) == (69, [])
    rows = {(row["job"], row["requirement"]): row["status"] for row in ended.document["findings"]}
    assert rows == {("one", "ram"): "short", ("two", "disk"): "short", ("two", "cpus"): "met"}


# --- detached ---------------------------------------------------------------------------------------


def test_detached(scene: Scene) -> None:
    """The command ends when the first job really runs; `ps`, `logs` and `wait` know the queue."""
    with scene.managed() as endpoint:
        files = [job(scene, "first", "echo one", gated=True), job(scene, "second", "echo two; exit 5")]
        ended = scene.run("run", "--detach", "--json", *files)
        assert ended.code == 0
        document = ended.document
        assert (document["state"], document["exit_code"]) == ("started", None)
        queue_id = document["queue_id"]
        until_marked(scene, "first")
        rows = {row["run_id"]: row for row in scene.run("ps", "--json").document["runs"]}
        assert [run["stands"] for run in rows[queue_id]["runs"]] == ["running", "waiting"]
        assert "0 of 2 runs have ended; at work: first" in scene.run("ps").out
        open_gate(scene, "first")
        waited = scene.run("wait", queue_id, "--json")
        assert (waited.code, waited.document["queue_id"]) == (5, queue_id)
        assert scene.run("logs", queue_id).out == "one\ntwo\n"
        until(lambda: endpoint.requests, "the release")


# --- a person's stop --------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_press_in_its_client(scene: Scene, number: int, code: int) -> None:
    """The run that goes on is stopped politely, none follows, and the runtime stays for the person."""
    with scene.managed() as endpoint:
        polite = 'trap "echo polite; exit 9" INT TERM; '
        loop = polite + "echo here; while :; do sleep 0.05; done"
        files = [job(scene, "first", loop, stop_grace="1h"), job(scene, "second")]
        process = scene.start("run", "--keep-going", *files)
        until_marked(scene, "first")
        until(lambda: any(b"here" in log for log in scene.logs()), "its output")
        process.send_signal(number)
        ended = scene.end(process)
        assert (ended.code, marks(scene)) == (code, ["first"])
        assert ended.out == "here\npolite\n"
        queue = until_done(scene)
        assert (queue["outcome"], stands(queue)) == ("interrupted", ["ended", "not-started"])
        assert (queue["release"]["status"], queue["release"]["reason"]) == ("held", "ended-by-person")
        assert endpoint.requests == []


def test_stop_from_another_shell(scene: Scene) -> None:
    """`stop QUEUE`, and `stop` of the run that goes on: both end the queue."""
    with scene.managed() as endpoint:
        files = [job(scene, "first", gated=True), job(scene, "second")]
        queue_id = scene.run("run", "--detach", "--json", *files).document["queue_id"]
        until_marked(scene, "first")
        assert scene.run("stop", queue_id).code == 0
        assert scene.run("wait", queue_id).code == 130
        assert (marks(scene), stands(until_done(scene))) == (["first"], ["ended", "not-started"])
        assert endpoint.requests == []


# --- what exists only here ----------------------------------------------------------------------------


def test_a_runs_unsaved_files_hold_the_queue(scene: Scene) -> None:
    """The first run leaves a file that nobody saves: the queue is held, though the last gives all up."""
    with scene.managed() as endpoint:
        hold = {"when": "always", "grace": "0s"}
        files = [job(scene, "first", "echo x > model", release=hold), job(scene, "second")]
        ended = scene.run(*files)
        assert ended.code == 0
        release = until_done(scene)["release"]
        assert (release["status"], release["reason"]) == ("held", "unsaved-files")
        assert endpoint.requests == []


# --- killed -----------------------------------------------------------------------------------------


def test_its_guard_is_killed(scene: Scene) -> None:
    """The watcher goes on: the run that was at work is not started again, the next one is, once."""
    with scene.managed() as endpoint:
        files = [job(scene, "first", gated=True), job(scene, "second")]
        queue_id = scene.run("run", "--detach", "--json", *files).document["queue_id"]
        until_marked(scene, "first")
        kill_all(ours_of(scene, queue_id)[1])
        open_gate(scene, "first")
        assert scene.run("wait", queue_id).code == 0
        assert marks(scene) == ["first", "second"]
        until(lambda: endpoint.requests, "the release")
        assert len(endpoint.requests) == 1


def test_guard_and_watcher_are_killed(scene: Scene) -> None:
    """The next call of anybody ends the queue: what runs goes on to its end, and nothing follows."""
    with scene.managed() as endpoint:
        files = [job(scene, "first", gated=True), job(scene, "second")]
        queue_id = scene.run("run", "--detach", "--json", *files).document["queue_id"]
        until_marked(scene, "first")
        kill_all(*ours_of(scene, queue_id))
        scene.run("probe")
        assert endpoint.requests == []
        open_gate(scene, "first")
        queue = until_done(scene)
        assert (marks(scene), stands(queue)) == (["first"], ["ended", "not-started"])
        assert (queue["outcome"], queue["exit_code"]) == ("lost", 137)
        until(lambda: endpoint.requests, "the release")


def test_a_run_of_it_is_lost(scene: Scene) -> None:
    """Watcher and guard of a run are killed: the queue has it ended, and ends with 137."""
    with scene.managed() as endpoint:
        files = [job(scene, "first", "sleep 600"), job(scene, "second")]
        queue_id = scene.run("run", "--detach", "--json", *files).document["queue_id"]
        until_marked(scene, "first")
        (run,) = runs_of(scene)
        kill_all(*ours_of(scene, run["run_id"]))
        assert scene.run("wait", queue_id).code == 137
        assert marks(scene) == ["first"]
        assert queue_of(scene)["runs"][0]["outcome"] == "lost"
        until(lambda: endpoint.requests, "the release")


def test_a_start_that_is_killed_is_made_good(scene: Scene) -> None:
    """Whoever kills the command that starts a run: it is started once all the same."""
    with scene.managed() as endpoint:
        files = [job(scene, "first"), job(scene, "second")]
        process = scene.start(*files)
        starter = until(
            lambda: next((pid for pid in scene.leftovers() if _is_starter(pid)), 0), "a command that starts"
        )
        kill_all(starter)
        assert scene.end(process).code == 0
        assert marks(scene) == ["first", "second"]
        assert len(endpoint.requests) == 1


def _is_starter(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return b"--queue" in file.read()
    except OSError:
        return False


def test_history_tells_a_queue_from_a_run(scene: Scene) -> None:
    """Its units are those of its runs, and are counted there."""
    assert scene.run(job(scene, "a"), job(scene, "b")).code == 0
    rows = {row["job"]: row for row in scene.run("history", "--json").document["runs"]}
    assert {name: row["kind"] for name, row in rows.items()} == {"queue": "queue", "a": "run", "b": "run"}
    assert rows["queue"]["compute_units"] == {"unknown": "of-its-runs"}
