"""RAM, CPUs, disk and uptime of the machine that the tests run on, and of one without /proc."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from launcher.probes.cgroup import Limits
from launcher.probes.host import read_host
from launcher.values import Known, Unknown

if TYPE_CHECKING:
    from pathlib import Path

NO_LIMITS = Known(Limits())


def test_this_machine(tmp_path: Path) -> None:
    """Without limits the facts are what the kernel says."""
    facts = read_host(disk_path=str(tmp_path), limits=NO_LIMITS)
    assert facts.ram_total_bytes == Known(psutil.virtual_memory().total)
    assert isinstance(facts.ram_available_bytes, Known)
    assert 0 < facts.ram_available_bytes.value <= psutil.virtual_memory().total
    assert facts.ram_limited_by_cgroup == Known(False)
    assert facts.cpus == Known(float(len(os.sched_getaffinity(0))))
    assert isinstance(facts.disk_free_bytes, Known)
    assert facts.disk_free_bytes.value == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.1)
    assert isinstance(facts.uptime_s, Known)
    assert facts.uptime_s.value > 0


def test_a_limit_of_the_container_is_the_ram_that_we_have() -> None:
    """The smaller of machine and group counts, for the total and for what is left."""
    facts = read_host(disk_path="/", limits=Known(Limits(2**30, 2**29, 0.25)))
    assert facts.ram_total_bytes == Known(2**30)
    assert facts.ram_available_bytes == Known(2**29)
    assert facts.ram_limited_by_cgroup == Known(True)
    assert facts.cpus == Known(0.25)


def test_a_limit_above_the_machine_is_none() -> None:
    """A group may allow more than there is."""
    facts = read_host(disk_path="/", limits=Known(Limits(2**60, 2**60, 1000.0)))
    assert facts.ram_total_bytes == Known(psutil.virtual_memory().total)
    assert facts.ram_limited_by_cgroup == Known(False)
    assert facts.cpus == Known(float(len(os.sched_getaffinity(0))))


def test_limits_that_cannot_be_read_leave_the_machine() -> None:
    """The machine's figures still stand; only whether a group limits us is unknown."""
    facts = read_host(disk_path="/", limits=Unknown("no-cgroup-file"))
    assert facts.ram_total_bytes == Known(psutil.virtual_memory().total)
    assert facts.ram_limited_by_cgroup == Unknown("no-cgroup-file")


def test_affinity_counts() -> None:
    """`taskset` (and a cpuset) takes CPUs away."""
    program = (
        "import json, os\n"
        "os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
        "from launcher.probes.host import read_host\n"
        "from launcher.values import Unknown\n"
        "print(json.dumps(read_host(disk_path='/', limits=Unknown('-')).cpus.value))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, cwd="/")
    assert json.loads(done.stdout) == 1.0


def test_disk_of_a_folder_that_does_not_exist_yet(tmp_path: Path) -> None:
    """An output folder may be made only later: its nearest parent says what is free."""
    facts = read_host(disk_path=str(tmp_path / "not" / "yet"), limits=NO_LIMITS)
    assert isinstance(facts.disk_free_bytes, Known)
    assert facts.disk_path == str(tmp_path / "not" / "yet")


def test_a_path_that_cannot_be_one() -> None:
    """A path with a NUL makes the disk unknown, nothing else."""
    facts = read_host(disk_path="/tmp/\0", limits=NO_LIMITS)
    assert facts.disk_free_bytes == Unknown("disk-unreadable")
    assert isinstance(facts.ram_total_bytes, Known)


@pytest.mark.parametrize("text", [None, "", "soon 1.0\n"])
def test_no_uptime(tmp_path: Path, text: str | None) -> None:
    """No /proc/uptime, or one that makes no sense, is unknown."""
    if text is not None:
        (tmp_path / "proc").mkdir()
        (tmp_path / "proc" / "uptime").write_text(text)
    facts = read_host(disk_path="/", limits=NO_LIMITS, root=str(tmp_path))
    assert facts.uptime_s == Unknown("uptime-unreadable")
