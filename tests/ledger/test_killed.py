"""Several writers at once, and writers that are killed: no acknowledged row is lost, none is torn."""

from __future__ import annotations

import os
import random
import sqlite3
import time
from typing import TYPE_CHECKING

import pytest

from launcher.ledger.model import State, problems
from launcher.ledger.store import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COURSE = (
    State.PLANNED,
    State.STARTED,
    State.ENDED,
    State.SAVING,
    State.REQUESTED,
    State.ACCEPTED,
    State.DONE,
)
KILLS = int(os.environ.get("COLAB_RUN_TEST_KILLS", "150"))
SEED = int(os.environ.get("COLAB_RUN_TEST_SEED", "1"))


def flood(home: Path, name: str, out: int) -> None:
    """Whole runs, one after the other; `RUN NUMBER` for each row that is acknowledged."""
    ledger = Ledger.open(str(home), "boot-1")
    number = 0
    while True:
        run_id = f"{name}-{number // len(COURSE)}"
        if ledger.write(run_id, COURSE[number % len(COURSE)], 1e9 + number, number=number):
            os.write(out, f"{run_id} {number}\n".encode())
        number += 1


def integrity(home: Path) -> str:
    connection = sqlite3.connect(home / "ledger.sqlite3")
    found = connection.execute("PRAGMA integrity_check").fetchone()[0]
    connection.close()
    return str(found)


def check(home: Path, said: str) -> tuple[int, int]:
    """How many rows were acknowledged and how many are there, for the runs that were told of."""
    acknowledged: dict[str, list[int]] = {}
    for line in said.splitlines():
        run_id, number = line.split()
        acknowledged.setdefault(run_id, []).append(int(number))
    reader = Ledger.open(str(home), "", read_only=True)
    there = 0
    for run_id, numbers in acknowledged.items():
        rows = reader.rows(run_id)
        assert problems(rows) == []
        # One more may be there: it was on its way when the end came.
        assert [row.facts["number"] for row in rows][: len(numbers)] == numbers
        assert len(rows) <= len(numbers) + 1
        there += len(rows)
    reader.close()
    return sum(map(len, acknowledged.values())), there


@pytest.mark.parametrize("writers", [1, 2, 4])
def test_kills_at_random_moments(home: Path, fork: Callable[..., object], writers: int) -> None:
    """From the opening to the thousandth row; the others go on in the same ledger."""
    chance = random.Random(SEED)
    acknowledged = kills = 0
    Ledger.open(str(home), "boot-1").close()
    while kills < KILLS // 3 + 1:
        children = [fork(lambda out, name=f"{kills}-{one}": flood(home, name, out)) for one in range(writers)]
        for child in children:
            time.sleep(10 ** chance.uniform(-4, -1.2))  # The fault's moment, not a wait for anything.
            child.kill()
            kills += 1
        for child in children:
            said, status = child.end()
            assert status == -9
            # A line may be cut; what was said in full was acknowledged.
            count, _ = check(home, said[: said.rfind("\n") + 1])
            acknowledged += count
    assert integrity(home) == "ok"
    assert acknowledged > kills
    print(f"{kills} kills of {writers} at once, {acknowledged} acknowledged rows, seed {SEED}")


def test_kills_of_whoever_begins_the_ledger(tmp_path: Path, fork: Callable[..., object]) -> None:
    """Making the file, its tables and its log: the next one finishes what is half begun."""
    chance = random.Random(SEED)
    for turn in range(KILLS // 3 + 1):
        home = tmp_path / str(turn)
        home.mkdir()
        child = fork(lambda out, home=home: flood(home, "first", out))
        time.sleep(10 ** chance.uniform(-4, -2))
        child.kill()
        said, _ = child.end()
        ledger = Ledger.open(str(home), "boot-1")
        assert ledger.moved_aside is None
        assert ledger.write("next", State.PLANNED, 1.0) is True
        ledger.close()
        check(home, said[: said.rfind("\n") + 1])


@pytest.mark.parametrize("writers", [2, 4])
def test_several_writers_at_once(home: Path, fork: Callable[..., object], writers: int) -> None:
    """Runs of their own and one that all of them write to: every row once, numbered without a gap."""

    def work(out: int, name: str) -> None:
        ledger = Ledger.open(str(home), "boot-1")
        for number in range(100):
            ledger.write(name, State.PLANNED if number == 0 else State.STARTED, 1e9, number=number)
            ledger.write("shared", State.STARTED, 1e9, by=name, number=number)
        assert ledger.close()

    children = [fork(lambda out, name=f"run-{one}": work(out, name)) for one in range(writers)]
    assert [child.end() for child in children] == [("", 0)] * writers
    Ledger.open(str(home), "boot-1").close()  # Imports what was spooled, if a lock took too long.
    reader = Ledger.open(str(home), "", read_only=True)
    for one in range(writers):
        rows = reader.rows(f"run-{one}")
        assert problems(rows) == []
        assert [row.facts["number"] for row in rows] == list(range(100))
    shared = reader.rows("shared")
    assert [row.seq for row in shared] == list(range(1, 100 * writers + 1))
    assert len({(row.facts["by"], row.facts["number"]) for row in shared}) == 100 * writers
    reader.close()
    assert integrity(home) == "ok"


def test_reading_while_others_write(home: Path, fork: Callable[..., object]) -> None:
    """A reader sees whole rows, more and more of them, and stops nobody."""
    Ledger.open(str(home), "boot-1").close()
    writer = fork(lambda out: flood(home, "run", out))
    reader = Ledger.open(str(home), "", read_only=True)
    deadline = time.monotonic() + 30
    seen = 0
    while seen < 20:
        assert time.monotonic() < deadline, f"{seen} runs seen"
        found = reader.runs(1000)
        assert len(found) >= seen
        seen = len(found)
        for run in found[:3]:
            assert problems(reader.rows(run.run_id)) == []
    writer.kill()
    said, _ = writer.end()
    assert len(said.splitlines()) >= 19 * len(COURSE)
    reader.close()


def test_a_spool_is_imported_once_whoever_is_killed(home: Path, fork: Callable[..., object]) -> None:
    """Killed between reading, writing and removing it: every row is there, and once."""
    chance = random.Random(SEED)
    lines = []
    for number in range(KILLS // 3 + 1):
        row = f'"wall": 1.0, "boot_id": "boot-1", "state": "started", "facts": "{{\\"number\\": {number}}}"'
        lines.append(f'{{"uid": "spooled-{number}", "run_id": "run", {row}}}\n')
        with (home / "ledger.spool").open("a") as file:
            file.write(lines[-1])
        child = fork(lambda out: Ledger.open(str(home), "boot-1").close())
        time.sleep(10 ** chance.uniform(-4, -2))
        child.kill()
        child.end()
    Ledger.open(str(home), "boot-1").close()
    assert not (home / "ledger.spool").exists()
    reader = Ledger.open(str(home), "", read_only=True)
    assert sorted(row.facts["number"] for row in reader.rows("run")) == list(range(len(lines)))
    reader.close()
