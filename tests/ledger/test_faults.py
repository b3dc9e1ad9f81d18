"""A ledger that is locked, full, read only, damaged, taken away: nothing waits for it."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import stat
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from launcher.ledger.model import LedgerUnusable, State, problems
from launcher.ledger.store import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable

    Programs = Callable[..., subprocess.Popen[str]]
    Disks = Callable[..., Path]

# What a caller may be kept waiting, for a lock that never comes free.
AT_MOST_S = 0.5
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


def hold(program: Programs, home: Path, how: str) -> subprocess.Popen[str]:
    """A process that holds the ledger's lock until its stdin is closed."""
    holder = program("hold", home, how)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "ready\n"
    return holder


def let_go(holder: subprocess.Popen[str]) -> None:
    _, err = holder.communicate(timeout=30)
    assert holder.returncode == 0, err


def test_a_lock_held_for_ever_delays_nothing(home: Path, program: Programs) -> None:
    """Each write returns soon; the rows arrive, in order, with the first write after the lock is gone."""
    ledger = Ledger.open(str(home), "boot-1")
    assert ledger.write("run", State.PLANNED, 1.0)
    holder = hold(program, home, "immediate")
    assert quickly(lambda: ledger.write("run", State.STARTED, 2.0)) is False
    assert quickly(lambda: ledger.write("run", State.ENDED, 3.0)) is False
    assert [row.state for row in ledger.rows("run")] == [State.PLANNED, State.STARTED, State.ENDED]
    assert states(home) == [State.PLANNED]
    let_go(holder)
    assert ledger.write("run", State.DONE, 4.0) is True
    assert states(home) == [State.PLANNED, State.STARTED, State.ENDED, State.DONE]
    assert ledger.close()


@pytest.mark.parametrize("how", ["immediate", "exclusive"])
def test_a_ledger_locked_from_the_beginning_opens_later(home: Path, program: Programs, how: str) -> None:
    """Opening does not wait either, and what is written meanwhile arrives."""
    first = Ledger.open(str(home), "boot-1")
    first.write("run", State.PLANNED, 1.0)
    first.close()
    holder = hold(program, home, how)
    ledger = quickly(lambda: Ledger.open(str(home), "boot-1"))
    assert isinstance(ledger, Ledger)
    assert quickly(lambda: ledger.write("run", State.STARTED, 2.0)) is False
    let_go(holder)
    assert ledger.write("run", State.ENDED, 3.0) is True
    assert ledger.close()
    assert states(home) == [State.PLANNED, State.STARTED, State.ENDED]


def test_what_a_lock_kept_out_is_spooled_and_imported(home: Path, program: Programs) -> None:
    """At the end the rows go into a file of ours, from there into the ledger, and the file goes."""
    ledger = Ledger.open(str(home), "boot-1")
    assert ledger.write("run", State.PLANNED, 1.0)
    holder = hold(program, home, "immediate")
    ledger.write("run", State.STARTED, 2.0, pid=7)
    ledger.write("run", State.ENDED, 3.0)
    assert quickly(ledger.close) is True
    spool = home / "ledger.spool"
    assert [json.loads(line)["state"] for line in spool.read_text().splitlines()] == ["started", "ended"]
    assert stat.S_IMODE(spool.stat().st_mode) == 0o600
    # The next one cannot import either yet, and adds its own.
    second = Ledger.open(str(home), "boot-1")
    assert second.write("run", State.SAVING, 4.0) is False
    assert second.close() is True
    assert len(spool.read_text().splitlines()) == 3
    let_go(holder)
    third = Ledger.open(str(home), "boot-1")
    assert not spool.exists()
    assert [row.state.value for row in third.rows("run")] == ["planned", "started", "ended", "saving"]
    assert third.rows("run")[1].facts == {"pid": 7}
    third.close()


@pytest.mark.parametrize("options", ["size=160k", "nr_inodes=3"], ids=["bytes", "inodes"])
def test_a_full_disk_is_waited_out(small_disk: Disks, options: str) -> None:
    """No error while it is full, no row lost when space returns."""
    home = small_disk(options)
    filler = home / "filler"
    filler.touch()
    ledger = Ledger.open(str(home), "boot-1")
    acknowledged = [ledger.write("run", State.PLANNED, 1.0)]
    if "size" in options:
        with filler.open("wb", buffering=0) as file, pytest.raises(OSError):
            while file.write(b"x" * 4096):
                pass
    for number in range(60):
        acknowledged.append(ledger.write("run", State.STARTED, 2.0, number=number, bulk="x" * 900))
    assert False in acknowledged
    seen = states(home) if acknowledged[0] else []
    assert len(seen) == acknowledged.count(True)
    filler.unlink()
    if "size" not in options:
        subprocess.run(["mount", "-o", "remount,nr_inodes=20", home], check=True)
    else:
        subprocess.run(["mount", "-o", "remount,size=4m", home], check=True)
    assert ledger.write("run", State.ENDED, 3.0) is True
    assert ledger.close()
    assert states(home) == [State.PLANNED, *[State.STARTED] * 60, State.ENDED]


def test_a_full_disk_that_stays_full_loses_only_what_was_not_acknowledged(small_disk: Disks) -> None:
    """`close` says that rows are lost, and the ledger is whole."""
    home = small_disk("size=160k")
    ledger = Ledger.open(str(home), "boot-1")
    acknowledged = 0
    while ledger.write("run", State.STARTED, 2.0, bulk=os.urandom(400).hex()):
        acknowledged += 1
    with (home / "filler").open("wb", buffering=0) as file, pytest.raises(OSError):
        while file.write(b"x" * 512):
            pass
    assert acknowledged > 0
    assert ledger.close() is False
    (home / "filler").unlink()
    subprocess.run(["mount", "-o", "remount,size=4m", home], check=True)
    assert len(states(home)) == acknowledged


def test_a_disk_that_becomes_read_only(small_disk: Disks) -> None:
    """A new ledger is refused there with its reason; one that is open waits; reading goes on."""
    home = small_disk("size=4m")
    ledger = Ledger.open(str(home), "boot-1")
    assert ledger.write("run", State.PLANNED, 1.0)
    ledger.close()
    subprocess.run(["mount", "-o", "remount,ro", home], check=True)
    with pytest.raises(LedgerUnusable, match="read-only"):
        Ledger.open(str(home), "boot-1")
    assert states(home) == [State.PLANNED]
    assert quickly(lambda: ledger.write("run", State.STARTED, 2.0)) is False
    subprocess.run(["mount", "-o", "remount,rw", home], check=True)
    assert ledger.write("run", State.ENDED, 3.0) is True
    assert states(home) == [State.PLANNED, State.STARTED, State.ENDED]
    ledger.close()


def test_a_ledger_that_is_taken_away_is_begun_anew(home: Path, tmp_path: Path) -> None:
    """A row counts as written only in the file that the next process will read."""
    ledger = Ledger.open(str(home), "boot-1")
    assert ledger.write("run", State.PLANNED, 1.0)
    for path in list(home.iterdir()):
        path.rename(tmp_path / path.name)
    assert ledger.write("run", State.STARTED, 2.0) is True
    assert states(home) == [State.STARTED]
    shutil.rmtree(home)
    assert ledger.write("run", State.ENDED, 3.0) is False
    home.mkdir(mode=0o700)
    assert ledger.write("run", State.DONE, 4.0) is True
    assert states(home) == [State.ENDED, State.DONE]
    assert ledger.close()


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


def test_four_processes_find_the_same_damage(home: Path, fork: Callable[..., object]) -> None:
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
def used(tmp_path: Path, fork: Callable[..., object]) -> Path:
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


# How many a writer writes while its system calls fail.
ROWS = 4


def injected(program: Programs, home: Path, inject: str, trace: Path) -> tuple[str, bool]:
    """What a writer said whose system calls fail as told, and whether one of them was reached."""
    child = program("few", home, ROWS, before=("strace", "-f", "-qq", "-o", str(trace), "-e", inject))
    out, err = child.communicate(timeout=60)
    assert child.returncode == 0, f"{inject}: {err}"
    assert "Traceback" not in err
    return out, "(INJECTED)" in trace.read_text(errors="replace")


@pytest.mark.parametrize("from_then_on", ["", "+"], ids=["once", "for-ever"])
@pytest.mark.parametrize(
    ("calls", "error"),
    [("fsync,fdatasync", "EIO"), ("pwrite64", "ENOSPC"), ("ftruncate", "EIO"), ("unlink", "EIO")],
)
def test_any_system_call_may_fail(
    tmp_path: Path, program: Programs, calls: str, error: str, from_then_on: str
) -> None:
    """The first, the second, and so on to the last: no traceback, and what was acknowledged is there."""
    if shutil.which("strace") is None:
        pytest.skip("no strace")
    if subprocess.run(["strace", "-qq", "-o", os.devnull, "true"], capture_output=True).returncode:
        pytest.skip("strace may not trace here")
    number = 0
    while True:
        number += 1
        home = tmp_path / f"home{number}"
        home.mkdir()
        inject = f"inject={calls}:error={error}:when={number}{from_then_on}"
        out, reached = injected(program, home, inject, tmp_path / "trace")
        said = [line.split() for line in out.splitlines()]
        safe = [
            (run_id, int(which))
            for run_id, which, so in (one for one in said if len(one) == 3)
            if so == "true"
        ]
        closed = said[-1] == ["closed", "true"]
        after = Ledger.open(str(home), "boot-1")
        there = [(row.run_id, row.facts["number"]) for row in after.rows("run-0")]
        assert problems(after.rows("run-0")) == [] or not closed
        after.close()
        assert set(safe) <= set(there), inject
        assert len(there) == len(set(there)), inject
        if closed:
            assert len(there) == ROWS, inject
        if not reached:
            assert len(safe) == ROWS
            assert closed
            break
        assert number < 300, "there is no end to it"
    print(f"{calls} {error}{from_then_on}: {number - 1} places")
