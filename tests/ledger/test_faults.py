"""A ledger that is locked, full, read only, taken away: nothing waits for it."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from launcher.ledger.model import LedgerUnusable, State
from launcher.ledger.store import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Programs = Callable[..., subprocess.Popen[str]]
    Disks = Callable[..., Path]

# What a caller may be kept waiting, for a lock that never comes free.
AT_MOST_S = 5.0


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
