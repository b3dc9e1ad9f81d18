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
from launcher.children import call_in_child
from launcher.idle.model import Sign
from launcher.probes.life.processes import job_readers, moved_bytes, runtime_readers
from launcher.values import Known, Reading, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from launcher.idle.interface import Reader

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


class Read:
    """Readings of one group, in turn with what a test does."""

    def __init__(self, readers: Mapping[Sign, Reader], group: str) -> None:
        self._readers, self._group = readers, group
        self.reading: dict[str, Any] = {}

    def take(self, sign: Sign) -> dict[str, Any]:
        found = self._readers[sign]()
        assert isinstance(found, Known), found
        self.reading = found.value["groups"][self._group]
        return self.reading

    def seconds(self) -> float:
        return float(self.take(Sign.CPU)["seconds"])

    def bytes(self) -> int:
        return int(self.take(Sign.DISK)["bytes"])


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


# --- decided on a /proc of our own ----------------------------------------------------------------

KERNEL_THREAD = 0x00200040
TICKS = os.sysconf("SC_CLK_TCK")


class Proc:
    """A /proc with the processes that a test wants."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "proc"
        (self.folder / "self").mkdir(parents=True)
        (self.folder / "self" / "io").write_text("")
        self.put(1, 0, "init")

    def put(
        self,
        pid: int,
        parent: int,
        name: str = "python",
        *,
        own: float = 0.0,
        waited: float = 0.0,
        moved: int = 0,
        command: str = "",
        flags: int = 0,
        start: int = 7,
        state: str = "S",
    ) -> None:
        folder = self.folder / str(pid)
        folder.mkdir(exist_ok=True)
        times = f"{round(own * TICKS)} 0 {round(waited * TICKS)} 0"
        (folder / "stat").write_text(
            f"{pid} ({name}) {state} {parent} 1 1 0 -1 {flags} 0 0 0 0 {times} 20 0 1 0 {start} 0 0\n"
        )
        read = moved // 3
        (folder / "io").write_text(f"rchar: 99\nwchar: 99\nread_bytes: {read}\nwrite_bytes: {moved - read}\n")
        (folder / "cmdline").write_text(command.replace(" ", "\0") + "\0" if command else "")

    def remove(self, pid: int) -> None:
        for file in (self.folder / str(pid)).iterdir():
            file.unlink()
        (self.folder / str(pid)).rmdir()

    def job(self, root: int) -> Read:
        return Read(job_readers(root, str(self.folder)), "job")

    def machine(self, group: str) -> Read:
        return Read(runtime_readers(str(self.folder)), group)


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
    """Of others, each look adds what its busiest process used."""
    others = proc.machine("others")
    others.seconds()
    for turn in range(1, 4):
        for pid in range(100, 140):
            proc.put(pid, 1, "daemon", own=0.05 * turn)
        assert others.seconds() == pytest.approx(0.05 * turn)
    proc.put(139, 1, "daemon", own=9.15)
    assert others.seconds() == pytest.approx(9.15)
    assert others.reading["busiest"] == [139, "daemon", 9.0]


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
