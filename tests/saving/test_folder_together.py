"""Savers that meet: two of one run, and what users put where an output is to go."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING

from helpers.outputs import fill, leftovers, saver, tree
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
