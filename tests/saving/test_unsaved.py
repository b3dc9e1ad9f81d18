"""Which files would go with the machine: by change time on the files' own clock."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from launcher.clock import SystemClock
from launcher.saving.unsaved import find_unsaved, identity

if TYPE_CHECKING:
    from pathlib import Path

NOTHING: frozenset[tuple[int, int]] = frozenset()


def test_only_what_changed_since(tmp_path: Path) -> None:
    """A file from before the moment is not the run's, however close; one from after it is."""
    for turn in range(100):
        (tmp_path / f"before-{turn}").write_text("x")
        (tmp_path / f"before-{turn}").stat()  # makes newer kernels stamp what follows more finely
        since = SystemClock().file_tick_ns()
        (tmp_path / f"after-{turn}").write_text("xy")
        unsaved = find_unsaved(str(tmp_path), since, without=NOTHING)
        assert [path for path, _ in unsaved.largest] == [f"after-{turn}"]


def test_a_time_set_back_does_not_hide_a_file(tmp_path: Path) -> None:
    """tar and cp -p set mtime back; ctime cannot be."""
    since = SystemClock().file_tick_ns()
    (tmp_path / "weights").write_text("x")
    os.utime(tmp_path / "weights", (0, 0))
    assert find_unsaved(str(tmp_path), since, without=NOTHING).count == 1


def test_the_largest_come_first_and_all_are_counted(tmp_path: Path) -> None:
    """The first five are named, the sum is of all."""
    since = SystemClock().file_tick_ns()
    for size in range(1, 8):
        (tmp_path / f"f{size}").write_bytes(b"x" * size)
    unsaved = find_unsaved(str(tmp_path), since, without=NOTHING)
    assert (unsaved.count, unsaved.size) == (7, 28)
    assert unsaved.largest == (("f7", 7), ("f6", 6), ("f5", 5), ("f4", 4), ("f3", 3))


def test_files_named_as_known_are_left_out(tmp_path: Path) -> None:
    """Our state folder and files that our own output goes to are no results."""
    since = SystemClock().file_tick_ns()
    (tmp_path / "state").mkdir()
    (tmp_path / "state/log").write_text("x")
    (tmp_path / "redirected").write_text("x")
    known = frozenset(
        key for key in (identity(str(tmp_path / "state")), identity(str(tmp_path / "redirected"))) if key
    )
    assert find_unsaved(str(tmp_path), since, without=known).count == 0


def test_the_work_of_git_counts_and_its_index_does_not(tmp_path: Path) -> None:
    """A commit that the job made exists nowhere else; an index that a tool refreshed is no work."""
    (tmp_path / ".git").mkdir()
    since = SystemClock().file_tick_ns()
    (tmp_path / ".git/index").write_text("x")
    assert find_unsaved(str(tmp_path), since, without=NOTHING).count == 0
    (tmp_path / ".git/objects").write_text("x")
    assert find_unsaved(str(tmp_path), since, without=NOTHING).count == 1


def test_a_workdir_that_is_gone_holds_nothing(tmp_path: Path) -> None:
    """A job may remove its own folder."""
    assert find_unsaved(str(tmp_path / "gone"), 0, without=NOTHING).count == 0
