"""Who is who, by looking at /proc only: client, watcher, guard and job of a run, and what they use."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

COOKIE = "COLAB_RUN_BENCH_COOKIE"
# What only the job and its children have in their environment.
OF_JOB = b"COLAB_RUN_ID="


def environment(pid: int) -> list[bytes]:
    """The environment that a process was started with; empty where it is gone or dead."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def stat_fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third, the state, on; empty where it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return []
    return text.rpartition(") ")[2].split()


def parent(pid: int) -> int:
    """The parent's pid; 0 where there is none any more."""
    fields = stat_fields(pid)
    return int(fields[1]) if fields else 0


def alive(pid: int) -> bool:
    """False for a zombie too."""
    return (stat_fields(pid) or "X")[0] not in "ZX"


def processes_of(cookie: str) -> list[int]:
    """Living processes that were started with this cookie in their environment."""
    wanted = f"{COOKIE}={cookie}".encode()
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and wanted in environment(int(entry)) and alive(int(entry)):
            found.append(int(entry))
    return found


@dataclass(frozen=True)
class Family:
    """The processes of one run. Where one process is all of it, it is the client, and the others are None."""

    client: int
    watcher: int | None
    guard: int | None
    job: int
    helpers: tuple[int, ...]

    def parts(self) -> dict[str, int]:
        """Name -> pid of everything but the job."""
        named = {"client": self.client, "watcher": self.watcher, "guard": self.guard}
        return {name: pid for name, pid in named.items() if pid is not None} | {
            f"helper {pid}": pid for pid in self.helpers
        }


def family_of(cookie: str, client: int) -> Family | None:
    """The run that `client` belongs to; None while its job is not there."""
    ours = processes_of(cookie)
    of_job = {pid for pid in ours if any(entry.startswith(OF_JOB) for entry in environment(pid))}
    heads = [pid for pid in of_job if parent(pid) not in of_job]
    if len(heads) != 1:
        return None
    job = heads[0]
    above = parent(job)
    guard = above if above in ours and above != client else None
    over = 0 if guard is None else parent(guard)
    watcher = over if over in ours and over != client else None
    known = {client, watcher, guard} | of_job
    return Family(client, watcher, guard, job, tuple(pid for pid in ours if pid not in known))


def memory_mb(pid: int) -> tuple[float, float]:
    """(RSS, PSS) in 10^6 bytes."""
    found = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]:
        name, _, size = line.partition(":")
        found[name] = int(size.split()[0]) * 1024 / 1e6
    return found["Rss"], found["Pss"]


def cpu_s(pid: int) -> float:
    """Processor time of a process and of its children that have ended, in s.

    The kernel's clock of that process counts ns (its number is made from the pid: clock_getcpuclockid(3));
    the children's times are counted in ticks.
    """
    fields = stat_fields(pid)
    own = time.clock_gettime((~pid << 3) | 2)
    return own + (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def wakeups(pid: int) -> int:
    """How often the threads of a process were put on a processor by now."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        for line in (task / "status").read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.endswith("_ctxt_switches"):
                total += int(value)
    return total
