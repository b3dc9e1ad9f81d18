"""Who holds GPU memory: real processes, and a driver of a few lines of C that names them."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from helpers import fake_nvml, runtimes
from helpers.lab import Lab
from launcher.probes.gpu_users import read_gpu_users, whose
from launcher.probes.model import GpuFacts, GpuProcess
from launcher.values import Known

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

needs_driver = pytest.mark.skipif(fake_nvml.compiler() is None, reason="no C compiler for the fake driver")
SLEEP = "import sys; sys.stdin.read()"
# A worker whose parent goes, as that of a cell that was interrupted: it says its pid and lives on.
ORPHAN = (
    "import os, sys\n"
    "if os.fork() == 0:\n"
    "    parent = os.getppid()\n"
    "    while os.getppid() == parent: pass\n"
    "    os.write(1, b'%d\\n' % os.getpid())\n"
    "    os.close(1)\n"
    "    sys.stdin.read()\n"
)
RUN = "20260101-000000-aaaa"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A world of its own for one test."""
    lab = Lab(tmp_path / "lab")
    yield lab
    lab.close()


def looked(lab: Lab, pids: list[int], *words: str) -> Any:
    """What `colab-run WORDS` says where these processes hold memory, the first the most."""
    folder = lab.folder / "driver"
    env = fake_nvml.environment("t4", folder)
    held = " ".join(f"{pid}:{9_000_000_000 - 10**9 * place}" for place, pid in enumerate(pids))
    fake_nvml.scenario_file(folder).write_text(f"t4\n0 pids {held}\n")
    return lab.run(*words, env=env)


def started(stack: ExitStack, script: str, *words: str, **env: str) -> subprocess.Popen:
    """A process that ends when the test does."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", script, *words], env=env, **pipes)  # type: ignore[call-overload]
    stack.enter_context(process)
    return process


@needs_driver
def test_each_is_told_apart(lab: Lab) -> None:
    """A notebook's, a run's, one left over, one of another container."""
    with ExitStack() as stack:
        kernel = started(stack, SLEEP, "-f", "/tmp/kernel-0000-aaaa.json")
        of_run = started(stack, SLEEP, COLAB_RUN_ID=RUN)
        orphan = started(stack, ORPHAN)
        left = int(orphan.stdout.readline())
        orphan.wait()
        pids = [kernel.pid, of_run.pid, left, 4_000_001]
        users = looked(lab, pids, "probe", "--json").document["gpu_users"]
        assert [user["pid"] for user in users] == pids
        assert [user["whose"] for user in users] == ["kernel", "run", "leftover", "unknown"]
        assert users[1]["run_id"] == RUN
        assert users[0]["own_user"] is True
        assert users[0]["memory_bytes"] == 9_000_000_000
        assert users[3]["command"] == {"unknown": "not-here"}
        lab.work.joinpath("job.yaml").write_text("resources: {gpu: T4}\nrun: 'true'\n")
        end = looked(lab, pids, "check", "job.yaml")
        assert end.code == 0
        shown = " ".join(end.out.decode().split())
        assert f"colab-run stop {RUN}" in shown
        assert f"kill {left}" in shown
        assert "restart its session" in shown
        assert "1 more process holds GPU memory" in shown


@needs_driver
def test_nobody(lab: Lab) -> None:
    """Nothing to tell is an empty list."""
    assert looked(lab, [], "probe", "--json").document["gpu_users"] == []


@pytest.mark.parametrize(
    ("pid", "parent", "run_id", "answer"),
    [
        (10, 5, "", "own-kernel"),
        (11, 5, "", "own-kernel"),  # A fork of it has its command line.
        (20, 5, "", "kernel"),
        (20, 5, RUN, "kernel"),
        (30, 10, RUN, "run"),
        (30, 20, "", "leftover"),
        (30, 1, "", "leftover"),
        (30, 29, "", "other"),
    ],
)
def test_whose(pid: int, parent: int, run_id: str, answer: str) -> None:
    """Decided from what was read."""
    assert whose(pid, parent, run_id, {10: "a", 11: "a", 20: "b"}, 10) == answer


def test_a_pid_of_the_host_that_a_process_here_has_by_chance(tmp_path: Path) -> None:
    """Nobody is told to end a process that has nothing of the driver open."""
    for name in ("nvidiactl", "nvidia0"):
        (tmp_path / name).touch()
    with ExitStack() as stack:
        uses = started(stack, f"device = open({str(tmp_path / 'nvidia0')!r}); print(flush=True); {SLEEP}")
        innocent = started(stack, SLEEP)
        uses.stdout.readline()
        held = tuple(GpuProcess(pid, Known(10**9)) for pid in (uses.pid, innocent.pid))
        gpu = GpuFacts(Known((replace(runtimes.T4, processes=Known(held)),)), Known("580"), Known("13.0"))
        with_driver = read_gpu_users(gpu, dev=str(tmp_path))
        assert {user.pid: user.whose for user in with_driver} == {uses.pid: "other", innocent.pid: "unknown"}
        other_way = read_gpu_users(gpu, dev=str(tmp_path / "nowhere"))
        assert [user.whose for user in other_way] == ["other", "other"]
