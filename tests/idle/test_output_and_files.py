"""A log that grows, and files that change in a deep tree."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from helpers.lab import until
from helpers.life import EPOCH, known, last_alive, moment
from launcher.idle.sampler import moment_now
from launcher.idle.signals.files import LONGEST_WALK_S, FilesSignal
from launcher.idle.signals.output import OutputSignal
from launcher.probes.life.files import files_reader
from launcher.probes.life.output import output_reader
from launcher.saving.unsaved import CACHES
from launcher.values import Known, Unknown

LONG_AGO_S = 3600.0
# Of a file's times: some systems have them by their clock's tick.
TICK_S = 0.05

# --- output ---------------------------------------------------------------------------------------


def test_any_output_is_life(tmp_path: Path) -> None:
    """When it was written, not when somebody looked; and silence leaves it there."""
    log, signal = tmp_path / "log", OutputSignal()
    read = output_reader(str(log))
    log.write_bytes(b"step 1\n")
    start = moment_now()
    os.utime(log, (start.wall - LONG_AGO_S,) * 2)
    said = signal.take(read(), start)
    assert isinstance(said, Known)
    assert said.value.last_alive == pytest.approx(start.at - LONG_AGO_S, abs=0.001)
    with log.open("ab") as file:
        file.write(b".")
    written = moment_now()
    said = signal.take(read(), moment_now())
    assert isinstance(said, Known)
    assert start.at - TICK_S <= said.value.last_alive <= written.at
    assert str(said.value.detail) == "8 B so far"
    assert signal.take(read(), moment_now()) == said


def test_a_log_that_is_not_there_is_unknown(tmp_path: Path) -> None:
    """Nobody can tell what it would say."""
    assert output_reader(str(tmp_path / "log"))() == Unknown("no-log")
    assert OutputSignal().take(Unknown("no-log"), moment(1.0)) == Unknown("no-log")


def test_growth_counts_whatever_the_clock_says() -> None:
    """A file system whose clock is an hour late: it was since the last look, also over a gap."""
    signal, late = OutputSignal(), EPOCH - LONG_AGO_S
    assert last_alive(signal, {"size": 10, "written": late}, 100.0) == 100.0 - 100.0 - LONG_AGO_S
    assert last_alive(signal, {"size": 11, "written": late}, 200.0) == 100.0
    assert signal.take(Unknown("timeout"), moment(300.0)) == Unknown("timeout")
    assert last_alive(signal, {"size": 12, "written": late}, 400.0) == 200.0
    assert last_alive(signal, {"size": 3, "written": late}, 500.0) == 400.0
    assert last_alive(signal, {"size": 3, "written": late}, 600.0) == 400.0


# --- files ----------------------------------------------------------------------------------------

DEEP = 40


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A deep tree of a few hundred files that were written a while ago."""
    root = tmp_path / "work"
    folder = root
    for level in range(DEEP):
        folder = folder / f"d{level}"
        folder.mkdir(parents=True)
        for name in range(5):
            (folder / f"{name}.txt").write_text("")
    settle(root)
    return root


def settle(folder: Path) -> float:
    """Until files that change now are newer than what is there; the time."""
    newest = max(path.lstat().st_ctime for path in (folder, *folder.rglob("*")))
    probe = folder.parent / "clock"

    def later() -> bool:
        probe.write_text(probe.read_text() + "." if probe.exists() else ".")
        return probe.stat().st_ctime > newest

    until(later, "the next tick of the file system's clock")
    return probe.stat().st_ctime


def whole_walk(read: Any) -> dict[str, Any]:
    """The reading after everything was looked at once more."""
    first = read().value["cycles"]
    # The walk that is under way began before.
    return until(lambda: (value := read().value)["cycles"] >= first + 2 and value, "two whole walks")


def test_a_file_that_grows_in_a_deep_tree_is_life(tree: Path) -> None:
    """Found by a walk of many small parts, with its path; what is quiet stays as old as it is."""
    read, signal = files_reader((str(tree),), most_entries=40), FilesSignal()
    parts = 0
    while signal.take(reading := read(), moment_now()) == Unknown("not-walked-yet"):
        parts += 1
    assert parts > 3
    assert reading.value["entries"] == DEEP * 6 + 1
    quiet = signal.take(reading, moment_now())
    assert isinstance(quiet, Known)
    assert quiet.value.last_alive <= moment_now().at

    since = settle(tree)
    deep = next(tree.rglob(f"d{DEEP - 1}")) / "3.txt"
    with deep.open("a") as file:
        file.write("more")
    now = moment_now()
    value = whole_walk(read)
    assert value["newest"] >= since
    assert value["path"] == str(deep.relative_to(tree))
    said = signal.take(Known(value), now)
    assert isinstance(said, Known)
    assert now.at - (now.wall - since) <= said.value.last_alive <= now.at
    assert said.value.last_alive > quiet.value.last_alive
    assert signal.take(Known(whole_walk(read)), now) == said


def test_one_call_does_little(tree: Path) -> None:
    """By count, and by time: even without any it goes on, so that a walk ends."""
    read = files_reader((str(tree),), most_entries=40, budget_s=60.0)
    assert 40 <= read().value["entries"] < 100
    read = files_reader((str(tree),), budget_s=0.0)
    assert read().value["entries"] < 50
    until(lambda: read().value["cycles"], "the end of the walk")


def test_of_a_data_set_the_top_is_seen(tree: Path) -> None:
    """A walk ends after so many entries, breadth first: what is deep does not hide the rest."""
    deep = tree / "a" / "data"
    deep.mkdir(parents=True)
    for number in range(300):
        (deep / f"{number}.jpg").touch()
    read = files_reader((str(tree),), most_in_walk=100, budget_s=60.0)
    first = read()
    assert isinstance(first, Known)
    assert first.value["cycles"] == 1
    assert 100 <= first.value["entries"] < 200
    (tree / "checkpoint").write_text("1")
    second = read()
    assert isinstance(second, Known)
    assert second.value["path"] == "checkpoint"


@pytest.mark.parametrize(
    "inside",
    [".git/index", "d0/__pycache__/a.pyc", "venv/lib/a.py", "env/site-packages/a.py", "ours/log"],
)
def test_what_is_nobodys_work_does_not_count(inside: str, tree: Path) -> None:
    """Caches, repositories, virtual environments and our own state; beside them everything does."""
    path = tree / inside
    path.parent.mkdir(parents=True)
    path.write_text("")
    (tree / "venv").mkdir(exist_ok=True)
    (tree / "venv" / "pyvenv.cfg").write_text("")
    read = files_reader((str(tree),), skip=(str(tree / "ours"),))
    before = whole_walk(read)["newest"]
    since = settle(tree)
    path.write_text("changed")
    assert whole_walk(read)["newest"] == before < since
    beside = tree / "beside"
    beside.write_text("")
    value = whole_walk(read)
    assert value["newest"] >= since
    assert value["path"] in ("beside", ".")


def test_caches_are_the_same_as_for_unsaved_files(tmp_path: Path) -> None:
    """What is no result there is no life here."""
    for name in CACHES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("")
    assert files_reader((str(tmp_path),))().value["entries"] == 1


def test_a_file_of_ours_that_is_replaced_does_not_count(tree: Path) -> None:
    """A result file beside the results: neither it nor its folder's time; a link leads nowhere."""
    ours = tree / "result.json"
    ours.write_text("{}")
    outside = tree.parent / "outside"
    outside.mkdir()
    (tree / "d0" / "link").symlink_to(outside)
    read = files_reader((str(tree),), skip=(str(ours),))
    before = whole_walk(read)["newest"]
    settle(tree)
    (tree.parent / "new").write_text("{}")
    os.replace(tree.parent / "new", ours)
    (outside / "file").write_text("")
    assert whole_walk(read)["newest"] == before


def test_removing_is_life(tree: Path) -> None:
    """The folder says so."""
    read = files_reader((str(tree),))
    whole_walk(read)
    since = settle(tree)
    (tree / "d0" / "2.txt").unlink()
    value = whole_walk(read)
    assert (value["newest"] >= since, value["path"]) == (True, "d0")


def test_a_modification_time_in_the_future_is_not_believed(tree: Path) -> None:
    """Unpacked archives have such files: they would keep a machine for years."""
    path = tree / "d0" / "1.txt"
    os.utime(path, (time.time() + 1e6,) * 2)
    value = whole_walk(files_reader((str(tree),)))
    assert (value["path"], value["newest"] <= time.time()) == ("d0/1.txt", True)


def test_a_change_after_the_clock_was_set_back_is_life(tree: Path) -> None:
    """What was changed before is in the future then: it hides nothing, and is forgotten where it was seen."""
    ahead = 0.0
    read = files_reader((str(tree),), wall=lambda: time.time() + ahead)
    path = tree / "changed"
    path.write_text("one")
    before = whole_walk(read)["newest"]
    assert before == path.stat().st_ctime
    ahead = -6 * 3600.0
    assert whole_walk(read)["newest"] is None
    ahead = 0.0
    assert whole_walk(read)["newest"] == before


def test_a_folder_that_is_not_there_is_empty(tmp_path: Path) -> None:
    """Outputs come later; two that lie in each other are walked once; a file may be one."""
    out = tmp_path / "work" / "out"
    read = files_reader((str(tmp_path / "work"), str(out)))
    assert FilesSignal().take(read(), moment_now()) is None
    out.mkdir(parents=True)
    (out / "a").write_text("")
    until(lambda: read().value["entries"] == 3, "the folder, what is in it, and the file there")
    assert files_reader((str(out / "a"),))().value["path"] == "."


def test_folders_that_come_and_go_stop_no_walk(tree: Path) -> None:
    """One that is gone before its turn, or in the middle of it."""
    read = files_reader((str(tree),), most_entries=40)
    read()
    shutil.rmtree(tree / "d0" / "d1")
    until(lambda: read().value["cycles"], "the end of the walk")


def test_other_file_systems_are_not_entered() -> None:
    """A mount below the folder may be slow, and is somebody else's."""
    shm = Path("/dev/shm")
    if not shm.is_dir() or shm.stat().st_dev == Path("/dev").stat().st_dev:
        pytest.skip("no file system of its own is mounted at /dev/shm")
    read = files_reader(("/dev",))
    until(lambda: read().value["cycles"], "a whole walk")
    before = read().value["entries"]
    made = shm / f"colab-run-test-{os.getpid()}"
    made.mkdir()
    try:
        for name in range(500):
            (made / str(name)).write_text("")
        assert whole_walk(read)["entries"] < before + 500
    finally:
        shutil.rmtree(made)


def walked(newest: float | None, cycles: int) -> dict[str, Any]:
    return {"newest": newest, "path": "a/b", "walked": None, "cycles": cycles, "entries": 3}


def test_a_walk_that_takes_long_says_nothing() -> None:
    """Unknown before the first has ended, and when none has for long; then known again, with all it saw."""
    signal = FilesSignal()
    assert signal.take(Known(walked(EPOCH, 0)), moment(100.0)) == Unknown("not-walked-yet")
    assert last_alive(signal, walked(EPOCH + 20.0, 1), 200.0) == 20.0
    late = 200.0 + LONGEST_WALK_S + 1.0
    assert last_alive(signal, walked(EPOCH + 20.0, 1), late - 2.0) == 20.0
    assert signal.take(Known(walked(EPOCH + 50.0, 1)), moment(late)) == Unknown("too-many-files")
    life = known(signal, walked(EPOCH + 50.0, 2), late + 1.0)
    assert life is not None
    assert (life.last_alive, str(life.detail)) == (50.0, "newest: a/b")


def test_a_new_child_walks_anew_and_forgets_nothing() -> None:
    """The sampler has replaced its child: unknown until all was seen, then as alive as it was."""
    signal = FilesSignal()
    assert last_alive(signal, walked(EPOCH + 90.0, 3), 100.0) == 90.0
    assert signal.take(Known(walked(EPOCH, 0)), moment(200.0)) == Unknown("not-walked-yet")
    assert last_alive(signal, walked(EPOCH + 10.0, 1), 300.0) == 90.0
