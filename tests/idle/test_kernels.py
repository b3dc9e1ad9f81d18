"""Notebook kernels as signs of life: those of a real Jupyter server, and what servers may say."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from helpers import jupyter
from helpers.jupyter import Jupyter, StandIn
from helpers.lab import until
from helpers.life import EPOCH, known, last_alive, moment
from helpers.proc import Proc
from launcher.idle.model import Life, Moment
from launcher.idle.sampler import moment_now
from launcher.idle.signals import kernels as judged
from launcher.idle.signals.kernels import KernelsSignal
from launcher.probes import kernels as probed
from launcher.probes.kernels import running_kernels
from launcher.probes.life.kernels import MOST_KERNELS, kernels_reader
from launcher.values import Known, Reading, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    with Jupyter(tmp_path_factory.mktemp("jupyter")) as server:
        yield server


def reader(server: Jupyter, *own: str, deadline_s: float = jupyter.LONG_S) -> Any:
    """Asks the server each time; this machine may have other kernels, of other tests."""
    proc = server.folder / "proc"
    proc.mkdir(exist_ok=True)
    return kernels_reader(server.environ, 0.0, lambda: own, deadline_s=deadline_s, proc=str(proc))


def look(signal: KernelsSignal, read: Any) -> tuple[Moment, Reading[Life] | None]:
    """What is known just now."""
    reading = read()
    now = moment_now()
    return now, signal.take(reading, now)


def life(signal: KernelsSignal, read: Any) -> Life:
    """The same where it is known."""
    _, said = look(signal, read)
    assert isinstance(said, Known), said
    return said.value


# --- a real server --------------------------------------------------------------------------------


def test_a_busy_silent_cell_is_alive_until_it_ends(server: Jupyter, tmp_path: Path) -> None:
    """Alive at every look while it prints nothing; then as alive as at its end, and looking is no life."""
    kernel_id = server.start_kernel()
    client = server.client(kernel_id)
    read, sign = reader(server), KernelsSignal()
    flag = tmp_path / "go"
    client.execute(f"import os, time\nwhile not os.path.exists({str(flag)!r}): time.sleep(0.01)")
    until(lambda: server.state(kernel_id) == "busy", "a busy kernel")
    for _ in range(3):
        now, said = look(sign, read)
        assert isinstance(said, Known)
        assert said.value.last_alive == now.at
        assert str(said.value.detail) == f"kernel python3 {kernel_id[:8]} is busy"

    asked_to_end = moment_now().at
    flag.write_text("")
    until(lambda: server.state(kernel_id) == "idle", "the end of the cell")
    ended = life(sign, read)
    assert asked_to_end <= ended.last_alive <= moment_now().at
    assert str(ended.detail) == f"kernel python3 {kernel_id[:8]} is idle"
    for _ in range(5):
        assert life(sign, read) == ended
    server.end_kernel(kernel_id)


def test_our_own_cell_does_not_count(server: Jupyter, tmp_path: Path) -> None:
    """The kernel whose cell hosts us is busy as long as we run: it is no sign."""
    kernel_id = server.start_kernel()
    client = server.client(kernel_id)
    flag = tmp_path / "go"
    client.execute(f"import os, time\nwhile not os.path.exists({str(flag)!r}): time.sleep(0.01)")
    until(lambda: server.state(kernel_id) == "busy", "a busy kernel")
    now, said = look(KernelsSignal(), reader(server, kernel_id))
    assert said is None or (isinstance(said, Known) and said.value.last_alive < now.at)
    assert life(KernelsSignal(), reader(server, "another")).last_alive > now.at
    flag.write_text("")
    server.end_kernel(kernel_id)


def test_a_kernel_that_comes_up_is_alive_and_one_that_nobody_talks_to_is_not(server: Jupyter) -> None:
    """The server calls it "starting" for ever: five minutes of it count."""
    kernel_id = server.start_kernel()
    read, sign = reader(server), KernelsSignal()
    assert server.state(kernel_id) == "starting"
    now, said = look(sign, read)
    assert isinstance(said, Known)
    assert said.value.last_alive == now.at
    later = Moment(now.at + 400.0, now.boottime + 400.0, now.wall + 400.0)
    said = sign.take(read(), later)
    assert isinstance(said, Known)
    assert said.value.last_alive == now.at
    server.end_kernel(kernel_id)


def test_a_server_that_hangs_is_unknown_and_makes_good_for_it(server: Jupyter) -> None:
    """Its kernels know when they last worked, so the silence began before it hung."""
    kernel_id = server.start_kernel()
    server.client(kernel_id)
    sign = KernelsSignal()
    before = life(sign, reader(server))
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        now, said = look(sign, reader(server, deadline_s=0.3))
        assert said == Unknown("timeout")
        assert now.at - started < 5.0
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    assert life(sign, reader(server)) == before
    assert before.last_alive < now.at
    server.end_kernel(kernel_id)


def test_a_machine_without_a_server_has_no_such_sign(tmp_path: Path) -> None:
    """Nothing, and not unknown."""
    read = kernels_reader({"HOME": str(tmp_path)}, 0.0, proc=str(tmp_path))
    assert look(KernelsSignal(), read)[1] is None


# --- kernels without a server ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["-f /r/kernel-0a-1.json", "--f=/r/kernel-v2-7xY.json"])
def test_a_kernel_that_no_server_names_is_unknown(tmp_path: Path, name: str) -> None:
    """Of VS Code, or of a server that we do not find: nobody says whether its cell is at work."""
    machine = Proc(tmp_path)
    read = kernels_reader({"HOME": str(tmp_path)}, 0.0, proc=str(machine.folder))
    sign = KernelsSignal()
    assert look(sign, read)[1] is None
    machine.put(70, 1, command=f"python -m ipykernel_launcher {name}")
    machine.put(71, 70, command=f"python -m ipykernel_launcher {name}")
    assert look(sign, read)[1] == Unknown("kernel-without-server")
    machine.remove(70)
    now, said = look(sign, read)
    assert said == Unknown("kernel-without-server")
    machine.remove(71)
    # What it did went with it.
    assert now.at <= life(sign, read).last_alive < moment_now().at


def test_a_kernel_of_papermill_is_one(tmp_path: Path) -> None:
    """Its connection file has a name that was made up; another program's JSON file makes no kernel."""
    machine = Proc(tmp_path)
    machine.put(70, 1, command="python -m ipykernel_launcher -f /tmp/tmp0q_x.json --HistoryManager.enabled=0")
    machine.put(71, 1, command="python train.py -f /tmp/config.json")
    assert running_kernels(str(machine.folder)) == {"tmp0q_x": [70]}


def test_ours_in_a_kernel_is_no_kernel(tmp_path: Path) -> None:
    """A guard that a cell started has its command line, and outlives it."""
    machine = Proc(tmp_path)
    machine.put(70, 1, "colab-run-guard", command="python -m ipykernel_launcher -f /r/kernel-a.json")
    assert running_kernels(str(machine.folder)) == {}


def test_a_kernel_of_a_server_has_one(tmp_path: Path) -> None:
    """And the one whose cell hosts us is none that counts."""
    machine = Proc(tmp_path)
    for pid, kernel_id in enumerate(("a", "own"), 70):
        machine.put(pid, 1, command=f"python -m ipykernel_launcher -f /r/kernel-{kernel_id}.json")
    with StandIn(jupyter.kernels(jupyter.model("a"))) as stand_in:
        jupyter.list_server(tmp_path, stand_in.url)
        environ = {"HOME": str(tmp_path)}
        read = kernels_reader(
            environ, 0.0, lambda: ("own",), deadline_s=jupyter.LONG_S, proc=str(machine.folder)
        )
        assert isinstance(look(KernelsSignal(), read)[1], Known)
        read = kernels_reader(environ, 0.0, deadline_s=jupyter.LONG_S, proc=str(machine.folder))
        assert read().value["without"] == ["own"]


def test_a_real_kernel_without_a_server(server: Jupyter, tmp_path: Path) -> None:
    """As it stands in /proc, seen by somebody who does not know its server."""
    kernel_id = server.start_kernel()
    read = kernels_reader({"HOME": str(tmp_path)}, 0.0)
    assert kernel_id in read().value["without"]
    read = kernels_reader(server.environ, 0.0, deadline_s=jupyter.LONG_S)
    assert kernel_id not in read().value["without"]
    server.end_kernel(kernel_id)


# --- how it is asked ------------------------------------------------------------------------------


def test_servers_are_asked_now_and_then(tmp_path: Path) -> None:
    """At most every so many seconds; between, the last answer stands with its own time."""
    with StandIn(jupyter.kernels(jupyter.model("a"))) as stand_in:
        jupyter.list_server(tmp_path, stand_in.url)
        environ = {"HOME": str(tmp_path)}
        seldom = kernels_reader(environ, 3600.0, deadline_s=jupyter.LONG_S)
        readings = [seldom() for _ in range(5)]
        assert len(stand_in.heard) == 1
        assert all(reading == readings[0] for reading in readings)
        assert isinstance(readings[0], Known)
        assert 0 <= time.time() - readings[0].value["asked"] < 60
        often = kernels_reader(environ, 0.0, deadline_s=jupyter.LONG_S)
        for _ in range(3):
            often()
        assert len(stand_in.heard) == 4


def test_of_too_many_kernels_the_living_are_told(tmp_path: Path) -> None:
    """A sample is one short line."""
    idle = [jupyter.model(f"idle{number}") for number in range(MOST_KERNELS)]
    with StandIn(jupyter.kernels(*idle, jupyter.model("at-work", "busy"))) as stand_in:
        jupyter.list_server(tmp_path, stand_in.url)
        reading = kernels_reader({"HOME": str(tmp_path)}, 0.0, deadline_s=jupyter.LONG_S)()
    assert isinstance(reading, Known)
    assert len(reading.value["kernels"]) == MOST_KERNELS
    assert reading.value["kernels"][0]["id"] == "at-work"


# --- what servers may say -------------------------------------------------------------------------


def kernel(kernel_id: str = "k", state: str | None = "idle", since: float | None = 10.0) -> dict[str, Any]:
    """One kernel of the reading; `since` is when it last worked, in made-up moments."""
    epoch = None if since is None else EPOCH + since
    return {"id": kernel_id, "name": "python3", "server": "http://s/", "state": state, "last_activity": epoch}


def reading(*kernels: dict[str, Any], unread: str = "", without: Sequence[str] = ()) -> dict[str, Any]:
    silent = [{"server": "http://s/", "reason": unread}] if unread else []
    return {"asked": EPOCH, "kernels": list(kernels), "unread": silent, "without": list(without)}


@pytest.mark.parametrize(
    ("kernels", "alive"),
    [
        ((kernel(),), 10.0),
        ((kernel("a", since=30.0), kernel("b", since=20.0)), 30.0),
        ((kernel(state="dead"),), 10.0),
        ((kernel(state="busy", since=None),), 100.0),
        ((kernel(state="restarting"),), 100.0),
        ((kernel(state="autorestarting", since=None),), 100.0),
        ((kernel(since=5000.0),), 100.0),
    ],
)
def test_states(kernels: tuple[dict[str, Any], ...], alive: float) -> None:
    """Busy and coming up are now; else the last activity of any, and the future is now."""
    assert last_alive(KernelsSignal(), reading(*kernels), 100.0) == alive


def test_a_kernel_of_the_future_hides_no_other() -> None:
    """The clock was set back: what a kernel did before is now at the first sight, and work is seen still."""
    sign = KernelsSignal()
    ahead = kernel("a", since=6 * 3600.0)
    assert last_alive(sign, reading(ahead, kernel("b", since=10.0)), 100.0) == 100.0
    assert last_alive(sign, reading(ahead, kernel("b", since=10.0)), 200.0) == 100.0
    assert last_alive(sign, reading(ahead, kernel("b", since=250.0)), 300.0) == 250.0
    assert last_alive(sign, reading(kernel("b", since=250.0)), 400.0) == 250.0
    assert last_alive(sign, reading(ahead, kernel("b", since=250.0)), 500.0) == 250.0


@pytest.mark.parametrize("said", [kernel(state=None), kernel(since=None)])
def test_what_a_server_does_not_tell_is_unknown(said: dict[str, Any]) -> None:
    """A state or a time that is missing is no silence."""
    assert KernelsSignal().take(Known(reading(said)), moment(100.0)) == Unknown("not-told")


def test_a_busy_kernel_beside_a_server_that_is_silent() -> None:
    """Alive is alive; without it the silence is unknown, with its reason."""
    sign = KernelsSignal()
    assert sign.take(Known(reading(kernel(), unread="http-403")), moment(50.0)) == Unknown("http-403")
    assert last_alive(sign, reading(kernel(state="busy"), unread="http-403"), 100.0) == 100.0


@pytest.mark.parametrize(
    ("before", "after", "alive"),
    [
        # The kernel is there again and says when it worked.
        (reading(kernel("a")), reading(kernel("a")), 10.0),
        (reading(kernel("a")), reading(kernel("a", since=150.0)), 150.0),
        (reading(kernel("a")), reading(kernel("a"), kernel("b", since=160.0)), 160.0),
        # It is gone, and with it when it last worked.
        (reading(kernel("a")), reading(kernel("b", since=20.0)), 200.0),
        (reading(kernel("a")), reading(), 200.0),
    ],
)
@pytest.mark.parametrize("silence", [Known(reading(unread="timeout")), Unknown("timeout")])
def test_after_a_silence(before: Any, after: Any, alive: float, silence: Any) -> None:
    """What nobody can tell any more counts as alive until the silence ended."""
    sign = KernelsSignal()
    known(sign, before, 100.0)
    assert sign.take(silence, moment(200.0)) == Unknown("timeout")
    assert last_alive(sign, after, 300.0) == alive


@pytest.mark.parametrize("silence", [Known(reading(unread="timeout")), Unknown("timeout")])
def test_a_server_without_kernels_that_was_silent_is_idle(silence: Any) -> None:
    """No kernel before and none after: a moment's silence does not keep the machine for another window."""
    sign = KernelsSignal()
    assert known(sign, reading(), 100.0) is None
    for at in (200.0, 400.0):
        assert sign.take(silence, moment(at)) == Unknown("timeout")
        assert known(sign, reading(), at + 100.0) is None
    # Nobody knows what there was before the first reading.
    sign = KernelsSignal()
    assert sign.take(silence, moment(200.0)) == Unknown("timeout")
    assert last_alive(sign, reading(), 300.0) == 200.0
    # Nor what a kernel did that came and went without a server.
    assert sign.take(Known(reading(without=["b"])), moment(400.0)) == Unknown("kernel-without-server")
    assert last_alive(sign, reading(), 500.0) == 400.0


@pytest.mark.parametrize(
    ("after", "alive"),
    [
        (reading(kernel("a")), 200.0),
        # Its server can be found now, and says when it worked.
        (reading(kernel("a"), kernel("b", since=20.0)), 20.0),
    ],
)
def test_after_a_kernel_without_a_server(after: Any, alive: float) -> None:
    """What it did is not made good for by what another one says."""
    sign = KernelsSignal()
    known(sign, reading(kernel("a")), 100.0)
    silence = Known(reading(kernel("a"), without=["b"]))
    assert sign.take(silence, moment(200.0)) == Unknown("kernel-without-server")
    assert last_alive(sign, after, 300.0) == alive
    assert last_alive(KernelsSignal(), reading(kernel("a", "busy"), without=["b"]), 100.0) == 100.0


def test_another_server_was_silent_and_is_gone() -> None:
    """That the one which answers has all its kernels does not say what the other did."""
    sign = KernelsSignal()
    known(sign, reading(kernel("a")), 100.0)
    other = {**reading(kernel("a")), "unread": [{"server": "http://other/", "reason": "timeout"}]}
    assert sign.take(Known(other), moment(200.0)) == Unknown("timeout")
    assert last_alive(sign, reading(kernel("a")), 300.0) == 200.0


def test_at_the_end_of_a_run_the_same_counts() -> None:
    """The figures are those by which a release looks at kernels itself."""
    assert (judged.BUSY, judged.COMING_UP, judged.STARTING_S) == (
        probed._BUSY,
        probed._COMING_UP,
        probed.STARTING_S,
    )
