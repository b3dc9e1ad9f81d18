"""What has to precede a request, such as flushing Drive: under the lease, once, and a person may stop it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from helpers.endpoint import Endpoint
from helpers.release_machine import GRACE_S, Gone, Machine
from launcher.handback import NOT_PREPARED
from launcher.release import lease, marks
from launcher.release.interface import ReleaseResult, ReleaseStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from launcher.words import Text

FLUSH_S = 300.0


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint("prepare") as endpoint:
        yield endpoint


@pytest.fixture
def machine(tmp_path: Path, endpoint: Endpoint) -> Machine:
    return Machine(tmp_path, endpoint.address)


class Flush:
    """Takes five minutes, in which `abort` is asked; says `why` at the end. `starts`: could a run start?"""

    def __init__(self, machine: Machine, endpoint: Endpoint, why: Text = "") -> None:
        self._machine, self._endpoint, self._why = machine, endpoint, why
        self.began: list[float] = []
        self.sent: list[int] = []
        self.starts: list[bool] = []
        self.aborted = False

    def __call__(self, abort: Callable[[], bool]) -> Text:
        machine = self._machine
        self.began.append(machine.now - 1000)
        self.sent.append(len(self._endpoint.requests))
        held = lease.hold_shared(machine.address, machine.folder / "leases")
        self.starts.append(held is not None)
        end = machine.now + FLUSH_S
        while machine.now < end:
            if abort():
                self.aborted = True
                return "it was stopped"
            machine.now += 1.0
            due = [plan for plan in machine.plans if plan[0] <= machine.now]
            for plan in due:
                machine.plans.remove(plan)
                plan[1]()
        return self._why


def test_it_comes_after_the_countdown_and_before_the_first_request(
    machine: Machine, endpoint: Endpoint
) -> None:
    """Once for one release, however often is asked; no run starts meanwhile."""
    flush = Flush(machine, endpoint)
    endpoint.script = [500, 200]
    machine.goes_at(GRACE_S + FLUSH_S + 400)
    assert machine.go(machine.guard(prepare=flush)) is None
    assert flush.began == [pytest.approx(GRACE_S, abs=1)]
    assert (flush.sent, flush.starts) == ([0], [False])
    # Noted before: where it is noted may be out of reach afterwards.
    assert machine.when(ReleaseStatus.REQUESTED, "requested") == pytest.approx(GRACE_S, abs=1)
    assert len(endpoint.requests) == 4  # 500, accepted, and twice more because it is still here.


def test_what_cannot_be_prepared_ends_the_release(machine: Machine, endpoint: Endpoint) -> None:
    """Held, with the sentence and the nonce that was told; nothing was asked for, and the lease is free."""
    flush = Flush(machine, endpoint, "Drive took too long")
    result = machine.go(machine.guard(prepare=flush))
    assert result is not None
    assert (result.status, result.reason) == (ReleaseStatus.HELD, NOT_PREPARED)
    assert str(result.detail) == "Drive took too long"
    assert (result.attempts, endpoint.requests) == (0, [])
    assert {told.nonce for _, told in machine.noted} == {result.nonce} != {None}
    assert machine.said()[-1] == (ReleaseStatus.HELD, NOT_PREPARED)
    held = lease.hold_shared(machine.address, machine.folder / "leases")
    assert held is not None
    held.close()


def test_a_press_meanwhile_keeps_the_runtime(machine: Machine, endpoint: Endpoint) -> None:
    """As in a countdown: it stops what goes on, and nobody else releases for half an hour."""
    flush = Flush(machine, endpoint)
    machine.at(GRACE_S + 60, machine.press)
    result = machine.go(machine.guard(prepare=flush))
    assert result is not None
    assert (result.status, result.reason) == (ReleaseStatus.KEPT, "ended-by-person")
    assert (flush.aborted, endpoint.requests) == (True, [])
    assert marks.kept(machine.address, folder=machine.folder / "leases", now=machine.now) is not None


def test_a_hold_that_comes_meanwhile_is_seen_before_the_request(machine: Machine, endpoint: Endpoint) -> None:
    """It is looked once more after the preparation; when the hold ends, everything comes again."""
    flush = Flush(machine, endpoint)
    machine.at(GRACE_S + 60, (machine.folder / "HOLD").touch)
    machine.at(GRACE_S + FLUSH_S + 500, (machine.folder / "HOLD").unlink)
    machine.goes_at(GRACE_S + FLUSH_S + 500 + GRACE_S + FLUSH_S + 50)
    assert machine.go(machine.guard(prepare=flush)) is None
    assert (ReleaseStatus.HELD, "hold-file") in machine.said()
    assert len(flush.began) == 2
    assert (flush.sent, len(endpoint.requests)) == ([0, 0], 1)


def test_whoever_takes_over_prepares_again(machine: Machine, endpoint: Endpoint) -> None:
    """The guard before it had asked; what it had prepared is not known."""
    flush = Flush(machine, endpoint)
    machine.goes_at(FLUSH_S + 50)
    noted = ReleaseResult(ReleaseStatus.REQUESTED, "requested", "", 1, nonce="n1")
    with pytest.raises(Gone):
        machine.guard(prepare=flush).go(GRACE_S, noted)
    assert flush.began == [0]
    assert [request.nonce for request in endpoint.requests] == ["n1"]


def test_the_command_prepares_too(machine: Machine, endpoint: Endpoint) -> None:
    """`colab-run release`: at once, and what cannot be prepared is its answer."""
    flush = Flush(machine, endpoint)
    assert machine.guard(prepare=flush).now().status is ReleaseStatus.ACCEPTED
    result = machine.guard(prepare=Flush(machine, endpoint, "no")).now()
    assert (result.status, result.reason, len(endpoint.requests)) == (ReleaseStatus.HELD, NOT_PREPARED, 1)
