"""How fast an output is brought to a folder, durable and read back, beside `cp -r`, which is neither.

The target is fresh, the source in the cache, for both. `cp -r` ends when everything is in memory; the second
rival is followed by `sync`, which is the least that an output needs before a machine is handed back.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.figures import Row, Target, middle
from benchmarks.world import BenchError, World

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MB = 1_000_000
BLOCK = 1 << 20
TARGET = Target(">=", 0.8)
# A child does what the child of a guard does; only the saving itself is timed.
PROGRAM = """
import json, sys, time
from launcher.saving.folder import save_to_folder
from launcher.saving.meter import Meter
from launcher.saving.model import Order, Target, TargetKind
source, target = sys.argv[1:]
order = Order(source, Target(TargetKind.FOLDER, target), "out", "bench", "bench")
began = time.monotonic()
report = save_to_folder(order, Meter())
print(json.dumps([time.monotonic() - began, report.committed, report.copied, len(report.files)]))
"""


@dataclass(frozen=True)
class Kind:
    """An output: its name, and how it is made in a folder, for a full run or a quick one."""

    name: str
    make: Callable[[Path, World], None]


def one_file(folder: Path, world: World) -> None:
    """A checkpoint."""
    write(folder / "model", world.few(5000, 1000) * MB)


def small_files(folder: Path, world: World) -> None:
    """100 folders of small files."""
    for number in range(world.few(10_000, 10_000)):
        place = folder / str(number % 100)
        place.mkdir(exist_ok=True)
        write(place / str(number), 1000 + number)


def mixed(folder: Path, world: World) -> None:
    """What a run leaves: some checkpoints, their metadata, logs and pictures."""
    for step in range(world.few(10, 4)):
        place = folder / f"step-{step}"
        place.mkdir()
        write(place / "model", 100 * MB)
        write(place / "optimizer", 50 * MB)
        for number in range(100):
            write(place / f"{number}.json", 2000)
    (folder / "pictures").mkdir()
    for number in range(500):
        write(folder / "pictures" / f"{number}.png", 150_000)


KINDS = (Kind("one file", one_file), Kind("10,000 small files", small_files), Kind("mixed", mixed))


def write(path: Path, size: int) -> None:
    """Bytes that no file system makes smaller, and that take no time to think of."""
    block = os.urandom(min(size, BLOCK))
    with open(path, "wb") as writer:
        while size > 0:
            size -= writer.write(block[:size])


def saving(world: World) -> list[Row]:
    """Rows for each kind of output."""
    rows: list[Row] = []
    for kind in KINDS:
        source = world.folder / "source"
        source.mkdir()
        kind.make(source, world)
        rows += compare(world, kind.name, source)
        shutil.rmtree(source)
    return rows


def compare(world: World, name: str, source: Path) -> list[Row]:
    """In turn, round by round; the ratio is taken within a round, and their median is the figure."""
    files = [path for path in source.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    ours: list[float] = []
    cp: list[float] = []
    synced: list[float] = []

    def run_ours() -> None:
        ours.append(saved(world, source, len(files), size))

    def run_cp() -> None:
        copied, durable = copied_by_cp(world, source)
        cp.append(copied)
        synced.append(durable)

    turns = [run_ours, run_cp]
    for number in range(world.few(4, 3)):
        for turn in turns if number % 2 else reversed(turns):
            warm(files)
            os.sync()
            turn()
    del ours[0], cp[0], synced[0]  # The first round only warms up.
    return [
        middle(f"{name}: cp -r / save", [b / a for a, b in zip(ours, cp, strict=True)], "x", TARGET),
        middle(f"{name}: cp -r and sync / save", [b / a for a, b in zip(ours, synced, strict=True)], "x"),
        middle(f"{name}: save", [size / seconds / MB for seconds in ours], "MB/s"),
        middle(f"{name}: cp -r", [size / seconds / MB for seconds in cp], "MB/s"),
    ]


def warm(files: list[Path]) -> None:
    """The source is in the cache, as what a job has just written."""
    buffer = bytearray(BLOCK)
    for path in files:
        with open(path, "rb", buffering=0) as reader:
            while reader.readinto(buffer):
                pass


def saved(world: World, source: Path, files: int, size: int) -> float:
    """Seconds of one save to a fresh target; everything has to be there."""
    target = world.folder / "target"
    done = subprocess.run([sys.executable, "-c", PROGRAM, source, target], capture_output=True, check=False)
    shutil.rmtree(target, ignore_errors=True)
    if done.returncode:
        raise BenchError(done.stderr.decode(errors="replace")[-300:])
    seconds, committed, copied, count = json.loads(done.stdout)
    if (committed, copied, count) != (True, size, files):
        raise BenchError(f"{count} files and {copied} bytes were saved instead of {files} and {size}")
    return float(seconds)


def copied_by_cp(world: World, source: Path) -> tuple[float, float]:
    """Seconds until `cp -r` ends, and until what it wrote is on the disk."""
    target = world.folder / "target"
    began = time.monotonic()
    subprocess.run(["cp", "-r", source, target], check=True)
    copied = time.monotonic() - began
    subprocess.run(["sync", "-f", target], check=True)
    durable = time.monotonic() - began
    shutil.rmtree(target)
    return copied, durable
