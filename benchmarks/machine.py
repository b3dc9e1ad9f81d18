"""On what it was measured: processors, kernel, versions. No name and no path of the machine."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import datetime, timezone
from pathlib import Path


def first_line(*argv: str) -> str:
    """What a program says first about its version; `not there` where it is missing."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except OSError:
        return "not there"
    return (done.stdout.splitlines() or ["no answer"])[0]


def filesystem_of(folder: Path) -> str:
    """The type of the file system that a folder is on, from the mount point nearest above it."""
    best, kind = "", "unknown"
    for line in Path("/proc/mounts").read_text(encoding="utf-8", errors="replace").splitlines():
        _, point, type_, *_ = line.split(" ")
        inside = os.path.commonpath((point, folder.resolve())) == point if point.startswith("/") else False
        if inside and len(point) >= len(best):
            best, kind = point, type_
    return kind


def describe(folder: Path, command: list[str], compiled: bool) -> dict[str, str]:
    """Name -> value, in the order to show."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "colab-run": first_line(*command, "--version").removeprefix("colab-run "),
        "processors": f"{len(os.sched_getaffinity(0))} ({model})",
        "memory": f"{memory / 1e9:.1f} GB",
        "load before": f"{os.getloadavg()[0]:.2f} (a minute's mean; others disturb)",
        "kernel": f"{platform.system()} {platform.release().split('-')[0]}, {platform.machine()}",
        "Python": platform.python_version(),
        "script": first_line("script", "--version").removeprefix("script from "),
        "tee": first_line("tee", "--version").removeprefix("tee "),
        "timeout": first_line("timeout", "--version").removeprefix("timeout "),
        "log on disk": filesystem_of(folder),
        "jobs": "compiled C" if compiled else "Python: there was no C compiler",
    }
