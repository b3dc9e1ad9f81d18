"""The loop that hands a runtime back: real requests, real leases and marks, and hours that pass at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from helpers.endpoint import Endpoint, hang_up
from helpers.lab import until
from helpers.release_machine import DAY_S, GRACE_S, Gone, Machine
from launcher.events import CountingDown, Retrying
from launcher.release import lease, marks
from launcher.release.colab import Colab
from launcher.release.interface import ReleaseResult, ReleaseStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from launcher.words import Text

REQUESTED = (ReleaseStatus.REQUESTED, "requested")
ACCEPTED = (ReleaseStatus.ACCEPTED, "accepted")


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """Answers with 200; a test may set another script."""
    with Endpoint("handback") as endpoint:
        yield endpoint


@pytest.fixture
def machine(tmp_path: Path, endpoint: Endpoint) -> Machine:
    return Machine(tmp_path, endpoint.address)


# --- asking ---------------------------------------------------------------------------------------


def test_countdown_request_and_look(machine: Machine, endpoint: Endpoint) -> None:
    """The whole grace passes, what will happen is noted, then it happens, once; then the machine goes."""
    machine.goes_at(150)
    assert machine.go() is None
    assert machine.said() == [REQUESTED, ACCEPTED]
    assert machine.when(*REQUESTED) == GRACE_S
    assert [event.seconds for event in machine.told if isinstance(event, CountingDown)] == [100, 10]
    (request,) = endpoint.requests
    assert {result.nonce for _, result in machine.noted} == {request.nonce}


def test_a_machine_that_stays_is_asked_again(machine: Machine, endpoint: Endpoint) -> None:
    """200 and still here: said so, asked again with the same nonce, less and less often, at most 8 times."""
    result = machine.go()
    assert result is not None
    assert (result.status, result.reason, result.attempts) == (ReleaseStatus.FAILED, "still-here", 9)
    assert machine.said() == [
        REQUESTED,
        ACCEPTED,
        *[(ReleaseStatus.ACCEPTED, "still-here")] * 8,
        (ReleaseStatus.FAILED, "still-here"),
    ]
    assert machine.when(ReleaseStatus.ACCEPTED, "still-here") == pytest.approx(GRACE_S + 120, abs=0.1)
    assert len(endpoint.requests) == 9
    assert len({request.nonce for request in endpoint.requests}) == 1
    leases = machine.folder / "leases"
    assert marks.accepted(machine.address, way="colab", folder=leases, now=machine.now) is None


def test_a_dead_endpoint_is_failed_after_five_minutes_and_asked_on(
    machine: Machine, endpoint: Endpoint
) -> None:
    """The client hears `failed`; the guard goes on, and is accepted in the end."""
    endpoint.script = [500] * 30 + [200]
    machine.at(DAY_S / 4, machine.press)
    machine.go(grace_s=0)
    failed = (ReleaseStatus.FAILED, "http-500")
    assert machine.said()[:3] == [REQUESTED, failed, ACCEPTED]
    assert machine.when(*failed) == pytest.approx(300, abs=1)
    assert machine.when(*ACCEPTED) > 600
    assert max(event.seconds for event in machine.told if isinstance(event, Retrying)) > 200
    assert len({request.nonce for request in endpoint.requests}) == 1


def test_a_hold_that_comes_between_two_requests_stops_the_next(machine: Machine, endpoint: Endpoint) -> None:
    """Every reason is looked at again before each request."""
    endpoint.script = [hang_up]
    machine.at(60, (machine.folder / "HOLD").touch)
    machine.at(5000, machine.press)
    machine.go(grace_s=0)
    sent = len(endpoint.requests)
    assert 1 < sent < 20
    assert machine.said() == [
        REQUESTED,
        (ReleaseStatus.HELD, "hold-file"),
        (ReleaseStatus.KEPT, "ended-by-person"),
    ]


def test_an_address_that_can_never_work_is_not_asked(machine: Machine) -> None:
    """Garbage in TBE_RUNTIME_ADDR ends at once."""
    result = machine.guard(backend=Colab("not a host")).go(GRACE_S)
    assert (result.status, result.reason, result.attempts) == (ReleaseStatus.FAILED, "bad-address", 0)


def test_a_ledger_that_cannot_be_written_delays_nothing(machine: Machine, endpoint: Endpoint) -> None:
    """Whatever noting raises."""

    def full(result: ReleaseResult) -> None:
        raise ValueError("database disk image is malformed")

    machine.goes_at(150)
    assert machine.go(machine.guard(note=full)) is None
    assert len(endpoint.requests) == 1


def test_who_takes_over_goes_on_with_the_same_nonce(machine: Machine, endpoint: Endpoint) -> None:
    """A guard died after it had noted its request: the same release, with no new countdown."""
    machine.goes_at(50)
    with pytest.raises(Gone):
        machine.guard().go(GRACE_S, ReleaseResult(ReleaseStatus.REQUESTED, "requested", "", 1, nonce="n1"))
    assert [request.nonce for request in endpoint.requests] == ["n1"]
    assert machine.noted[0][0] == 0
    assert machine.noted[-1][1].attempts == 2


# --- what holds it --------------------------------------------------------------------------------


def lost_run(machine: Machine) -> Callable[[], object]:
    note = marks.RunNote("lost", "/home", "train", 0, machine.address)
    marks.announce(machine.address, note, folder=machine.folder / "leases").close()

    def sweep() -> None:
        taken = marks.take_over(note, folder=machine.folder / "leases")
        assert taken is not None
        taken.withdraw()

    return sweep


def another_run(machine: Machine) -> Callable[[], object]:
    held = lease.hold_shared(machine.address, machine.folder / "leases")
    assert held is not None
    return held.close


def a_run_that_is_being_killed(machine: Machine) -> Callable[[], object]:
    """Its lease is gone already, its note is still held."""
    note = marks.RunNote("dying", "/home", "train", 0, lease.ANY_TARGET)
    held = marks.announce(lease.ANY_TARGET, note, folder=machine.folder / "leases")
    return held.withdraw


def hold_file(machine: Machine) -> Callable[[], object]:
    (machine.folder / "HOLD").touch()
    return (machine.folder / "HOLD").unlink


def keep(machine: Machine) -> Callable[[], object]:
    marks.keep(machine.address, 3600, "keep", folder=machine.folder / "leases", now=machine.now)
    return lambda: marks.drop_keep(machine.address, folder=machine.folder / "leases")


def busy_kernel(machine: Machine) -> Callable[[], object]:
    machine.kernel = "the notebook b.ipynb is at work"

    def idle() -> None:
        machine.kernel = ""

    return idle


REASONS = {
    "keep": keep,
    "hold-file": hold_file,
    "another-run": another_run,
    "another-run (dying)": a_run_that_is_being_killed,
    "lost-run": lost_run,
    "kernel-busy": busy_kernel,
}


@pytest.mark.parametrize("name", REASONS)
def test_what_holds_is_waited_out(machine: Machine, endpoint: Endpoint, name: str) -> None:
    """Held, with the reason; when it is gone a countdown of the whole grace, then the request."""
    reason = name.split(" ")[0]
    ways_out: list[Callable[[], object]] = []
    machine.at(30, lambda: ways_out.append(REASONS[name](machine)))
    machine.at(90, lambda: ways_out[0]())
    machine.goes_at(250)
    assert machine.go() is None
    held = (ReleaseStatus.HELD, reason)
    assert machine.said()[:4] == [held, (ReleaseStatus.HELD, "countdown"), REQUESTED, ACCEPTED]
    assert str(machine.noted[0][1].detail)
    assert 30 <= machine.when(*held) <= 41
    assert 190 <= machine.when(*REQUESTED) <= 205
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize("name", REASONS)
def test_the_command_says_why_and_waits_for_nothing(machine: Machine, endpoint: Endpoint, name: str) -> None:
    """`colab-run release`: the same checks, once."""
    way_out = REASONS[name](machine)
    result = machine.guard().now()
    assert (result.status, result.reason) == (ReleaseStatus.HELD, name.split(" ")[0])
    assert (machine.now, endpoint.requests) == (1000, [])
    way_out()
    result = machine.guard().now()
    assert (result.status, result.reason) == ACCEPTED
    assert len(endpoint.requests) == 1


def test_kernels_are_read_seldom_and_freshly_before_a_request(machine: Machine) -> None:
    """Every 10 s at most while it waits; a second before the request at the earliest."""
    machine.goes_at(150)
    machine.go(grace_s=95)
    early = [at for at in machine.kernel_read if at < 94]
    assert len(early) <= 10
    assert machine.kernel_read[-1] >= 94


def test_kernels_are_not_read_while_something_else_holds(machine: Machine) -> None:
    """Reading them costs requests of its own."""
    (machine.folder / "HOLD").touch()
    machine.goes_at(500)
    machine.go()
    assert machine.kernel_read == []


def test_a_hold_seen_under_the_lease_stops_the_request(machine: Machine, endpoint: Endpoint) -> None:
    """Made at the last moment, while the kernels are being read: the last look sees it, and lets go."""

    def slow() -> Text:
        (machine.folder / "HOLD").touch()
        return ""

    starts: list[lease.Lease | None] = []
    machine.at(300, lambda: starts.append(lease.hold_shared(machine.address, machine.folder / "leases")))
    machine.goes_at(301)
    machine.go(machine.guard(busy_kernel=slow), grace_s=0)
    assert machine.said() == [(ReleaseStatus.HELD, "hold-file")]
    assert endpoint.requests == []
    (started,) = starts
    assert started is not None
    started.close()


# --- a person -------------------------------------------------------------------------------------


def test_a_press_keeps_the_machine_for_everybody(machine: Machine, endpoint: Endpoint) -> None:
    """The guard ends, another run's guard waits half an hour; `release` by command is a change of mind."""
    machine.at(50, machine.press)
    result = machine.go()
    assert result is not None
    assert (result.status, result.reason, endpoint.requests) == (ReleaseStatus.KEPT, "ended-by-person", [])
    machine.noted.clear()
    machine.goes_at(4000)
    assert machine.go(machine.guard("b")) is None
    assert machine.said()[:3] == [(ReleaseStatus.HELD, "keep"), (ReleaseStatus.HELD, "countdown"), REQUESTED]
    assert machine.when(*REQUESTED) == pytest.approx(50 + 1800 + GRACE_S, abs=5)
    marks.keep(machine.address, 99, marks.PRESSED_STOP, folder=machine.folder / "leases", now=machine.now)
    assert machine.guard().now().status is ReleaseStatus.ACCEPTED


def test_a_press_ends_a_hold(machine: Machine, endpoint: Endpoint) -> None:
    """`stop` while the guard waits."""
    (machine.folder / "HOLD").touch()
    machine.at(500, machine.press)
    result = machine.go()
    assert result is not None
    assert (result.reason, endpoint.requests) == ("ended-by-person", [])


# --- others ---------------------------------------------------------------------------------------


def test_a_start_is_refused_between_request_and_answer_only(machine: Machine, endpoint: Endpoint) -> None:
    """Not before, not while the next request waits, not after `accepted`."""
    leases, starts = machine.folder / "leases", []

    def start() -> bool:
        held = lease.hold_shared(machine.address, leases)
        if held is not None:
            held.close()
        return held is not None

    def answer(code: int) -> Callable[[object], None]:
        def respond(handler) -> None:
            starts.append(start())
            handler.send_response(code)
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        return respond

    endpoint.script = [answer(500), answer(200)]
    between: list[bool] = []
    for seconds in (50, 100.5, 110):
        machine.at(seconds, lambda: between.append(start()))
    machine.goes_at(150)
    machine.go()
    assert starts == [False, False]
    assert between == [True, True, True]


def test_who_finds_that_another_was_accepted_ends(machine: Machine, endpoint: Endpoint) -> None:
    """Within its confirm time; a later one finds that nothing came of it, and asks itself."""
    leases = machine.folder / "leases"
    marks.note_accepted(machine.address, "b", "nb", way="colab", folder=leases, now=machine.now)
    result = machine.go()
    assert result is not None
    assert (result.status, result.reason) == (ReleaseStatus.ACCEPTED, "another-run-released")
    assert endpoint.requests == []
    machine.goes_at(300)
    machine.now += 120
    assert machine.go() is None
    assert len(endpoint.requests) == 1


GUARD = """
import json, sys
from pathlib import Path
from launcher.release.interface import ReleaseTiming
from launcher.clock import SystemClock
from launcher.guard.inbox import Inbox
from launcher.handback import HandBack
from launcher.release.colab import Colab
run_id, folder, target = sys.argv[1:]
class Quiet:
    def tell(self, event): pass
def note(result):
    print(json.dumps(result.as_json()), flush=True)
with Inbox() as inbox:
    HandBack(target, Colab(target), ReleaseTiming(20, 300, 1, 30), (folder + "/HOLD",), SystemClock(), inbox,
             Quiet(), note, run_id=run_id, folder=Path(folder)).go(0.5)
"""


def test_two_guards_at_the_end_of_their_runs_ask_once(tmp_path: Path, endpoint: Endpoint) -> None:
    """Two processes, one lease, one request; the other one ends, and the one that asked stays to look."""
    guards = [
        subprocess.Popen(
            [sys.executable, "-c", GUARD, name, str(tmp_path / "leases"), endpoint.address],
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in "ab"
    ]
    try:
        until(lambda: any(guard.poll() is not None for guard in guards), "the end of one of them")
        (done,) = [guard for guard in guards if guard.poll() is not None]
        assert done.stdout is not None
        last = json.loads(done.stdout.read().splitlines()[-1])
        assert (last["status"], last["reason"]) == ("accepted", "another-run-released")
        assert len(endpoint.requests) == 1
    finally:
        for guard in guards:
            guard.kill()
            guard.communicate()


def test_a_guard_that_is_killed_while_it_asks_leaves_no_lease(tmp_path: Path, endpoint: Endpoint) -> None:
    """SIGKILL between request and answer: the lease is free at once, and the next guard asks again."""

    def kill_it(handler) -> None:
        os.kill(guard.pid, signal.SIGKILL)

    endpoint.script = [kill_it, 200]
    leases = tmp_path / "leases"
    guard = subprocess.Popen(
        [sys.executable, "-c", GUARD, "a", str(leases), endpoint.address], stdout=subprocess.PIPE, text=True
    )
    assert guard.stdout is not None
    with guard.stdout:
        noted = json.loads(guard.stdout.read().splitlines()[-1])
    guard.wait()
    assert noted["status"] == "requested"
    machine = Machine(tmp_path, endpoint.address)
    machine.goes_at(50)
    with pytest.raises(Gone):
        machine.guard().go(0, ReleaseResult(ReleaseStatus.REQUESTED, "requested", nonce=noted["nonce"]))
    assert [request.nonce for request in endpoint.requests] == [noted["nonce"]] * 2
