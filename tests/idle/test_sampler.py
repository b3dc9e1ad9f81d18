"""The sampler's child: samples come, whatever a reader does, and nothing of it is left."""

from __future__ import annotations

import mmap
import os
import select
import signal
import struct
import time
from typing import TYPE_CHECKING, Any

import pytest

from helpers.lab import PATIENCE_S, state_of, until
from launcher.idle.model import Sample, Sign
from launcher.idle.sampler import LEFT_OUT_S, LONGEST_LINE, Sampler
from launcher.values import Known, Reading, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from launcher.idle.interface import Reader

SHORT_S = 0.01
HOUR_S = 3600.0


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """After every test: no child of ours, no descriptor more, no signal blocked."""
    descriptors = os.listdir("/proc/self/fd")
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    assert len(os.listdir("/proc/self/fd")) == len(descriptors)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask


class Sampling:
    """A sampler in the loop that its docstring describes."""

    def __init__(
        self, readers: dict[Sign, Reader], period_s: float = SHORT_S, left_out_s: float = LEFT_OUT_S
    ) -> None:
        self.forks = 0
        self._waiting: list[Sample] = []
        self.began = time.monotonic()
        self.sampler = Sampler(lambda: readers, period_s, self._forking, left_out_s)

    def _forking(self) -> None:
        self.forks += 1

    def __enter__(self) -> Sampling:
        self.sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.sampler.stop()

    def until(self, wanted: Callable[[Sample], bool]) -> list[Sample]:
        """All samples up to the first that is wanted; what came with it is kept for the next time."""
        found: list[Sample] = []
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            while self._waiting:
                found.append(self._waiting.pop(0))
                if wanted(found[-1]):
                    return found
            select.select((self.sampler,), (), (), min(self.sampler.due_in(), PATIENCE_S))
            self._waiting = self.sampler.take()
        raise AssertionError(f"not among {len(found)} samples, the last of them {found[-1:]}")

    def several(self, count: int) -> list[Sample]:
        """So many samples."""
        found: list[Sample] = []
        while len(found) < count:
            found += self.until(lambda sample: True)
        return found


def pid() -> Reading[Any]:
    return Known(os.getpid())


def hang() -> Reading[Any]:
    time.sleep(HOUR_S)
    return Known("woken")


def fail() -> Reading[Any]:
    raise RuntimeError("what a driver says")


def test_samples_come_and_say_what_the_readers_read() -> None:
    """In a child, with the moment of the sample on three clocks."""
    before = (time.monotonic(), time.time())
    with Sampling({Sign.CPU: pid, Sign.GPU: lambda: Unknown("no-driver")}) as sampling:
        sample = sampling.several(1)[0]
        assert sample.readings == {Sign.CPU: Known(sampling.sampler.pid), Sign.GPU: Unknown("no-driver")}
        assert sampling.sampler.pid != os.getpid()
    assert before[0] <= sample.moment.at <= time.monotonic()
    assert before[1] - 1 <= sample.moment.wall <= time.time() + 1
    assert sample.moment.boottime >= sample.moment.at - 1


def test_readers_keep_their_state() -> None:
    seen: list[int] = []

    def count() -> Reading[Any]:
        seen.append(0)
        return Known(len(seen))

    with Sampling({Sign.CPU: count}) as sampling:
        values = [sample.readings[Sign.CPU] for sample in sampling.several(5)]
    assert values == [Known(number) for number in range(1, 6)]
    assert seen == []


def test_the_period_is_kept() -> None:
    """The first at once, the next ones not before their turn."""
    period_s = 0.2
    with Sampling({Sign.CPU: pid}, period_s) as sampling:
        samples = sampling.several(4)
    for number, sample in enumerate(samples):
        assert sample.moment.at >= sampling.began + number * period_s


def test_a_reader_that_raises_costs_its_own_reading_only() -> None:
    with Sampling({Sign.GPU: fail, Sign.CPU: pid}) as sampling:
        for sample in sampling.several(3):
            assert sample.readings == {Sign.GPU: Unknown("failed"), Sign.CPU: Known(sampling.sampler.pid)}
        assert sampling.forks == 1


def test_a_child_that_was_killed_is_replaced() -> None:
    """At once: its end is seen, not missed for three periods."""
    with Sampling({Sign.CPU: pid}, HOUR_S) as sampling:
        sampling.several(1)
        old = sampling.sampler.pid
        os.kill(old, signal.SIGKILL)
        sample = sampling.until(lambda sample: sample.readings[Sign.CPU] != Known(old))[-1]
        assert sample.readings[Sign.CPU] == Known(sampling.sampler.pid)
        assert sampling.forks == 2
        assert state_of(old) == ""


def test_a_reader_that_hangs_is_left_out_and_the_others_go_on() -> None:
    """The child is replaced; the reading that it hung at is unknown from then on."""
    with Sampling({Sign.CPU: pid, Sign.DISK: hang, Sign.NETWORK: pid}) as sampling:
        old = sampling.sampler.pid
        for sample in sampling.several(5):
            new = Known(sampling.sampler.pid)
            assert sample.readings == {Sign.CPU: new, Sign.DISK: Unknown("timeout"), Sign.NETWORK: new}
        assert sampling.sampler.pid != old
        assert sampling.forks == 2
        assert state_of(old) == ""


def test_a_child_that_is_stopped_is_replaced_and_nothing_left_out() -> None:
    with Sampling({Sign.CPU: pid}) as sampling:
        sampling.several(1)
        old = sampling.sampler.pid
        os.kill(old, signal.SIGSTOP)
        sample = sampling.until(lambda sample: sample.readings[Sign.CPU] != Known(old))[-1]
        assert sample.readings[Sign.CPU] == Known(sampling.sampler.pid)


def test_a_reader_that_crashes_its_process_is_left_out() -> None:
    """As a driver's library does."""

    def crash() -> Reading[Any]:
        os.kill(os.getpid(), signal.SIGKILL)
        return Known("survived")

    with Sampling({Sign.CPU: pid, Sign.GPU: crash}) as sampling:
        for sample in sampling.several(3):
            assert sample.readings == {Sign.CPU: Known(sampling.sampler.pid), Sign.GPU: Unknown("timeout")}
        assert sampling.forks == 2


def test_who_ended_can_be_told_and_is_followed() -> None:
    """A loop that reaps its children says so beforehand."""
    with Sampling({Sign.CPU: pid}) as sampling:
        old = sampling.sampler.pid
        os.kill(old, signal.SIGKILL)
        until(lambda: state_of(old) == "Z", "its end")
        sampling.sampler.ended()
        assert (sampling.sampler.pid, state_of(old)) == (0, "")
        assert sampling.sampler.take() == []
        assert sampling.several(1)[-1].readings == {Sign.CPU: Known(sampling.sampler.pid)}


def test_it_can_be_stopped_and_started_again_and_leaves_no_descriptor() -> None:
    sampling = Sampling({Sign.CPU: pid})
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with sampling:
            sampling.several(1)
            child = sampling.sampler.pid
        assert len(os.listdir("/proc/self/fd")) == before
        assert state_of(child) == ""
    sampling.sampler.stop()


def test_the_child_holds_nothing_of_ours(tmp_path: Path) -> None:
    """A lease is held by an open file: a child that hangs must not hold it."""
    with open(tmp_path / "lease", "w") as lease, Sampling({Sign.CPU: pid}) as sampling:
        os.set_inheritable(lease.fileno(), True)
        sampling.several(1)
        folder = f"/proc/{sampling.sampler.pid}/fd"
        held = [os.readlink(f"{folder}/{name}") for name in os.listdir(folder)]
        assert lease.name not in held
        assert len([name for name in held if name != "/dev/null"]) == 2


class Counter:
    """A number in shared memory: how often a reader was asked."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 8)

    def more(self) -> int:
        self._memory[:] = struct.pack("q", self.value + 1)
        return self.value

    @property
    def value(self) -> int:
        return int(struct.unpack("q", self._memory[:])[0])


def parent_of_a_sampler(at_work: Reader) -> tuple[int, int]:
    """A process with a sampler in it; the pids of both."""
    reader, writer = os.pipe()
    parent = os.fork()
    if parent == 0:
        try:
            sampler = Sampler(lambda: {Sign.CPU: at_work}, SHORT_S)
            sampler.start()
            os.write(writer, struct.pack("i", sampler.pid))
            time.sleep(HOUR_S)
        finally:
            os._exit(1)
    os.close(writer)
    (child,) = struct.unpack("i", os.read(reader, 4))
    os.close(reader)
    return parent, child


@pytest.mark.parametrize("hangs", [False, True], ids=["waits", "hangs"])
def test_it_ends_with_its_parent(hangs: bool) -> None:
    """A parent that is killed tells nobody."""
    counter = Counter()

    def at_work() -> Reading[Any]:
        counter.more()
        return hang() if hangs else Known(None)

    parent, child = parent_of_a_sampler(at_work)
    until(lambda: counter.value > 0, "its first reading")
    assert state_of(child) not in ("", "Z")
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    until(lambda: state_of(child) in ("", "Z"), "the child's end")


def test_samples_that_nobody_reads_are_lost_and_hold_up_nothing() -> None:
    """A pipe full of them is all that is kept; the next that are read are whole again."""
    counter = Counter()

    def long() -> Reading[Any]:
        return Known([counter.more(), "x" * 20_000])

    with Sampling({Sign.CPU: long}, 0.0001) as sampling:
        until(lambda: counter.value > 300, "300 samples")
        many = counter.value
        samples = sampling.until(lambda sample: sample.readings[Sign.CPU].value[0] > many)
        old = [sample for sample in samples if sample.readings[Sign.CPU].value[0] <= many]
        assert 1 <= len(old) <= 10
        assert all(len(sample.readings[Sign.CPU].value[1]) == 20_000 for sample in samples)
        assert sampling.forks == 1


def test_a_sample_that_is_too_long_is_left_out() -> None:
    counter = Counter()

    def every_other() -> Reading[Any]:
        number = counter.more()
        return Known([number, "x" * (LONGEST_LINE if number % 2 else 3)])

    with Sampling({Sign.CPU: every_other}) as sampling:
        numbers = [sample.readings[Sign.CPU].value[0] for sample in sampling.several(3)]
    assert numbers == [2, 4, 6]


def test_a_due_time_is_said() -> None:
    """Three periods, and at least five seconds, after the last sample."""
    with Sampling({Sign.CPU: pid}, 7.0) as seldom:
        seldom.several(1)
        assert 15.0 < seldom.sampler.due_in() <= 21.0
    with Sampling({Sign.CPU: pid}) as often:
        assert 1.0 < often.sampler.due_in() <= 5.0


@pytest.mark.parametrize("nonsense", [float("nan"), b"bytes", {1, 2}])
def test_an_answer_that_is_no_json_costs_this_reading_only(nonsense: Any) -> None:
    """The others come, from the same child."""
    with Sampling({Sign.CPU: pid, Sign.GPU: lambda: Known(nonsense)}) as sampling:
        for sample in sampling.several(3):
            assert sample.readings == {Sign.CPU: Known(sampling.sampler.pid), Sign.GPU: Unknown("failed")}
        assert sampling.forks == 1


def test_readers_that_cannot_be_made_are_no_storm_of_children() -> None:
    """One child a period, at most."""
    period = 0.2

    def broken() -> dict[Sign, Reader]:
        raise RuntimeError("a bug of ours")

    forks: list[float] = []
    sampler = Sampler(broken, period, lambda: forks.append(time.monotonic()))
    sampler.start()
    deadline = time.monotonic() + 5 * period
    while time.monotonic() < deadline:
        select.select((sampler,), (), (), max(0.0, min(sampler.due_in(), deadline - time.monotonic())))
        assert sampler.take() == []
    sampler.stop()
    assert 2 <= len(forks) <= 7


def test_who_hung_tries_again() -> None:
    """After a while it is asked again, in another child; here it has come to its senses by then."""
    asked = mmap.mmap(-1, 1)

    def once() -> Reading[Any]:
        asked[0] += 1
        return hang() if asked[0] == 1 else Known("back")

    readers: dict[Sign, Reader] = {Sign.CPU: pid, Sign.GPU: once}
    with Sampling(readers, left_out_s=3.0) as sampling:
        sampling.until(lambda sample: sample.readings[Sign.GPU] == Unknown("timeout"))
        sampling.until(lambda sample: sample.readings[Sign.GPU] == Known("back"))
        assert sampling.forks == 3
