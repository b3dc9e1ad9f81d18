"""The last word of the ledger, which a later machine believes; and the one nonce of one release."""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from helpers.endpoint import Endpoint
from helpers.ours import is_dead, name_of
from helpers.release_machine import DAY_S, GRACE_S, Gone, Machine
from helpers.scene import until
from launcher.ledger.confirming import is_gone
from launcher.ledger.model import RELEASE, Row, State, problems
from launcher.ledger.store import Ledger
from launcher.release.interface import ReleaseResult, ReleaseStatus

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from helpers.scene import Scene

NOW = "release: {when: always, grace: 0s, unsaved: discard, confirm: 1h}\n"


def rows_of(scene: Scene, home: str = "home") -> list[Row]:
    """All that the ledger has of the only run."""
    ledger = Ledger.open(str(scene.folder / home), "another boot", read_only=True)
    try:
        (run,) = ledger.runs(9)
        return list(ledger.rows(run.run_id))
    finally:
        ledger.close()


def last_word(rows: list[Row]) -> tuple[str, object]:
    """How the release stands by the ledger, which no later machine takes for its end."""
    assert problems(rows) == []
    last = [row for row in rows if row.state in RELEASE][-1]
    assert not is_gone(last, "another boot", last.wall + 365 * DAY_S)
    return last.state.value, last.facts.get("reason")


def orphan(scene: Scene, client: subprocess.Popen[str]) -> None:
    """Client, watcher and guard are killed, in this order: each would go on without the next."""
    names = {pid: name_of(pid) for pid in scene.leftovers()}
    later = {"colab-run-watch": 1, "colab-run-guard": 2}
    ours = [pid for pid, name in names.items() if name not in ("bash", "sleep")]
    for pid in sorted(ours, key=lambda pid: later.get(names[pid], 0)):
        with suppress(ProcessLookupError):  # What was asking for it went with its guard.
            os.kill(pid, signal.SIGKILL)
    client.communicate(timeout=20)
    until(lambda: all(map(is_dead, ours)), "their ends")


def ended(scene: Scene) -> bool:
    return rows_of(scene)[-1].state is State.DONE


# --- the last word --------------------------------------------------------------------------------


def test_a_release_that_cannot_go_on_is_failed(scene: Scene) -> None:
    """A request went out, all of ours was killed, and who finds the run may not ask again."""
    policy = {"when": "always", "grace": "0s", "unsaved": "discard"}
    release = json.dumps({**policy, "with": {"command": "echo $ZONE >> told; false"}})
    with scene.managed():
        job = scene.write_job(f"run: 'true'\nrelease: {release}\n")
        client = scene.start("run", job, env={"ZONE": "here"})
        until((scene.work / "told").exists, "a request")
        orphan(scene, client)
        assert scene.run("ps", env={"ZONE": "there"}).code == 0
        until(lambda: ended(scene), "its end")
    assert last_word(rows_of(scene)) == ("failed", "other-environment")


def test_nobody_to_ask_is_a_word_too(scene: Scene) -> None:
    """From the beginning: failed, in the ledger as in the record."""
    nowhere = {"HOME": str(scene.folder), "JUPYTER_RUNTIME_DIR": str(scene.folder / "none")}
    with scene.managed():
        job = 'run: "true"\nrelease: {with: jupyter, when: always, grace: 0s}\n'
        assert scene.run_job(job, env=nowhere).code == 75
        until(lambda: ended(scene), "its end")
    assert last_word(rows_of(scene)) == ("failed", "no-server")


def test_that_another_run_was_accepted_is_no_word_of_this_one(scene: Scene) -> None:
    """Its guard looks after the rest, and writes that down in its own rows."""
    with scene.managed() as endpoint:
        assert scene.run("keep", "1h").code == 0
        for home in ("home", "other"):
            scene.run_job('run: "true"\n' + NOW, env={"COLAB_RUN_HOME": str(scene.folder / home)})
        assert scene.run("keep", "--drop").code == 0
        until(lambda: len(endpoint.requests) == 1, "the request")
        homes = ("home", "other")
        until(
            lambda: [rows_of(scene, home)[-1].state for home in homes].count(State.DONE) == 1,
            "the end of the one that did not ask",
        )
        (done,) = [home for home in homes if rows_of(scene, home)[-1].state is State.DONE]
    assert last_word(rows_of(scene, done)) == ("kept", "another-run-released")


def test_a_stop_after_an_acceptance_confirms_nothing(scene: Scene) -> None:
    """Nobody looks any more whether it goes: its silence says nothing."""
    with scene.managed() as endpoint:
        assert scene.run_job('run: "true"\n' + NOW).code == 0
        assert len(endpoint.requests) == 1
        assert scene.run("stop", "last").code == 0
        until(lambda: ended(scene), "the end of its guard")
    assert last_word(rows_of(scene)) == ("still-here", "ended-by-person")


# --- one nonce ------------------------------------------------------------------------------------


def test_a_hold_after_a_request_keeps_its_nonce(scene: Scene) -> None:
    """The request was refused, somebody kept the runtime, all of ours was killed; then it is asked again."""
    with scene.managed(503) as endpoint:
        client = scene.start("run", scene.write_job('run: "true"\n' + NOW))
        until(lambda: endpoint.requests, "a request")
        assert scene.run("keep", "1h").code == 0
        until(lambda: rows_of(scene)[-1].state is State.HELD, "the hold")
        orphan(scene, client)
        asked = len(endpoint.requests)
        endpoint.script = [200]
        assert scene.run("keep", "--drop").code == 0
        until(lambda: len(endpoint.requests) > asked, "another request")
        until(lambda: rows_of(scene)[-1].state is State.ACCEPTED, "the answer")
    rows = rows_of(scene)
    assert problems(rows) == []
    assert len({request.nonce for request in endpoint.requests}) == 1
    assert {row.facts.get("nonce") for row in rows if row.state is State.REQUESTED} == {
        endpoint.requests[0].nonce
    }


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint("", [200]) as endpoint:
        yield endpoint


def test_what_was_told_of_a_nonce_holds(tmp_path: Path, endpoint: Endpoint) -> None:
    """Drive could not be flushed after the request was noted: the next try goes under the same one."""
    machine = Machine(tmp_path, endpoint.address)
    answers = ["Drive does not answer", ""]
    guard = machine.guard(prepare=lambda abort: answers.pop(0))
    held = guard.go(0)
    assert (held.status, held.reason) == (ReleaseStatus.HELD, "drive-not-flushed")
    machine.goes_at(50)
    with pytest.raises(Gone):
        guard.go(0, held)
    assert {result.nonce for _, result in machine.noted} == {held.nonce}


def test_a_guard_waits_for_what_a_person_was_accepted_for(tmp_path: Path, endpoint: Endpoint) -> None:
    """`colab-run release` in its countdown: one request, unless the runtime is still here after `confirm`."""
    machine = Machine(tmp_path, endpoint.address)
    by_hand: list[ReleaseResult] = []
    asked: list[int] = []

    def release() -> None:
        by_hand.append(machine.guard("", own=None).now())

    machine.at(GRACE_S - 10, release)
    machine.at(GRACE_S - 10 + 119, lambda: asked.append(len(endpoint.requests)))
    machine.goes_at(GRACE_S + 150)
    assert machine.go() is None
    assert [result.status for result in by_hand] == [ReleaseStatus.ACCEPTED]
    assert (asked, len(endpoint.requests)) == ([1], 2)
    assert len({request.nonce for request in endpoint.requests}) == 2
