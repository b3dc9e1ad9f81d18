"""What a queue does next, and how it has ended. Pure: from how its runs stand, and nothing else.

A queue starts its runs in their order. Runs of one job file form a group: of them `limit` may go on at a
time, and a group begins when the one before it is over.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from launcher.guard.model import Failed, Interrupted, Outcome, Refused, Succeeded

if TYPE_CHECKING:
    from collections.abc import Sequence


class Stands(str, Enum):
    """How far a run of a queue has come. The values are in documents."""

    WAITING = "waiting"
    STARTING = "starting"
    RUNNING = "running"
    ENDED = "ended"
    NOT_STARTED = "not-started"


GOES_ON = (Stands.STARTING, Stands.RUNNING)


@dataclass(frozen=True, slots=True)
class Place:
    """One run of a queue, in short.

    `exit_code` is there when it has ended. `begun`: something of it was really started; `by_person`: a person
    has ended it.
    """

    group: int
    limit: int
    stands: Stands = Stands.WAITING
    exit_code: int | None = None
    begun: bool = False
    by_person: bool = False

    @property
    def failed(self) -> bool:
        """Has it ended, and not well?"""
        return self.stands is Stands.ENDED and self.exit_code != 0


@dataclass(frozen=True, slots=True)
class NothingStarted(Refused):
    """Not one run of a queue could be started; `exit_code` is that of the first."""

    exit_code: int


def to_start(places: Sequence[Place], *, keep_going: bool, stopped: bool) -> tuple[int, ...]:
    """The runs to start now, in their order."""
    if stopped or (not keep_going and any(place.failed for place in places)):
        return ()
    going = [place for place in places if place.stands in GOES_ON]
    left = [number for number, place in enumerate(places) if place.stands is Stands.WAITING]
    if not left:
        return ()
    group, limit = places[left[0]].group, places[left[0]].limit
    if any(place.group != group for place in going):
        return ()
    room = max(0, limit - len(going))
    return tuple(number for number in left if places[number].group == group)[:room]


def is_over(places: Sequence[Place], *, keep_going: bool, stopped: bool) -> bool:
    """Does nothing go on, and nothing follow?"""
    if any(place.stands in GOES_ON for place in places):
        return False
    return not to_start(places, keep_going=keep_going, stopped=stopped)


def outcome(places: Sequence[Place], *, keep_going: bool, stopped_by: int | None) -> Outcome:
    """How a queue that is over has ended. `stopped_by` is the signal of a person who stopped it."""
    if stopped_by is not None:
        return Interrupted(stopped_by)
    first = next((place for place in places if place.failed), None)
    if first is None:
        return Succeeded()
    code = first.exit_code or 0
    if not any(place.begun for place in places):
        return NothingStarted(code)
    if first.by_person and not keep_going:
        return Interrupted(signal.SIGTERM if code == 128 + signal.SIGTERM else signal.SIGINT)
    return Failed(code)


def at_once(gpus: int | None, each: int, asked: int | None) -> int:
    """How many runs of a matrix go on at a time: as asked, else as many as have GPUs of their own.

    `gpus` are those of this runtime (None: not known), `each` those that one run needs.
    """
    if asked is not None:
        return asked
    return max(1, (gpus or 0) // each) if each else 1
