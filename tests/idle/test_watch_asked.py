"""`colab-run watch`, asked: what it says, how it ends, what it saves and records, and what it refuses."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

import pytest

from helpers.scene import until
from helpers.watches import CALM, NOW, end_watches, in_a_house, kept, released, start, watches

if TYPE_CHECKING:
    from helpers.house import House
    from helpers.scene import Scene

NOT_MANAGED, USAGE = 69, 64


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


# --- being asked --------------------------------------------------------------------------------------


@in_a_house
def test_stop_ends_it(home: House) -> None:
    """Nothing is released afterwards; a second one finds nothing."""
    with home.managed() as endpoint:
        start(home, "--idle", "5s", "--grace", "0s", *NOW[4:])
        assert len(home.run("watch", "--stop", "--json").document["stopped"]) == 1
        assert home.run("watch", "--stop", "--json").document["stopped"] == []
        kept(endpoint, 8.0)
        (document,) = home.results()
        assert (document["state"], document["release"]["reason"]) == ("done", "watch-stopped")


def test_it_is_stopped_like_a_run(calm: Scene) -> None:
    """`stop watch`, and `wait watch` ends with 0."""
    with calm.managed():
        started = calm.run("--json", "watch", "--idle", "1h", *CALM)
        assert started.document["state"] == "watching"
        waiting = calm.start("wait", "watch")
        assert "nothing releases this runtime" in " ".join(calm.run("stop", "watch").out.split())
        assert calm.end(waiting).code == 0
        (document,) = calm.results()
        assert (document["outcome"], document["exit_code"], document["decided_by"]) == (None, 0, "colab-run")


def test_a_second_watch_takes_the_place_of_the_first(calm: Scene) -> None:
    """The cell is run again: it does not fail, and its own words count."""
    with calm.managed() as endpoint:
        assert calm.run("keep", "1h").code == 0
        start(calm, "--idle", "2s", "--grace", "0s", *CALM, "--ignore", "kernels")
        (first,) = watches(calm)
        told = calm.run("watch", "--idle", "1h", *CALM, "--json").document
        assert told["watch"]["replaced"] == [first["run_id"]]
        assert [row["run_id"] for row in watches(calm)] == [told["run_id"]]
        # The first one would go now.
        assert calm.run("keep", "--drop").code == 0
        kept(endpoint)


def test_status_in_a_line_for_a_login(calm: Scene) -> None:
    """One line once it is idle for a while; nothing without a watch. `--status` says when it would go."""
    with calm.managed():
        assert calm.run("watch", "--status", "--short").out == ""
        start(calm, "--idle", "10s", *CALM)

        def short() -> str:
            # It does not wait for long where the guard has no time, and says that instead.
            said = calm.run("watch", "--status", "--short").out
            return said if said.startswith("idle ") else ""

        line = until(short, "a line")
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
        start(calm, "--idle", "5s", "--grace", "0s", *CALM, "--ignore", "kernels", "--output", f"out={safe}")
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
        start(calm, "--idle", "4s", *CALM, "--ignore", "kernels", "--record", "looks.jsonl")
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
