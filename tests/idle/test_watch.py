"""`colab-run watch`: a runtime without job files is released once nothing shows life, and only then."""

from __future__ import annotations

import os
import pty
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from helpers.cli import command
from helpers.jupyter import Jupyter, StandIn, list_server, silent
from helpers.ours import guard_of, kill, kill_both, parent_of, watcher_of
from helpers.scene import until
from helpers.watches import (
    BURN,
    CALM,
    LATE_S,
    NOW,
    WATCHED_S,
    WINDOW_S,
    in_a_house,
    kept,
    released,
    start,
    watches,
    why,
)

if TYPE_CHECKING:
    from helpers.house import House
    from helpers.scene import Scene

# --- released ---------------------------------------------------------------------------------------


@in_a_house
def test_an_idle_notebook_is_released_and_the_cell_is_free_at_once(home: House) -> None:
    """Within the window and two samples; not before. The ledger says what it was, and how it went."""
    with home.managed() as endpoint:
        called = time.monotonic()
        began = start(home, *NOW)
        released(endpoint)
        assert endpoint.requests[0].at - called > WINDOW_S
        assert time.monotonic() - began < WINDOW_S + LATE_S
        until(lambda: home.results()[0]["release"]["status"] == "accepted", "the answer")
        (row,) = home.run("history", "--json").document["runs"]
        assert (row["job"], row["kind"], row["release"]["status"]) == ("watch", "watch", "accepted")
        assert len(endpoint.requests) == 1


@in_a_house
def test_the_limit_counts_whatever_looks_alive(home: House) -> None:
    """`--max`: a process that burns its core holds nothing any more."""
    with home.managed() as endpoint, home.tenant(*BURN):
        called = time.monotonic()
        start(home, "--idle", "20s", "--max", "3s", "--grace", "0s")
        released(endpoint)
        assert endpoint.requests[0].at - called >= 3.0


def test_after_the_limit_a_keep_still_holds(calm: Scene) -> None:
    """Rule 2 has no limit."""
    with calm.managed() as endpoint:
        assert calm.run("keep", "1h").code == 0
        start(calm, "--idle", "20s", "--max", "1s", "--grace", "0s", *CALM)
        until(lambda: calm.results()[0]["release"]["reason"] == "keep", "the hold")
        kept(endpoint, 1.0)
        assert calm.run("keep", "--drop").code == 0
        released(endpoint)


# --- not released -----------------------------------------------------------------------------------


@in_a_house
def test_a_process_at_work_keeps_it(home: House) -> None:
    """Processor time without a GPU, output or files; released after its end."""
    with home.managed() as endpoint:
        with home.tenant(*BURN):
            start(home, *NOW)
            kept(endpoint)
            assert why(home)["by"]["cpu"]["keeps"] is True
            until(lambda: why(home)["by"]["cpu"]["state"] == "alive", "a look that sees it at work")
        released(endpoint)


@in_a_house
def test_a_person_who_types_keeps_it(home: House) -> None:
    """Keys in a terminal, into a program that prints nothing."""
    master, slave = pty.openpty()
    (home.work / "quiet").mkdir()
    with (
        home.managed() as endpoint,
        home.tenant("setsid", "-c", "cat", stdin=slave, stdout=subprocess.DEVNULL),
    ):
        start(home, "--idle", "2s", "--grace", "0s", "--ignore", "network,cpu,disk", "--dir", "quiet")
        ends = time.monotonic() + WATCHED_S
        while time.monotonic() < ends:
            os.write(master, b"x\n")
            seen = time.monotonic() + 0.2
            until(lambda seen=seen: time.monotonic() > seen, "the next key")
            assert endpoint.requests == []
        assert why(home)["by"]["terminals"]["keeps"]
    os.close(master)
    os.close(slave)


def test_a_busy_silent_cell_keeps_it(calm: Scene) -> None:
    """A kernel that computes and prints nothing; released when the cell has ended."""
    with calm.managed() as endpoint, Jupyter(calm.folder / "jupyter") as jupyter:
        calm.env |= {name: jupyter.environ[name] for name in ("JUPYTER_RUNTIME_DIR", "HOME")}
        kernel = jupyter.start_kernel()
        client = jupyter.client(kernel)
        client.execute("import time; time.sleep(60)")
        until(lambda: jupyter.state(kernel) == "busy", "the cell")
        start(calm, "--idle", "2s", "--grace", "0s", *CALM)
        kept(endpoint)
        assert why(calm)["by"]["kernels"]["state"] == "alive"
        jupyter.call("POST", f"api/kernels/{kernel}/interrupt")
        released(endpoint)


def test_a_kernel_server_that_cannot_be_read_keeps_it_up_to_the_limit(calm: Scene) -> None:
    """Unknown counts as alive, and says so; `--max` bounds that."""
    with calm.managed() as endpoint, StandIn(silent) as server:
        home = calm.folder / "jupyter"
        list_server(home, server.url)
        calm.env["HOME"] = str(home)
        start(calm, "--idle", "2s", "--max", "6s", "--grace", "0s", *CALM)
        kept(endpoint)
        wait = why(calm)
        assert (wait["by"]["kernels"]["state"], wait["wait"]["idle_at"]) == ("unknown", None)
        released(endpoint)


def test_keep_keeps_it(calm: Scene) -> None:
    """Until it is taken back."""
    with calm.managed() as endpoint:
        assert calm.run("keep", "1h").code == 0
        start(calm, "--idle", "2s", "--grace", "0s", *CALM, "--ignore", "kernels")
        kept(endpoint)
        assert why(calm)["by"]["keep"]["keeps"]
        assert calm.run("keep", "--drop").code == 0
        released(endpoint)


@in_a_house
def test_a_heartbeat_keeps_it(home: House) -> None:
    """`colab-run beat` from a loop."""
    with home.managed() as endpoint:
        start(home, "--idle", "5s", "--grace", "0s", *NOW[4:])
        ends = time.monotonic() + 8.0
        while time.monotonic() < ends:
            assert home.run("beat").code == 0
            assert endpoint.requests == []
        released(endpoint)


@in_a_house
def test_life_in_the_countdown_goes_back_to_waiting(home: House) -> None:
    """Somebody starts something when it is about to go: the whole window counts anew."""
    with home.managed() as endpoint:
        start(home, "--idle", "2s", "--grace", "30s", "--ignore", "network,terminals")
        until(lambda: home.results()[0]["state"] == "releasing", "the countdown")
        with home.tenant(*BURN):
            until(lambda: home.results()[0]["state"] == "watching", "the way back")
            release = home.results()[0]["release"]
            assert (release["status"], release["reason"]) == ("held", "awake")
        until(lambda: home.results()[0]["state"] == "releasing", "the countdown again")
        assert endpoint.requests == []


# --- what it survives ---------------------------------------------------------------------------------


@in_a_house
@pytest.mark.parametrize("killed", ["guard", "watcher", "both"])
def test_whoever_is_killed_it_is_still_released(home: House, killed: str) -> None:
    """The other goes on; where both are gone, the next call of anybody takes the watch up."""
    with home.managed() as endpoint:
        start(home, "--idle", "5s", "--grace", "0s", *NOW[4:])
        if killed == "both":
            kill_both(home)
            said = home.run("ps").err
            assert "the watch" in " ".join(said.split())
        else:
            kill(guard_of(home) if killed == "guard" else watcher_of(home))
        kept(endpoint, 1.0)
        released(endpoint)


def test_a_kernel_restart_changes_nothing(calm: Scene) -> None:
    """Started in a cell as a child of the kernel; the kernel is restarted at once, its children killed."""
    kernels = pytest.importorskip("helpers.kernel")
    with calm.managed() as endpoint, kernels.Kernel(env=calm.env, cwd=calm.work) as kernel:
        # No server has this kernel: nobody can say whether its cell is at work.
        words = [*command(), "watch", "--idle", "4s", "--grace", "0s", *CALM, "--ignore", "kernels"]
        code = f"import subprocess\nprint('code', subprocess.call({words!r}))"
        assert "code 0" in kernel.run(code)
        kernel.restart(now=True)
        assert len(watches(calm)) == 1
        released(endpoint)


def test_a_lost_watch_holds_no_other_release(calm: Scene) -> None:
    """Nothing of it is at work: a run that ends meanwhile releases all the same."""
    with calm.managed() as endpoint:
        subprocess.run(["mkfifo", calm.work / "gate"], check=True)
        job = calm.write_job(
            "run: touch ready; read line < gate\nrelease: {when: always, grace: 0s, unsaved: discard}\n"
        )
        run = calm.start("run", job)
        until((calm.work / "ready").exists, "the job")
        start(calm, "--idle", "1h", *CALM)
        (watch,) = watches(calm)
        for pid in (parent_of(watch["guard_pid"]), watch["guard_pid"]):
            kill(pid)
        (calm.work / "gate").write_text("go\n")
        released(endpoint)
        assert calm.end(run).code == 0
