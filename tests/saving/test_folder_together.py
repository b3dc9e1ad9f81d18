"""Savers that meet: two of one run, and what users put where an output is to go."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from helpers.outputs import fill, leftovers, restored, save, saved, saver, tree
from launcher.saving.layout import try_lock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_two_saves_of_one_run_at_once(tmp_path: Path) -> None:
    """The second waits for the first, and not with a lock that the first one needs."""
    out = fill(tmp_path / "out", "a")
    (out / "large").write_bytes(b"x" * 100_000_000)
    ours = tmp_path / "to/.colab-run/out"
    first = saver(out, tmp_path / "to")
    until(lambda: list(ours.glob("staged/run-1/" + "?" * 40)), "the first is staging")
    first.send_signal(signal.SIGSTOP)
    second = saver(out, tmp_path / "to")
    try:
        until(lambda: is_locked(ours), "the second has begun")
        assert not (ours / "saved.json").exists(), "the first was too quick"
    finally:
        first.send_signal(signal.SIGCONT)
    for process in (first, second):
        try:
            report = json.loads(process.communicate(timeout=60)[0].splitlines()[1])
        finally:
            process.kill()
        assert (report["failures"], report["committed"]) == ([], True)
    assert tree(tmp_path / "to/out") == tree(out)
    assert leftovers(tmp_path / "to") == []


def is_locked(folder: Path) -> bool:
    """Does somebody hold the lock there?"""
    held = try_lock(str(folder))
    if held is not None:
        os.close(held)
    return held is None


def until(true: Callable[[], object], what: str) -> None:
    """Wait for it."""
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.001)


@pytest.mark.parametrize("settled_s", [None, 0.0])
def test_a_moment_without_files_forgets_nothing(tmp_path: Path, settled_s: float | None) -> None:
    """A job that empties its folder before it writes the next checkpoint, and dies there."""
    out, target = fill(tmp_path / "out", "a"), tmp_path / "to"
    (out / "sub").mkdir()
    saved(out, target, "run-0")
    before = tree(out)
    (out / "a").unlink()
    report = save(out, target, settled_s=settled_s)
    assert (report.files, report.failures) == ([], [])
    assert report.skipped == ([] if settled_s is not None else [str(out)])
    assert restored(target, tmp_path / "back") == before


def test_a_link_that_the_user_put_at_the_target_stays(tmp_path: Path) -> None:
    """`to/out/sub` leads to a larger disk, say: no folder takes its place."""
    out, target = fill(tmp_path / "out", "a", "sub/b"), tmp_path / "to"
    disk = fill(tmp_path / "disk", "b", text="theirs")
    fill(target / "out", "a")
    (target / "out/sub").symlink_to(disk)
    report = save(out, target)
    assert [path for path, _ in report.failures] == [str(target / "out/sub/b")]
    assert "a link" in report.failures[0][1]
    assert os.readlink(target / "out/sub") == str(disk)
    assert tree(disk) == tree(fill(tmp_path / "same", "b", text="theirs"))
    (target / "out/sub").unlink()
    saved(out, target)
    assert tree(target / "out") == tree(out)
