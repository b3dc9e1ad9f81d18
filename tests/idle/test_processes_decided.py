"""Which processes count, and what of an ended one: decided on a /proc of our own."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from helpers.proc import Proc, Read
from launcher.idle.model import Sign
from launcher.probes.life.processes import job_readers, runtime_readers
from launcher.values import Known, Reading, Unknown

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from launcher.idle.interface import Reader

KERNEL_THREAD = 0x00200040
MB = 1 << 20


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    return Proc(tmp_path)


GUARD_LINE = "python /bin/colab-run exec"


def test_kernel_threads_and_ourselves_do_not_count(proc: Proc) -> None:
    """Nor what is below a helper: the same name and command line as its parent, which is one of ours."""

    def put(used: float, moved: int) -> None:
        more: dict[str, Any] = {"own": used, "moved": moved}
        proc.put(2, 0, "kthreadd", flags=KERNEL_THREAD, **more)
        proc.put(9, 2, "kworker/0:1", flags=KERNEL_THREAD, **more)
        proc.put(20, 1, "colab-run", command="python /bin/colab-run ps", **more)
        proc.put(21, 1, "colab-run-watch", command=GUARD_LINE, **more)
        proc.put(22, 21, "colab-run-guard", command=GUARD_LINE, **more)
        proc.put(23, 22, "colab-run-guard", command=GUARD_LINE, **more)
        proc.put(24, 23, "rclone", command="rclone copy", **more)

    put(0, 0)
    others = proc.machine("others")
    others.seconds(), others.bytes()
    put(50, 50 * MB)
    assert (others.seconds(), others.bytes()) == (0, 0)
    proc.put(30, 22, "train", own=3.0, moved=4)
    proc.put(31, 1, "colab-run-mine.", own=2.0, moved=3, command="/bin/sh ./colab-run-mine.sh")
    assert (others.seconds(), others.bytes()) == (3.0, 7)
    assert others.reading["busiest"] == [30, "train", 4]


def test_many_small_daemons_do_not_add_up(proc: Proc) -> None:
    """Of others, each look adds what its busiest session used; each of these has one of its own."""
    others = proc.machine("others")
    others.seconds()
    for turn in range(1, 4):
        for pid in range(100, 140):
            proc.put(pid, 1, "daemon", own=0.05 * turn)
        assert others.seconds() == pytest.approx(0.05 * turn)
    proc.put(139, 1, "daemon", own=9.15)
    assert others.seconds() == pytest.approx(9.15)
    assert others.reading["busiest"] == [139, "daemon", 9.0]


def test_the_workers_of_one_program_add_up(proc: Proc) -> None:
    """None of them uses much; those of another session count for themselves, and so does who has ended."""
    others = proc.machine("others")
    others.seconds()
    for pid in range(100, 120):
        proc.put(pid, 1, "worker", own=0.05, session=100)
        proc.put(pid + 100, 1, "other", own=0.03, session=200)
    proc.put(300, 1, "daemon", own=0.09)
    assert others.seconds() == pytest.approx(20 * 0.05)
    assert others.reading["busiest"][1:] == ["worker", 0.05]
    # One that ended is reaped by another session's: nothing falls.
    proc.remove(101)
    assert others.seconds() == pytest.approx(20 * 0.05)


def test_kernels_of_a_machine_are_told_apart(proc: Proc) -> None:
    """A kernel is known though it was looked at before its exec, and so is what our own started below it."""
    proc.put(50, 1, "jupyter", command="python -m jupyterlab")
    proc.put(51, 50, "jupyter", command="python -m jupyterlab", start=8)
    kernels = proc.machine("kernels")
    assert kernels.seconds() == 0
    proc.put(51, 50, "python", command="python -m ipykernel_launcher -f /r/kernel-a-1.json", own=1.0, start=8)
    proc.put(52, 51, "colab-run", command=GUARD_LINE, own=5.0)
    proc.put(53, 52, "train", command="train", own=2.0)
    assert kernels.seconds() == 3.0
    assert kernels.reading["processes"] == 2


def test_a_pid_that_is_used_again_is_another_process(proc: Proc) -> None:
    """Its total begins anew; with the same start time it would have gone back, and counts nothing."""
    read = proc.job(1)
    proc.put(60, 1, own=5.0, moved=5)
    assert (read.seconds(), read.bytes()) == (0, 0)
    proc.put(60, 1, own=2.0, moved=2, start=8)
    assert (read.seconds(), read.bytes()) == (2.0, 2)
    proc.put(60, 1, own=1.0, moved=1, start=8)
    assert (read.seconds(), read.bytes()) == (2.0, 2)


def test_a_guard_whose_pid_is_used_again_is_gone(proc: Proc) -> None:
    proc.put(60, 1, "colab-run-guard")
    readers = job_readers(60, str(proc.folder))
    assert isinstance(readers[Sign.CPU](), Known)
    proc.put(60, 1, "colab-run-guard", start=8)
    assert readers[Sign.CPU]() == Unknown("gone")


def test_an_end_that_its_parent_was_not_told_of_hides_no_work(proc: Proc) -> None:
    """A parent that ignores SIGCHLD reaps nobody: what it reaped is of others, in full."""
    proc.put(70, 1)
    proc.put(71, 70)
    read = proc.job(1)
    read.seconds(), read.bytes()
    proc.put(71, 70, own=8.0, moved=800)
    assert (read.seconds(), read.bytes()) == (8.0, 800)
    proc.remove(71)
    proc.put(70, 1, waited=2.0, moved=200)
    assert (read.seconds(), read.bytes()) == (10.0, 1000)


def test_one_look_serves_both(proc: Proc) -> None:
    """What changes between the two readers of one sample is seen by the next sample's."""
    proc.put(80, 1)
    readers = runtime_readers(str(proc.folder))
    cpu, disk = Read(readers, "others"), Read(readers, "others")
    cpu.seconds()
    disk.bytes()
    cpu.seconds()
    proc.put(81, 1, moved=7)
    assert disk.bytes() == 0
    assert disk.bytes() == 7
    proc.put(81, 1, own=3.0, moved=7)
    assert cpu.seconds() == 0
    assert cpu.seconds() == 3.0


def test_a_kernel_without_io_counters_has_no_disk(proc: Proc) -> None:
    (proc.folder / "self" / "io").unlink()
    assert runtime_readers(str(proc.folder))[Sign.DISK]() == Known(None)


def test_without_proc_it_is_an_error(tmp_path: Path) -> None:
    """Which the sampler says as `failed`, each time anew."""
    readers: Mapping[Sign, Reader] = runtime_readers(str(tmp_path / "none"))
    for sign in (Sign.CPU, Sign.DISK, Sign.CPU):
        with pytest.raises(FileNotFoundError):
            readers[sign]()


def test_an_empty_proc_is_unknown(tmp_path: Path) -> None:
    found: Reading[Any] = runtime_readers(str(tmp_path))[Sign.CPU]()
    assert found == Unknown("no-proc")


def test_names_are_printable(proc: Proc) -> None:
    read = proc.job(1)
    read.seconds()
    proc.put(90, 1, "a) S \x1b[31m", own=1.0)
    read.seconds()
    assert read.reading["busiest"] == [90, "a) S ?[31m", 1.0]


def test_each_series_says_when_it_began(proc: Proc) -> None:
    """So that a new series is never taken for the old one."""
    began = []
    for _ in range(2):
        readers = runtime_readers(str(proc.folder))
        for sign in (Sign.CPU, Sign.DISK, Sign.CPU):
            found = readers[sign]()
            assert isinstance(found, Known)
            began.append(found.value["since"])
    assert len(set(began[:3])) == len(set(began[3:])) == 1
    assert began[0] < began[3] <= time.monotonic()
