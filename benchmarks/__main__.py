"""`python -m benchmarks`: measure, print the table, keep the raw numbers. `make bench` calls it."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.exits import exits
from benchmarks.figures import Row, plain
from benchmarks.handback import handback
from benchmarks.idle import idle
from benchmarks.machine import describe
from benchmarks.sampler import sampler
from benchmarks.saving import saving
from benchmarks.signals import signals
from benchmarks.starts import starts
from benchmarks.takeover import takeover
from benchmarks.throughput import pipes, terminal
from benchmarks.watching import watching
from benchmarks.world import BenchError, World, build_child, find_command

if TYPE_CHECKING:
    from collections.abc import Callable

BENCHES: dict[str, Callable[[World], list[Row]]] = {
    "terminal": terminal,
    "pipes": pipes,
    "exits": exits,
    "signals": signals,
    "idle": idle,
    "sampler": sampler,
    "takeover": takeover,
    "handback": handback,
    "starts": starts,
    "saving": saving,
    "watching": watching,
}


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, few rounds: is it about right?")
    parser.add_argument("--only", action="append", choices=BENCHES, metavar="NAME", help=", ".join(BENCHES))
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep everything, raw numbers too")
    parser.add_argument(
        "--command", type=shlex.split, metavar="WORDS", help="colab-run, if not the one beside"
    )
    parser.add_argument("--folder", type=Path, help="where state and logs go; the folder for temporary files")
    return parser.parse_args()


def measure(world: World, name: str) -> list[dict[str, Any]]:
    """One bench's rows; a bench that cannot be done is a row that says why."""
    began = time.monotonic()
    print(f"{name} ...", end="", file=sys.stderr, flush=True)
    try:
        rows = BENCHES[name](world)
    except (BenchError, OSError) as error:
        rows = [Row(name, None, "", note=f"not measured: {error}")]
    print(f" {time.monotonic() - began:.0f} s", file=sys.stderr)
    return [row.document(name) for row in rows]


def main() -> int:
    """Measure what was asked for; 0 also when a target is missed: this is a table, not a test."""
    asked = arguments()
    with tempfile.TemporaryDirectory(prefix="colab-run-bench-", dir=asked.folder) as folder:
        child = build_child(Path(folder))
        command = asked.command or find_command()
        machine = describe(Path(folder), command, compiled=len(child) == 1)
        rows = []
        for name in asked.only or BENCHES:
            place = Path(folder) / name
            place.mkdir()
            rows += measure(World(place, command, child, asked.quick), name)
    print(plain(rows))
    if asked.json is not None:
        document = {"schema_version": 1, "quick": asked.quick, "machine": machine, "rows": rows}
        asked.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
