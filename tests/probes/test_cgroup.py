"""Limits of control groups: trees as files for every layout, and the real ones where they can be made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from launcher.probes.cgroup import Limits, read_limits
from launcher.values import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

GIB = 2**30
V1_NO_LIMIT = "9223372036854771712"
V2 = "30 24 0:26 {root} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
V1_MEMORY = "31 24 0:27 {root} /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory"
V1_CPU = "32 24 0:28 {root} /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct"
NOISE = "24 1 0:22 / / rw,relatime shared:1 - ext4 /dev/sda1 rw"


def tree(root: Path, *, groups: str, mounts: list[str], files: dict[str, str]) -> str:
    """A machine below `root`: /proc/self/cgroup, /proc/self/mountinfo and files below /sys/fs/cgroup."""
    texts = {
        "proc/self/cgroup": groups,
        "proc/self/mountinfo": "\n".join([NOISE, *mounts]) + "\n",
        **{f"sys/fs/cgroup/{name}": text for name, text in files.items()},
    }
    for name, text in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root)


def test_v2_takes_the_smallest_of_all_ancestors(tmp_path: Path) -> None:
    """A parent's limit binds its children, however much the child's own file allows."""
    root = tree(
        tmp_path,
        groups="0::/user.slice/job/step\n",
        mounts=[V2.format(root="/")],
        files={
            "user.slice/memory.max": f"{8 * GIB}\n",
            "user.slice/memory.current": f"{3 * GIB}\n",
            "user.slice/memory.stat": f"anon 1\ninactive_file {1 * GIB}\n",
            "user.slice/cpu.max": "max 100000\n",
            "user.slice/job/memory.max": "max\n",
            "user.slice/job/memory.current": f"{2 * GIB}\n",
            "user.slice/job/cpu.max": "150000 100000\n",
            "user.slice/job/step/memory.max": f"{16 * GIB}\n",
            "user.slice/job/step/memory.current": f"{1 * GIB}\n",
            "user.slice/job/step/cpu.max": "400000 100000\n",
        },
    )
    assert read_limits(root) == Known(Limits(memory_bytes=8 * GIB, memory_left_bytes=6 * GIB, cpus=1.5))


def test_v2_without_a_limit(tmp_path: Path) -> None:
    """`max` everywhere is no limit; the root group has no files at all."""
    root = tree(
        tmp_path,
        groups="0::/a\n",
        mounts=[V2.format(root="/")],
        files={"a/memory.max": "max\n", "a/memory.current": "4096\n", "a/cpu.max": "max 100000\n"},
    )
    assert read_limits(root) == Known(Limits())


def test_v2_inside_a_container(tmp_path: Path) -> None:
    """With a namespace of its own a container sees its group as the root, and the files lie at the mount."""
    root = tree(
        tmp_path,
        groups="0::/\n",
        mounts=[V2.format(root="/")],
        files={"memory.max": str(2 * GIB), "memory.current": str(GIB), "cpu.max": "50000 100000"},
    )
    assert read_limits(root) == Known(Limits(2 * GIB, GIB, 0.5))


@pytest.mark.parametrize("group", ["/../../other", "/host/path/that/is/not/mounted"])
def test_v2_group_outside_of_what_is_mounted(tmp_path: Path, group: str) -> None:
    """A path from outside the container leads to the mount itself, never out of it."""
    root = tree(
        tmp_path,
        groups=f"0::{group}\n",
        mounts=[V2.format(root="/")],
        files={"memory.max": str(2 * GIB), "memory.current": "0"},
    )
    assert read_limits(root) == Known(Limits(2 * GIB, 2 * GIB))


def test_v1_in_docker(tmp_path: Path) -> None:
    """v1 names the group by its path on the host; the mount shows which part of it we see."""
    root = tree(
        tmp_path,
        groups="12:memory:/docker/abc\n5:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n",
        mounts=[V1_MEMORY.format(root="/docker/abc"), V1_CPU.format(root="/docker/abc")],
        files={
            "memory/memory.limit_in_bytes": f"{4 * GIB}\n",
            "memory/memory.usage_in_bytes": f"{3 * GIB}\n",
            "memory/memory.stat": f"cache 1\ninactive_file 5\ntotal_inactive_file {2 * GIB}\n",
            "cpu,cpuacct/cpu.cfs_quota_us": "200000\n",
            "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        },
    )
    assert read_limits(root) == Known(Limits(4 * GIB, 3 * GIB, 2.0))


def test_v1_without_a_limit(tmp_path: Path) -> None:
    """9223372036854771712 is v1's way to say none, and so is a quota of -1."""
    root = tree(
        tmp_path,
        groups="12:memory:/\n5:cpu,cpuacct:/\n",
        mounts=[V1_MEMORY.format(root="/"), V1_CPU.format(root="/")],
        files={
            "memory/memory.limit_in_bytes": V1_NO_LIMIT,
            "memory/memory.usage_in_bytes": str(GIB),
            "memory/memory.stat": f"hierarchical_memory_limit {V1_NO_LIMIT}\n",
            "cpu,cpuacct/cpu.cfs_quota_us": "-1",
            "cpu,cpuacct/cpu.cfs_period_us": "100000",
        },
    )
    assert read_limits(root) == Known(Limits())


def test_v1_limit_above_what_is_mounted(tmp_path: Path) -> None:
    """A limit of an ancestor outside the container shows only in memory.stat, and counts."""
    root = tree(
        tmp_path,
        groups="12:memory:/pod/container\n",
        mounts=[V1_MEMORY.format(root="/pod/container")],
        files={
            "memory/memory.limit_in_bytes": V1_NO_LIMIT,
            "memory/memory.usage_in_bytes": str(GIB),
            "memory/memory.stat": f"hierarchical_memory_limit {3 * GIB}\n",
        },
    )
    assert read_limits(root) == Known(Limits(3 * GIB, 2 * GIB))


def test_both_versions_at_once(tmp_path: Path) -> None:
    """Hybrid: controllers in v1, an empty v2 beside it; each figure comes from where it is."""
    unified = "33 24 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw"
    root = tree(
        tmp_path,
        groups="4:memory:/a\n1:cpu,cpuacct:/\n0::/a\n",
        mounts=[V1_MEMORY.format(root="/"), V1_CPU.format(root="/"), unified],
        files={
            "memory/a/memory.limit_in_bytes": str(GIB),
            "memory/a/memory.usage_in_bytes": "0",
            "memory/memory.limit_in_bytes": V1_NO_LIMIT,
            "unified/a/cgroup.procs": "1\n",
            "unified/a/cpu.max": "300000 100000",
        },
    )
    assert read_limits(root) == Known(Limits(GIB, GIB, 3.0))


def test_usage_above_the_limit_leaves_nothing(tmp_path: Path) -> None:
    """A limit that was lowered under a running group leaves 0 bytes, never a negative number."""
    root = tree(
        tmp_path,
        groups="0::/a\n",
        mounts=[V2.format(root="/")],
        files={"a/memory.max": str(GIB), "a/memory.current": str(2 * GIB)},
    )
    assert read_limits(root) == Known(Limits(GIB, 0))


def test_a_mount_point_with_a_space(tmp_path: Path) -> None:
    """The mount table writes a space as \\040."""
    root = tree(
        tmp_path,
        groups="0::/a\n",
        mounts=["30 24 0:26 / /sys/fs/cgroup/with\\040space rw - cgroup2 none rw"],
        files={"with space/a/memory.max": str(GIB)},
    )
    assert read_limits(root) == Known(Limits(memory_bytes=GIB))


@pytest.mark.parametrize("text", ["", "nonsense\n", "0:\n", "::::\n", "0::\n", "4:memory\n"], ids=repr)
def test_files_that_make_no_sense(tmp_path: Path, text: str) -> None:
    """Whatever stands in the file, the probe does not crash."""
    root = tree(tmp_path, groups=text, mounts=["", "x - y", V2.format(root="/")], files={})
    assert read_limits(root) == Known(Limits())


def test_no_proc(tmp_path: Path) -> None:
    """Where the kernel shows no groups, limits are unknown, not absent."""
    assert read_limits(str(tmp_path)) == Unknown("no-cgroup-file")


# --- the real thing -------------------------------------------------------------------------------

READ_LIMITS = (
    "import json, os, pathlib, sys\n"
    "for folder in sys.argv[1:]:\n"
    "    pathlib.Path(folder, 'cgroup.procs').write_text(str(os.getpid()))\n"
    "from launcher.probes.cgroup import read_limits\n"
    "from launcher.probes.host import read_host\n"
    "limits = read_limits()\n"
    "host = read_host(disk_path='/', limits=limits)\n"
    "print(json.dumps([limits.value.memory_bytes, limits.value.cpus, host.ram_total_bytes.value,\n"
    "    host.ram_available_bytes.value, host.ram_limited_by_cgroup.value, host.cpus.value]))\n"
)


def make_group(controller: str, settings: dict[str, str]) -> Path:
    """A v1 group of our own; skips where this machine has none or does not let us."""
    name = f"colab-run-test-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    folder = Path("/sys/fs/cgroup") / controller / name
    if not (folder.parent / "cgroup.procs").exists():
        pytest.skip(f"no cgroup v1 hierarchy for {controller} here")
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"this machine does not let us make a group: {error}")
    try:
        for file, text in settings.items():
            (folder / file).write_text(text)
    except OSError as error:
        folder.rmdir()
        pytest.skip(f"this machine does not let us set {controller} limits: {error}")
    return folder


@pytest.fixture
def memory_group() -> Iterator[Path]:
    folder = make_group("memory", {"memory.limit_in_bytes": str(512 * 2**20)})
    yield folder
    folder.rmdir()


@pytest.fixture
def cpu_group() -> Iterator[Path]:
    folder = make_group("cpu", {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "50000"})
    yield folder
    folder.rmdir()


def test_a_real_v1_group(memory_group: Path, cpu_group: Path) -> None:
    """A process in a group of 512 MiB and half a CPU finds just that."""
    command = [sys.executable, "-c", READ_LIMITS, str(memory_group), str(cpu_group)]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=True, timeout=30)
    memory, cpus, total, available, limited, host_cpus = json.loads(done.stdout)
    assert memory == total == 512 * 2**20
    assert 0 < available < total
    assert limited is True
    assert cpus == host_cpus == 0.5
