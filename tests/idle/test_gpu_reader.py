"""What the reader counts of a driver's answers, through a real C library, in a child of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from helpers.gpu_play import GpuPlay, ReaderProcess
from launcher.idle.model import Life, Moment, Sample, Sign, sample_from_json
from launcher.idle.signals.gpu import GpuSignal
from launcher.values import Known, Reading, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

PERIOD = 15.0
MIB = 1 << 20


class Watched:
    """A reader and a signal together: what is said of readings that are a period apart."""

    def __init__(self, play: GpuPlay, reader: ReaderProcess) -> None:
        self.play, self._reader = play, reader
        self._signal = GpuSignal(PERIOD)
        self.at = 0.0

    def look(self) -> Reading[Life] | None:
        """What is said of a reading now."""
        answer = self._reader.read()
        reading = Known(answer["known"]) if "known" in answer else Unknown(answer["unknown"])
        return self._signal.take(reading, Moment(self.at, self.at, self.at))

    def after(self, seconds: float = PERIOD, percent: float = 0, **how: Any) -> Reading[Life] | None:
        """What is said when so much time has gone by under this load."""
        self.play.run(seconds, percent, **how)
        self.at += seconds
        return self.look()

    def alive(self) -> bool:
        """Is there life now, without any more time?"""
        said = self.look()
        return isinstance(said, Known) and said.value.last_alive == self.at


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """A T4 that has been quiet for two readings."""
    play = GpuPlay(tmp_path)
    with ReaderProcess(play.environ) as reader:
        found = Watched(play, reader)
        found.after()
        assert_quiet(found.after(), 15)
        yield found


def assert_quiet(said: Reading[Life] | None, since: float) -> None:
    assert isinstance(said, Known), said
    assert said.value.last_alive == since, str(said.value.detail)


def assert_alive(said: Reading[Life] | None, at: float, detail: str | None = None) -> None:
    assert isinstance(said, Known), said
    assert said.value.last_alive == at, str(said.value.detail)
    assert detail is None or str(said.value.detail) == detail


def only_row(answer: dict[str, Any]) -> dict[str, Any]:
    (row,) = answer["known"]
    return row


def test_every_field_of_a_gpu(tmp_path: Path) -> None:
    """All that the driver says of a GPU, in our units, and what was counted of it."""
    play = GpuPlay(tmp_path)
    play.set("used", 300 * MIB)
    play.set("pids", f"42:{300 * MIB} 43:-")
    play.run(15, 50)
    with ReaderProcess(play.environ) as reader:
        row = only_row(reader.read())
        assert isinstance(row.pop("reader"), int)
        buffer = {"seen": 90, "busy": 90, "percent": 4500, "highest": 50, "busy_at": 1_700_000_015_000_000}
        known = {
            "uuid": "GPU-00000000-0000-4000-8000-000000000001",
            "mig": False,
            "energy_mj": 5_000_600_000,
            "samples": buffer,
            "uses": buffer | {"seen": 1, "busy": 1, "percent": 50},
            "polled": {"now": 50, "busy": 1},
            "memory": {"used": 300 * MIB, "moved": 0},
            "processes": {
                "list": [[42, {"known": 300 * MIB}], [43, {"unknown": "not-available"}]],
                "changes": 0,
            },
            "power_w": 40.0,
        }
        assert row == {"index": 0} | {name: {"known": value} for name, value in known.items()}


def test_totals_go_on(tmp_path: Path) -> None:
    """Each entry of the driver's buffers counts once, whether it is still there or gone."""
    play = GpuPlay(tmp_path)
    with ReaderProcess(play.environ) as reader:
        reader.read()
        for _ in range(10):
            play.run(14, pid=42)
            play.run(1, 60)
            reader.read(3)
        play.set("used", 2 * MIB)
        reader.read()
        play.set("used", 0)
        play.set("pids", "42:-")
        reader.read()
        play.set("pids", "43:-")
        row = only_row(reader.read())
    assert row["samples"]["known"]["seen"] == 900
    assert row["samples"]["known"]["busy"] == 60
    assert row["samples"]["known"]["percent"] == 3600
    assert row["uses"]["known"]["busy"] == 10
    assert row["polled"]["known"]["busy"] == 33
    assert row["memory"]["known"] == {"used": 0, "moved": 4 * MIB}
    assert row["processes"]["known"]["changes"] == 2


def test_bursts_between_two_readings(watched: Watched) -> None:
    """50 ms of work every 20 s are seen, although every look at the moment's load shows nothing."""
    lives = []
    for _ in range(12):
        watched.play.run(3)
        watched.play.run(0.05, 100)
        watched.play.run(11.95)
        watched.at += PERIOD
        said = watched.look()
        assert_alive(said, watched.at, "GPU 0: 30 % for a moment, 10 W")
        lives.append(said)
        assert_quiet(watched.after(5), watched.at - 5)
        watched.play.fail("samples", "uses", "energy")
        assert not watched.alive()
        for key in ("samples", "uses", "energy"):
            watched.play.clear(f"{key}-error")
    assert len(lives) == 12


def test_steady_load_and_its_end(watched: Watched) -> None:
    """A load is life as long as it lasts, and no longer."""
    assert_alive(watched.after(percent=90), 45, "GPU 0: 90 %, 64 W")
    assert_alive(watched.after(percent=90), 60)
    assert_quiet(watched.after(), 60)
    assert_quiet(watched.after(), 60)


@pytest.mark.parametrize(
    ("without", "alive"),
    [
        (("energy",), True),
        (("samples",), True),
        (("samples", "uses"), False),
        (("energy", "polled", "uses", "pids", "used", "power"), True),
    ],
)
def test_a_driver_that_lacks_some(tmp_path: Path, without: tuple[str, ...], alive: bool) -> None:
    """A burst is seen by whatever remembers it; silence is known with any one of three."""
    play = GpuPlay(tmp_path)
    play.fail(*without)
    with ReaderProcess(play.environ) as reader:
        watched = Watched(play, reader)
        watched.after()
        assert_quiet(watched.after(), 15)
        play.run(10)
        play.run(0.05, 100)
        watched.at += 10.05
        said = watched.after(4.95)
        assert_alive(said, 45) if alive else assert_quiet(said, 15)


def test_no_way_to_see_silence(tmp_path: Path) -> None:
    """Without any figure of utilisation nothing shows that a GPU is quiet; power can show that it is not."""
    play = GpuPlay(tmp_path)
    play.fail("samples", "uses", "polled")
    with ReaderProcess(play.environ) as reader:
        watched = Watched(play, reader)
        assert [watched.after() for _ in range(4)] == [Unknown("not-supported")] * 4
        assert_alive(watched.after(percent=90), 75, "GPU 0: 64 W, when quiet 10 W")
        assert watched.after() == Unknown("not-supported")


def test_mig_mode(tmp_path: Path) -> None:
    """A GPU in slices has no utilisation: what changes on it is life, and silence is not known."""
    play = GpuPlay(tmp_path, "mig")
    with ReaderProcess(play.environ) as reader:
        watched = Watched(play, reader)
        watched.after()
        assert watched.after() == Unknown("not-supported")
        play.set("used", 500 * MIB)
        play.set("pids", "42:-")
        detail = "GPU 0: memory in use now 524.3 MB, other processes on it, 10 W"
        assert_alive(watched.after(), 45, detail)
        assert watched.after() == Unknown("not-supported")
        assert only_row(reader.read())["mig"] == {"known": True}


def test_two_gpus(tmp_path: Path) -> None:
    """Work on either of them is life."""
    play = GpuPlay(tmp_path, "two-t4", gpus=2)
    with ReaderProcess(play.environ) as reader:
        watched = Watched(play, reader)
        watched.after()
        assert_quiet(watched.after(), 15)
        assert_alive(watched.after(percent=5, gpu=1), 45, "GPU 1: 5 %, 13 W")
        assert_quiet(watched.after(), 45)


def test_a_gpu_that_is_lost_and_comes_back(watched: Watched) -> None:
    """Unknown while it is lost; NVML is started anew, and what was counted goes on."""
    watched.play.play("gpu-lost")
    assert watched.after() == Unknown("gpu-lost")
    watched.play.play("t4")
    assert_alive(watched.after(), 60)
    assert_quiet(watched.after(), 60)


def test_nvml_is_not_started_anew_all_the_time(tmp_path: Path) -> None:
    """A GPU stays lost until NVML is started again, which is not done at every reading."""
    play = GpuPlay(tmp_path)
    with ReaderProcess(play.environ, again_s=3600) as reader:
        assert only_row(reader.read())["samples"] == {
            "known": {"seen": 0, "busy": 0, "percent": 0, "highest": 0, "busy_at": None}
        }
        play.play("gpu-lost")
        assert only_row(reader.read())["uuid"] == {"unknown": "gpu-lost"}
        play.play("t4")
        assert only_row(reader.read(5))["uuid"] == {"unknown": "gpu-lost"}


def test_a_driver_that_starts_later(tmp_path: Path) -> None:
    """Why it does not start is said; when it does, the GPU is read."""
    play = GpuPlay(tmp_path, "driver-not-loaded")
    with ReaderProcess(play.environ) as reader:
        assert reader.read()["unknown"] == "driver-not-loaded"
        play.play("t4")
        assert only_row(reader.read())["mig"] == {"known": False}


def test_a_driver_reset_between_two_readings(watched: Watched) -> None:
    """An energy counter that begins anew is life at that moment, and then it is not."""
    watched.play.set("energy", 7)
    assert_alive(watched.after(), 45, "GPU 0: its counters began anew")
    watched.play.set("energy", 150_007)
    assert_quiet(watched.after(), 45)


def test_figures_that_make_no_sense(watched: Watched) -> None:
    """Some drivers leave old numbers in a buffer: more than 100 % is unknown, and the rest is believed."""
    watched.play.set("uses", "0:0:7:7:7:7")
    assert_quiet(watched.after(), 15)
    watched.play.set("uses", "1800000000000000:42:4294967295:1:0:0")
    assert_quiet(watched.after(), 15)
    watched.play.set("samples", "1800000000000000:101")
    watched.play.set("polled", "1000")
    assert watched.after() == Unknown("implausible")


def test_a_clock_that_was_set_back(watched: Watched) -> None:
    """Samples count as new although their times are old ones."""
    watched.play.set("samples", "1500000000000000:0 1500000000166666:8")
    assert_alive(watched.after(), 45, "GPU 0: 4 %, 10 W")
    assert_quiet(watched.after(), 45)


def test_processes_after_the_clock_was_set_back(tmp_path: Path) -> None:
    """What a process uses is asked for by time; for a while all of it is asked for."""
    play = GpuPlay(tmp_path)
    play.run(15, 50)
    with ReaderProcess(play.environ) as reader:
        assert only_row(reader.read())["uses"]["known"]["busy"] == 1
        play.set("uses", "1500000000000000:42:30:0:0:0")
        assert only_row(reader.read())["uses"]["known"]["busy"] == 1
        assert only_row(reader.read(clock_set_by=-3600))["uses"]["known"]["busy"] == 2
        assert only_row(reader.read(clock_set_by=-3600))["uses"]["known"]["busy"] == 2
        play.set("uses", "1500000015000000:42:0:0:0:7")
        assert only_row(reader.read(clock_set_by=-3600))["uses"]["known"]["busy"] == 3


def test_a_machine_without_a_gpu(tmp_path: Path) -> None:
    """Neither library nor device: known to have none. With a device alone nobody knows."""
    with ReaderProcess({}, root=str(tmp_path)) as reader:
        answer = reader.read()
        if "no-nvml-library" not in str(answer) and answer.get("known") != []:
            pytest.skip("this machine has a driver of its own")
        assert answer["known"] == []
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "nvidia0").touch()
    with ReaderProcess({}, root=str(tmp_path)) as reader:
        assert reader.read()["unknown"] == "no-nvml-library"


def test_a_driver_that_counts_none(tmp_path: Path) -> None:
    """A library without a GPU is no GPU."""
    with ReaderProcess(GpuPlay(tmp_path, "none").environ) as reader:
        assert reader.read()["known"] == []


# --- in the sampler -------------------------------------------------------------------------------


class Sampled:
    """A sampler with the GPU's reader and another one, in a process that began under the fake driver."""

    def __init__(self, play: GpuPlay) -> None:
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parent.parent), **play.environ}
        self._process = subprocess.Popen(
            [sys.executable, __file__], env=env, stdout=subprocess.PIPE, text=True
        )

    def until(self, wanted: Reading[Any] | None, sign: Sign = Sign.GPU) -> Sample:
        """The first sample with this reading (None: any that is known); the process ends in half a minute."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            sample = sample_from_json(line)
            found = sample.readings[sign]
            if found == wanted or (wanted is None and isinstance(found, Known)):
                return sample
        raise AssertionError(f"the sampler ended without {wanted}")

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


def test_a_call_that_hangs_costs_the_gpu_only(tmp_path: Path) -> None:
    """The child is replaced; then the GPU is left out as `timeout`, and the other readers go on."""
    play = GpuPlay(tmp_path)
    sampled = Sampled(play)
    try:
        before = sampled.until(None)
        assert json.loads(before.to_json())["readings"]["gpu"]["known"][0]["index"] == 0
        play.set("energy-hang", 1)
        after = sampled.until(Unknown("timeout"))
        pids = [one.readings[Sign.CPU] for one in (before, after)]
        assert all(isinstance(pid, Known) for pid in pids)
        assert pids[0] != pids[1]
    finally:
        sampled.end()


def _main() -> None:
    """Samples on stdout, for half a minute."""
    import select
    import time

    from launcher.idle.sampler import Sampler
    from launcher.probes.life.gpu import gpu_reader

    sampler = Sampler(lambda: {Sign.GPU: gpu_reader(), Sign.CPU: lambda: Known(os.getpid())}, 0.05)
    end = time.monotonic() + 30
    try:
        sampler.start()
        while time.monotonic() < end:
            select.select([sampler.fileno()], [], [], sampler.due_in())
            for sample in sampler.take():
                print(sample.to_json(), flush=True)
    finally:
        sampler.stop()


if __name__ == "__main__":
    _main()
