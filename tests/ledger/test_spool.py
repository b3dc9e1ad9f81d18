"""Rows that could not be written before their writer ended: spooled, imported, once."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from launcher.ledger import spool
from launcher.ledger.model import State
from launcher.ledger.store import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable


def make_symlink(path: Path) -> None:
    path.symlink_to(path.parent.parent / "target")


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


def entry(number: int, **changes: object) -> str:
    row = {"uid": f"{number:016x}", "run_id": "run", "wall": 5.0, "boot_id": "boot-1", "state": "planned"}
    return json.dumps({**row, "facts": json.dumps({"number": number}), **changes})


def test_a_spool_is_imported_once(home: Path) -> None:
    """Also when whoever imported it died before removing it."""
    lines = entry(1) + "\n" + entry(2, state="started") + "\n"
    for _ in range(3):
        (home / "ledger.spool").write_text(lines)
        Ledger.open(str(home), "boot-1").close()
        assert not (home / "ledger.spool").exists()
    ledger = Ledger.open(str(home), "boot-1", read_only=True)
    assert [(row.seq, row.state, row.facts) for row in ledger.rows("run")] == [
        (1, State.PLANNED, {"number": 1}),
        (2, State.STARTED, {"number": 2}),
    ]
    ledger.close()


def test_a_reader_sees_the_spool_and_leaves_it(home: Path) -> None:
    """`ps` knows what the last guard could not write."""
    ledger = Ledger.open(str(home), "boot-1")
    ledger.write("run", State.PLANNED, 1.0)
    (home / "ledger.spool").write_text(
        entry(1, state="started") + "\n" + entry(2, run_id="two", wall=9) + "\n"
    )
    reader = Ledger.open(str(home), "", read_only=True)
    assert [row.state for row in reader.rows("run")] == [State.PLANNED, State.STARTED]
    assert [run.run_id for run in reader.runs(5)] == ["two", "run"]
    assert [run.run_id for run in reader.unfinished()] == ["run", "two"]
    assert reader.close()
    assert (home / "ledger.spool").exists()
    ledger.close()


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b"\xff\xfe",
        b"[" * 100_000,
        entry(3, wall="soon").encode(),
        entry(3, wall=float("nan")).encode(),
        entry(3, run_id=None).encode(),
        entry(3, run_id="\ud800").encode(),
        entry(3, uid=["x"]).encode(),
        entry(3, facts={}).encode(),
        entry(3).encode()[:-20],
    ],
)
def test_a_damaged_line_costs_only_itself(home: Path, line: bytes) -> None:
    """Whole lines before and after it are imported."""
    content = entry(1).encode() + b"\n" + line + b"\n" + entry(2, state="started").encode() + b"\n"
    (home / "ledger.spool").write_bytes(content)
    ledger = Ledger.open(str(home), "boot-1")
    assert [row.facts["number"] for row in ledger.rows("run")] == [1, 2]
    ledger.close()


def test_what_is_appended_after_a_cut_line_is_not_lost(home: Path) -> None:
    """The next one to spool begins a line of its own."""
    (home / "ledger.spool").write_text(entry(1) + "\n" + entry(2)[:-9])
    spool.append(str(home), [spool.Entry("u", "run", 1.0, "boot-1", "ended", "{}")], 0.2)
    assert [one.uid for one in spool.peek(str(home))] == [f"{1:016x}", "u"]


@pytest.mark.parametrize("make", [make_symlink, os.mkfifo, os.mkdir, make_socket])
def test_a_spool_that_is_no_file_is_left_alone(home: Path, make: Callable[[Path], None]) -> None:
    """It neither hangs the opening nor is it written through."""
    make(home / "ledger.spool")
    ledger = Ledger.open(str(home), "boot-1")
    assert ledger.write("run", State.PLANNED, 1.0)
    assert ledger.close()
    with pytest.raises(OSError):
        spool.append(str(home), [spool.Entry("u", "run", 1.0, "boot-1", "ended", "{}")], 0.2)
    assert not (home.parent / "target").exists()


def test_a_reader_counts_no_row_twice(home: Path) -> None:
    """What it saw in the spool has meanwhile been imported."""
    Ledger.open(str(home), "boot-1").close()
    (home / "ledger.spool").write_text(entry(1) + "\n")
    reader = Ledger.open(str(home), "", read_only=True)
    Ledger.open(str(home), "boot-1").close()
    assert not (home / "ledger.spool").exists()
    assert [row.seq for row in reader.rows("run")] == [1]
    reader.close()


def leads_to(descriptor: Path) -> str:
    """What an open file of another process is; nothing where it has been closed since."""
    try:
        return os.readlink(descriptor)
    except OSError:
        return ""


def test_an_appender_does_not_write_into_a_spool_that_is_gone(
    home: Path, program: Callable[..., Any]
) -> None:
    """It waited for whoever imported and removed the file, and begins a new one."""
    path = home / "ledger.spool"
    path.write_text(entry(1) + "\n")
    with spool.taken(str(home)) as spooled:
        assert spooled is not None
        child = program("spool", home)
        descriptors = Path(f"/proc/{child.pid}/fd")
        deadline = time.monotonic() + 30
        while not any(leads_to(one) == str(path) for one in descriptors.iterdir()):
            assert time.monotonic() < deadline, "the appender did not open the spool"
        spooled.remove()
    _, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    assert [one.uid for one in spool.peek(str(home))] == ["later"]
