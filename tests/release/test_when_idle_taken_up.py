"""What must hold of a wait for idleness whoever is killed, suspended, or comes in between."""

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
    from helpers.house import House

pytestmark = pytest.mark.skipif(not can_build(), reason=NO_HOUSE)

BURN = ("bash", "-c", "while :; do :; done")


def idle_job(after: str, more: str = "", run: str = "'true'") -> str:
    return f"run: {run}\nrelease: {{when: idle, after: {after}, grace: 0s{more}}}\n"


def reason(home: House, run: int = 0) -> str:
    return home.results()[run]["release"]["reason"]


def passes(seconds: float) -> None:
    """So long nothing may happen."""
    began = time.monotonic()
    until(lambda: time.monotonic() - began > seconds, "time")


def test_a_command_says_nothing_about_the_runtime(home: House) -> None:
    """`exec` releases nothing, and takes nobody's release away."""
    with home.managed() as endpoint:
        home.run_job(idle_job("2s"))
        assert home.run("exec", "--", "true").code == 0
        until(lambda: endpoint.requests, "the request of the run that waits")


def test_the_job_that_ended_last_has_the_word(home: House) -> None:
    """Not the one that was started last, whatever its time zone."""
    with home.managed() as endpoint:
        home.write_job(idle_job("2s", run="until [ -e over ]; do sleep 0.01; done"), "long.yaml")
        home.write_job("run: 'true'\nrelease: {when: idle, after: 60s}\n", "short.yaml")
        long = home.start("run", "long.yaml")
        until(lambda: home.results() and home.results()[0]["state"] == "started", "the longer job")
        home.run("run", "short.yaml", env={"TZ": "Asia/Taipei"})
        (home.work / "over").touch()
        assert home.end(long).code == 0
        until(lambda: endpoint.requests, "the request of the run that ended last")

        def ended() -> bool:
            reasons = {one["job"]: one["release"]["reason"] for one in home.results()}
            return reasons["short"] == "a-later-run-decides"

        until(ended, "the end of the other one's wait")


def test_files_hold_it_where_the_hold_cannot_be_noted(home: House) -> None:
    """No room beside the leases: the guard itself knows what exists only here."""
    fill = "head -c 2M /dev/zero > /tmp/colab-run.leases/fill || true; echo 1 > model"
    with home.managed() as endpoint:
        ended = home.run_job(idle_job("1s", ", hold: 1h", run=fill))
        assert "could not be noted" in " ".join(ended.err.split())
        until(lambda: reason(home) == "unsaved-files", "the hold")
        assert endpoint.requests == []
        (home.work / "model").unlink()
        until(lambda: endpoint.requests, "the request when nothing is held any more")


def test_a_suspended_guard_believes_no_old_samples(home: House) -> None:
    """It finds a pipe full of silence when it goes on, and looks again before it asks."""
    with home.managed() as endpoint:
        home.run_job(idle_job("3s"))
        (guard,) = home.guards()
        os.kill(guard, signal.SIGSTOP)
        try:
            passes(6.0)
            with home.tenant(*BURN):
                passes(3.0)
                os.kill(guard, signal.SIGCONT)
                passes(2.0)
                assert endpoint.requests == []
        finally:
            os.kill(guard, signal.SIGCONT)
        until(lambda: endpoint.requests, "the request")


def test_who_takes_up_a_request_looks_for_life_first(home: House) -> None:
    """Both were killed while they asked; somebody works now: the next call does not ask on."""
    with home.managed(503) as endpoint:
        home.run_job(idle_job("1s"))
        until(lambda: endpoint.requests, "the first request")
        kill_both(home)
        endpoint.script = [200]
        with home.tenant(*BURN):
            asked = len(endpoint.requests)
            home.run("ps")
            passes(3.0)
            assert len(endpoint.requests) == asked
        until(lambda: len(endpoint.requests) > asked, "the request when it is idle again")
        until(lambda: home.results()[0]["release"]["status"] == "accepted", "a request that is accepted")


def test_a_stopped_countdown_is_not_forgotten(home: House) -> None:
    """A person stopped it, and both were killed: whoever takes it up waits for idleness, too."""
    with home.managed() as endpoint:
        home.write_job("run: 'true'\nrelease: {when: always, after: 5s, grace: 60s}\n")
        process = home.start("run", "job.yaml")
        until(lambda: home.results() and home.results()[0].get("countdown_until"), "the countdown")
        assert home.run("stop", "last").code == 0
        assert home.end(process).code == 0
        assert reason(home) == "ended-by-person"
        kill_both(home)
        home.run("keep", "--drop")
        until(lambda: reason(home) in ("ended-by-person", "idle"), "who takes it up")
        assert "countdown_until" not in home.results()[0]
        assert endpoint.requests == []


def test_a_stop_in_the_countdown_of_an_idle_runtime_keeps_it_for_a_while(home: House) -> None:
    """However the press is seen, as a stop or as life: nothing is asked for, and a guard stays."""
    with home.managed() as endpoint:
        home.run_job("run: 'true'\nrelease: {when: idle, after: 2s, grace: 30s}\n")
        until(lambda: home.results()[0].get("countdown_until"), "the countdown")
        assert home.run("stop", "last").code == 0
        until(lambda: reason(home) in ("ended-by-person", "keep"), "that it was heard")
        assert len(home.guards()) == 1
        assert endpoint.requests == []
