"""Processor time and disk traffic of real processes: of a job, of notebook kernels, of all others."""

from __future__ import annotations

import os
import time
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP
from typing import TYPE_CHECKING, Any

import pytest

from helpers.agents import Agent, Agents
from helpers.lab import state_of, until
from helpers.proc import Read
from launcher.children import call_in_child
from launcher.idle.model import Sign
from launcher.probes.life.processes import job_readers, moved_bytes, runtime_readers
from launcher.values import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

# Nobody burns in these tests who is not told to; what agents need to answer is far less.
MUCH_S, LITTLE_S = 0.3, 0.08
MB = 1 << 20
NOBODY = 65534


@pytest.fixture
def agents(tmp_path: Path) -> Iterator[Agents]:
    """Agents that are all gone after the test."""
    agents = Agents(tmp_path)
    yield agents
    agents.close()


@pytest.fixture
def guard(agents: Agents) -> Agent:
    """As our guard is: it has our name and adopts orphans."""
    guard = agents.start()
    guard.do("rename", "colab-run-guard")
    guard.do("adopt")
    return guard


def job(guard: Agent) -> Read:
    return Read(job_readers(guard.pid), "job")


# --- processor time of a job ----------------------------------------------------------------------


def test_a_burner_is_seen_and_named(agents: Agents, guard: Agent) -> None:
    worker = agents.below(guard)
    read = job(guard)
    assert read.seconds() == 0
    worker.do("burn", MUCH_S)
    assert read.seconds() >= MUCH_S
    pid, name, used = read.reading["busiest"]
    assert (pid, name) == (worker.pid, Path(f"/proc/{worker.pid}/comm").read_text().strip())
    assert used >= MUCH_S
    assert (read.reading["processes"], read.reading["stopped"]) == (1, 0)


def test_a_sleeper_uses_nothing(agents: Agents, guard: Agent) -> None:
    agents.below(guard)
    read = job(guard)
    read.seconds()
    for _ in range(50):
        assert read.seconds() <= LITTLE_S


def test_what_was_used_before_the_first_look_does_not_count(agents: Agents, guard: Agent) -> None:
    agents.below(guard).do("burn", MUCH_S)
    assert job(guard).seconds() == 0


def test_a_process_that_comes_later_counts_from_its_beginning(agents: Agents, guard: Agent) -> None:
    read = job(guard)
    assert read.seconds() == 0
    agents.below(guard).do("burn", MUCH_S)
    assert read.seconds() >= MUCH_S


def test_a_process_that_lives_between_two_looks_only_is_seen(agents: Agents, guard: Agent) -> None:
    """A shell's command that has come and gone: its parent has reaped it."""
    worker = agents.below(guard)
    read = job(guard)
    before = read.seconds()
    worker.do("run", "import time\nwhile time.process_time() < 0.3: pass")
    assert read.seconds() - before >= MUCH_S * 0.9


def test_an_end_takes_nothing_back_and_counts_nothing_twice(agents: Agents, guard: Agent) -> None:
    """What was seen of a process stays; its parent, which reaped it, does not bring it a second time."""
    worker = agents.below(guard)
    child = agents.below(worker)
    read = job(guard)
    read.seconds()
    child.do("burn", MUCH_S)
    burnt = read.seconds()
    os.kill(child.pid, SIGKILL)
    worker.do("reap", child.pid)
    assert burnt >= MUCH_S
    assert burnt <= read.seconds() <= burnt + LITTLE_S
    os.kill(worker.pid, SIGKILL)
    until(lambda: state_of(worker.pid) == "Z", "its end")
    for _ in range(2):
        assert burnt <= read.seconds() <= burnt + 2 * LITTLE_S
        assert read.reading["processes"] == 0
        if state_of(worker.pid) == "Z":
            guard.do("reap", worker.pid)


def test_a_whole_branch_that_ended_counts_once(agents: Agents, guard: Agent) -> None:
    """A child and its parent end between two looks: the grandparent is the one that has it all."""
    top = agents.below(guard)
    middle = agents.below(top)
    low = agents.below(middle)
    read = job(guard)
    read.seconds()
    low.do("burn", MUCH_S)
    middle.do("burn", MUCH_S)
    burnt = read.seconds()
    os.kill(low.pid, SIGKILL)
    middle.do("reap", low.pid)
    middle.do("burn", MUCH_S)
    os.kill(middle.pid, SIGKILL)
    top.do("reap", middle.pid)
    assert burnt + MUCH_S * 0.9 <= read.seconds() <= burnt + MUCH_S + 2 * LITTLE_S


def test_a_process_that_forked_twice_belongs_to_the_job(agents: Agents, guard: Agent) -> None:
    worker = agents.below(guard)
    read = job(guard)
    read.seconds()
    daemon = agents.orphan(worker)
    daemon.do("burn", MUCH_S)
    assert read.seconds() >= MUCH_S
    assert read.reading["busiest"][0] == daemon.pid


def test_a_stopped_process_is_told(agents: Agents, guard: Agent) -> None:
    worker = agents.below(guard)
    agents.below(worker)
    read = job(guard)
    os.kill(worker.pid, SIGSTOP)
    until(lambda: state_of(worker.pid) == "T", "the stop")
    read.seconds()
    assert (read.reading["processes"], read.reading["stopped"]) == (2, 1)
    os.kill(worker.pid, SIGCONT)
    until(lambda: state_of(worker.pid) != "T", "its going on")
    read.seconds()
    assert read.reading["stopped"] == 0


def test_our_helpers_and_all_below_them_do_not_count(agents: Agents, guard: Agent) -> None:
    """A saver that runs rclone is no work of the job."""
    helper = agents.helper(guard, "colab-run-x")
    rclone = agents.below(helper)
    read = job(guard)
    read.seconds()
    helper.do("burn", MUCH_S)
    rclone.do("burn", MUCH_S)
    assert read.seconds() == 0
    assert read.reading["processes"] == 0


def test_a_program_of_the_users_that_is_called_like_us_counts(
    agents: Agents, guard: Agent, tmp_path: Path
) -> None:
    """exec gave it the name: it is no fork of ours."""
    program = tmp_path / "colab-run-train"
    program.symlink_to(os.path.realpath("/proc/self/exe"))
    guard.do("start_as", str(program))
    train = agents.next()
    assert Path(f"/proc/{train.pid}/comm").read_text().strip() == "colab-run-train"
    read = job(guard)
    read.seconds()
    train.do("burn", MUCH_S)
    assert read.seconds() >= MUCH_S


def test_a_colab_run_inside_the_job_hides_nothing_but_itself(agents: Agents, guard: Agent) -> None:
    """A nested watcher becomes a child of the outer guard; below it is the nested job."""
    watcher = agents.below(guard, "another command line")
    watcher.do("rename", "colab-run-watch")
    inner = agents.helper(watcher, "colab-run-guard")
    nested = agents.below(inner)
    read = job(guard)
    read.seconds()
    watcher.do("burn", MUCH_S)
    assert read.seconds() <= LITTLE_S
    nested.do("burn", MUCH_S)
    assert read.seconds() >= MUCH_S


def test_without_its_guard_nothing_is_known(agents: Agents, guard: Agent) -> None:
    read = job_readers(guard.pid)
    assert isinstance(read[Sign.CPU](), Known)
    os.kill(guard.pid, SIGKILL)
    until(lambda: state_of(guard.pid) in ("Z", ""), "its end")
    os.waitpid(guard.pid, 0)
    assert read[Sign.CPU]() == Unknown("gone")
    assert read[Sign.DISK]() == Unknown("gone")


# --- disk traffic of a job ------------------------------------------------------------------------


def on_disk(folder: Path) -> bool:
    """Does a write into this folder reach a block device that the kernel counts?"""
    before = moved_bytes("/proc", os.getpid())
    path = folder / "probe"
    path.write_bytes(b"x" * 8192)
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    return before is not None and (moved_bytes("/proc", os.getpid()) or 0) >= before + 8192


@pytest.fixture
def disk(tmp_path: Path) -> str:
    if not on_disk(tmp_path):
        pytest.skip("what is written here is in memory, or the kernel does not count it")
    return str(tmp_path / "data")


def test_written_bytes_are_seen_and_named(agents: Agents, guard: Agent, disk: str) -> None:
    worker = agents.below(guard)
    read = job(guard)
    assert read.bytes() == 0
    worker.do("write", disk, 5 * MB)
    assert 5 * MB <= read.bytes() < 6 * MB
    assert read.reading["busiest"][0] == worker.pid
    assert read.reading["unreadable"] == 0


def test_bytes_of_a_process_between_two_looks_are_seen(agents: Agents, guard: Agent, disk: str) -> None:
    worker = agents.below(guard)
    read = job(guard)
    read.bytes()
    worker.do(
        "run", f"import os\nwith open({disk!r}, 'wb') as f: f.write(b'x' * {3 * MB}); f.flush(); os.fsync(f)"
    )
    assert 3 * MB <= read.bytes() < 4 * MB


def test_bytes_of_a_process_that_ended_count_once(agents: Agents, guard: Agent, disk: str) -> None:
    worker = agents.below(guard)
    read = job(guard)
    read.bytes()
    child = agents.below(worker)
    child.do("write", disk, 5 * MB)
    written = read.bytes()
    assert written >= 5 * MB
    os.kill(child.pid, SIGKILL)
    worker.do("reap", child.pid)
    assert written <= read.bytes() < written + MB


def test_bytes_of_our_helpers_do_not_count(agents: Agents, guard: Agent, disk: str) -> None:
    helper = agents.helper(guard, "colab-run-guard")
    read = job(guard)
    read.bytes()
    agents.below(helper).do("write", disk, 5 * MB)
    helper.do("write", disk, 5 * MB)
    assert read.bytes() == 0


def test_who_reads_only_proc_and_pipes_moves_nothing(agents: Agents, guard: Agent, disk: str) -> None:
    """A monitor on a screen does not keep a machine up: not rchar."""
    worker = agents.below(guard)
    read = job(guard)
    worker.do("run", "pass")
    read.bytes()
    worker.do("look_at_proc", 4 * MB)
    assert read.bytes() < MB


# --- a whole machine ------------------------------------------------------------------------------


def test_a_kernel_and_all_below_it(agents: Agents, tmp_path: Path) -> None:
    """A notebook's kernel is known by the connection file in its command line."""
    kernel = agents.start("-f", str(tmp_path / "kernel-0a1b.json"))
    read = Read(runtime_readers(), "kernels")
    before = read.seconds()
    kernel.do("burn", MUCH_S)
    burnt = read.seconds()
    assert burnt - before >= MUCH_S
    agents.below(kernel).do("burn", MUCH_S)
    assert read.seconds() - burnt >= MUCH_S


def test_the_busiest_other_process(agents: Agents) -> None:
    other = agents.start()
    read = Read(runtime_readers(), "others")
    before = read.seconds()
    other.do("burn", MUCH_S)
    assert read.seconds() - before >= MUCH_S


def test_processes_that_are_not_for_us_are_counted(guard: Agent, agents: Agents) -> None:
    """Another user's disk traffic is hidden from us, its processor time is not."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    worker = agents.below(guard)

    def as_nobody() -> Any:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        read = job(guard)
        disk, before = read.take(Sign.DISK), read.seconds()
        deadline = time.monotonic() + 20
        while read.seconds() - before < MUCH_S and time.monotonic() < deadline:
            time.sleep(0.01)
        return [disk, read.reading["seconds"] - before]

    worker.do("burn_beside", 5.0)
    answer = call_in_child(as_nobody, deadline_s=30)
    assert isinstance(answer, Known), answer
    disk, used = answer.value
    assert disk == {"bytes": 0, "busiest": None, "unreadable": 2}
    assert used >= MUCH_S
