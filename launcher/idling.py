"""Waiting until nothing on this machine shows life, and noticing when something does again."""

from __future__ import annotations

import select
from contextlib import suppress
from typing import TYPE_CHECKING

from launcher.idle.model import SIGNS, Active, Because, IdleSince, Table
from launcher.idle.sampler import Sampler
from launcher.idle.vigil import Vigil
from launcher.words import listed, words

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from launcher.clock import Clock
    from launcher.idle.model import Policy, Sample, Standing
    from launcher.life import Sources
    from launcher.words import Text

    class Inbox(Protocol):
        """What the wait needs of a desk."""

        def fileno(self) -> int:
            """Readable when something was asked."""

        def take_stop(self) -> int | None:
            """A new press of stop, if there was one."""


IDLE, STOPPED = "idle", "stopped"
# What is known of a machine that has not been looked at for so many periods is nothing.
STALE_PERIODS = 4
STALE_S = 2.0
# However short the periods, whoever waits looks at the rest of the world this often.
LOOK_S = 15.0


class Idling:
    """One wait, which may be taken up again. Starts its sampler's child; `close` ends it.

    `seen(sample)` is told every sample, before it is judged.
    """

    def __init__(
        self,
        sources: Sources,
        policy: Policy,
        clock: Clock,
        seen: Callable[[Sample], None] = lambda sample: None,
    ) -> None:
        self.policy, self._clock, self._seen = policy, clock, seen
        self._vigil = Vigil(policy, sources.signals)
        self._sampler = Sampler(sources.readers, policy.period_s)
        self._standing: Standing | None = None
        self._last: Sample | None = None
        # Somebody has to see the first sample; where no child can be made, that is tried again.
        with suppress(OSError):
            self._sampler.start()

    def wait(self, inbox: Inbox, over: Callable[[], str] = lambda: "") -> str:
        """IDLE, STOPPED (a press of stop), or what `over()` says, which is asked at every look."""
        while True:
            self.hear()
            if self.idle:
                return IDLE
            if inbox.take_stop() is not None:
                return STOPPED
            if why := over():
                return why
            self._sleep(inbox)

    def _sleep(self, inbox: Inbox) -> None:
        descriptors = [inbox.fileno(), *([self._sampler.fileno()] if self._sampler.pid else [])]
        longest = min(LOOK_S, max(self._sampler.due_in(), self.policy.period_s))
        select.select(descriptors, (), (), longest)

    def hear(self) -> None:
        """Judge the samples that have come. For loops that do not `wait`: call it once a period or so."""
        with suppress(OSError):  # No process can be made just now: nothing is known.
            for sample in self._sampler.take():
                self._seen(sample)
                self._standing = self._vigil.take(sample)
                self._last = sample

    @property
    def _stale(self) -> bool:
        return not is_fresh(self._last, self._clock.monotonic(), self.policy.period_s)

    @property
    def idle(self) -> bool:
        """Has nothing shown life for the whole window, as of a look that is not old?"""
        return isinstance(self._standing, IdleSince) and not self._stale

    def awake(self) -> Text:
        """For a release that has begun: why it is not idle any more; empty while it is."""
        self.hear()
        if self.idle:
            return ""
        if self._standing is None or self._stale:
            return words("nothing is known of this machine just now")
        if isinstance(self._standing, IdleSince):
            return ""
        return said_of(self._standing)

    @property
    def standing(self) -> Standing | None:
        """The last decision; None before the first."""
        return self._standing

    @property
    def table(self) -> Table | None:
        """Every signal's part in it; None before the first sample."""
        return None if self._standing is None else self._vigil.table()

    def close(self) -> None:
        """End the sampler's child."""
        self._sampler.stop()


def is_fresh(sample: Sample | None, now: float, period_s: float) -> bool:
    """Does it say anything about this moment (CLOCK_MONOTONIC)? Who was suspended finds old ones."""
    return sample is not None and now - sample.moment.at <= max(STALE_S, STALE_PERIODS * period_s)


def said_of(standing: Active) -> Text:
    """Why something is not idle, in one sentence."""
    names = listed(SIGNS[sign.value] for sign in standing.which)
    if standing.because is Because.ALIVE:
        return words("something shows life: {signs}", signs=names)
    if standing.because is Because.UNKNOWN:
        return words("it cannot be told whether something is alive: {signs}", signs=names)
    if standing.because is Because.RESTARTED:
        return words("the machine was suspended, or its clock was set")
    return words("it has not been watched for long enough")


def idle_document(idling: Idling) -> dict[str, object]:
    """For `ps --json`: how the wait stands."""
    standing = idling.standing
    now = idling.table.moment.at if idling.table is not None else 0.0
    if standing is None:
        standing = Active(Because.NOT_COVERED)
    if isinstance(standing, IdleSince):
        return {
            "standing": "idle",
            "because": None,
            "which": [],
            "quiet_s": round(now - standing.at, 1),
            "idle_in_s": 0.0,
        }
    quiet, due = standing.quiet_since, standing.idle_at
    return {
        "standing": "active",
        "because": standing.because.value,
        "which": [sign.value for sign in standing.which],
        "quiet_s": None if quiet is None else round(max(0.0, now - quiet), 1),
        "idle_in_s": None if due is None else round(max(0.0, due - now), 1),
    }
