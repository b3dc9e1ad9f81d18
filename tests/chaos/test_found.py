"""What random injections found, as small as it could be made; tests/guard/test_takeover.py has the rest."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from launcher.ledger.model import State
from launcher.ledger.spool import new_entry
from launcher.ledger.store import Ledger
from launcher.release import marks
from launcher.release.interface import ReleaseResult, ReleaseStatus
from launcher.release_rows import is_last, row_of
from launcher.saving.model import Order, Target, TargetKind
from launcher.saving.save import Onlooker, save_output

NOTE = marks.RunNote("20261122-114501-417b", "/home", "train", os.getuid(), "a:1")


def test_a_row_is_written_again_and_is_there_once(tmp_path: Path) -> None:
    """A guard is killed between the write of a row and the note that it is written."""
    entry = new_entry("run", State.PLANNED, 1.0, "boot", {})
    for _ in range(2):
        ledger = Ledger.open(str(tmp_path), "boot")
        assert ledger.write_entries([entry])
        assert ledger.write_entries([entry])
        assert [row.state for row in ledger.rows("run")] == [State.PLANNED]
        ledger.close()


@pytest.mark.parametrize(
    ("status", "reason", "last", "row"),
    [
        ("accepted", "accepted", False, State.ACCEPTED),
        ("accepted", "still-here", False, State.STILL_HERE),
        # Nobody looks any more, or somebody else does: this run's silence is not to confirm anything.
        ("accepted", "ended-by-person", True, State.STILL_HERE),
        ("accepted", "another-run-released", True, State.KEPT),
        ("kept", "ended-by-person", True, State.KEPT),
        ("failed", "timeout", False, State.FAILED),
        ("failed", "bad-address", True, State.FAILED),
        ("failed", "still-here", True, State.STILL_HERE),
        ("held", "keep", False, State.HELD),
        ("requested", "requested", False, State.REQUESTED),
    ],
)
def test_what_a_release_has_come_to(status: str, reason: str, last: bool, row: State) -> None:
    """Whoever takes over from a guard that was killed at its very end does not release what a person kept."""
    result = ReleaseResult(ReleaseStatus(status), reason)
    by_other = reason == "another-run-released"
    before = ReleaseResult(ReleaseStatus.REQUESTED if by_other else ReleaseStatus.ACCEPTED, "")
    assert (is_last(result), row_of(result, before)) == (last, row)


def test_a_guard_that_was_killed_while_it_made_its_note(tmp_path: Path) -> None:
    """Whoever takes over announces the run anew, and nothing of the first attempt is left."""
    half = tmp_path / f".{marks.file_name(NOTE)}.0123456789abcdef.part"
    half.touch()
    own = marks.announce("a:1", NOTE, folder=tmp_path)
    assert os.listdir(tmp_path) == [marks.file_name(NOTE)]
    own.withdraw()


def test_a_copy_that_is_killed_is_made_again(tmp_path: Path) -> None:
    """SIGKILL of any one process of ours is no reason to keep the machine."""
    (tmp_path / "out").write_bytes(os.urandom(50_000_000))
    killed: list[int] = []

    def shoot() -> bool:
        if not killed:
            killed.append(_child())
            os.kill(killed[0], signal.SIGKILL)
        return False

    to = Target(TargetKind.FOLDER, str(tmp_path / "to"))
    order = Order(str(tmp_path / "out"), to, "out", "run", "run")
    saved = save_output(order, os.environ, Onlooker(shoot))
    assert killed
    assert saved.complete, saved.failures


def _child() -> int:
    """The one child of this process that was forked last."""
    return max(int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())
