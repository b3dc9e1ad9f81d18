"""Guards are killed in an attempt and between two: none is lost or doubled, nothing is released early."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest

from helpers.ours import guard_of, kill, kill_both
from helpers.scene import until
from launcher.ledger.model import Row, State, problems
from launcher.ledger.store import Ledger
from launcher.release import lease

if TYPE_CHECKING:
    from helpers.scene import Scene

NOW = "stop_grace: 1s\nrelease: {when: always, grace: 0s, unsaved: discard}\n"
LOST = 128 + signal.SIGKILL
TTY = pytest.mark.parametrize("tty", [[], ["--tty"]], ids=["pipes", "terminal"])
# The first attempt fails, the second waits until it may end well.
RUN = """run: |
  echo "$COLAB_RUN_ATTEMPT" >> marks
  echo "attempt $COLAB_RUN_ATTEMPT"
  [ "$COLAB_RUN_ATTEMPT" = 1 ] && [ ! -e wait ] && exit 3
  touch "ready.$COLAB_RUN_ATTEMPT"
  until [ -e go ]; do sleep 0.01; done
"""


def job(on: str = "error", backoff: str = "0.05s", more: str = "") -> str:
    """A job file."""
    return (
        f"{RUN}setup: echo >> setups\nretry: {{max_restarts: 2, on: [{on}], backoff: {backoff}}}\n{NOW}{more}"
    )


def marks(scene: Scene) -> list[str]:
    """The attempts that really ran."""
    path = scene.work / "marks"
    return path.read_text().split() if path.exists() else []


def result(scene: Scene) -> dict[str, Any]:
    """Of the one run."""
    return next(iter(scene.results()), {})


def rows(scene: Scene) -> list[Row]:
    """The ledger's, which have to be in order."""
    ledger = Ledger.open(str(scene.home), lease.boot_id(), read_only=True)
    found = ledger.rows(result(scene)["run_id"])
    ledger.close()
    assert problems(found) == []
    return found


def states(scene: Scene) -> list[str]:
    """Their names, up to the end of the job."""
    names = [row.state.value for row in rows(scene)]
    return names[: names.index("ended") + 1]


def classes(scene: Scene) -> list[str | None]:
    """Of each attempt, by the document."""
    return [row["class"] for row in result(scene)["attempt_log"]]


def seen(scene: Scene, name: str) -> None:
    """The job has come that far, and the ledger, which nobody waits for, too: setup and that attempt."""
    until((scene.work / name).exists, name)
    told = int(name.rpartition(".")[2]) + 1
    until(lambda: [row.state.value for row in rows(scene)].count("started") >= told, "the ledger's rows")


def go(scene: Scene) -> None:
    """Let the job end."""
    (scene.work / "go").touch()


def in_pause(scene: Scene) -> None:
    """The first attempt has failed, and the second is not due yet."""
    until(lambda: result(scene).get("next_attempt"), "a pause")
    until(lambda: "retrying" in [row.state.value for row in rows(scene)], "the ledger's row about it")


# --- the guard ------------------------------------------------------------------------------------


@TTY
def test_in_an_attempt(scene: Scene, tty: list[str]) -> None:
    """The watcher goes on with the second attempt; setup and the first are over."""
    with scene.managed() as endpoint:
        process = scene.start("run", scene.write_job(job()), *tty)
        seen(scene, "ready.2")
        kill(guard_of(scene))
        go(scene)
        ended = scene.end(process)
        assert (ended.code, marks(scene)) == (0, ["1", "2"]), ended.err
        assert len(endpoint.requests) == 1
    assert states(scene) == ["planned", "started", "started", "retrying", "started", "ended"]
    assert ended.out.replace("\r", "") == "attempt 1\nattempt 2\n"
    assert (scene.work / "setups").read_text() == "\n"
    assert classes(scene) == ["error", None]


@TTY
def test_in_the_pause(scene: Scene, tty: list[str]) -> None:
    """The watcher waits on, and starts what was decided: once, and nothing was released meanwhile."""
    with scene.managed() as endpoint:
        go(scene)
        process = scene.start("run", scene.write_job(job(backoff="5s")), *tty)
        in_pause(scene)
        kill(guard_of(scene))
        assert endpoint.requests == []
        ended = scene.end(process)
        assert (ended.code, marks(scene)) == (0, ["1", "2"]), ended.err
        assert len(endpoint.requests) == 1
    assert states(scene) == ["planned", "started", "started", "retrying", "started", "ended"]
    assert ended.out.replace("\r", "") == "attempt 1\nattempt 2\n"
    assert (scene.work / "setups").read_text() == "\n"


def test_a_stop_in_a_pause_that_was_taken_over(scene: Scene) -> None:
    """The watcher hears it: 130, and nothing is started again."""
    with scene.managed() as endpoint:
        process = scene.start("run", scene.write_job(job(backoff="500s")))
        in_pause(scene)
        kill(guard_of(scene))
        process.send_signal(signal.SIGINT)
        ended = scene.end(process)
        assert (ended.code, marks(scene), endpoint.requests) == (130, ["1"], []), ended.err


def test_as_an_attempt_ends(scene: Scene) -> None:
    """The guard goes in the very moment: whoever takes over decides the same, once."""
    run = 'run: \'echo "$COLAB_RUN_ATTEMPT" >> marks; kill -KILL $PPID; [ "$COLAB_RUN_ATTEMPT" = 2 ]\'\n'
    with scene.managed() as endpoint:
        ended = scene.run_job(f"{run}retry: {{max_restarts: 1, backoff: 0.05s}}\n{NOW}")
        # The second attempt kills the watcher in the guard's place as well: its own parent.
        assert marks(scene) == ["1", "2"], ended.err
        assert ended.code == LOST
        until(lambda: len(endpoint.requests) == 1, "the release")


# --- both -----------------------------------------------------------------------------------------


def test_both_in_the_pause(scene: Scene) -> None:
    """Not asked for: the run is lost, nothing is started again, and then it is released."""
    with scene.managed() as endpoint:
        process = scene.start("run", scene.write_job(job(backoff="500s")))
        in_pause(scene)
        kill_both(scene)
        ended = scene.end(process)
        assert (ended.code, marks(scene)) == (LOST, ["1"]), ended.err
        assert len(endpoint.requests) == 1
    assert states(scene) == ["planned", "started", "started", "retrying", "ended"]
    assert (result(scene)["outcome"], result(scene)["attempts"]) == ("lost", 1)
    assert classes(scene) == ["error"]


@TTY
def test_both_in_an_attempt_that_may_be_lost(scene: Scene, tty: list[str]) -> None:
    """`on: [lost]`: what is left of it is ended, then the client that finds it has it started again."""
    with scene.managed() as endpoint:
        (scene.work / "wait").touch()
        process = scene.start("run", scene.write_job(job("lost")), *tty)
        seen(scene, "ready.1")
        kill_both(scene)
        seen(scene, "ready.2")
        assert endpoint.requests == []
        go(scene)
        ended = scene.end(process)
        assert (ended.code, marks(scene)) == (0, ["1", "2"]), ended.err
        assert len(endpoint.requests) == 1
    assert states(scene) == ["planned", "started", "started", "retrying", "started", "ended"]
    assert (scene.work / "setups").read_text() == "\n"
    assert classes(scene) == ["lost", None]
    assert result(scene)["attempt_log"][0]["duration_s"] == {"unknown": "lost"}


def test_both_in_a_pause_of_one_that_may_be_lost(scene: Scene) -> None:
    """The attempt that was decided is made, by the next call of its user; a detached run."""
    with scene.managed() as endpoint:
        go(scene)
        scene.run("run", "--detach", scene.write_job(job("error, lost", backoff="500s")))
        in_pause(scene)
        kill_both(scene)
        assert "has lost its guard" in scene.run("probe").err
        until(lambda: endpoint.requests, "the release")
        assert marks(scene) == ["1", "2"]
        until(lambda: result(scene)["release"]["status"] == "accepted", "the last word")
    assert states(scene) == ["planned", "started", "started", "retrying", "started", "ended"]
    assert (result(scene)["exit_code"], classes(scene)) == (0, ["error", None])


def test_one_that_was_lost_and_started_again_is_guarded_as_any(scene: Scene) -> None:
    """Its new guard is killed as well: the watcher of that one goes on, and no attempt is made twice."""
    with scene.managed() as endpoint:
        (scene.work / "wait").touch()
        scene.run("run", "--detach", scene.write_job(job("lost")))
        seen(scene, "ready.1")
        kill_both(scene)
        scene.run("probe")
        seen(scene, "ready.2")
        kill(guard_of(scene))
        assert endpoint.requests == []
        go(scene)
        until(lambda: endpoint.requests, "the release")
        until(lambda: result(scene)["release"]["status"] == "accepted", "the last word")
        assert marks(scene) == ["1", "2"]
    assert (result(scene)["exit_code"], classes(scene)) == (0, ["lost", None])


def test_a_secret_that_the_caller_does_not_have(scene: Scene) -> None:
    """Without it the job would not be the same: it is ended and released, and not started again."""
    with scene.managed() as endpoint:
        (scene.work / "wait").touch()
        text = job("lost", more="secrets: [HF_TOKEN]\n")
        scene.run("run", "--detach", scene.write_job(text), env={"HF_TOKEN": "secret-value"})
        seen(scene, "ready.1")
        kill_both(scene)
        scene.run("probe")
        until(lambda: endpoint.requests, "the release")
        assert marks(scene) == ["1"]
    ended = next(row.facts for row in rows(scene) if row.state is State.ENDED)
    assert (ended["outcome"], ended["not_again"]) == ("lost", "not-ours")


def test_no_secret_is_written_down(scene: Scene) -> None:
    """A command with a secret's value in it is not kept for anybody: the run cannot be started again then."""
    with scene.managed() as endpoint:
        (scene.work / "wait").touch()
        text = job("lost", more="secrets: [HF_TOKEN]\nenv: {COPY: secret-value}\n")
        scene.run("run", "--detach", scene.write_job(text), env={"HF_TOKEN": "secret-value"})
        seen(scene, "ready.1")
        (plan,) = scene.home.glob("runs/*/plan.json")
        assert "secret-value" not in plan.read_text()
        kill_both(scene)
        scene.run("probe", env={"HF_TOKEN": "secret-value"})
        until(lambda: endpoint.requests, "the release")
        assert marks(scene) == ["1"]
