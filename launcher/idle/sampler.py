"""Reads every sign of life in a child, which may hang in a driver or on a mount and is replaced then.

The child writes one sample a line into a pipe, and says in shared memory which reader is at work. It holds
none of our leases and ends with us.
"""

from __future__ import annotations

import mmap
import os
import select
import signal
import time
from typing import TYPE_CHECKING, Any, NoReturn

from launcher import children
from launcher.idle.model import Moment, Sample, Sign, sample_from_json
from launcher.values import Reading, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from launcher.idle.interface import Reader

# One line is far shorter; a line that is longer than a pipe takes at once is not written.
LONGEST_LINE = 1 << 16
# A child that has said nothing for so long, and for so many periods, hangs.
HUNG_S = 5.0
HUNG_PERIODS = 3
# A reader that hung is left out for so long.
LEFT_OUT_S = 600.0
REAP_S = 0.5
NOBODY = 255
SIGNS = tuple(Sign)
NO_MOMENT = Moment(0.0, 0.0, 0.0)
TIMEOUT, FAILED = "timeout", "failed"


def moment_now() -> Moment:
    """Now, on the clocks of this machine."""
    boottime = time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
    return Moment(time.monotonic(), boottime, time.time())


class Sampler:
    """Samples from `start()` to `stop()`, one every `period_s`.

    `readers()` is called in the child. For a loop: wait until `fileno()` is readable or `due_in()` is over,
    then `take()`. `start` and `take` may fork; both say so beforehand by `forking()`.
    """

    def __init__(
        self,
        readers: Callable[[], Mapping[Sign, Reader]],
        period_s: float,
        forking: Callable[[], None] = lambda: None,
        left_out_s: float = LEFT_OUT_S,
    ) -> None:
        self._readers, self.period_s, self._forking = readers, period_s, forking
        self._left_out_s = left_out_s
        self._at_work = mmap.mmap(-1, 1)
        self._left_out: dict[Sign, float] = {}
        self._without: set[Sign] = set()
        self.pid = 0
        self._reader = self._lifeline = -1
        self._rest = b""
        self._heard = time.monotonic()
        # The child before the present one ended without a word: the next one waits a period with its first.
        self._any_sample, self._pause_s = True, 0.0

    def fileno(self) -> int:
        """Readable when there is a sample; changes when the child is replaced."""
        return self._reader

    @property
    def _hung_s(self) -> float:
        return max(HUNG_S, HUNG_PERIODS * self.period_s)

    def due_in(self) -> float:
        """Seconds until `take` wants to be called although nothing is readable."""
        return max(0.0, self._heard + self._hung_s - time.monotonic())

    def start(self) -> None:
        """Fork the child. Raises OSError where no process can be created; `take` tries again."""
        self._at_work[0] = NOBODY
        now = self._heard = time.monotonic()
        without = self._without = {sign for sign, until in self._left_out.items() if until > now}
        reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        read_end, lifeline = os.pipe2(os.O_CLOEXEC)
        guard = os.getpid()
        self._forking()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            pid = os.fork()
        except OSError:
            for descriptor in (reader, writer, read_end, lifeline):
                os.close(descriptor)
            raise
        finally:
            if os.getpid() == guard:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if pid == 0:
            self._child(guard, writer, read_end, without)
        os.close(writer)
        os.close(read_end)
        self.pid, self._reader, self._lifeline = pid, reader, lifeline

    def take(self) -> list[Sample]:
        """The samples that have come; replaces a child that has ended or hangs. Raises OSError as `start`."""
        if not self.pid:
            self.start()
            return []
        samples, ended = self._read()
        now = time.monotonic()
        if samples:
            self._heard, self._any_sample = now, True
        if (ended and not samples) or now - self._heard > self._hung_s or self._has_atoned(now):
            self._replace(now)
        return samples

    def _has_atoned(self, now: float) -> bool:
        """Is there a reader that hung, and may try again? In another child: it may hang again."""
        return bool(self._without) and any(self._left_out[sign] <= now for sign in self._without)

    def _read(self) -> tuple[list[Sample], bool]:
        received, ended = bytearray(self._rest), False
        while True:
            try:
                chunk = os.read(self._reader, LONGEST_LINE)
            except BlockingIOError:
                break
            if not chunk:
                ended = True
                break
            received += chunk
        *lines, self._rest = bytes(received).split(b"\n")
        samples = []
        for line in lines:
            try:
                samples.append(sample_from_json(line))
            except ValueError:
                continue  # Cut off by the end of a child.
        return samples, ended

    def _replace(self, now: float) -> None:
        """The reader that it was at is left out for a while: another child would only hang there too."""
        at_work = self._at_work[0]
        if at_work < len(SIGNS):
            self._left_out[SIGNS[at_work]] = now + self._left_out_s
        self._pause_s = 0.0 if self._any_sample else self.period_s
        self._any_sample = False
        self.stop()
        self.start()

    def ended(self) -> None:
        """The child has ended, and nobody has reaped it yet: that is done here."""
        self.stop()

    def stop(self) -> None:
        """End the child, if there is one. One that hangs in the kernel stays, and holds nothing of ours."""
        pid, self.pid = self.pid, 0
        if not pid:
            return
        os.close(self._reader)
        os.close(self._lifeline)
        self._reader = self._lifeline = -1
        self._rest = b""
        for kill in (os.killpg, os.kill):
            try:
                kill(pid, signal.SIGKILL)
            except OSError:
                continue
        give_up = time.monotonic() + REAP_S
        while time.monotonic() < give_up:
            try:
                if os.waitpid(pid, os.WNOHANG)[0] == pid:
                    return
            except ChildProcessError:
                return
            time.sleep(0.0005)

    # --- in the child -----------------------------------------------------------------------------

    def _child(self, guard: int, writer: int, lifeline: int, without: set[Sign]) -> NoReturn:
        try:
            children.become_helper(guard, {writer, lifeline})
            if select.select((lifeline,), (), (), self._pause_s)[0]:
                os._exit(0)
            readers = self._readers()
            due = time.monotonic()
            while True:
                self._write(writer, readers, without)
                due = max(due + self.period_s, time.monotonic())
                if select.select((lifeline,), (), (), max(0.0, due - time.monotonic()))[0]:
                    break
        finally:
            os._exit(0)

    def _write(self, writer: int, readers: Mapping[Sign, Reader], without: set[Sign]) -> None:
        moment = moment_now()
        readings = {sign: self._ask(sign, reader, without) for sign, reader in readers.items()}
        line = Sample(moment, readings).to_json().encode() + b"\n"
        try:
            os.write(writer, line if len(line) <= LONGEST_LINE else b"\n")
        except BlockingIOError:
            return  # Nobody reads: a sample less.

    def _ask(self, sign: Sign, reader: Reader, without: set[Sign]) -> Reading[Any]:
        if sign in without:
            return Unknown(TIMEOUT)
        self._at_work[0] = SIGNS.index(sign)
        try:
            reading = reader()
            Sample(NO_MOMENT, {sign: reading}).to_json()  # What is no JSON costs this reading only.
            return reading
        except Exception:
            return Unknown(FAILED)
        finally:
            self._at_work[0] = NOBODY
