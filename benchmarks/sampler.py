"""What looking for signs of life uses: processor time of one look, scaled to the default period; memory.

A look at every sign that there is, of a job and of a whole machine, with 200 processes that sleep. The looks
follow each other closely, so caches are warmer than every 15 s; and all else on the machine is looked at too.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from benchmarks.figures import Row, Target
from benchmarks.processes import COOKIE
from benchmarks.world import BenchError, World

if TYPE_CHECKING:
    from collections.abc import Iterator

PROCESSOR, MEMORY = Target("<", 0.1), Target("<", 25.0)
PROCESSES, FILES, FEW = 200, 1000, 20
CLOSE_S = 0.1
# A child does what a guard does for its sampler; the times are those of the sampler's child.
PROGRAM = """
import json, os, select, sys
from benchmarks.processes import cpu_s, memory_mb
from launcher import life
from launcher.idle.sampler import Sampler
from launcher.release import lease
kind, period_s, looks, folder = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
if kind == "job":
    sources = life.job_life(os.getppid(), folder + "/log", (folder,), folder + "/beat", period_s)
else:
    sources = life.runtime_life(dict(os.environ), "none:bench", period_s)
sampler = Sampler(sources.readers, period_s)
sampler.start()
pid = sampler.pid
def see(wanted):
    last = None
    while wanted > 0:
        select.select((sampler,), (), (), sampler.due_in())
        samples = sampler.take()
        wanted -= len(samples)
        last = samples[-1] if samples else last
    return last
# The first look is dearer: libraries, and who is a notebook's kernel.
see(3)
before = cpu_s(pid)
last = see(looks)
used = cpu_s(pid) - before
unknown = sorted(sign.value for sign, reading in last.readings.items() if hasattr(reading, "reason"))
leases = len(os.listdir(lease.FOLDER)) if kind == "machine" and os.path.isdir(lease.FOLDER) else 0
print(json.dumps([used / looks, *memory_mb(pid), life.PERIOD_S, unknown, leases, sampler.pid == pid]))
sampler.stop()
"""


def sampler(world: World) -> list[Row]:
    """Both kinds of sampler, each with 200 sleepers beside it."""
    for number in range(FILES):
        place = world.folder / "files" / str(number % 10)
        place.mkdir(parents=True, exist_ok=True)
        (place / str(number)).write_bytes(b"")
    (world.folder / "files" / "log").write_bytes(b"")
    with sleepers(world):
        return [row for kind in ("machine", "job") for row in measured(world, kind)]


@contextmanager
def sleepers(world: World) -> Iterator[None]:
    """Processes that do nothing, below us: the job whose sampler is measured."""
    with ExitStack() as stack:
        for _ in range(PROCESSES):
            sleeper = stack.enter_context(subprocess.Popen(["sleep", "3600"], env=world.env))
            stack.callback(sleeper.kill)
        yield


def measured(world: World, kind: str) -> list[Row]:
    """Two rows of one kind."""
    looks = world.few(150, 30)
    folder = world.folder / "files"
    argv = [sys.executable, "-c", PROGRAM, kind, str(CLOSE_S), str(looks), str(folder)]
    done = subprocess.run(argv, env={**world.env, COOKIE: ""}, capture_output=True, text=True, check=False)
    try:
        each_s, rss, pss, period_s, unknown, leases, same = json.loads(done.stdout)
    except ValueError as error:
        raise BenchError(f"the sampler of a {kind} said {done.stderr[-300:]!r}") from error
    if not same:
        raise BenchError(f"the sampler of a {kind} was replaced meanwhile")
    note = f"{each_s * 1e3:.2f} ms a look, one every {CLOSE_S:g} s here; {PROCESSES} processes"
    # Each look reads them all; there are two of each run that is at work, and what ended runs have left.
    note += f"; {leases} files of leases" if leases > FEW else ""
    note += f"; unknown: {', '.join(unknown)}" if unknown else ""
    what = f"idle sampler of a {kind}"
    share = 100 * each_s / period_s
    return [
        Row(f"{what}: processor at its default period ({period_s:g} s)", share, "%", PROCESSOR, looks, note),
        Row(f"{what}: RSS", rss, "MB", MEMORY, 1, f"PSS {pss:.1f}", [rss, pss]),
    ]
