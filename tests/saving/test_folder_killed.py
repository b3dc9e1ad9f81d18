"""Savers that are killed at any moment: every file in its place is whole, and one committed state comes back.

40 kills by default; COLAB_RUN_TEST_SAVER_KILLS=1000 for the long run, COLAB_RUN_TEST_SEED for another order.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from helpers.outputs import STRACE, Tree, fill, leftovers, needs_strace, recover, restore, saved, saver, tree
from launcher.saving.stage import staged_name

if TYPE_CHECKING:
    from pathlib import Path

KILLS = int(os.environ.get("COLAB_RUN_TEST_SAVER_KILLS", "40"))
SEED = int(os.environ.get("COLAB_RUN_TEST_SEED", "1"))


def change(out: Path, dice: random.Random, number: int) -> None:
    """Another state of the output: files that change, come, go, become longer, become links."""
    for name in dice.sample(range(60), 12):
        path = out / f"unit{name % 7}" / str(name)
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        match dice.randrange(5):
            case 0:
                pass
            case 1:
                path.symlink_to(f"../unit{number % 7}")
            case 2:
                path.write_bytes(dice.randbytes(dice.randrange(3_000_000)))
            case _:
                path.write_bytes(dice.randbytes(dice.randrange(3_000)))
    for number in range(7):
        (out / f"unit{number}").mkdir(exist_ok=True)


def state(folder: Path) -> Tree:
    """Without folders that hold something: the manifest has only the others."""
    everything = tree(folder)
    return {
        path: what
        for path, what in everything.items()
        if what[0] != "folder" or not any(other.startswith(f"{path}/") for other in everything)
    }


def killed(child: subprocess.Popen[str], after_s: float) -> bool:
    """Kill it `after_s` seconds after it began to save; True if it had committed before."""
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    try:
        child.wait(after_s)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
    said = child.communicate()[0]
    return bool(said) and bool(json.loads(said)["committed"])


def test_kills_leave_one_state_or_the_other(tmp_path: Path) -> None:
    """What comes back after each kill is the state before it or the one being saved, never a mixture."""
    dice = random.Random(SEED)
    out, target = fill(tmp_path / "out", "unit0/0"), tmp_path / "to"
    change(out, dice, 0)
    usual_s = 0.1
    while not killed(saver(out, target, "run-first"), usual_s):
        usual_s *= 1.5
    last = state(out)
    versions = {item for item in last.items() if item[1][0] == "file"}
    outcomes = {"before": 0, "after": 0, "committed": 0}
    run = 0
    for number in range(KILLS):
        # Now and then the same run again, as a saver that was killed is started anew.
        if dice.randrange(3):
            run += 1
            change(out, dice, number)
        now = state(out)
        versions |= {item for item in now.items() if item[1][0] == "file"}
        committed = killed(saver(out, target, f"run-{run}"), dice.uniform(0, usual_s * 1.5))
        # Where the disk is slow at times, and quick at others, half of them are to come to the commit.
        usual_s *= 0.9 if committed else 1.1
        if dice.randrange(2):
            recover(target)
        back = tmp_path / "back"
        report = restore(target, back, "run-back")
        assert report.failures == [], f"seed {SEED}, kill {number}"
        came = state(back)
        assert came in (last, now), f"seed {SEED}, kill {number}"
        assert came == now or not committed, f"seed {SEED}, kill {number}"
        files = {item for item in state(target / "out").items() if item[1][0] == "file"}
        assert files <= versions, f"seed {SEED}, kill {number}: a file in its place was never whole"
        outcomes["committed" if committed else "after" if came == now else "before"] += 1
        last = came
        shutil.rmtree(back)
    saved(out, target, "run-last")
    assert leftovers(target) == []
    print(outcomes)
    assert min(outcomes["before"], outcomes["after"] + outcomes["committed"]) > KILLS // 10


@pytest.mark.parametrize("calls", ["rename", "unlink", "unlinkat", "rmdir", "fsync", "syncfs"])
def test_a_saver_that_is_killed_at_each_step(tmp_path: Path, calls: str) -> None:
    """The moments that matter, one after the other: at every name that changes and at every sync."""
    needs_strace()
    old, new = fill(tmp_path / "old", "a", "b", "u/c"), fill(tmp_path / "new", "a", "b", "u/d", text="2")
    (new / "link").symlink_to("a")
    base = tmp_path / "base"
    saved(old, base, "run-0")
    outcomes = []
    for number in range(1, 60):
        target = tmp_path / f"to{number}"
        shutil.copytree(base, target, symlinks=True)
        strace = (*STRACE, "-o", os.devnull, "-e", f"inject={calls}:signal=KILL:when={number}")
        said = saver(new, target, before=strace).communicate(timeout=60)[0]
        finished = len(said.splitlines()) > 1
        back = tmp_path / f"back{number}"
        recover(target)
        report = restore(target, back)
        assert report.failures == []
        assert tree(back) in (tree(old), tree(new)), f"{calls} {number}"
        outcomes.append(tree(back) == tree(new))
        assert leftovers(target) == [], f"{calls} {number}"
        if finished:
            break
    assert finished
    assert outcomes == sorted(outcomes), "once committed, always committed"
    assert outcomes[-1]
    if calls == "rename":
        assert not outcomes[0]
        assert outcomes.count(True) > 5


def test_a_saver_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    """What is staged whole is not moved again, and a large file goes on from where it was."""
    out, target = tmp_path / "out", tmp_path / "to"
    out.mkdir()
    content = random.Random(SEED).randbytes(1 << 20)
    (out / "large").write_bytes(content * 200)
    size = (out / "large").stat().st_size
    child = saver(out, target)
    staged = target / ".colab-run/out/staged/run-1"
    deadline = time.monotonic() + 30
    while not any(path.stat().st_size > size // 4 for path in staged.glob("?" * 40)):
        assert time.monotonic() < deadline
        assert child.poll() is None, "it was too quick"
        time.sleep(0.001)
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate()
    there = max(path.stat().st_size for path in staged.glob("?" * 40))
    assert there >= size // 4
    report = saved(out, target)
    assert report.copied <= size - there + (1 << 20)
    assert tree(target / "out") == tree(out)


def test_a_half_copied_file_that_is_not_what_it_seems(tmp_path: Path) -> None:
    """An earlier attempt's bytes count only as far as they are equal."""
    out, target = tmp_path / "out", tmp_path / "to"
    out.mkdir()
    (out / "large").write_bytes(random.Random(SEED).randbytes(8 << 20))
    saved(out, target)
    staged = target / ".colab-run/out/staged/run-1"
    staged.mkdir(parents=True)
    half = bytearray((out / "large").read_bytes())[: 6 << 20]
    half[3 << 20] ^= 1
    (staged / staged_name("large")).write_bytes(half)
    (target / "out/large").unlink()
    assert saved(out, target).copied == 5 << 20
    assert tree(target / "out") == tree(out)
    assert leftovers(target) == []


def test_a_leftover_that_is_too_long(tmp_path: Path) -> None:
    """The source became shorter since: not a byte more than it has."""
    out, target = tmp_path / "out", tmp_path / "to"
    out.mkdir()
    (out / "large").write_bytes(b"x" * 700_000)
    (out / "small").write_bytes(b"x" * 70)
    (out / "other").write_bytes(b"y" * 70)
    staged = target / ".colab-run/out/staged/run-1"
    staged.mkdir(parents=True)
    for name in ("large", "small", "other"):
        (staged / staged_name(name)).write_bytes(b"x" * 900_000)
    assert saved(out, target).copied == 140
    assert tree(target / "out") == tree(out)


def stopped_at_commit(out: Path, target: Path, run_id: str, *, moved: int) -> None:
    """A saver that is killed after commit.json took its name and so many files theirs."""
    needs_strace()
    calls = ("-e", "trace=rename,renameat,renameat2", "-e", "signal=none")
    kill = ("-e", f"inject=rename,renameat,renameat2:signal=KILL:when={moved + 2}")
    saver(out, target, run_id, before=(*STRACE, "-o", os.devnull, *calls, *kill)).communicate(timeout=60)
    assert (target / ".colab-run/out/commit.json").exists()


@pytest.mark.parametrize("size", [1, 3])
def test_a_commit_whose_files_never_came_is_dropped(tmp_path: Path, size: int) -> None:
    """The machine vanished before the cloud had them: the state before is whole, and comes back."""
    out, target = fill(tmp_path / "out", "a", "b"), tmp_path / "to"
    saved(out, target, "run-0")
    before = tree(out)
    fill(out, "a", "b", text="2" * size)
    (out / "a").write_text("B" * size)
    stopped_at_commit(out, target, "run-1", moved=0)
    shutil.rmtree(target / ".colab-run/out/staged")
    report = restore(target, tmp_path / "back")
    assert report.failures == []
    assert (report.run_id, tree(tmp_path / "back")) == ("run-0", before)
    saved(out, target, "run-2")
    assert tree(target / "out") == tree(out)
    assert leftovers(target) == []


def test_a_commit_of_which_a_part_was_moved_is_not_dropped(tmp_path: Path) -> None:
    """Then neither state is whole: it is said, and the next save mends it."""
    out, target = fill(tmp_path / "out", "a", "b"), tmp_path / "to"
    saved(out, target, "run-0")
    fill(out, "a", "b", text="2")
    stopped_at_commit(out, target, "run-1", moved=1)
    assert (target / "out/a").read_text() == "a2"
    shutil.rmtree(target / ".colab-run/out/staged")
    report = restore(target, tmp_path / "back")
    assert (report.found, report.complete) == (True, False)
    assert [path for path, _ in report.failures] == [str(target / "out/b")]
    saved(out, target, "run-2")
    assert tree(target / "out") == tree(out)
    assert leftovers(target) == []
