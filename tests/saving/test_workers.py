"""Batches in processes: every answer once, and what a dead process owed is told."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

from helpers.outputs import fill, saved, saver, tree
from launcher.saving.workers import in_processes


def test_every_batch_once() -> None:
    """Answers larger than a pipe, numbers in any order, more processes than work."""
    answers: dict[int, bytes] = {}
    left = in_processes(lambda n: bytes([n]) * 300_000, list(range(7)), 3, answers.__setitem__)
    assert left == []
    assert answers == {n: bytes([n]) * 300_000 for n in range(7)}
    assert in_processes(lambda n: n, [], 3, answers.__setitem__) == []


def test_what_a_dead_process_owed_is_told() -> None:
    """It is killed in the middle of its share; the others go on. Nobody is left."""

    def work(number: int) -> int:
        if number == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        if number == 4:
            raise ValueError
        return number

    answers: dict[int, int] = {}
    # Process 0 has 0, 3, 6; process 1 has 1, 4, 7; process 2 has 2, 5, 8.
    assert in_processes(work, list(range(9)), 3, answers.__setitem__) == [3, 4, 6, 7]
    assert sorted(answers) == [0, 1, 2, 5, 8]
    try:
        left = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        left = (0, 0)
    assert left == (0, 0)


def test_an_output_of_many_small_files(tmp_path: Path) -> None:
    """Enough for processes of their own."""
    out = fill(tmp_path / "out", *(f"{n % 9}/{n}" for n in range(3000)))
    saved(out, tmp_path / "to")
    assert tree(tmp_path / "to/out") == tree(out)
    for n in range(0, 3000, 2):
        (out / f"{n % 9}/{n}").write_text("other")
    assert saved(out, tmp_path / "to", "run-2").copied == 5 * 1500
    assert tree(tmp_path / "to/out") == tree(out)


def test_a_process_that_is_killed_costs_no_file(tmp_path: Path) -> None:
    """What it owed is done by the saver itself."""
    out = fill(tmp_path / "out", *(f"{n % 9}/{n}" for n in range(6000)))
    child = saver(out, tmp_path / "to")
    children = Path(f"/proc/{child.pid}/task/{child.pid}/children")
    deadline = time.monotonic() + 30
    while not (pids := children.read_text().split()):
        assert time.monotonic() < deadline
        assert child.poll() is None
    os.kill(int(pids[0]), signal.SIGKILL)
    report = json.loads(child.communicate(timeout=60)[0].splitlines()[1])
    assert (report["failures"], report["committed"], len(report["files"])) == ([], True, 6000)
    assert tree(tmp_path / "to/out") == tree(out)
