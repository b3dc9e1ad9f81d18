"""`keep`, HOLD files and runs at work as signs of life, and what all signals of times promise."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.life import EPOCH, known, last_alive, moment
from launcher.idle.model import Moment, Sign
from launcher.idle.signals.files import FilesSignal
from launcher.idle.signals.kernels import KernelsSignal
from launcher.idle.signals.marks import BeatSignal, KeepSignal, RunsSignal
from launcher.idle.signals.output import OutputSignal
from launcher.idle.signals.terminals import TerminalsSignal
from launcher.values import Known, Unknown

NOT_KEPT = {"left_s": None, "path": None}


def test_kept_is_alive_now() -> None:
    """As long as it lasts, and until it was seen to be over."""
    signal = KeepSignal()
    assert known(signal, NOT_KEPT, 1.0) is None
    assert last_alive(signal, {"left_s": 30.0, "path": None}, 20.0) == 20.0
    assert last_alive(signal, {"left_s": None, "path": "/content/HOLD"}, 40.0) == 40.0
    assert last_alive(signal, NOT_KEPT, 60.0) == 60.0
    assert last_alive(signal, NOT_KEPT, 80.0) == 60.0
    assert last_alive(signal, {"left_s": 0.0, "path": None}, 90.0) == 60.0


def test_it_says_what_keeps() -> None:
    """For how long, or the file."""
    kept = known(KeepSignal(), {"left_s": 90.0, "path": None}, 1.0)
    held = known(KeepSignal(), {"left_s": 90.0, "path": "/content/HOLD"}, 1.0)
    assert kept is not None
    assert held is not None
    assert (str(kept.detail), str(held.detail)) == ("kept for 1 m 30 s", "held by /content/HOLD")


def test_a_run_at_work_is_alive_now() -> None:
    """One or several; when it has ended, its end is when that was seen."""
    signal, run = RunsSignal(), {"run_id": "20261122-1", "name": "finetune"}
    assert known(signal, [], 1.0) is None
    one = known(signal, [run], 20.0)
    assert one is not None
    assert (one.last_alive, str(one.detail)) == (20.0, "finetune (20261122-1)")
    two = known(signal, [run, run], 40.0)
    assert two is not None
    assert (two.last_alive, str(two.detail)) == (40.0, "2 runs")
    assert last_alive(signal, [], 60.0) == 60.0
    assert last_alive(signal, [], 80.0) == 60.0


@pytest.mark.parametrize(("signal", "quiet"), [(KeepSignal(), NOT_KEPT), (RunsSignal(), [])])
def test_what_could_not_be_read_counts_as_alive(signal: Any, quiet: Any) -> None:
    """Nobody tells afterwards what was kept, or ran, while nobody could look."""
    assert known(signal, quiet, 1.0) is None
    assert signal.take(Unknown("timeout"), moment(20.0)) == Unknown("timeout")
    assert last_alive(signal, quiet, 40.0) == 20.0


def test_a_beat_of_the_future_is_now() -> None:
    """A clock that was set back: later, never earlier."""
    signal = BeatSignal()
    assert last_alive(signal, {"beat": EPOCH + 500.0}, 100.0) == 100.0
    assert last_alive(signal, {"beat": EPOCH + 60.0}, 200.0) == 100.0


def test_a_beat_of_the_future_is_now_once() -> None:
    """A clock that was set back by six hours keeps nothing alive for six hours; what changes is alive."""
    signal = BeatSignal()
    assert last_alive(signal, {"beat": EPOCH + 6 * 3600}, 100.0) == 100.0
    assert last_alive(signal, {"beat": EPOCH + 6 * 3600}, 200.0) == 100.0
    assert last_alive(signal, {"beat": EPOCH + 6 * 3600 + 1}, 300.0) == 300.0
    assert last_alive(signal, {"beat": EPOCH + 350}, 400.0) == 350.0
    assert last_alive(signal, {"beat": EPOCH + 6 * 3600 + 1}, 500.0) == 350.0
    assert last_alive(signal, {"beat": EPOCH + 550}, 500.0) == 500.0
    assert last_alive(signal, {"beat": EPOCH + 550}, 520.0) == 520.0
    assert last_alive(signal, {"beat": EPOCH + 550}, 600.0) == 550.0


def test_the_same_time_does_not_wander_with_the_clock() -> None:
    """The clock is being corrected: what was alive once is not alive again by that."""
    signal = BeatSignal()
    assert last_alive(signal, {"beat": EPOCH + 50.0}, 100.0) == 50.0
    said = signal.take(Known({"beat": EPOCH + 50.0}), Moment(200.0, 200.0, EPOCH + 198.0))
    assert isinstance(said, Known)
    assert said.value.last_alive == 50.0


# --- all of them ----------------------------------------------------------------------------------

SIGNALS = (
    OutputSignal,
    FilesSignal,
    KernelsSignal,
    TerminalsSignal,
    BeatSignal,
    KeepSignal,
    RunsSignal,
)
# Near the times that a series has, so that they mean something now and then.
TIMES = st.one_of(st.none(), st.floats(EPOCH - 1000, EPOCH + 1000))
NAMES = st.sampled_from(["a", "b", ""])
STATES = st.sampled_from(["busy", "idle", "starting", None])
KERNELS = st.lists(
    st.fixed_dictionaries(
        {"id": NAMES, "name": NAMES, "server": NAMES, "state": STATES, "last_activity": TIMES}
    )
)
READINGS = st.one_of(
    st.builds(Unknown, st.just("timeout")),
    st.builds(
        Known,
        st.one_of(
            st.fixed_dictionaries({"size": st.integers(0, 3), "written": TIMES}),
            st.fixed_dictionaries({"newest": TIMES, "path": NAMES, "cycles": st.integers(0, 2)}),
            st.fixed_dictionaries(
                {
                    "kernels": KERNELS,
                    "unread": st.lists(st.fixed_dictionaries({"server": NAMES, "reason": NAMES})),
                }
            ),
            st.lists(st.fixed_dictionaries({"tty": NAMES, "keyed": TIMES, "command": NAMES})),
            st.fixed_dictionaries({"beat": TIMES}),
            st.fixed_dictionaries({"left_s": st.one_of(st.none(), st.floats(-5, 50)), "path": st.none()}),
            st.lists(st.fixed_dictionaries({"run_id": NAMES, "name": NAMES})),
            st.recursive(
                st.one_of(st.none(), st.booleans(), st.floats(), st.text(max_size=3)),
                lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(NAMES, inner)),
                max_leaves=4,
            ),
        ),
    ),
)


@pytest.mark.parametrize("kind", SIGNALS)
@given(readings=st.lists(READINGS, max_size=8))
def test_life_never_goes_back(kind: Any, readings: list[Any]) -> None:
    """Whatever is read, sense or not: no error, never later than now, and never earlier than once said."""
    signal, newest = kind(), None
    for count, reading in enumerate(readings):
        now = moment(count * 100.0)
        said = signal.take(reading, now)
        if isinstance(said, Known):
            assert said.value.last_alive <= now.at
            assert newest is None or said.value.last_alive >= newest
            newest = said.value.last_alive
            str(said.value.detail)
        elif said is None:
            assert newest is None
        elif isinstance(reading, Unknown):
            assert said == reading


def test_each_has_its_sign_and_says_what_counts() -> None:
    """`watch --why` has a row for each."""
    signs = [kind().sign for kind in SIGNALS]
    assert signs == [
        Sign.OUTPUT,
        Sign.FILES,
        Sign.KERNELS,
        Sign.TERMINALS,
        Sign.BEAT,
        Sign.KEEP,
        Sign.RUNS,
    ]
    assert all(str(kind().counts) for kind in SIGNALS)
