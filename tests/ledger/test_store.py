"""Writing and reading a ledger, its versions, and its place."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from launcher.ledger import place
from launcher.ledger.migrations import CURRENT
from launcher.ledger.model import LedgerUnusable, State
from launcher.ledger.store import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable

ASSETS = Path(__file__).parent.parent / "assets" / "ledger"


def ledger_file(home: Path) -> Path:
    return home / "ledger.sqlite3"


def reason_of(home: Path, **how: bool) -> str:
    """Why a ledger there cannot be opened."""
    with pytest.raises(LedgerUnusable) as caught:
        Ledger.open(str(home), "boot-1", **how)
    return caught.value.reason


def integrity(home: Path) -> str:
    connection = sqlite3.connect(ledger_file(home))
    found = connection.execute("PRAGMA integrity_check").fetchone()[0]
    connection.close()
    return str(found)


def test_what_is_written_is_read_again(home: Path) -> None:
    """By the same process, by another one that writes, and by one that only reads."""
    writer = Ledger.open(str(home), "boot-1")
    assert writer.write("run-a", State.PLANNED, 10.5, name="訓練", path="\udc80")
    assert writer.write("run-a", State.STARTED, 11.0, pid=4711, run_id="mine")
    later = Ledger.open(str(home), "boot-2")
    assert later.write("run-a", State.LOST, 12.0)
    reader = Ledger.open(str(home), "", read_only=True)
    for ledger in (writer, later, reader):
        rows = ledger.rows("run-a")
        assert [(row.run_id, row.seq, row.wall, row.boot_id, row.state) for row in rows] == [
            ("run-a", 1, 10.5, "boot-1", State.PLANNED),
            ("run-a", 2, 11.0, "boot-1", State.STARTED),
            ("run-a", 3, 12.0, "boot-2", State.LOST),
        ]
        assert rows[0].facts == {"name": "訓練", "path": "\udc80"}
        assert rows[1].facts == {"pid": 4711, "run_id": "mine"}
        assert ledger.last("run-a") == rows[-1]
        assert ledger.last("run-b") is None
        assert ledger.rows("run-b") == []
        assert ledger.close()


def test_runs_are_newest_first_and_unfinished_ones_oldest_first(home: Path) -> None:
    """The lists behind `history` and behind the look for runs that nobody guards."""
    ledger = Ledger.open(str(home), "boot-1")
    ends = {State.DONE: 0, State.LOST: 1, State.CONFIRMED: 2, State.ENDED: 3, State.HELD: 4}
    for end, number in ends.items():
        ledger.write(f"run-{number}", State.PLANNED, 100.0 + number, name=f"job {number}")
        ledger.write(f"run-{number}", end, 200.0)
    assert [run.run_id for run in ledger.runs(3)] == ["run-4", "run-3", "run-2"]
    assert [run.run_id for run in ledger.unfinished()] == ["run-3", "run-4"]
    newest = ledger.runs(1)[0]
    assert (newest.name, newest.wall, newest.last.state) == ("job 4", 104.0, State.HELD)
    ledger.close()


def test_nobody_else_can_read_it(home: Path) -> None:
    """0600, the companions too, whatever the umask and an older mode say."""
    before = os.umask(0)
    try:
        ledger_file(home).touch(mode=0o666)
        ledger = Ledger.open(str(home), "boot-1")
        ledger.write("run", State.PLANNED, 1.0)
        modes = {path.name: path.stat().st_mode & 0o777 for path in home.iterdir()}
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(("ledger.sqlite3", "ledger.sqlite3-wal", "ledger.sqlite3-shm"), 0o600)
    ledger.close()


def test_facts_and_times_that_are_not_json_are_still_written(home: Path) -> None:
    """What happened is noted, even if what it was about cannot be."""
    ledger = Ledger.open(str(home), "boot-1")
    assert ledger.write("run", State.PLANNED, float("nan"), where=Path("/tmp"), size=float("inf"))
    assert ledger.write("run", State.STARTED, 2.0)
    assert ledger.rows("run")[0].facts == {"where": "/tmp", "size": float("inf")}
    assert ledger.rows("run")[0].wall == 0.0
    ledger.close()


def test_reading_makes_no_ledger(home: Path) -> None:
    """Not where there is none, and not where somebody has only just begun one."""
    assert reason_of(home, read_only=True) == "absent"
    assert list(home.iterdir()) == []
    ledger_file(home).touch(mode=0o600)
    assert reason_of(home, read_only=True) == "absent"
    assert ledger_file(home).stat().st_size == 0


def test_a_ledger_of_version_1_opens(home: Path) -> None:
    """For ever, to read and to write."""
    shutil.copy(ASSETS / "v1.sqlite3", ledger_file(home))
    for read_only in (True, False):
        ledger = Ledger.open(str(home), "boot-2", read_only=read_only)
        assert [run.name for run in ledger.runs(10)] == ["訓練", "finetune"]
        assert [run.run_id for run in ledger.unfinished()] == ["20261122-114501-417b"]
        assert ledger.runs(10)[0].facts == {
            "name": "訓練",
            "pid": 5000,
            "outcome": "failed",
            "exit_code": 3,
        }
        if not read_only:
            assert ledger.write("20261122-114501-417b", State.CONFIRMED, 1.8e9)
            assert ledger.last("20261122-114501-417b").seq == 7
        ledger.close()
    assert integrity(home) == "ok"


def test_the_fixture_is_its_text_and_ends_as_a_new_ledger_begins(home: Path, tmp_path: Path) -> None:
    """v1.sqlite3 is what v1.sql says; an old ledger has, once migrated, the tables of a new one."""
    other = tmp_path / "other"
    other.mkdir()
    by_text = sqlite3.connect(tmp_path / "text.sqlite3")
    by_text.executescript((ASSETS / "v1.sql").read_text(encoding="utf-8"))
    shutil.copy(ASSETS / "v1.sqlite3", tmp_path / "copy.sqlite3")
    fixture = sqlite3.connect(tmp_path / "copy.sqlite3")
    assert list(fixture.iterdump()) == list(by_text.iterdump())
    fixture.close()
    by_text.close()
    shutil.copy(ASSETS / "v1.sqlite3", ledger_file(other))
    schemas = []
    for folder in (home, other):
        Ledger.open(str(folder), "boot-1").close()
        connection = sqlite3.connect(ledger_file(folder))
        schemas.append(connection.execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall())
        assert connection.execute("PRAGMA user_version").fetchone() == (CURRENT,)
        connection.close()
    assert schemas[0] == schemas[1]


@pytest.mark.parametrize("read_only", [True, False])
def test_a_newer_ledger_is_not_touched(home: Path, read_only: bool) -> None:
    """A later version's ledger is left as it is, byte for byte."""
    shutil.copy(ASSETS / "v1.sqlite3", ledger_file(home))
    connection = sqlite3.connect(ledger_file(home))
    connection.execute(f"PRAGMA user_version = {CURRENT + 1}")
    connection.close()
    before = hashlib.sha256(ledger_file(home).read_bytes()).digest()
    assert reason_of(home, read_only=read_only) == "newer-schema"
    assert hashlib.sha256(ledger_file(home).read_bytes()).digest() == before


def make_symlink(path: Path) -> None:
    path.symlink_to(path.parent.parent / "target")


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


@pytest.mark.parametrize("name", ["ledger.sqlite3", "ledger.sqlite3-wal", "ledger.sqlite3-shm"])
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (make_symlink, "symlink"),
        (os.mkfifo, "not-a-file"),
        (os.mkdir, "not-a-file"),
        (make_socket, "not-a-file"),
    ],
    ids=["symlink", "fifo", "folder", "socket"],
)
def test_what_is_not_a_file_is_refused(
    home: Path, name: str, make: Callable[[Path], None], reason: str
) -> None:
    """Nothing is followed, waited for, or made elsewhere."""
    make(home / name)
    assert reason_of(home) == reason
    assert reason_of(home, read_only=True) == reason
    assert not (home.parent / "target").exists()


def test_what_is_not_ours_is_refused(home: Path) -> None:
    """Neither another user's ledger nor another user's folder."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    ledger_file(home).touch()
    os.chown(ledger_file(home), 1000, 1000)
    assert reason_of(home) == "not-ours"
    ledger_file(home).unlink()
    os.chown(home, 1000, 1000)
    assert reason_of(home) == "not-ours"


def test_no_folder_is_a_reason(home: Path) -> None:
    """Also where a file stands in its place."""
    assert reason_of(home / "nowhere") == "no-folder"
    (home / "file").touch()
    assert reason_of(home / "file") == "no-folder"


MOUNTS = """\
22 1 98:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:25 / /content/drive rw - fuse.drive drive rw,user_id=0
31 22 0:26 / /mnt/a\\040b rw - nfs4 server:/x rw
32 22 0:27 / /mnt/twice rw - ext4 /dev/vdb rw
33 22 0:28 / /mnt/twice rw - cifs //server/x rw
34 30 0:29 / /content/drive/local rw - tmpfs tmpfs rw
garbage
"""


@pytest.mark.parametrize(
    ("path", "kind", "network"),
    [
        ("/root/state", "ext4", False),
        ("/content/drive", "fuse.drive", True),
        ("/content/drive/MyDrive/state", "fuse.drive", True),
        ("/content/drive2", "ext4", False),
        ("/content/drive/local/x", "tmpfs", False),
        ("/mnt/a b/c", "nfs4", True),
        ("/mnt/twice", "cifs", True),
    ],
)
def test_the_file_system_of_a_path(path: str, kind: str, network: bool) -> None:
    """By the longest mount point above it, and of two at one point the later one."""
    assert place.file_system_of(path, MOUNTS) == kind
    assert place.is_network(kind) == network


@pytest.mark.parametrize("kind", ["9p", "nfs", "cifs", "fuse", "fuse.sshfs", "drvfs", "overlay", "ext4"])
def test_no_ledger_on_a_network_file_system(home: Path, tmp_path: Path, kind: str) -> None:
    """Refused by the mount table; what it does not tell counts as local."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"22 1 98:0 / / rw - ext4 /dev/vda rw\n23 22 0:9 / {home} rw - {kind} it rw\n")
    if kind in ("overlay", "ext4"):
        place.check_place(str(home), writing=True, mounts=str(mounts))
    else:
        with pytest.raises(LedgerUnusable, match="network-file-system"):
            place.check_place(str(home), writing=True, mounts=str(mounts))
    place.check_place(str(home), writing=True, mounts=str(tmp_path / "nowhere"))


def test_a_name_with_every_kind_of_character(tmp_path: Path) -> None:
    """The path goes to SQLite as it is: no `?`, `#` or `%` of it means anything."""
    home = tmp_path / "a?mode=ro#%41 b'\udcff訓"
    home.mkdir()
    ledger = Ledger.open(str(home), "boot-1")
    assert ledger.write("run", State.PLANNED, 1.0)
    ledger.close()
    assert [path.name for path in home.iterdir()] == ["ledger.sqlite3"]


def test_opening_costs_little() -> None:
    """The guard has 16 MB: no heavy module comes with the ledger."""
    code = "import sys, launcher.ledger.store; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"urllib.parse", "logging", "subprocess", "asyncio", "tempfile", "threading", "socket", "typer"}
    before = subprocess.run(
        [sys.executable, "-c", "import sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    assert not (set(done.stdout.split()) - set(before.stdout.split())) & heavy


def test_how_long_a_commit_takes(home: Path, record_property: Callable[[str, object], None]) -> None:
    """The figure, printed; a limit would only measure this machine's disk."""
    ledger = Ledger.open(str(home), "boot-1")
    taken = []
    for number in range(300):
        begun = time.perf_counter()
        assert ledger.write(f"run-{number // 9}", State.STARTED, 1e9, pid=number)
        taken.append((time.perf_counter() - begun) * 1e3)
    taken.sort()
    figures = f"commit p50 {taken[150]:.2f} ms, p99 {taken[297]:.2f} ms, longest {taken[-1]:.2f} ms"
    record_property("commit", figures)
    print(figures)
    ledger.close()


@pytest.mark.parametrize(
    "damage",
    [
        "wall = 'soon'",
        "state = 'unheard-of'",
        "state = x'ff'",
        "facts = '['",
        "facts = '[]'",
        "facts = x'00ff'",
        "boot_id = x'00'",
        "seq = 'two'",
    ],
)
def test_an_unreadable_row_costs_only_itself(home: Path, damage: str) -> None:
    """It is left out; the rows around it, the lists and the writing go on."""
    ledger = Ledger.open(str(home), "boot-1")
    for state in (State.PLANNED, State.STARTED, State.ENDED):
        ledger.write("run", state, 1.0)
    connection = sqlite3.connect(ledger_file(home))
    connection.execute(f"UPDATE rows SET {damage} WHERE seq = 2")
    connection.commit()
    connection.close()
    assert [row.state for row in ledger.rows("run")] == [State.PLANNED, State.ENDED]
    assert ledger.runs(1)[0].last.state is State.ENDED
    assert [run.run_id for run in ledger.unfinished()] == ["run"]
    assert ledger.write("other", State.PLANNED, 2.0)
    ledger.close()
