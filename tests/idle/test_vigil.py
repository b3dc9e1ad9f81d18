"""What a vigil makes of samples: a row for every signal, and never less life than there was."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from helpers.idle_series import moment
from launcher.idle.model import Active, Because, IdleSince, Life, Moment, Policy, Row, Sample, Sign, Table
from launcher.idle.vigil import Vigil
from launcher.values import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.values import Reading

POLICY = Policy(window_s=600, period_s=60)


class Told:
    """A signal whose readings are its answers: a number is a last life, "none", "raise"; unknown stays so."""

    def __init__(self, sign: Sign, counts: str = "") -> None:
        self.sign, self.counts = sign, counts
        self.asked: list[tuple[Reading[Any], Moment]] = []

    def take(self, reading: Reading[Any], moment: Moment) -> Reading[Life] | None:
        self.asked.append((reading, moment))
        if isinstance(reading, Unknown):
            return reading
        if reading.value == "raise":
            raise ZeroDivisionError
        return None if reading.value == "none" else Known(Life(reading.value, f"saw {reading.value}"))


class Stubborn(Told):
    """A signal that says the same whatever was read."""

    def take(self, reading: Reading[Any], moment: Moment) -> Reading[Life] | None:
        return super().take(Known(0), moment)


def sample(at: float, readings: Mapping[Sign, Any]) -> Sample:
    taken = {sign: one if isinstance(one, Unknown) else Known(one) for sign, one in readings.items()}
    return Sample(moment(at), taken)


def row(vigil: Vigil, sign: Sign) -> Reading[Life] | None:
    return next((row.reading for row in vigil.table().rows if row.sign is sign), None)


def test_silence_for_a_window_is_idle() -> None:
    """Sample by sample, with the moment at which it will be."""
    vigil = Vigil(POLICY, [Told(Sign.GPU), Told(Sign.CPU)])
    found = [vigil.take(sample(at, {Sign.GPU: 0, Sign.CPU: min(at, 120)})) for at in range(0, 721, 60)]
    assert found[-1] == IdleSince(120, 600)
    assert found[-2] == Active(Because.ALIVE, (Sign.CPU,), 120, 720, 600)
    assert not any(isinstance(one, IdleSince) for one in found[:-1])


def test_every_signal_is_asked_with_its_own_reading() -> None:
    """Known or unknown, with the moment; readings that nobody wants are nobody's."""
    gpu, cpu = Told(Sign.GPU), Told(Sign.CPU)
    vigil = Vigil(POLICY, [gpu, cpu])
    vigil.take(sample(5, {Sign.CPU: 3, Sign.GPU: Unknown("timeout"), Sign.DISK: 5}))
    assert gpu.asked == [(Unknown("timeout"), moment(5))]
    assert cpu.asked == [(Known(3), moment(5))]
    assert [one.sign for one in vigil.table().rows] == [Sign.GPU, Sign.CPU]
    assert row(vigil, Sign.GPU) == Unknown("timeout")


@pytest.mark.parametrize("kind", [Told, Stubborn])
def test_a_sign_that_was_not_read_is_unknown(kind: type[Told]) -> None:
    """Whatever its signal says; it is told that there was a gap."""
    signal = kind(Sign.GPU)
    vigil = Vigil(POLICY, [signal, Told(Sign.CPU)])
    for at in range(0, 1201, 60):
        found = vigil.take(sample(at, {Sign.CPU: 0}))
    assert found == Active(Because.UNKNOWN, (Sign.GPU,), None, None, 600)
    assert row(vigil, Sign.GPU) == Unknown("not-read")
    assert len(signal.asked) == 21


def test_the_signal_is_told_what_was_not_read() -> None:
    """So that it can count the gap as alive."""
    signal = Told(Sign.GPU)
    Vigil(POLICY, [signal]).take(sample(0, {}))
    assert signal.asked == [(Unknown("not-read"), moment(0))]


def test_a_signal_that_raises_was_alive_then() -> None:
    """A bug of ours costs a later release: unknown while it fails, and alive until the last time."""
    vigil = Vigil(POLICY, [Told(Sign.GPU)])
    vigil.take(sample(0, {Sign.GPU: 0}))
    assert vigil.take(sample(60, {Sign.GPU: "raise"})) == Active(Because.UNKNOWN, (Sign.GPU,), window_s=600)
    assert row(vigil, Sign.GPU) == Unknown("failed")
    # What it says afterwards may rest on a state that was left half done.
    for at in range(120, 661, 60):
        found = vigil.take(sample(at, {Sign.GPU: 0}))
    assert row(vigil, Sign.GPU) == Known(Life(60, "saw 0"))
    assert found == IdleSince(60, 600)


def test_a_signal_that_fails_from_the_start_and_then_says_nothing() -> None:
    """Its failure is remembered although there never was a life."""
    vigil = Vigil(POLICY, [Told(Sign.GPU), Told(Sign.CPU)])
    vigil.take(sample(0, {Sign.GPU: 0, Sign.CPU: 0}))
    vigil.take(sample(60, {Sign.GPU: "raise", Sign.CPU: 0}))
    vigil.take(sample(120, {Sign.GPU: "none", Sign.CPU: 0}))
    assert row(vigil, Sign.GPU) == Known(Life(60, "saw 0"))


def test_a_life_is_never_taken_back() -> None:
    """Neither by a signal that says less than before, nor by hardware that goes."""
    vigil = Vigil(POLICY, [Told(Sign.GPU), Told(Sign.CPU)])
    vigil.take(sample(0, {Sign.GPU: 0, Sign.CPU: 0}))
    vigil.take(sample(300, {Sign.GPU: 300, Sign.CPU: 0}))
    vigil.take(sample(360, {Sign.GPU: 10, Sign.CPU: 0}))
    assert row(vigil, Sign.GPU) == Known(Life(300, "saw 10"))
    vigil.take(sample(420, {Sign.GPU: "none", Sign.CPU: 0}))
    assert row(vigil, Sign.GPU) == Known(Life(300, "saw 10"))


def test_a_signal_may_make_good_for_what_was_unknown() -> None:
    """A total that did not grow over the whole gap says that nothing was alive in it."""
    vigil = Vigil(POLICY, [Told(Sign.GPU)])
    for reading, at in ((0, 0), (Unknown("timeout"), 60), (0, 120)):
        vigil.take(sample(at, {Sign.GPU: reading}))
    assert row(vigil, Sign.GPU) == Known(Life(0, "saw 0"))


def test_absent_hardware_has_no_row() -> None:
    """It neither keeps the machine up nor is shown."""
    vigil = Vigil(POLICY, [Told(Sign.GPU), Told(Sign.CPU)])
    for at in range(0, 601, 60):
        found = vigil.take(sample(at, {Sign.GPU: "none", Sign.CPU: 0}))
    assert found == IdleSince(0, 600)
    assert row(vigil, Sign.GPU) is None


def test_a_sample_that_is_not_later_is_ignored() -> None:
    """No signal sees time go back."""
    signal = Told(Sign.GPU)
    vigil = Vigil(POLICY, [signal])
    found = vigil.take(sample(60, {Sign.GPU: 60}))
    for at in (60, 59):
        assert vigil.take(sample(at, {Sign.GPU: "raise"})) == found
    assert len(signal.asked) == 1


def test_the_table_has_the_order_of_signs_and_what_counts() -> None:
    """Rows as `watch --why` shows them, with the standing of the last sample."""
    vigil = Vigil(POLICY, [Told(Sign.RUNS, "a run"), Told(Sign.GPU, "any work"), Told(Sign.OUTPUT, "a line")])
    stands = vigil.take(sample(60, {Sign.RUNS: 20, Sign.OUTPUT: "none", Sign.GPU: 50}))
    assert vigil.table() == Table(
        moment(60),
        stands,
        (
            Row(Sign.GPU, Known(Life(50, "saw 50")), "any work"),
            Row(Sign.RUNS, Known(Life(20, "saw 20")), "a run"),
        ),
    )
    assert isinstance(stands, Active) and stands.which == (Sign.GPU, Sign.RUNS)


def test_the_table_before_the_first_sample() -> None:
    """Nothing was read yet: every sign is unknown, and nothing is idle."""
    table = Vigil(POLICY, [Told(Sign.GPU, "any work")]).table()
    assert table.standing == Active(Because.NOT_COVERED, window_s=600)
    assert table.rows == (Row(Sign.GPU, Unknown("not-read"), "any work"),)


def test_one_signal_for_a_sign() -> None:
    """The second would hide what the first sees."""
    with pytest.raises(ValueError, match="two signals"):
        Vigil(POLICY, [Told(Sign.GPU), Told(Sign.GPU)])


def test_a_vigil_takes_over_from_another() -> None:
    """What was learnt and armed stays; that nobody looked meanwhile restarts the window."""
    policy = replace(POLICY, armed_by=frozenset({Sign.GPU}), adapts=True)
    first = Vigil(policy, [Told(Sign.GPU)])
    for at, last in ((0, 0), (60, 60), (120, 60), (180, 60), *((at, at) for at in range(240, 601, 60))):
        first.take(sample(at, {Sign.GPU: last}))
    second = Vigil(policy, [Told(Sign.GPU)], first.memory)
    found = [second.take(sample(at, {Sign.GPU: 600})) for at in range(800, 1400, 60)]
    assert found[-1] == Active(Because.RESTARTED, (), 800, 1400, 600)
    assert second.take(sample(1400, {Sign.GPU: 600})) == IdleSince(800, 600)
    assert second.memory.longest_s == 180
