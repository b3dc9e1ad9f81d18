"""Terminals: somebody types."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from launcher.idle.model import Sign
from launcher.idle.signals.newest import NONSENSE, Newest, number, text
from launcher.values import Reading, Unknown
from launcher.words import spelled, words

if TYPE_CHECKING:
    from launcher.idle.model import Life, Moment
    from launcher.words import Text

# Linux notes one keystroke in each of these parts of the clock: what comes later in it leaves no trace.
STEP_S = 8.0


class TerminalsSignal:
    """Alive when the newest keystroke may have been, at the latest; and when a terminal went away."""

    def __init__(self) -> None:
        self._newest = Newest()
        self._open: frozenset[str] = frozenset()

    @property
    def sign(self) -> Sign:
        """Whose readings it wants."""
        return Sign.TERMINALS

    @property
    def counts(self) -> Text:
        """What counts as life."""
        return words("any keystroke (seen in steps of {time})", time=spelled(STEP_S))

    def take(self, reading: Reading[Any], moment: Moment) -> Reading[Life] | None:
        """What is known after this reading, see `terminals_reader`."""
        try:
            rows = [] if isinstance(reading, Unknown) else [_row(entry) for entry in reading.value]
        except (KeyError, TypeError, ValueError):
            reading = Unknown(NONSENSE)
        if isinstance(reading, Unknown):
            self._newest.unknown(moment)
            return reading
        # Of a terminal that came and went meanwhile nothing is left.
        self._newest.known(made_good=False)
        if rows:
            ends = ((math.floor(keyed / STEP_S) + 1) * STEP_S for _, keyed, _ in rows)
            self._newest.alive_at_epoch(*ends, moment=moment)
        there = frozenset(tty for tty, _, _ in rows)
        if self._open - there:
            self._newest.alive(
                moment.at
            )  # Nobody can tell any more what was typed there since the last look.
        self._open = there
        return self._newest.life(_shown(rows))


def _row(entry: dict[str, Any]) -> tuple[str, float, str]:
    """Raises KeyError, TypeError and ValueError for what is none."""
    return text(entry["tty"]), number(entry["keyed"]), text(entry["command"])


def _shown(rows: list[tuple[str, float, str]]) -> Text:
    if not rows:
        return words("no terminal is open")
    tty, _, command = max(rows, key=lambda row: row[1])
    return words("typed at {terminal} ({command})", terminal=tty, command=command or "?")
