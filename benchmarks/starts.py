"""From the start of a command to the first instruction of its job; and commands that start nothing."""

from __future__ import annotations

import json
import shlex
import sys

from benchmarks.figures import Row, spread_of
from benchmarks.world import BenchError, World, stamp_in


def starts(world: World) -> list[Row]:
    """All in turn; there are no targets, but ratios to what cannot be avoided: Python's own start."""
    job = [*world.child, "stamp", "0"]
    file = world.folder / "start.yaml"
    file.write_text(f"run: {json.dumps(job)}\n", encoding="utf-8")
    to_job: dict[str, tuple[list[str], bool]] = {
        "the job alone": (job, False),
        "script -e": (["script", "-q", "-e", "-c", shlex.join(job), "/dev/null"], True),
        "colab-run exec, pipes": (world.executed(*job), False),
        "colab-run exec, terminal": (world.executed(*job), True),
        "colab-run run job.yaml, pipes": ([*world.colab_run, "run", str(file)], False),
    }
    to_end = {
        "python -I -c pass": [sys.executable, "-I", "-c", "pass"],
        "colab-run --version": [*world.colab_run, "--version"],
        "colab-run --help": [*world.colab_run, "--help"],
    }
    first: dict[str, list[float]] = {name: [] for name in to_job}
    whole: dict[str, list[float]] = {name: [] for name in to_end}
    for _ in range(world.few(20, 5) + 1):
        for name, (argv, terminal) in to_job.items():
            with world.running(argv, terminal=terminal) as running:
                _, out = running.ended()
            first[name].append((stamp_in(out) - running.began) / 1e6)
            world.forget()
        for name, argv in to_end.items():
            with world.running(argv) as running:
                at, _ = running.ended()
            if running.process.returncode != 0:
                raise BenchError(f"{name} ended with {running.process.returncode}")
            whole[name].append((at - running.began) / 1e6)
    # The first of each only warms up.
    rows = [spread_of(f"start to job's first instruction: {name}", first[name][1:], "ms") for name in first]
    return rows + [spread_of(f"start to end: {name}", whole[name][1:], "ms") for name in whole]
