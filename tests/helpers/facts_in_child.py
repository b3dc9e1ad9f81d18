"""The facts of this machine as a child process under a fake driver finds them.

The loader reads LD_LIBRARY_PATH when a process starts; that is why this takes a process of its own.
Run as a program (`facts_in_child.py ROOT`) it pickles them onto stdout.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from helpers import fake_nvml

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.probes.model import RuntimeFacts


@dataclass(frozen=True)
class Seen:
    """The facts, how long collecting them took, and how many children were left after it."""

    facts: RuntimeFacts
    seconds: float
    children_left: int


def collect_under(
    scenario: str | None, folder: Path, *, root: str = "/", environ: Mapping[str, str] | None = None
) -> Seen:
    """Collect in a child that plays `scenario` (None: no driver library); skips without a compiler."""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parent.parent), **(environ or {})}
    if scenario is not None:
        if fake_nvml.compiler() is None:
            pytest.skip("no C compiler for the fake driver library")
        env.update(fake_nvml.environment(scenario, folder))
    done = subprocess.run(
        [sys.executable, __file__, root], env=env, cwd=folder, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return pickle.loads(done.stdout)


def _main() -> None:
    from helpers.catalogs import shipped
    from helpers.facts_in_child import Seen
    from launcher.probes.collect import collect

    catalog = shipped()
    started = time.monotonic()
    facts = collect(environ=os.environ, disk_path="/", catalog=catalog, root=sys.argv[1])
    seconds = time.monotonic() - started
    left = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    sys.stdout.buffer.write(pickle.dumps(Seen(facts, seconds, len(left))))


if __name__ == "__main__":
    _main()
