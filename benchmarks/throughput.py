"""How many bytes a second go from a job to its reader while a log is written: beside `script`, beside `tee`.

What counts is the steady part: from the first byte of the job that the reader sees to the last. The time to
start is no throughput (starts.py measures it); neither is the end (exits.py).
"""

from __future__ import annotations

import os
import shlex
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Row, Target, middle
from benchmarks.world import BenchError, Running, World

LINE_BYTES = 76
BEGIN, END = b"<BEGIN>", b"<END>"
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a file system without a disk is what is wanted; mkdtemp makes the folder
MIB = 1 << 20


@dataclass(frozen=True)
class Contest:
    """One way of output, what is compared on it, and what must come out of it."""

    name: str
    terminal: bool
    rival: str
    target: Target
    mebibytes: tuple[int, int]

    def rival_argv(self, job: list[str], log: Path) -> list[str]:
        """The rival's command line, which writes the job's output to `log` as well."""
        if self.terminal:
            return ["script", "-q", "-e", "-c", shlex.join(job), str(log)]
        return ["sh", "-c", f"{shlex.join(job)} | tee {shlex.quote(str(log))}"]


TERMINAL = Contest("terminal", True, "script", Target(">=", 1.0), (64, 12))
PIPES = Contest("pipes", False, "tee", Target(">=", 0.7), (256, 64))


def terminal(world: World) -> list[Row]:
    """Terminal with log, beside `script`."""
    return compare(world, TERMINAL)


def pipes(world: World) -> list[Row]:
    """Pipes with log, beside `tee`."""
    return compare(world, PIPES)


def compare(world: World, contest: Contest) -> list[Row]:
    """Rows for the log on disk, and for the log in memory."""
    rows = measure(world, contest, "log on disk")
    if SHARED_MEMORY.is_dir() and not world.quick:
        with tempfile.TemporaryDirectory(prefix="colab-run-bench-", dir=SHARED_MEMORY) as folder:
            rows += measure(world.fresh(Path(folder)), contest, "log in memory")
    return rows


def measure(world: World, contest: Contest, where: str) -> list[Row]:
    """Both in turn, round by round; the ratio is taken within a round, and their median is the figure."""
    lines = world.few(*contest.mebibytes) * MIB // LINE_BYTES
    job = [*world.child, "lines", str(lines)]
    ours: list[float] = []
    theirs: list[float] = []

    def run_ours() -> None:
        ours.append(throughput(world, world.executed(*job), lines, contest.terminal))
        if (size := world.log().stat().st_size) != lines * LINE_BYTES + len(BEGIN + END) + 2:
            raise BenchError(f"the log has {size} bytes: not what the job wrote")
        world.forget()

    def run_theirs() -> None:
        log = world.folder / "rival.log"
        theirs.append(throughput(world, contest.rival_argv(job, log), lines, contest.terminal))
        if log.stat().st_size < lines * LINE_BYTES:
            raise BenchError(f"the log of {contest.rival} is too short")
        log.unlink()

    turns = [run_ours, run_theirs]
    for number in range(world.few(6, 4)):
        # Who comes first changes: the disk is busier after the one than after the other.
        for turn in turns if number % 2 else reversed(turns):
            turn()
    del ours[0], theirs[0]  # The first round only warms up.
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    name = f"{contest.name}, {where}"
    return [
        middle(f"{name}: colab-run / {contest.rival}", ratios, "x", contest.target),
        middle(f"{name}: colab-run", ours, "MB/s"),
        middle(f"{name}: {contest.rival}", theirs, "MB/s"),
        bare(world, contest, job, lines, name),
    ]


def bare(world: World, contest: Contest, job: list[str], lines: int, name: str) -> Row:
    """The job alone on the same kind of output: what the reader could take at most."""
    speeds = [throughput(world, job, lines, contest.terminal) for _ in range(3)]
    return Row(f"{name}: no log, nothing between", statistics.median(speeds), "MB/s", n=3, raw=speeds)


def throughput(world: World, argv: list[str], lines: int, terminal: bool) -> float:
    """10^6 bytes of the job's lines a second, as they come out of one run."""
    with world.running(argv, terminal=terminal) as running:
        seconds = steady_part(running, lines * LINE_BYTES)
        running.ended()
    return lines * LINE_BYTES / seconds / 1e6


def steady_part(running: Running, size: int) -> float:
    """Seconds between the chunk with BEGIN and the chunk with END, read as fast as this process can."""
    running_head = running.wait_for(BEGIN)
    began = time.monotonic()
    seen = len(running_head)
    buffer = bytearray(1 << 18)
    tail = b""
    while True:
        try:
            count = os.readv(running.output, [buffer])
        except OSError:
            count = 0  # EIO: the terminal's last user is gone.
        if count == 0:
            raise BenchError(f"the output ends after {seen} of {size} bytes")
        seen += count
        # Looking for END in everything would make the reader slower.
        if seen >= size and END in (tail := tail[-len(END) :] + bytes(buffer[:count])):
            return time.monotonic() - began
