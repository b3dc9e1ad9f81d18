"""When which outputs are saved while the job runs. Pure.

Each output with `every` in its own rhythm, which counts from the end of one save to the beginning of the
next; all of them once more before a known end: `max_duration`, or the age at which the platform takes a
runtime away.
"""

from __future__ import annotations

from dataclasses import dataclass, field

# A last save begins so long before an end, or twice as long before it as saves have taken.
LAST_SAVE_S = 120.0
# Not within the first half of the time that was left when we began to look.
NOT_BEFORE = 0.5


@dataclass(slots=True)
class Schedule:
    """`every` is seconds for each output, None for one that is only saved before an end.

    `ends` are moments when the job will be stopped, `walls` when the whole runtime is taken away, all on the
    caller's monotonic clock, as `now` is.
    """

    every: tuple[float | None, ...]
    ends: tuple[float, ...]
    walls: tuple[float, ...]
    now: float
    again: bool = False
    _next: dict[int, float] = field(default_factory=dict)
    _began: float = 0.0
    _longest: float = 0.0
    _done: set[float] = field(default_factory=set)

    def __post_init__(self) -> None:
        # After a takeover the save that was under way is begun anew at once.
        self._next = {
            number: self.now if self.again else self.now + every
            for number, every in enumerate(self.every)
            if every is not None
        }
        self._began = self.now
        self._done = {end for end in (*self.ends, *self.walls) if end <= self.now}

    def next_at(self) -> float | None:
        """The next moment at which something is due; None: never."""
        moments = [*self._next.values(), *(self._last_save(end) for end in self._ahead())]
        return min(moments, default=None)

    def due(self, now: float) -> tuple[int, ...]:
        """The outputs that are to be saved now, by number."""
        numbers = {number for number, at in self._next.items() if at <= now}
        for end in self._ahead():
            if self._last_save(end) <= now:
                # After a limit of the job everything is saved anyway; a wall leaves no afterwards.
                numbers |= set(range(len(self.every)) if end in self.walls else self._next)
        return tuple(sorted(numbers))

    def before_wall(self, now: float) -> bool:
        """Is one of them due because the runtime will be taken away?"""
        return any(wall not in self._done and self._last_save(wall) <= now for wall in self.walls)

    def began(self, now: float) -> None:
        """What was due is being saved: the ends that made it due do not make it due again."""
        self._done |= {end for end in self._ahead() if self._last_save(end) <= now}

    def ended(self, numbers: tuple[int, ...], now: float, took: float) -> None:
        """These were saved, or could not be."""
        self._longest = max(self._longest, took)
        for number in numbers:
            every = self.every[number]
            if every is not None:
                self._next[number] = now + every

    def _ahead(self) -> list[float]:
        return [end for end in (*self.ends, *self.walls) if end not in self._done]

    def _last_save(self, end: float) -> float:
        early = end - max(LAST_SAVE_S, 2.0 * self._longest)
        return max(early, self._began + NOT_BEFORE * (end - self._began))
