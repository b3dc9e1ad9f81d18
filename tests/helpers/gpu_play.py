"""GPUs of the fake driver at work: a time line of their own, in which hours go by at once.

play = GpuPlay(tmp_path)
play.run(19.95)
play.run(0.05, percent=100)     # in the driver's buffers and in the energy, and nowhere else a second later
play.run(15)
with ReaderProcess(play.environ) as reader: reader.read()
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from helpers import fake_nvml

if TYPE_CHECKING:
    from types import TracebackType

# As a T4 has them.
SAMPLE_S = 1 / 6
SAMPLES_KEPT = 99
IDLE_W, BUSY_W = 10.0, 70.0
# NVML's codes.
NOT_SUPPORTED, TIMEOUT, GPU_IS_LOST = 3, 10, 15
_BEGIN_US = 1_700_000_000_000_000


@dataclass
class _Gpu:
    """What one GPU says; `left_s` of the sample that is under way have gone by, `busy_s` of them at work."""

    samples: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=SAMPLES_KEPT))
    uses: dict[int, str] = field(default_factory=dict)
    seconds: float = 0.0
    energy_mj: float = 5e9
    watts: float = IDLE_W
    left_s: float = 0.0
    busy_s: float = 0.0
    others: dict[str, object] = field(default_factory=dict)

    def run(self, seconds: float, percent: float, watts: float, pid: int) -> None:
        """Time goes by under this load; every full sample goes into the buffer."""
        self.energy_mj += watts * seconds * 1000
        self.watts = watts
        while seconds > 1e-9:
            step = min(seconds, SAMPLE_S - self.left_s)
            seconds -= step
            self.left_s += step
            self.busy_s += step * percent / 100
            self.seconds += step
            if self.left_s >= SAMPLE_S - 1e-9:
                figure = round(100 * self.busy_s / SAMPLE_S)
                now = _BEGIN_US + round(self.seconds * 1e6)
                self.samples.append((now, figure))
                if figure:
                    self.uses[pid] = f"{now}:{pid}:{figure}:1:0:0"
                self.left_s = self.busy_s = 0.0

    def said(self) -> dict[str, object]:
        """The lines of the file, without the GPU's number."""
        lines = {
            "polled": self.samples[-1][1] if self.samples else 0,
            "power": round(self.watts * 1000),
            "energy": round(self.energy_mj),
            "samples": " ".join(f"{at}:{percent}" for at, percent in self.samples),
            "uses": " ".join(self.uses.values()),
        }
        return lines | self.others


class GpuPlay:
    """The fake driver, and what its GPUs do; every call writes the file that the driver reads."""

    def __init__(self, folder: Path, scenario: str = "t4", gpus: int = 1) -> None:
        if fake_nvml.compiler() is None:
            pytest.skip("no C compiler for the fake driver library")
        self.environ = fake_nvml.environment(scenario, folder)
        self._file = fake_nvml.scenario_file(folder)
        self._scenario = scenario
        self._gpus = [_Gpu() for _ in range(gpus)]
        self._write()

    def run(
        self, seconds: float, percent: float = 0, *, gpu: int = 0, watts: float | None = None, pid: int = 4242
    ) -> None:
        """So much time goes by on all GPUs; one of them is busy for so many percent of it."""
        for index, one in enumerate(self._gpus):
            load = percent if index == gpu else 0
            drawn = IDLE_W + (BUSY_W - IDLE_W) * load / 100
            one.run(seconds, load, drawn if watts is None or index != gpu else watts, pid)
        self._write()

    def bursts(self, count: int, every_s: float = 20.0, busy_s: float = 0.05) -> None:
        """Short work now and then, each time after the pause."""
        for _ in range(count):
            self.run(every_s - busy_s)
            self.run(busy_s, 100)

    def play(self, scenario: str) -> None:
        """Another scenario, such as `gpu-lost`."""
        self._scenario = scenario
        self._write()

    def set(self, key: str, value: object, gpu: int = 0) -> None:
        """One line of the file, see fake_nvml.c: `set("energy-error", NOT_SUPPORTED)`."""
        self._gpus[gpu].others[key] = value
        self._write()

    def clear(self, key: str, gpu: int = 0) -> None:
        """Take such a line back."""
        del self._gpus[gpu].others[key]
        self._write()

    def fail(self, *keys: str, code: int = NOT_SUPPORTED, gpu: int = 0) -> None:
        """These questions answer with an error from now on."""
        for key in keys:
            self.set(f"{key}-error", code, gpu)

    def _write(self) -> None:
        lines = [self._scenario]
        for index, one in enumerate(self._gpus):
            lines += [f"{index} {key} {value}" for key, value in one.said().items() if value != ""]
        fresh = self._file.with_name("scenario.new")
        fresh.write_text("\n".join(lines) + "\n")
        fresh.replace(self._file)  # the driver sees the old file or the new one


class ReaderProcess:
    """A GPU reader in a process of its own, under a driver that was chosen before it began."""

    def __init__(self, environ: dict[str, str], *, root: str = "/", again_s: float = 0.0) -> None:
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parent.parent), **environ}
        command = [sys.executable, __file__, root, str(again_s)]
        self._process = subprocess.Popen(
            command, env=env, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> ReaderProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def read(self, times: int = 1, *, clock_set_by: float = 0.0) -> dict[str, Any]:
        """The last of so many readings, `{"known": rows}` or `{"unknown": …}`; `seconds` for all of them.

        `clock_set_by` are the seconds by which the wall clock is other than at the beginning.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{times} {clock_set_by}\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


def _main() -> None:
    import time

    from launcher.probes.life.gpu import gpu_reader
    from launcher.values import Known

    shift = 0.0
    reader = gpu_reader(sys.argv[1], again_s=float(sys.argv[2]), wall=lambda: time.time() + shift)
    for line in sys.stdin:
        times, shift = int(line.split()[0]), float(line.split()[1])
        began = time.perf_counter()
        for _ in range(times):
            reading = reader()
        seconds = time.perf_counter() - began
        plain = {"known": reading.value} if isinstance(reading, Known) else {"unknown": reading.reason}
        print(json.dumps(plain | {"seconds": seconds}), flush=True)


if __name__ == "__main__":
    _main()
