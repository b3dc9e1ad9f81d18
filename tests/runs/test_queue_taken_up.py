"""What the guard of a queue finds when it takes over from one that was killed, or from nobody."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from helpers.queues import job, kill_all, marks, open_gate, ours_of, stands, until_done
from helpers.scene import Scene, until
from launcher.children import call_in_child
from launcher.guard.desk import PRESS, Asked
from launcher.guard.folder import RunFolder
from launcher.guard.queueing import Stands
from launcher.queue_plan import Asked as AskedOfQueue
from launcher.queue_plan import Item, Standing
from launcher.queue_runs import QueueRuns
from launcher.values import Known

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LONGEST_S = 30.0
POLITE = "trap 'echo polite; exit 9' INT TERM; echo here; while :; do sleep 0.05; done"


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """A managed runtime."""
    scene = Scene(tmp_path)
    yield scene
    scene.close()


class Desk:
    """Where `asked` is found first of all; after each pause `then()` is called."""

    def __init__(self, asked: list[Asked], then: Callable[[], None]) -> None:
        self._asked, self._then = asked, then

    def take(self) -> list[Asked]:
        taken, self._asked = self._asked, []
        return taken

    def wait(self, seconds: float) -> None:
        if not self._asked:  # As the real one: it comes back when something is asked, else after that time.
            time.sleep(seconds)
        self._then()


def take_up(
    scene: Scene,
    standing: Standing,
    *,
    stopped: int | None = None,
    asked: list[Asked] | None = None,
    words: tuple[str, ...] = (),
    then: Callable[[Standing, list[str]], None] = lambda standing, told: None,
) -> dict[str, Any]:
    """Have the queue of this one run taken up, in a process of its own; how it then ended."""

    def go() -> dict[str, Any]:
        told: list[str] = []
        folder = RunFolder(str(scene.home / "runs" / "20261123-000000-0000"))
        noted = SimpleNamespace(queue=[standing], queue_stopped=stopped, queue_closed=False)
        queue = QueueRuns(
            SimpleNamespace(home=str(scene.home), environ=scene.env),
            AskedOfQueue((Item("one", words),), False, str(scene.work)),
            Desk(list(asked or ()), lambda: then(standing, told)),
            noted,
            folder,
            lambda event: None,
            lambda: told.append("begun"),
        )
        queue.go()
        return {"begun": len(told), "stands": standing.stands.value, "told": standing.told}

    (scene.home / "runs" / "20261123-000000-0000").mkdir(parents=True, exist_ok=True)
    ended = call_in_child(go, deadline_s=LONGEST_S)
    assert isinstance(ended, Known), ended
    found: dict[str, Any] = ended.value
    return found


def started(scene: Scene, run: str = "", **keys: Any) -> Standing:
    """A run that another guard has started, as it was noted before it had begun."""
    words = ["run", "--detach", "--json", job(scene, "one", run, **keys)]
    return Standing(Stands.RUNNING, starts=1, run_id=scene.run(*words).document["run_id"])


# --- begun ------------------------------------------------------------------------------------------


def test_a_run_that_the_guard_before_has_started_is_told_of(scene: Scene) -> None:
    """While it goes on: whoever has started the queue with --detach waits for that."""

    def then(standing: Standing, told: list[str]) -> None:
        if told and standing.stands is Stands.RUNNING:
            open_gate(scene, "one")

    ended = take_up(scene, started(scene, gated=True), then=then)
    assert (ended["begun"], ended["stands"], ended["told"]["exit_code"]) == (1, "ended", 0)


# --- a person's stop --------------------------------------------------------------------------------


def test_a_stop_that_was_noted_reaches_what_runs(scene: Scene) -> None:
    """The guard was killed before it had told the run."""
    standing = started(scene, POLITE, stop_grace="1h")
    until(lambda: any(b"here" in log for log in scene.logs()), "its output")
    ended = take_up(scene, standing, stopped=15)
    assert ended["told"]["outcome"] == "interrupted"
    assert any(b"polite" in log for log in scene.logs())


def test_the_same_press_does_not_kill(scene: Scene) -> None:
    """Colab delivers each press twice; the second half of it comes to the guard that takes over."""
    standing = started(scene, POLITE, stop_grace="1h")
    until(lambda: any(b"here" in log for log in scene.logs()), "its output")
    take_up(scene, standing, stopped=2, asked=[Asked(PRESS, 2)])
    assert any(b"polite" in log for log in scene.logs())


def test_a_kill_that_was_noted_is_done(scene: Scene) -> None:
    """A person has pressed twice: the run is not waited for."""
    standing = started(scene, "trap '' INT TERM; echo here; while :; do sleep 0.05; done", stop_grace="1h")
    until(lambda: any(b"here" in log for log in scene.logs()), "its output")
    standing.kill = True
    assert take_up(scene, standing, stopped=2)["told"]["outcome"] == "interrupted"


def test_who_has_heard_the_stop_is_not_told_again(scene: Scene) -> None:
    """For a run that would be a second press, and kill it."""
    ignores = (
        "trap 'touch heard' INT TERM; echo here; until [ -e gate ]; do sleep 0.05 || true; done; touch whole"
    )
    standing = started(scene, ignores, stop_grace="1h")
    until(lambda: any(b"here" in log for log in scene.logs()), "its output")
    scene.start("stop", standing.run_id or "")
    until((scene.work / "heard").exists, "its stop")
    since = time.monotonic()

    def then(standing: Standing, told: list[str]) -> None:
        if time.monotonic() > since + 2.0:  # Longer than what counts as the same press.
            (scene.work / "gate").touch()

    take_up(scene, standing, stopped=2, then=then)
    assert (scene.work / "whole").exists()


def test_a_stop_counts_where_both_guards_are_lost(scene: Scene) -> None:
    """It was the queue that was stopped, not only its run; `always` falls to idle."""
    with scene.managed() as endpoint:
        ignores = (
            "trap 'touch heard' INT TERM; touch ready; until [ -e gate ]; do sleep 0.02 || true; done; exit 0"
        )
        files = [job(scene, "first", ignores, stop_grace="1h"), job(scene, "second")]
        queue_id = scene.run("run", "--keep-going", "--detach", "--json", *files).document["queue_id"]
        until((scene.work / "ready").exists, "its start")
        stop = scene.start("stop", queue_id)
        until((scene.work / "heard").exists, "the stop of its run")
        kill_all(*ours_of(scene, queue_id))
        scene.run("probe")
        (scene.work / "gate").touch()
        queue = until_done(scene)
        assert (marks(scene), stands(queue)) == (["first"], ["ended", "not-started"])
        assert (queue["release"]["status"], queue["release"]["reason"]) == ("held", "ended-by-person")
        assert endpoint.requests == []
        scene.end(stop)


# --- claims -----------------------------------------------------------------------------------------


def test_a_claim_that_cannot_be_closed_now(scene: Scene) -> None:
    """Nothing is started a second time until it is: whoever was on its way may still take it."""
    claims = scene.home / "runs" / "20261123-000000-0000" / "claims"
    claims.parent.mkdir(parents=True)
    claims.symlink_to("nowhere")  # As on a full disk.
    seen: list[str] = []

    def then(standing: Standing, told: list[str]) -> None:
        if len(seen) < 3:
            seen.append(f"{standing.stands.value} {standing.starts}")
            assert seen == ["starting 1"] * len(seen)
        elif claims.is_symlink():
            claims.unlink()
            claims.mkdir()
            (claims / "0.1").write_text(json.dumps({"run_id": run_id}))

    run_id = started(scene).run_id
    ended = take_up(scene, Standing(Stands.STARTING, starts=1), words=(job(scene, "one"),), then=then)
    assert (ended["stands"], ended["told"]["run_id"]) == ("ended", run_id)
    assert marks(scene) == ["one"]
