"""`colab-run watch`: a runtime without job files is released once nothing shows life, and only then."""

from __future__ import annotations

import json
import os
import pty
import stat
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from helpers.house import NO_HOUSE, can_build, house
from helpers.jupyter import Jupyter, StandIn, list_server, silent
from helpers.ours import guard_of, kill, kill_both, watcher_of
from helpers.scene import Scene, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from helpers.endpoint import Endpoint
    from helpers.house import House

in_a_house = pytest.mark.skipif(not can_build(), reason=NO_HOUSE)

WINDOW_S = 2.0
# Two samples, and what a busy machine takes to start a request.
LATE_S = 0.2 + 3.0
# For longer than the window nothing may be asked for.
WATCHED_S = 1.6 * WINDOW_S
# The network is everybody's, and so are terminals.
NOW = ("--idle", "2s", "--grace", "0s", "--ignore", "network,terminals")
# Where others' processes are seen, too: what is left are kernels, files, `keep` and runs.
CALM = ("--ignore", "cpu,disk,network,terminals,beat", "--dir", "quiet")
BURN = ("bash", "-c", "while :; do :; done")
NOT_MANAGED, USAGE = 69, 64


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    """A house with one managed runtime in it."""
    with house(tmp_path) as built:
        yield built
        end_watches(built)
        built.close()


@pytest.fixture
def calm(scene: Scene) -> Iterator[Scene]:
    """A scene on this machine, with a folder in which nothing happens."""
    (scene.work / "quiet").mkdir()
    yield scene
    end_watches(scene)


def end_watches(scene: Scene) -> None:
    assert scene.run("watch", "--stop").code == 0


def start(scene: Scene, *words: str) -> float:
    """Start a watch, which has to come back at once; when it came."""
    ended = scene.run("watch", *words)
    assert ended.code == 0, ended.err
    return time.monotonic()


def watches(scene: Scene) -> list[dict[str, Any]]:
    """Every watch that somebody guards, as `ps` has it."""
    rows = scene.run("ps", "--json").document["runs"]
    return [row for row in rows if row["job"] == "watch" and row["guarded"]]


def why(scene: Scene) -> dict[str, Any]:
    """The one wait that there is, with a row for each sign."""
    (wait,) = scene.run("watch", "--why", "--json").document["waits"]
    return {**wait, "by": {row["sign"]: row for row in wait["signs"]}}


def released(endpoint: Endpoint) -> bool:
    return bool(until(lambda: endpoint.requests, "the request of an idle runtime"))


def kept(endpoint: Endpoint, seconds: float = WATCHED_S) -> None:
    """Nothing is asked for in all that time."""
    ends = time.monotonic() + seconds
    until(lambda: endpoint.requests or time.monotonic() > ends, "the end of the wait")
    assert endpoint.requests == []


# --- released ---------------------------------------------------------------------------------------


@in_a_house
def test_an_idle_notebook_is_released_and_the_cell_is_free_at_once(home: House) -> None:
    """Within the window and two samples; not before. The ledger says what it was, and how it went."""
    with home.managed() as endpoint:
        began = start(home, *NOW)
        assert endpoint.requests == []
        released(endpoint)
        assert WINDOW_S - 0.5 < time.monotonic() - began < WINDOW_S + LATE_S
        until(lambda: home.results()[0]["release"]["status"] == "accepted", "the answer")
        (row,) = home.run("history", "--json").document["runs"]
        assert (row["job"], row["kind"], row["release"]["status"]) == ("watch", "watch", "accepted")
        assert len(endpoint.requests) == 1


def test_it_says_what_it_will_do(calm: Scene) -> None:
    """Returns with what it will do and when; JSON has the same."""
    with calm.managed() as endpoint:
        ended = calm.run("watch", "--idle", "30m", *CALM)
        said = " ".join(ended.out.split())
        assert "once nothing has shown life for 30 m, after a countdown of 2 m" in said
        assert f"POST http://{endpoint.address}/unassign" in said
        told = calm.run("watch", "--idle", "1h", "--max", "12h", *CALM, "--json").document
        assert (told["watch"]["idle_s"], told["watch"]["max_s"]) == (3600.0, 43200.0)
        assert told["watch"]["ignored"] == ["cpu", "disk", "network", "terminals", "beat"]


@in_a_house
def test_the_limit_counts_whatever_looks_alive(home: House) -> None:
    """`--max`: a process that burns its core holds nothing any more."""
    with home.managed() as endpoint, home.tenant(*BURN):
        start(home, "--idle", "20s", "--max", "3s", "--grace", "0s")
        kept(endpoint, 1.0)
        released(endpoint)


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
            row = why(home)["by"]["cpu"]
            assert (row["state"], row["keeps"]) == ("alive", True)
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
        assert (wait["by"]["kernels"]["state"], wait["wait"]["because"]) == ("unknown", "unknown")
        released(endpoint)


def test_keep_keeps_it(calm: Scene) -> None:
    """Until it is taken back."""
    with calm.managed() as endpoint:
        assert calm.run("keep", "1h").code == 0
        start(calm, "--idle", "2s", "--grace", "0s", *CALM)
        kept(endpoint)
        assert why(calm)["by"]["keep"]["keeps"]
        assert calm.run("keep", "--drop").code == 0
        released(endpoint)


@in_a_house
def test_a_heartbeat_keeps_it(home: House) -> None:
    """`colab-run beat` from a loop."""
    with home.managed() as endpoint:
        start(home, *NOW)
        ends = time.monotonic() + WATCHED_S
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
        start(home, *NOW)
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
        from helpers.cli import command

        words = [*command(), "watch", "--idle", "4s", "--grace", "0s", *CALM]
        code = f"import subprocess\nprint('code', subprocess.call({words!r}))"
        assert "code 0" in kernel.run(code)
        kernel.restart(now=True)
        assert len(watches(calm)) == 1
        released(endpoint)


# --- being asked --------------------------------------------------------------------------------------


@in_a_house
def test_stop_ends_it(home: House) -> None:
    """Nothing is released afterwards; a second one finds nothing."""
    with home.managed() as endpoint:
        start(home, *NOW)
        assert len(home.run("watch", "--stop", "--json").document["stopped"]) == 1
        assert home.run("watch", "--stop", "--json").document["stopped"] == []
        kept(endpoint)
        (document,) = home.results()
        assert (document["state"], document["release"]["reason"]) == ("done", "watch-stopped")


def test_a_second_watch_takes_the_place_of_the_first(calm: Scene) -> None:
    """The cell is run again: it does not fail, and its own words count."""
    with calm.managed() as endpoint:
        start(calm, "--idle", "2s", "--grace", "0s", *CALM)
        (first,) = watches(calm)
        told = calm.run("watch", "--idle", "1h", *CALM, "--json").document
        assert told["watch"]["replaced"] == [first["run_id"]]
        assert [row["run_id"] for row in watches(calm)] == [told["run_id"]]
        kept(endpoint)


def test_status_in_a_line_for_a_login(calm: Scene) -> None:
    """One line once it is idle for a while; nothing without a watch. `--status` says when it would go."""
    with calm.managed():
        assert calm.run("watch", "--status", "--short").out == ""
        start(calm, "--idle", "10s", *CALM)
        line = until(lambda: calm.run("watch", "--status", "--short").out, "a line")
        assert line.startswith("idle ")
        assert "colab-run watch --why" in line
        assert line.count("\n") == 1
        told = calm.run("watch", "--status", "--json").document["watch"]["watch"]
        assert told["because"] == "alive"
        assert told["idle_at"] < told["goes_at"]


def test_why_without_a_watch_looks_itself(calm: Scene) -> None:
    """Two short periods, and it says so; nothing is left behind."""
    ended = calm.run("watch", "--why")
    assert "this is what a look of 2 s shows" in " ".join(ended.out.split())
    document = calm.run("watch", "--why", "--json").document
    (wait,) = document["waits"]
    assert wait["run_id"] is None
    assert {"cpu", "disk", "network"} <= {row["sign"] for row in wait["signs"]}


def test_last_is_no_watch(calm: Scene) -> None:
    """`logs last` after a watch was started is about the job."""
    with calm.managed():
        assert calm.run_job("run: echo hello\nrelease: {when: never}\n").code == 0
        start(calm, "--idle", "1h", *CALM)
        assert calm.run("logs", "last").out == "hello\n"


# --- results --------------------------------------------------------------------------------------------


def test_outputs_are_saved_first_and_a_save_that_fails_holds(calm: Scene) -> None:
    """The folder to save into cannot be made; when it can, it is saved, and then released."""
    (calm.work / "out").mkdir()
    (calm.work / "out" / "model").write_text("weights")
    safe = calm.folder / "safe"
    with calm.managed() as endpoint:
        start(calm, "--idle", "2s", "--grace", "0s", *CALM, "--output", f"out={safe}")
        # Its mirror of the ledger lies there, too.
        until((safe / ".colab-run").is_dir, "the mirror")
        safe.rename(calm.folder / "away")
        safe.write_text("in the way")
        until(lambda: calm.results()[0]["release"]["reason"] == "not-saved", "the hold")
        kept(endpoint, 1.0)
        safe.unlink()
        released(endpoint)
        assert (safe / "out" / "model").read_text() == "weights"


# --- recordings -----------------------------------------------------------------------------------------


def test_every_look_is_recorded_for_a_replay(calm: Scene) -> None:
    """0600, a sample a line behind a header; `--replay` reads it."""
    path = calm.work / "looks.jsonl"
    with calm.managed():
        start(calm, "--idle", "4s", *CALM, "--record", "looks.jsonl")
        until(lambda: path.read_text().count("\n") > 5, "some looks")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        header, *samples = [json.loads(line) for line in path.read_text().splitlines(keepends=True)[:5]]
        assert header["kind"] == "colab-run recording"
        assert all("cpu" not in sample["readings"] for sample in samples)
        end_watches(calm)
        assert calm.run("watch", "--replay", "looks.jsonl", "--json").document["sessions"] == 1


# --- refused --------------------------------------------------------------------------------------------


def test_nothing_is_watched_where_nothing_can_be_released(scene: Scene) -> None:
    """69, and how; no process stays."""
    ended = scene.run("watch", "--idle", "30m")
    assert ended.code == NOT_MANAGED
    assert "--with" in ended.err
    assert scene.leftovers() == []


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--idle", "30"),
        ("--idle", "30m", "--ignore", "runs"),
        ("--idle", "30m", "--ignore", "cpu,disk,network"),
        ("--idle", "30m", "--with", "slrum"),
        ("--idle", "30m", "--output", "out"),
        ("--idle", "30m", "--record", "/nowhere/looks"),
        ("--status", "--why"),
        ("--stop", "--idle", "30m"),
        ("--policy", "ours", "--idle", "30m"),
    ],
)
def test_what_makes_no_sense_is_refused(scene: Scene, words: tuple[str, ...]) -> None:
    """64, with what to write instead; no process stays."""
    with scene.managed():
        ended = scene.run("watch", *words)
        assert (ended.code, ended.out) == (USAGE, "")
        assert ended.err
        assert scene.leftovers() == []
