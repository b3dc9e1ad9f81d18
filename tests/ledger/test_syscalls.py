"""Writers whose system calls fail, one after the other, and those that a row has to have made."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from launcher.ledger.model import problems
from launcher.ledger.store import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Programs = Callable[..., subprocess.Popen[str]]


# How many a writer writes while its system calls fail.
ROWS = 4


def needs_strace() -> None:
    """Skips without it."""
    if shutil.which("strace") is None:
        pytest.skip("no strace")
    if subprocess.run(["strace", "-qq", "-o", os.devnull, "true"], capture_output=True).returncode:
        pytest.skip("strace may not trace here")


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
    needs_strace()
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


def test_a_row_is_on_disk_before_it_is_acknowledged(home: Path, tmp_path: Path, program: Programs) -> None:
    """A release is a power cut: between any two acknowledgements the disk has been asked to keep it."""
    needs_strace()
    Ledger.open(str(home), "boot-1").close()
    trace = tmp_path / "trace"
    tracing = ("strace", "-f", "-qq", "-o", str(trace), "-e", "trace=fsync,fdatasync,write")
    out, err = program("few", home, ROWS, before=tracing).communicate(timeout=60)
    assert out.count(" true\n") == ROWS + 1, err
    asked = acknowledged = 0
    for line in trace.read_text().splitlines():
        if "sync(" in line:
            asked += 1
        elif 'write(1, "run-0' in line:
            assert asked > 0, f"row {acknowledged} was acknowledged before it was on disk"
            acknowledged, asked = acknowledged + 1, 0
    assert acknowledged == ROWS
