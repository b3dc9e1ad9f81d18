"""A real GPU at rest, in short bursts, and under load: what is read, and what is said of it.

    COLAB_RUN_RECORDING=gpu.jsonl python -m pytest -m gpu tests/gpu/test_gpu_life.py -s

writes every reading into that file, as a recording that can be replayed.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from helpers.gpu_play import ReaderProcess
from helpers.gpu_spin import Spinner
from launcher.idle.model import Sample, Sign
from launcher.idle.sampler import moment_now
from launcher.idle.signals.gpu import GpuSignal
from launcher.values import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.idle.model import Life

PERIOD = 5.0
BURST_EVERY_S, BURST_S = 20.0, 0.05


class Recorder:
    """Reads, judges and writes down; `look` is one reading."""

    def __init__(self, reader: ReaderProcess, path: Path) -> None:
        self._reader, self._file = reader, path.open("a", encoding="utf-8")
        self._signal = GpuSignal(PERIOD)
        self.took_ms: list[float] = []

    def look(self, name: str) -> tuple[Life, float]:
        """(what is said, the moment of the reading); fails where the GPU cannot be judged."""
        answer = self._reader.read()
        moment = moment_now()
        self.took_ms.append(1000 * answer["seconds"])
        reading = Known(answer["known"]) if "known" in answer else Unknown(answer["unknown"])
        self._file.write(Sample(moment, {Sign.GPU: reading}).to_json() + "\n")
        self._file.flush()
        said = self._signal.take(reading, moment)
        detail = str(said.value.detail) if isinstance(said, Known) else str(said)
        print(f"{name}: {detail} ({self.took_ms[-1]:.1f} ms)")
        assert isinstance(said, Known), said
        return said.value, moment.at

    def end(self) -> None:
        self._file.close()


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    """Of this machine's GPU."""
    environ = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    with ReaderProcess(environ) as reader:
        first = reader.read()
        if not first.get("known"):
            why = first.get("unknown", "no NVIDIA GPU")
            pytest.skip(
                f"no NVIDIA GPU that can be read here ({why}); when this was written none could be had"
            )
        found = Recorder(reader, Path(os.environ.get("COLAB_RUN_RECORDING", tmp_path / "gpu.jsonl")))
        try:
            yield found
        finally:
            found.end()


def pass_by(until: float) -> None:
    """Let time go by: how the driver's buffers and counters fare in it is what this test is about."""
    time.sleep(max(0.0, until - time.monotonic()))


@pytest.mark.gpu
def test_a_real_gpu(recorder: Recorder) -> None:
    """Quiet while a context is open and idle; alive in each burst of 50 ms and under load; then quiet."""
    with Spinner() as spinner:
        spinner.work(BURST_S)
        for _ in range(4):  # The driver's buffer still holds the work before.
            recorder.look("before")
            pass_by(time.monotonic() + PERIOD)
        idle = [recorder.look("idle")]
        for _ in range(6):
            pass_by(idle[-1][1] + PERIOD)
            idle.append(recorder.look("idle"))
        assert idle[-1][0].last_alive <= idle[0][1], "an idle GPU showed life"

        for _ in range(6):
            burst_at = time.monotonic()
            spinner.work(BURST_S)
            looks = []
            while time.monotonic() < burst_at + BURST_EVERY_S:
                pass_by(time.monotonic() + PERIOD)
                looks.append(recorder.look("burst"))
            assert looks[-1][0].last_alive >= burst_at, "a burst was not seen"

        for _ in range(6):
            spinner.work(PERIOD)
            said, at = recorder.look("load")
            assert said.last_alive == at

        after = [recorder.look("after")]
        for _ in range(8):
            pass_by(after[-1][1] + PERIOD)
            after.append(recorder.look("after"))
        assert after[-1][0].last_alive < after[-1][1], "the load did not end"
    assert sorted(recorder.took_ms)[len(recorder.took_ms) // 2] < 50
