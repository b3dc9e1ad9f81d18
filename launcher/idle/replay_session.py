"""A session: what is known of GPUs over a while, for replaying a policy. Pure data, and remarks on lines."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, pairwise
from typing import TYPE_CHECKING

from launcher.values import Known, Unknown
from launcher.words import Text, counted, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from launcher.values import Reading

# What is wrong with a file is told so often, then only counted.
TOLD = 3
NOTHING = Unknown("missing")


class BadRecording(ValueError):
    """Nothing can be replayed from it. `line` is 1 for the first one; `said` is where and what is wrong."""

    def __init__(self, line: int, what: Text, advised: Text) -> None:
        self.line, self.advised = line, advised
        self.said = words("line {line}: {problem}", line=line, problem=what)
        super().__init__(str(self.said))


@dataclass(frozen=True, slots=True)
class Tick:
    """Percent of each GPU at `at` (seconds since the session's first tick), or why it is not known."""

    at: float
    use: tuple[Reading[float], ...]


@dataclass(frozen=True, slots=True)
class Session:
    """One series of ticks, at least one. All times are seconds since the first.

    It is known up to `end`; `censored` says that the session itself went on, nobody knows how.
    """

    name: str
    ticks: tuple[Tick, ...]
    end: float
    gpus: int
    censored: bool

    @property
    def period_s(self) -> float:
        """The usual time between two ticks; 0 where there is only one."""
        return usual_gap(tick.at for tick in self.ticks)

    @property
    def ends(self) -> Iterator[tuple[Tick, float]]:
        """Each tick, and until when it holds."""
        later = chain((tick.at for tick in self.ticks[1:]), (max(self.end, self.ticks[-1].at),))
        return zip(self.ticks, later, strict=True)


@dataclass(frozen=True, slots=True)
class Recording:
    """What a file holds. `remarks` are what had to be left out, and what to do about it."""

    kind: str
    sessions: tuple[Session, ...]
    remarks: tuple[Text, ...] = ()


class Remarks:
    """What is said about lines; of one kind only the first ones, and how many more there are."""

    def __init__(self) -> None:
        self._told: list[Text] = []
        self._more: dict[str, int] = {}

    def add(self, line: int, template: str, what: Text) -> None:
        """`template` is the kind."""
        count = self._more[template] = self._more.get(template, 0) + 1
        if count <= TOLD:
            self._told.append(words("line {line}: {problem}", line=line, problem=what))

    def all(self) -> tuple[Text, ...]:
        """Everything that is to be said."""
        more = sum(max(0, count - TOLD) for count in self._more.values())
        left = (counted("{count} more line like these", "{count} more lines like these", more),)
        return (*self._told, *(left if more else ()))


def usual_gap(moments: Iterable[float]) -> float:
    """The median of the times between them; 0 for fewer than two."""
    gaps = sorted(later - at for at, later in pairwise(moments))
    return gaps[len(gaps) // 2] if gaps else 0.0


def percent(value: object) -> Reading[float]:
    """A utilisation, or Unknown("nonsense") for what cannot be one."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 100:
        return Known(float(value))
    return NOTHING if value is None else Unknown("nonsense")


def session_of(name: str, number: int, ticks: list[Tick]) -> Session:
    """A session whose recording ended before it did. A GPU that a tick does not have is unknown there."""
    gpus = max(len(tick.use) for tick in ticks)
    filled = (Tick(tick.at, tick.use + (NOTHING,) * (gpus - len(tick.use))) for tick in ticks)
    return Session(f"{name}#{number + 1}" if number else name, tuple(filled), ticks[-1].at, gpus, True)


def is_cut(line: str) -> bool:
    """Without its end: what it says may be half of what was written."""
    return not line.endswith(("\n", "\r"))


def cut_off(line: int, remarks: Remarks) -> None:
    """The last line is half a line."""
    remarks.add(line, "cut", words("the file is cut off here; it is read up to this line"))
