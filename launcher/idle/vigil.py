"""Watches over samples as they come: asks every signal, and keeps the decision up to date. Pure.

What can keep something alive is never forgotten here, whatever a signal does: the last moment of a sign
does not go back, and a signal that fails was alive until then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.idle.decide import ORDER, Memory, standing, step
from launcher.idle.model import Life, Look, Moment, Row, Table
from launcher.values import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from launcher.idle.interface import Signal
    from launcher.idle.model import Policy, Sample, Sign, Standing
    from launcher.values import Reading

NOT_READ = Unknown("not-read")
FAILED = Unknown("failed")


class Vigil:
    """Folds samples into a standing. At most one signal for a sign: ValueError otherwise.

    `memory` is that of another vigil with the same policy, which this one takes over from.
    """

    def __init__(self, policy: Policy, signals: Iterable[Signal], memory: Memory | None = None) -> None:
        self.policy, self.memory = policy, memory or Memory()
        self._signals = sorted(signals, key=lambda signal: ORDER[signal.sign])
        if len({signal.sign for signal in self._signals}) != len(self._signals):
            raise ValueError("two signals for one sign")
        # What nobody may go back behind: the newest life of a sign, or when its signal failed.
        self._newest: dict[Sign, Life] = {}

    def take(self, sample: Sample) -> Standing:
        """How things stand after this sample; one that is not later than the one before is ignored."""
        before = self.memory.look
        if before is None or sample.moment.at > before.moment.at:
            rows = {signal.sign: self._judged(signal, sample) for signal in self._signals}
            lives = {sign: row for sign, row in rows.items() if row is not None}
            self.memory = step(self.memory, Look(sample.moment, lives), self.policy)
        return standing(self.memory, self.policy)

    def _judged(self, signal: Signal, sample: Sample) -> Reading[Life] | None:
        at, newest = sample.moment.at, self._newest.get(signal.sign)
        reading = sample.readings.get(signal.sign, NOT_READ)
        try:
            judged = signal.take(reading, sample.moment)
        except Exception:  # A bug of ours: it must cost a later release, never an early one.
            self._newest[signal.sign] = Life(at, newest.detail if newest else "")
            return FAILED
        if signal.sign not in sample.readings:
            return NOT_READ
        if isinstance(judged, Known):
            life = judged.value
            if newest is not None and newest.last_alive > life.last_alive:
                life = Life(newest.last_alive, life.detail)
            self._newest[signal.sign] = life
            return Known(life)
        # What has gone was alive when it was.
        return Known(newest) if judged is None and newest is not None else judged

    def table(self) -> Table:
        """Every signal's part in how things stand; before the first sample none was read, at moment 0."""
        look = self.memory.look or Look(
            Moment(0.0, 0.0, 0.0), {signal.sign: NOT_READ for signal in self._signals}
        )
        rows = tuple(
            Row(signal.sign, look.lives[signal.sign], signal.counts)
            for signal in self._signals
            if signal.sign in look.lives
        )
        return Table(look.moment, standing(self.memory, self.policy), rows)
