"""`release.when: idle`: the guard waits until nothing shows life; the cell is free meanwhile."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from helpers.house import NO_HOUSE, can_build
from helpers.ours import kill_both
from helpers.scene import until

if TYPE_CHECKING:
    from helpers.endpoint import Endpoint
    from helpers.house import House

pytestmark = pytest.mark.skipif(not can_build(), reason=NO_HOUSE)

WINDOW_S = 2.0
# Two samples, and what a busy machine takes to start a request.
LATE_S = 0.2 + 10.0
IDLE = "run: 'true'\nrelease: {when: idle, after: 2s, grace: 0s}\n"
BURN = ("bash", "-c", "while :; do :; done")


def requested_after(endpoint: Endpoint, began: float) -> float:
    until(lambda: endpoint.requests, "the request of an idle runtime")
    return time.monotonic() - began


def test_an_idle_runtime_is_released_and_the_cell_is_free_before(home: House) -> None:
    """The client ends with the job's code at once; the request follows within the window and two samples."""
    with home.managed() as endpoint:
        called = time.monotonic()
        ended = home.run_job("run: 'true'\nrelease: {when: idle, after: 5s, grace: 0s}\n")
        began = time.monotonic()
        assert (ended.code, endpoint.requests) == (0, [])
        assert "released once nothing has shown life for 5 s" in " ".join(ended.err.split())
        release = home.results()[0]["release"]
        assert (release["status"], release["reason"], release["then"]) == ("held", "idle", "release")
        assert requested_after(endpoint, began) < 5.0 + LATE_S
        assert endpoint.requests[0].at - called > 5.0
        until(lambda: home.results()[0]["release"]["status"] == "accepted", "the receipt")


@pytest.mark.parametrize(
    ("job", "when"), [("run: exit 3\n", "success"), ("run: 'true'\n", "failure"), ("run: 'true'\n", None)]
)
def test_what_is_not_released_at_once_falls_to_idle(home: House, job: str, when: str | None) -> None:
    """`success` of a failed job, `failure` of one that went well, and the default of a managed runtime."""
    with home.managed() as endpoint:
        policy = f"when: {when}, " if when else ""
        home.run_job(f"{job}release: {{{policy}after: 2s, grace: 0s}}\n")
        assert endpoint.requests == []
        until(lambda: endpoint.requests, "the request of an idle runtime")


def test_a_person_who_stops_the_run_gets_half_an_hour_and_then_idle(home: House) -> None:
    """They are about to change a line: held, with a guard that waits, and nothing asked for."""
    with home.managed() as endpoint:
        home.write_job(
            "run: echo up; sleep 60\nstop_grace: 1s\nrelease: {when: always, after: 5s, grace: 0s}\n"
        )
        process = home.start("run", "job.yaml")
        until(lambda: any(b"up" in log for log in home.logs()), "the job")
        assert home.run("stop", "last").code == 0
        assert home.end(process).code == 130
        release = home.results()[0]["release"]
        assert (release["status"], release["reason"], release["then"]) == (
            "held",
            "ended-by-person",
            "release",
        )
        until(lambda: home.results()[0]["release"]["reason"] == "keep", "idle, and kept for the person")
        assert endpoint.requests == []
        assert home.run("keep", "--drop").code == 0
        until(lambda: endpoint.requests, "the request when nobody wants it any more")


def test_a_stopped_countdown_falls_to_idle(home: House) -> None:
    """The runtime is kept for half an hour, and its guard stays."""
    with home.managed() as endpoint:
        home.write_job("run: 'true'\nrelease: {when: always, after: 5s, grace: 60s}\n")
        process = home.start("run", "job.yaml")
        until(lambda: home.results() and home.results()[0].get("countdown_until"), "the countdown")
        assert home.run("stop", "last").code == 0
        assert home.end(process).code == 0
        release = home.results()[0]["release"]
        assert (release["status"], release["reason"]) == ("held", "ended-by-person")
        until(lambda: home.results()[0]["release"]["reason"] == "keep", "idle, and kept for the person")
        assert endpoint.requests == []


def test_a_process_at_work_keeps_the_runtime_until_it_ends(home: House) -> None:
    """A nohup job of somebody: released within the window after its end, never before."""
    with home.managed() as endpoint:
        with home.tenant(*BURN):
            home.run_job(IDLE)
            began = time.monotonic()
            until(lambda: time.monotonic() - began > 2 * WINDOW_S, "two windows")
            assert endpoint.requests == []
        began = time.monotonic()
        assert requested_after(endpoint, began) < WINDOW_S + LATE_S


def test_life_during_the_countdown_goes_back_to_waiting(home: House) -> None:
    """Somebody came back: held again, nothing asked for; and when they go, it goes."""
    with home.managed() as endpoint:
        home.run_job("run: 'true'\nrelease: {when: idle, after: 2s, grace: 4s}\n")
        until(lambda: home.results()[0].get("countdown_until"), "the countdown")
        with home.tenant(*BURN):
            until(lambda: home.results()[0]["release"]["reason"] == "awake", "the end of the countdown")
            assert endpoint.requests == []
        until(lambda: endpoint.requests, "the request")


def test_a_later_run_has_the_word(home: House) -> None:
    """One guard waits for a machine: the newest run's. The older one ends, and says why."""
    with home.managed() as endpoint:
        home.run_job("run: 'true'\nrelease: {when: idle, after: 60s}\n")
        home.run_job(IDLE)
        until(lambda: home.results()[0]["release"]["reason"] == "a-later-run-decides", "the older one's end")
        until(lambda: endpoint.requests, "the request of the newer one")


def test_a_later_no_release_has_the_word_too(home: House) -> None:
    """`--no-release` means this machine, and what waits for it."""
    with home.managed() as endpoint:
        home.run_job("run: 'true'\nrelease: {when: idle, after: 20s, grace: 0s}\n")
        home.run_job("run: 'true'\n", "--no-release")
        until(lambda: not home.guards(), "the end of the guard that waited")
        assert endpoint.requests == []
        assert home.results()[0]["release"]["reason"] == "a-later-run-decides"


def test_files_that_exist_only_here_hold_an_idle_runtime(home: House) -> None:
    """Rule 3 holds for idle too: nothing is asked for while the file is there; saved, it goes."""
    with home.managed() as endpoint:
        ended = home.run_job("run: echo 1 > model\nrelease: {when: idle, after: 1s, grace: 0s}\n")
        assert "model" in ended.err
        until(lambda: home.results()[0]["release"]["reason"] == "unsaved-files", "the hold")
        assert endpoint.requests == []
        assert home.run("save", "last", "--to", str(home.folder / "safe")).code == 0
        until(lambda: endpoint.requests, "the request after the save")


def test_a_stop_ends_the_wait(home: House) -> None:
    """`colab-run stop` of a run that is over: nobody waits any more, and it says so."""
    with home.managed() as endpoint:
        home.run_job("run: 'true'\nrelease: {when: idle, after: 20s, grace: 0s}\n")
        assert home.run("stop", "last").code == 0
        until(lambda: not home.guards(), "the end of the guard")
        release = home.results()[0]["release"]
        assert (release["status"], release["reason"], endpoint.requests) == ("kept", "wait-stopped", [])


def test_a_guard_that_is_killed_while_it_waits_is_replaced(home: House) -> None:
    """The watcher waits on, with a window of its own."""
    with home.managed() as endpoint:
        home.run_job(IDLE)
        (guard,) = home.guards()
        os.kill(guard, signal.SIGKILL)
        until(lambda: endpoint.requests, "the request of the watcher")


def test_a_wait_that_lost_both_is_taken_up_by_the_next_call(home: House) -> None:
    """Watcher and guard are killed; the next call of anybody waits on."""
    with home.managed() as endpoint:
        home.run_job("run: 'true'\nrelease: {when: idle, after: 5s, grace: 0s}\n")
        kill_both(home)
        assert endpoint.requests == []
        assert "has lost its guard" in " ".join(home.run("ps").err.split())
        until(lambda: endpoint.requests, "the request of whoever took it up")


def test_a_hold_file_keeps_it(home: House) -> None:
    """A file HOLD in the run's folder is a sign of life until it is removed."""
    with home.managed() as endpoint:
        home.run_job("run: touch $COLAB_RUN_DIR/HOLD\nrelease: {when: idle, after: 1s, grace: 0s}\n")
        began = time.monotonic()
        until(lambda: time.monotonic() - began > 2.5, "two windows")
        assert endpoint.requests == []
        (hold,) = home.home.glob("runs/*/HOLD")
        hold.unlink()
        until(lambda: endpoint.requests, "the request")
