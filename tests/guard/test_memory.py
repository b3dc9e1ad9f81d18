"""Memory and disk: what the kernel killed is named, peaks are right, a full disk costs the log only."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from helpers.lab import until
from launcher.guard import oom, sampler, tree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from helpers.lab import Lab

MB = 10**6
ALLOCATE = "data = b'x' * int(__import__('sys').argv[1])"


# --- out of memory ------------------------------------------------------------------------------


class MemoryGroup:
    """A control group with a limit of memory, below our own."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder = folder
        folder.mkdir()
        files = {
            "memory.max": limit,
            "memory.swap.max": 0,
            "memory.limit_in_bytes": limit,
            "memory.memsw.limit_in_bytes": limit,
        }
        for name, value in files.items():
            if (folder / name).exists():
                (folder / name).write_text(str(value))

    def enter(self) -> None:
        """In a child, before its exec."""
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    def remove(self) -> None:
        """Once its last process has been reaped."""
        until(lambda: not (self.folder / "cgroup.procs").read_text(), "the group is empty")
        self.folder.rmdir()


def own_group() -> Path | None:
    """The folder of our memory group, v1 or v2, where it can be written to and counts kills."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        root = "/sys/fs/cgroup/memory" if controllers == "memory" else "/sys/fs/cgroup"
        for folder in (Path(root + path), Path(root)):
            name = "memory.oom_control" if controllers == "memory" else "cgroup.controllers"
            file = folder / name
            if controllers in ("", "memory") and os.access(folder, os.W_OK) and file.exists():
                text = file.read_text()
                if "oom_kill " in text or "memory" in text.split():
                    return folder
    return None


@pytest.fixture
def small() -> Iterator[MemoryGroup]:
    """A group of 120 MB."""
    folder = own_group()
    if folder is None:
        pytest.skip("no memory control group that we may write to")
    try:
        group = MemoryGroup(folder / f"colab-run-test-{uuid.uuid4().hex[:8]}", 120 * MB)
    except OSError as error:
        pytest.skip(f"no memory control group can be made: {error}")
    yield group
    group.remove()


@pytest.mark.parametrize("form", ["main process", "below bash"])
def test_out_of_memory_is_named(lab: Lab, small: MemoryGroup, form: str) -> None:
    """The kernel's own count tells: 137, and both the last block and the JSON say why."""
    allocate = [*lab.python("allocate.py", ALLOCATE).split(), str(400 * MB)]
    job = lab.job(run=allocate if form == "main process" else f"{' '.join(allocate)}\ntrue")
    end = lab.run("run", "--json", job, before=small.enter)
    assert end.code == 137, end.err.decode()
    assert "out-of-memory kill" in end.document["out_of_memory"]
    assert b"out of memory" in end.err


def test_a_sigkill_is_not_out_of_memory(lab: Lab, small: MemoryGroup) -> None:
    """Somebody else's SIGKILL in the same group has another reason, and none is invented."""
    end = lab.run("exec", "--json", "--", "sh", "-c", "kill -9 $$", before=small.enter)
    assert (end.code, end.document["out_of_memory"]) == (137, None)
    assert b"out of memory" not in end.err


@pytest.mark.parametrize(
    ("text", "grows"),
    [
        ("low 0\noom 1\noom_kill {}\noom_group_kill 0\n", True),  # v2
        ("oom_kill_disable 0\nunder_oom 0\noom_kill {}\n", True),  # v1
        ("oom_kill_disable 0\nunder_oom 0\n", False),  # v1 before Linux 4.13
    ],
)
def test_the_counters_of_both_versions(tmp_path: Path, text: str, grows: bool) -> None:
    """`oom_kill` is the count; a file without it is no evidence. Colab names its files in a variable."""
    file = tmp_path / "memory.events"
    file.write_text(text.format(1))
    files = oom.counter_files({"CGROUP_MEMORY_EVENTS": f"{file} {tmp_path}/none"})
    assert (str(file) in files) is grows
    before = oom.read_counters((str(file),))
    file.write_text(text.format(3))
    evidence = oom.killed_for_memory(before, oom.read_counters((str(file),)))
    assert str(evidence) == ("memory.events counted 2 out-of-memory kills" if grows else "None")
    assert oom.killed_for_memory(before, before) is None


# --- peaks --------------------------------------------------------------------------------------


def test_the_peak_of_one_process(lab: Lab) -> None:
    """A job that held 200 MB for a moment peaked at 200 MB and what Python itself takes."""
    end = lab.run("exec", "--json", "--", *lab.python("allocate.py", ALLOCATE).split(), str(200 * MB))
    assert 200 * MB < end.document["peak_ram_bytes"] < 260 * MB


def test_the_peak_of_whoever_started_us_is_not_the_jobs(lab: Lab) -> None:
    """A notebook's kernel with 300 MB in it starts us: our own peak counts from there, the job's does not."""
    before = b"x" * (300 * MB)
    end = lab.run("exec", "--json", "--", *lab.python("allocate.py", ALLOCATE).split(), str(100 * MB))
    assert len(before) == 300 * MB
    assert 100 * MB < end.document["peak_ram_bytes"] < 160 * MB


def test_the_peak_of_a_small_job_is_not_ours(lab: Lab) -> None:
    """What we take ourselves, the keeper of a terminal included, is not the job's."""
    terminal = lab.terminal()
    job = "echo ready > job; while ! test -e go; do sleep 0.05; done"
    process = lab.start_on(terminal, "exec", "--", "bash", "-c", job)
    lab.seen("job")
    (lab.work / "go").touch()
    assert lab.wait(process) == 0
    peak = lab.result()["peak_ram_bytes"]
    assert isinstance(peak, int) and peak < 20 * MB


def test_several_processes_count_together(lab: Lab) -> None:
    """Two processes with 100 MB each are 200 MB; what is to be left out is left out."""
    program = f"{ALLOCATE}\nprint('ready', flush=True)\n__import__('sys').stdin.read()"
    lab.script("hold.py", program)
    hold = [sys.executable, str(lab.work / "hold.py"), str(100 * MB)]
    processes = [
        subprocess.Popen(hold, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=lab.env) for _ in range(2)
    ]
    try:
        assert [process.stdout.readline() for process in processes] == [b"ready\n"] * 2
        without = {ref for ref in tree.descendants(os.getpid())}
        mine = {tree.reference(process.pid) for process in processes}
        others = frozenset(without - mine)
        assert 200 * MB < sampler.resident_bytes(os.getpid(), others) < 260 * MB
        one = others | {tree.reference(processes[0].pid)}
        assert 100 * MB < sampler.resident_bytes(os.getpid(), one) < 130 * MB
    finally:
        for process in processes:
            process.communicate()


# --- processes ----------------------------------------------------------------------------------


def test_a_process_is_known_by_its_start(lab: Lab) -> None:
    """A pid that belongs to somebody else by now is not signalled, and not taken for a helper of ours."""
    process = subprocess.Popen(["sleep", "100"], env=lab.env)
    try:
        reference = tree.reference(process.pid)
        assert reference is not None
        other = tree.ProcessRef(reference.pid, reference.start - 1)
        assert not tree.send(other, signal.SIGKILL)
        assert process.poll() is None
        assert reference in tree.descendants(os.getpid(), frozenset({other}))
        assert reference not in tree.descendants(os.getpid(), frozenset({reference}))
        assert tree.send(reference, signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    assert not tree.send(reference, signal.SIGKILL)


HEADLESS = """
import ctypes, threading, time, os
def work():
    with open("job", "w") as file:
        file.write("ready\\n")
    time.sleep(3600)
threading.Thread(target=work).start()
ctypes.CDLL(None).pthread_exit(None)
"""


def test_a_process_without_its_first_thread_is_alive(lab: Lab) -> None:
    """/proc shows it as a zombie, but its other threads run on: it is the job's, and is stopped."""
    run = f"{lab.python('headless.py', HEADLESS)} &\nuntil test -e job; do sleep 0.01; done"
    end = lab.run("run", lab.job(run=run, stop_grace="0.5s"))
    assert end.code == 0
    assert b"1 process that it left behind was stopped" in end.err


# --- a full disk --------------------------------------------------------------------------------


def test_a_full_disk_behind_the_log(lab: Lab) -> None:
    """The job goes on and every byte reaches stdout; the bytes that the log lacks are counted."""
    from helpers.cli import command

    lab.home.mkdir()
    mount = ["unshare", "-m", "mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", str(lab.home)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("no mount of our own can be made here")
    words = " ".join(
        f"'{word}'" for word in [*command(), "exec", "--result", "r.json", "--", "seq", "400000"]
    )
    script = f"mount -t tmpfs -o size=1M tmpfs '{lab.home}' && {words}"
    end = lab.end(lab.start(argv=["unshare", "-m", "bash", "-c", script]))
    assert end.code == 0, end.err.decode()
    assert end.out == b"".join(b"%d\n" % number for number in range(1, 400_001))
    assert b"MB of output are not in the log" in end.err


def test_times_pass_while_nothing_happens(lab: Lab) -> None:
    """The supervisor of a silent job sleeps: no wake-ups of its own."""
    process = lab.start("exec", "--", "sh", "-c", "echo ready > job; sleep 2")
    lab.seen("job")

    def switches() -> int:
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)

    until(lambda: state_is_sleeping(process.pid), "it waits")
    began, before = time.monotonic(), switches()
    until(lambda: time.monotonic() > began + 1, "a second has passed")
    assert switches() - before <= 10
    assert lab.end(process).code == 0


def state_is_sleeping(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"
