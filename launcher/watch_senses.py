"""What a watch sees: its wait for idleness, what it has caused itself, and the recording of every sample."""

from __future__ import annotations

import errno
import os
import time
from typing import TYPE_CHECKING

from launcher.idle.model import Active, Because, IdleSince, Sign
from launcher.idling import Idling, idle_document, said_of
from launcher.release.marks import boottime
from launcher.values import Known

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.clock import Clock
    from launcher.guard.desk import Desk
    from launcher.idle.model import Policy, Sample, Standing, Table
    from launcher.life import Sources
    from launcher.words import Text

# Why a wait is over although something may be alive: there is a limit.
LIMIT = "limit"
# What copying results and flushing Drive looks like from outside. Our processor time is not counted anyway,
# and who writes into an output meanwhile is somebody else.
OURS = frozenset((Sign.DISK, Sign.NETWORK))
# The first sample after our work still has some of it in its amounts; the second one has none.
CLEAN_SAMPLES = 2
SETTLE_LOOK_S = 0.02
SETTLE_PERIODS, SETTLE_S = 4, 2.0


class Senses:
    """One wait for idleness, which ends at `until` (seconds of CLOCK_BOOTTIME) in any case.

    `ours` are signs that show our own work, too.

    From then on only that counts which holds every release: runs, what people keep, a kernel at work.
    """

    def __init__(
        self,
        sources: Sources,
        policy: Policy,
        clock: Clock,
        until: float | None = None,
        recording: Recording | None = None,
        boot: Callable[[], float] = boottime,
        ours: frozenset[Sign] = OURS,
    ) -> None:
        self.policy, self._clock, self._until, self._boot = policy, clock, until, boot
        self.recording = recording or Recording(None)
        self._ours = ours
        self._idling = Idling(sources, policy, clock, self._seen)
        self._idle_at = 0.0
        # What is seen up to `_ours_until` may be our own work; None while no sample has come after it.
        self._worked_at = 0.0
        self._ours_until: float | None = 0.0
        self._samples_since = CLEAN_SAMPLES

    def _seen(self, sample: Sample) -> None:
        self.recording.add(sample)
        if sample.moment.at < self._worked_at:
            return
        self._samples_since += 1
        if self._ours_until is None:
            self._ours_until = sample.moment.at

    @property
    def limit_in_s(self) -> float | None:
        """Seconds until then, 0 afterwards; None where there is no limit."""
        return None if self._until is None else max(0.0, self._until - self._boot())

    @property
    def past_limit(self) -> bool:
        """Does nothing count any more but what holds every release?"""
        return self.limit_in_s == 0.0

    def wait(self, desk: Desk, over: Callable[[], str] = lambda: "") -> str:
        """IDLE, STOPPED by a press, LIMIT, or what `over()` says."""
        said = self._idling.wait(desk, lambda: LIMIT if self.past_limit else over())
        if isinstance(standing := self._idling.standing, IdleSince):
            self._idle_at = standing.at
        return said

    def hear(self) -> None:
        """Judge what has come, for loops that do not `wait`."""
        self._idling.hear()

    def did_work(self) -> None:
        """We have just been at work ourselves: what that looks like is no sign of life."""
        self._worked_at, self._ours_until = self._clock.monotonic(), None
        self._samples_since = 0

    def settle(self, abort: Callable[[], bool]) -> None:
        """After `did_work`: wait for a sample that has nothing of our work in it, two periods or so.

        Ends early when `abort()` says so, which is asked a few times a second. Where no samples come
        `awake` says so.
        """
        give_up = self._clock.monotonic() + max(SETTLE_S, SETTLE_PERIODS * self.policy.period_s)
        self.hear()
        while self._samples_since < CLEAN_SAMPLES and self._clock.monotonic() < give_up and not abort():
            time.sleep(SETTLE_LOOK_S)
            self.hear()

    def awake(self) -> Text:
        """Why it is not idle any more, since the last `wait`; empty while it is, and past the limit."""
        said = self._idling.awake()
        standing = self._idling.standing
        if not said or self.past_limit:
            return ""
        if not isinstance(standing, Active) or standing.because is not Because.ALIVE:
            return said
        if standing.quiet_since is None:
            return said  # Something cannot be read, too.
        woken = tuple(sign for sign in standing.which if self._is_news(sign))
        return said_of(Active(Because.ALIVE, woken)) if woken else ""

    def _is_news(self, sign: Sign) -> bool:
        since = self._idle_at
        if sign in self._ours:
            if self._ours_until is None:
                return False
            since = max(since, self._ours_until)
        rows = () if self.table is None else self.table.rows
        reading = next((row.reading for row in rows if row.sign is sign), None)
        return not isinstance(reading, Known) or reading.value.last_alive > since

    def idle_json(self) -> dict[str, object]:
        """How it stands, in short, for `ps`."""
        return idle_document(self._idling)

    @property
    def idle(self) -> bool:
        """Has nothing but ourselves shown life for the whole window?"""
        return not self.awake()

    @property
    def standing(self) -> Standing | None:
        """The last decision; None before the first sample."""
        return self._idling.standing

    @property
    def table(self) -> Table | None:
        """Every signal's part in it; None before the first sample."""
        return self._idling.table

    def close(self) -> None:
        """Look no more."""
        self._idling.close()
        self.recording.close()


class Listening:
    """A desk that hears samples too, for what takes long and asks often whether to give up."""

    def __init__(self, desk: Desk, senses: Senses) -> None:
        self._desk, self._senses = desk, senses
        self._pressed = False

    def take_stop(self) -> int | None:
        """A new press of stop, if there was one."""
        self._senses.hear()
        number = self._desk.take_stop()
        self._pressed = self._pressed or number is not None
        return number

    def pressed(self) -> bool:
        """Has there been any?"""
        self.take_stop()
        return self._pressed


class Recording:
    """Appends every sample to a file, 0600; `problem` is why it does not any more."""

    def __init__(self, path: str | None, header: str = "") -> None:
        self.path, self.problem = path, ""
        self._file = -1
        if path is not None:
            try:
                self._file = open_recording(path)
                self._write(header)
            except OSError as error:
                self._give_up(error)

    def add(self, sample: Sample) -> None:
        """One line. What cannot be written ends the recording, and nothing else."""
        if self._file < 0:
            return
        try:
            self._write(sample.to_json())
        except OSError as error:
            self._give_up(error)

    def _write(self, line: str) -> None:
        data = line.encode() + b"\n"
        if os.write(self._file, data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _give_up(self, error: OSError) -> None:
        self.problem = error.strerror or str(error)
        self.close()

    def close(self) -> None:
        """Write no more."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def open_recording(path: str) -> int:
    """The file, made if it is not there, for its owner only. Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    return os.open(path, flags, 0o600)
