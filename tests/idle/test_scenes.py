"""Scenes of jobs that look idle to a GPU meter: who lives goes on, who does not is stopped in time."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import pytest

from helpers import fake_nvml
from helpers.house import NO_HOUSE, can_build, house
from helpers.scene import until
from helpers.wire import NO_WIRE, OURS, can_lay, dripping, wire

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from helpers.house import House

AFTER_S = 2.0
DOWNLOAD = """
import socket
with socket.create_connection(("{host}", {port})) as server:
    while server.recv(1 << 16):
        pass
"""
# 0.3 s of work in every second, and a line when it is over: an epoch of an hour, made short.
SILENT_FIT = """
import time
end = time.monotonic() + 6
while time.monotonic() < end:
    busy = time.process_time() + 0.3
    while time.process_time() < busy:
        pass
    time.sleep(0.7)
print("epoch 1")
"""
HANGS = """
import time
print("epoch 1", flush=True)
end = time.monotonic() + 0.6
while time.monotonic() < end:
    pass
while True:
    time.sleep(1)
"""


@pytest.fixture
def apart(tmp_path: Path) -> Iterator[House]:
    """A house with an idle GPU, and a network of its own."""
    with house(tmp_path, apart=True) as built:
        if fake_nvml.compiler() is not None:
            built.env.update(fake_nvml.environment("t4", tmp_path))
        yield built
        built.close()


def run(home: House, program: str) -> dict[str, object]:
    (home.work / "job.py").write_text(program)
    job = f"run: [{sys.executable}, job.py]\nstop_grace: 1s\nidle: {{after: {AFTER_S:g}s, action: stop}}\n"
    home.run("run", home.write_job(job))
    return home.results()[0]


@pytest.mark.skipif(not can_build() or not can_lay(), reason=NO_WIRE)
def test_a_download_is_no_stalled_job(apart: House) -> None:
    """The GPU does nothing, the processor next to nothing, nothing is printed: only bytes come."""
    with wire(apart.target), dripping(3 * AFTER_S) as port:
        result = run(apart, DOWNLOAD.format(host=OURS, port=port))
    assert (result["outcome"], result.get("stalls")) in (("succeeded", None), ("succeeded", []))
    assert result["duration_s"] > 2 * AFTER_S


@pytest.mark.skipif(not can_build(), reason=NO_HOUSE)
def test_a_fit_that_prints_once_an_hour_is_no_stalled_job(apart: House) -> None:
    """It validates on the processor, a part of the time."""
    result = run(apart, SILENT_FIT)
    assert result["outcome"] == "succeeded"
    assert result["duration_s"] > 2 * AFTER_S


@pytest.mark.skipif(not can_build(), reason=NO_HOUSE)
def test_a_job_that_hangs_is_stopped_within_the_window_and_two_samples(apart: House) -> None:
    """The same house, and nobody at work in it."""
    began = time.monotonic()
    result = run(apart, HANGS)
    assert (result["outcome"], result["exit_code"]) == ("stalled", 124)
    until(lambda: time.monotonic() - began > AFTER_S, "the window")
    # A start, 0.7 s of work, the window, two samples, the stop's grace.
    assert result["duration_s"] < 0.7 + AFTER_S + 2 * 0.1 + 10.0
