"""A damaged ledger is put aside, and nobody's rows with it that were still to come."""

from __future__ import annotations

import random
import shutil
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from launcher.ledger.model import LedgerUnusable, State, problems
from launcher.ledger.store import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable

# What a caller may be kept waiting, for a lock that never comes free.
AT_MOST_S = 5.0
# A damaged ledger may cost time, but never hang.
NO_HANG_S = 5.0


def states(home: Path, run_id: str = "run") -> list[State]:
    """What another process reads."""
    reader = Ledger.open(str(home), "", read_only=True)
    rows = reader.rows(run_id)
    reader.close()
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
    return [row.state for row in rows]


def quickly(work: Callable[[], object]) -> object:
    """The work's answer, which came soon."""
    begun = time.monotonic()
    answer = work()
    assert time.monotonic() - begun < AT_MOST_S
    return answer


GARBAGE = [
    b"not a database, but long enough to be looked at as one. " * 40,
    b"SQLite format 3\0" + b"\xff" * 8000,
]


@pytest.mark.parametrize("content", GARBAGE, ids=["text", "header"])
def test_a_corrupt_ledger_is_put_aside(home: Path, content: bytes) -> None:
    """Whole, under a name with the time; the new one works, and reading touches nothing."""
    (home / "ledger.sqlite3").write_bytes(content)
    with pytest.raises(LedgerUnusable, match="corrupt"):
        Ledger.open(str(home), "", read_only=True).runs(1)
    assert (home / "ledger.sqlite3").read_bytes() == content
    before = int(time.time())
    ledger = Ledger.open(str(home), "boot-1")
    assert ledger.moved_aside is not None
    assert before <= int(ledger.moved_aside.rpartition("-")[2]) <= time.time() + 1
    assert Path(ledger.moved_aside).read_bytes() == content
    assert ledger.write("run", State.PLANNED, 1.0) is True
    ledger.close()
    assert states(home) == [State.PLANNED]


def test_a_database_of_somebody_else_is_put_aside(home: Path) -> None:
    """Sound, but without our tables; also one that says it is of our version."""
    for version in (0, 1):
        connection = sqlite3.connect(home / "ledger.sqlite3")
        connection.execute("CREATE TABLE rows_of_theirs (one)" if version else "CREATE TABLE rows (one)")
        connection.execute(f"PRAGMA user_version = {version}")
        connection.commit()
        connection.close()
        ledger = Ledger.open(str(home), "boot-1")
        assert ledger.moved_aside is not None
        assert ledger.write("run", State.PLANNED, 1.0) is True
        ledger.close()
        (home / "ledger.sqlite3").unlink()
    assert len(list(home.glob("*.corrupt-*[0-9]"))) == 2


def test_damage_under_an_open_ledger_costs_no_new_row(home: Path) -> None:
    """The write that meets it puts the file aside and goes into the new one."""
    ledger = Ledger.open(str(home), "boot-1")
    for number in range(50):  # More than a ledger keeps in memory.
        ledger.write("run", State.STARTED, 1.0, number=number, bulk="x" * 20_000)
    ledger.close()  # Into the file itself, out of the log beside it.
    ledger = Ledger.open(str(home), "boot-1")
    size = (home / "ledger.sqlite3").stat().st_size
    with (home / "ledger.sqlite3").open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    assert ledger.write("run", State.ENDED, 2.0) is True
    assert ledger.moved_aside is not None
    assert states(home) == [State.ENDED]
    ledger.close()


def test_numbers_that_do_not_fit_are_damage(home: Path) -> None:
    """The file is sound and takes no row all the same: it is put aside, and the rows go on."""
    ledger = Ledger.open(str(home), "boot-1")
    ledger.write("run", State.PLANNED, 1.0)
    connection = sqlite3.connect(home / "ledger.sqlite3")
    connection.execute(f"UPDATE rows SET seq = {2**63 - 1}")
    connection.commit()
    connection.close()
    assert ledger.write("run", State.STARTED, 2.0) is True
    assert ledger.write("run", State.ENDED, 3.0) is True
    assert ledger.moved_aside is not None
    assert states(home) == [State.ENDED]
    ledger.close()


def test_damage_is_not_put_aside_under_somebody_else(home: Path) -> None:
    """Rows wait until the other one has let go: SQLite would mix up the companions of the two."""
    other = Ledger.open(str(home), "boot-1")
    assert other.write("run", State.PLANNED, 1.0)
    with (home / "ledger.sqlite3").open("r+b") as file:
        file.write(b"garbage" * 100)
    (home / "ledger.sqlite3-wal").write_bytes(b"")
    late = quickly(lambda: Ledger.open(str(home), "boot-1"))
    assert isinstance(late, Ledger)
    assert quickly(lambda: late.write("run", State.STARTED, 2.0)) is False
    assert list(home.glob("*.corrupt-*")) == []
    other.close()
    assert late.write("run", State.ENDED, 3.0) is True
    assert late.moved_aside is not None
    late.close()
    assert states(home) == [State.STARTED, State.ENDED]


def test_four_processes_find_the_same_damage(home: Path, fork: Callable[..., Any]) -> None:
    """One puts it aside; nobody puts aside what another one began anew, and no row is lost."""
    for turn in range(10):
        (home / "ledger.sqlite3").write_bytes(GARBAGE[turn % 2])
        for left in home.glob("*.corrupt-*"):
            left.unlink()

        def work(out: int, turn: int = turn) -> None:
            ledger = Ledger.open(str(home), "boot-1")
            ledger.write(f"turn-{turn}", State.STARTED, 1.0)
            assert ledger.close()

        children = [fork(work) for _ in range(4)]
        assert [child.end()[1] for child in children] == [0] * 4
        assert len(list(home.glob("*.corrupt-*[0-9]"))) == 1
        Ledger.open(str(home), "boot-1").close()  # Imports what was spooled meanwhile.
        assert len(states(home, f"turn-{turn}")) == 4


def damage(chance: random.Random, path: Path) -> None:
    """Flip some bits, cut the file short, or write over a stretch of it."""
    content = bytearray(path.read_bytes())
    kind = chance.choice(["bits", "bits", "bits", "cut", "stretch"])
    if kind == "bits":
        for _ in range(chance.choice([1, 1, 2, 8])):
            # Half of the hits where the structure is: the beginning of the file or of a page.
            start = chance.choice([0, chance.randrange(len(content)) // 4096 * 4096])
            reach = chance.choice([128, len(content) - start])
            content[min(start + chance.randrange(reach), len(content) - 1)] ^= 1 << chance.randrange(8)
    elif kind == "cut":
        del content[chance.randrange(len(content)) :]
    else:
        start = chance.randrange(len(content))
        length = min(chance.choice([16, 512, 4096]), len(content) - start)
        content[start : start + length] = chance.randbytes(length)
    path.write_bytes(content)


@pytest.fixture
def used(tmp_path: Path, fork: Callable[..., Any]) -> Path:
    """A ledger as a killed writer leaves it: rows in the file, and others in the log beside it."""
    folder = tmp_path / "used"
    folder.mkdir()
    first = Ledger.open(str(folder), "boot-1")
    for number in range(120):
        first.write(f"run-{number // 6}", State.STARTED, 1e9 + number, bulk="x" * (number * 7 % 900))
    first.close()

    def work(out: int) -> None:
        ledger = Ledger.open(str(folder), "boot-1")
        for number in range(120, 150):
            ledger.write(f"run-{number // 6}", State.STARTED, 1e9 + number)

    assert fork(work).end()[1] == 0  # It ended without closing.
    assert (folder / "ledger.sqlite3-wal").stat().st_size > 0
    return folder


def read_everything(home: Path, *, read_only: bool) -> None:
    ledger = Ledger.open(str(home), "boot-1", read_only=read_only)
    try:
        for run in (*ledger.runs(100), *ledger.unfinished()):
            problems(ledger.rows(run.run_id))
        if not read_only:
            assert ledger.write("after", State.PLANNED, 1.0) is True
            assert ledger.last("after").state is State.PLANNED
    finally:
        ledger.close()


@pytest.mark.parametrize("seed", range(10))
def test_a_thousand_damages(used: Path, tmp_path: Path, seed: int) -> None:
    """A hundred for each seed: LedgerUnusable or a ledger that writes; nothing else, and no hang."""
    chance = random.Random(seed)
    wrote = 0
    for turn in range(100):
        for read_only in (True, False):
            home = tmp_path / f"{turn}-{read_only}"
            shutil.copytree(used, home)
            name = chance.choice(["ledger.sqlite3"] * 3 + ["ledger.sqlite3-wal", "ledger.sqlite3-shm"])
            damage(chance, home / name)
            begun = time.monotonic()
            try:
                read_everything(home, read_only=read_only)
                wrote += not read_only
            except LedgerUnusable as error:
                assert error.reason in ("newer-schema", "corrupt", "read-only", "absent"), error.reason
            assert time.monotonic() - begun < NO_HANG_S
            shutil.rmtree(home)
    assert wrote > 90
