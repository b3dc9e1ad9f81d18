"""What runs, guards and people leave for each other: real files, real locks, processes that are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from helpers.lab import until
from launcher.release import lease, marks
from launcher.release.marks import RunNote, announce, runs, take_over

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TARGET = "172.28.0.1:8011"
NOTE = RunNote("20261122-114501-417b", "/root/.local/state/colab-run", "train", os.getuid(), TARGET)
# A process that announces a run (argv: folder, run id), forks a second holder, says who they are, and waits.
HOLDERS = """
import os, signal, sys
from pathlib import Path
from launcher.release.marks import RunNote, announce
folder, run_id = Path(sys.argv[1]), sys.argv[2]
note = announce("a:1", RunNote(run_id, "/home", "train", os.getuid(), "a:1"), folder=folder)
second = os.fork()
if second:
    print(os.getpid(), second, flush=True)
signal.pause()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of marks that no run on this machine knows."""
    return tmp_path / "leases"


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that are gone after the test, with what they forked."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.communicate()


def start_holders(folder: Path, started: list[subprocess.Popen[str]], run_id: str = "r1") -> tuple[int, int]:
    """Two processes that hold one note; their pids."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDERS, str(folder), run_id],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    started.append(process)
    assert process.stdout is not None
    first, second = process.stdout.readline().split()
    return int(first), int(second)


# --- runs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [TARGET, "", lease.ANY_TARGET])
def test_a_run_is_announced_guarded_and_withdrawn(folder: Path, target: str) -> None:
    """A note says who runs where, for every kind of target, and is gone when the run is."""
    note = replace(NOTE, target=target)
    held = announce(target, note, folder=folder)
    assert runs(folder) == [(note, True)]
    assert os.stat(held.path).st_mode & 0o777 == 0o644
    held.over()
    assert runs(folder) == [(replace(note, over=True), True)]
    held.withdraw()
    assert runs(folder) == []
    held.withdraw()
    assert list(folder.iterdir()) == []


def test_a_note_outlives_either_of_its_holders_but_not_both(folder: Path, started: list) -> None:
    """SIGKILL of one of two holders: guarded. Of both: lost, and it can be taken over once."""
    first, second = start_holders(folder, started)
    assert [guarded for _, guarded in runs(folder)] == [True]
    os.kill(first, signal.SIGKILL)
    started[0].wait()
    assert [guarded for _, guarded in runs(folder)] == [True]
    (row,) = runs(folder)
    assert take_over(row[0], folder=folder) is None
    os.kill(second, signal.SIGKILL)
    until(lambda: not runs(folder)[0][1], "the loss of both")
    with closing(take_over(row[0], folder=folder)) as taken:
        assert taken is not None
        assert take_over(row[0], folder=folder) is None
        assert runs(folder) == [(row[0], True)]
        taken.over()
        assert runs(folder)[0][0].over
    assert runs(folder)[0][1] is False


def test_a_run_that_ends_never_looks_lost(folder: Path) -> None:
    """Somebody who looks all the time sees each run guarded or not at all, never lost, nor takes it over."""
    seen: list[bool] = []
    taken: list[object] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            found = runs(folder)
            seen.extend(guarded for _, guarded in found)
            taken.extend(take_over(note, folder=folder) for note, _ in found)

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for number in range(300):
            announce(TARGET, replace(NOTE, run_id=f"r{number}"), folder=folder).withdraw()
        last = announce(TARGET, NOTE, folder=folder)
        until(lambda: seen, "one look at least")
        last.withdraw()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert all(seen)
    assert set(taken) == {None}


def test_many_may_want_to_take_over_and_one_does(folder: Path, started: list) -> None:
    """Those who look, and those who want it too, keep nobody from it, and two never have it."""
    pids = start_holders(folder, started)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    until(lambda: not runs(folder)[0][1], "the loss of both")
    (row,) = runs(folder)
    taken: list[marks.Announced | None] = []
    threads = [
        threading.Thread(target=lambda: taken.append(take_over(row[0], folder=folder))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    mine = [one for one in taken if one is not None]
    assert len(mine) == 1
    mine[0].withdraw()
    assert take_over(row[0], folder=folder) is None


def test_two_runs_of_one_id_in_two_homes_do_not_meet(folder: Path) -> None:
    """Run ids are unique in one state folder only."""
    other = replace(NOTE, home="/home/other")
    with closing(announce(TARGET, NOTE, folder=folder)), closing(announce(TARGET, other, folder=folder)):
        assert len(runs(folder)) == 2


def test_notes_of_another_boot_are_removed(folder: Path) -> None:
    """What a machine that was restarted left in a folder that outlives it."""
    announce(TARGET, NOTE, folder=folder).close()
    (path,) = folder.iterdir()
    path.write_text(json.dumps({**json.loads(path.read_text()), "boot": "another"}))
    assert runs(folder) == []
    assert list(folder.iterdir()) == []


def test_what_is_no_note_is_no_run(folder: Path, tmp_path: Path) -> None:
    """Links, pipes, folders and rubbish that lie there under such names are passed by, without waiting."""
    held = announce(TARGET, NOTE, folder=folder)
    (path,) = folder.iterdir()
    elsewhere = tmp_path / path.name
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    (folder / "rubbish.run").write_bytes(b"\xff{")
    (folder / "deep.run").write_text("[" * 60000)
    (folder / "list.run").write_text("[]")
    os.mkfifo(folder / "pipe.run")
    (folder / "folder.run").mkdir()
    os.link(elsewhere, folder / "another-name.run")
    assert runs(folder) == []
    assert runs(folder / "none") == []
    held.close()


# --- keep -----------------------------------------------------------------------------------------


def test_the_longest_keep_counts(folder: Path) -> None:
    """Several people may want the machine; a shorter wish takes nothing from a longer one."""
    assert marks.kept(TARGET, folder=folder) is None
    marks.keep(TARGET, 1800, "keep", folder=folder, now=1000)
    marks.keep(TARGET, 60, "keep", folder=folder, now=1000)
    assert marks.kept(TARGET, folder=folder, now=1000) == 1800
    assert marks.kept(TARGET, folder=folder, now=2799) == 1
    assert marks.kept(TARGET, folder=folder, now=2800) is None
    assert marks.kept("other:1", folder=folder, now=1000) is None
    marks.keep(TARGET, 60, "keep", folder=folder, now=5000)
    assert len(list(folder.iterdir())) == 1, "keeps that are over were not removed"
    (path,) = folder.iterdir()
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_keep_is_taken_back(folder: Path) -> None:
    """All of them, or those of one kind."""
    marks.keep(TARGET, 1800, marks.PRESSED_STOP, folder=folder)
    marks.keep(TARGET, 60, "keep", folder=folder)
    marks.drop_keep(TARGET, by=marks.PRESSED_STOP, folder=folder)
    left = marks.kept(TARGET, folder=folder)
    assert left is not None
    assert 0 < left <= 60
    marks.drop_keep(TARGET, folder=folder)
    assert marks.kept(TARGET, folder=folder) is None


def test_a_keep_that_says_nothing_keeps_nothing(folder: Path) -> None:
    """No number, an endless one, true: somebody else's file cannot keep a machine for ever."""
    marks.keep(TARGET, 60, "keep", folder=folder, now=0)
    (path,) = folder.iterdir()
    for until_ in ("Infinity", "NaN", '"soon"', "true", "null"):
        path.write_text(f'{{"until": {until_}}}')
        assert marks.kept(TARGET, folder=folder, now=0) is None


# --- accepted -------------------------------------------------------------------------------------


def test_the_last_accepted_release_is_seen(folder: Path) -> None:
    """By others, not by the guard itself; not from the future; and not once it is taken back."""
    assert marks.accepted(TARGET, folder=folder) is None
    marks.note_accepted(TARGET, "r1", "n1", folder=folder, now=100)
    marks.note_accepted(TARGET, "r2", "n2", folder=folder, now=200)
    assert marks.accepted(TARGET, folder=folder, now=300) == marks.Accepted("r2", "n2", 200)
    assert marks.accepted(TARGET, without="n2", folder=folder, now=300) == marks.Accepted("r1", "n1", 100)
    assert marks.accepted(TARGET, folder=folder, now=150) == marks.Accepted("r1", "n1", 100)
    marks.drop_accepted(TARGET, "n2", folder=folder)
    marks.drop_accepted(TARGET, "n3", folder=folder)
    assert marks.accepted(TARGET, folder=folder, now=300) == marks.Accepted("r1", "n1", 100)
