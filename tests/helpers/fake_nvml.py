"""Build and use the fake NVIDIA driver library: real ctypes, real error codes, no GPU.

    env = {**os.environ, **fake_nvml.environment("t4", tmp_path)}
    subprocess.run([sys.executable, "-m", "launcher", "probe"], env=env)

The loader reads LD_LIBRARY_PATH when a process starts, so the scenario is seen by child processes
only, never by the process that calls `environment`.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

SCENARIOS = (
    "none",
    "t4",
    "l4",
    "a100-40",
    "a100-80",
    "h100",
    "g4",
    "p100",
    "two-t4",
    "eight-l4",
    "t4-and-a100",
    "unlisted",
    "mig",
    "gpu-lost",
    "t4-and-lost",
    "not-supported",
    "no-memory-figure",
    "no-name",
    "busy-t4",
    "no-permission",
    "driver-not-loaded",
    "blocked-by-os",
    "driver-mismatch",
    "hang",
    "old-driver",
)

_SOURCE = Path(__file__).with_name("fake_nvml.c")
_LIBRARY = "libnvidia-ml.so.1"


def compiler() -> str | None:
    """The C compiler, or None: then tests that need the library skip, with that as the reason."""
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


@functools.cache
def _compiled(old_driver: bool) -> bytes:
    """The library, compiled once per test session and kind of driver."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / _LIBRARY
        command = [compiler() or "cc", "-shared", "-fPIC", "-Wall", "-Wextra", "-O1"]
        command += ["-DOLD_DRIVER"] if old_driver else []
        # As the real one: pynvml's request for the name finds a library that was loaded by its path.
        command += [f"-Wl,-soname,{_LIBRARY}", "-o", str(target), str(_SOURCE)]
        subprocess.run(command, check=True)
        return target.read_bytes()


def build(folder: Path, *, old_driver: bool = False) -> Path:
    """Write the library into `folder` (made if need be) and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / _LIBRARY
    fresh = folder / f".{_LIBRARY}.new"
    fresh.write_bytes(_compiled(old_driver))
    fresh.replace(target)  # never write into a library that a process has mapped
    return target


def environment(scenario: str, folder: Path) -> dict[str, str]:
    """The variables that make a child process see `scenario`; the library is built into `folder`.

    To change the scenario of a process that runs, write another name into `scenario_file(folder)`.
    """
    if scenario not in SCENARIOS:
        raise ValueError(f"no scenario {scenario!r}; there are {', '.join(SCENARIOS)}")
    old_driver = scenario == "old-driver"
    library = build(folder, old_driver=old_driver)
    scenario_file(folder).write_text("t4" if old_driver else scenario)
    others = os.environ.get("LD_LIBRARY_PATH")
    return {
        "LD_LIBRARY_PATH": f"{library.parent}:{others}" if others else str(library.parent),
        "FAKE_NVML_FILE": str(scenario_file(folder)),
    }


def scenario_file(folder: Path) -> Path:
    """The file whose first line names the scenario."""
    return folder / "scenario"
