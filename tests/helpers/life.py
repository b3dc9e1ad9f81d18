"""Moments for signals, and what they said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher.idle.model import Life, Moment
from launcher.values import Known

if TYPE_CHECKING:
    from launcher.idle.interface import Signal

# The epoch where CLOCK_MONOTONIC begins, in moments that are made up.
EPOCH = 1_700_000_000.0


def moment(at: float) -> Moment:
    """A made-up moment, on a machine that was never suspended."""
    return Moment(at, at, EPOCH + at)


def known(signal: Signal, value: Any, at: float) -> Life | None:
    """What the signal knows after this reading at this made-up moment; it must not be unknown."""
    said = signal.take(Known(value), moment(at))
    if said is None:
        return None
    assert isinstance(said, Known), said
    return said.value


def last_alive(signal: Signal, value: Any, at: float) -> float:
    """The same, in seconds."""
    life = known(signal, value, at)
    assert life is not None
    return life.last_alive
