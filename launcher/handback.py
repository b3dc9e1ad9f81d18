"""Handing the runtime back at the end of a run, or on `colab-run release`: who, when, and never early.

The order is fixed: countdown, then the lease alone, then the last look at HOLD, then what is about to
happen is noted, then the request.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.events import CountingDown, Retrying
from launcher.release import lease
from launcher.release.colab import request_release
from launcher.release.interface import ReleaseResult, ReleaseStatus
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.catalog.model import ReleaseTiming
    from launcher.clock import Clock
    from launcher.events import Audience
    from launcher.guard.inbox import Inbox

COLAB_HOLD_FILE = "/content/HOLD"
# The countdown looks this often whether somebody made a HOLD file.
LOOK_S = 1.0
# A countdown is said at its start and, if it is long, once more shortly before its end.
LAST_WORD_S = 10.0


@dataclass(frozen=True, slots=True)
class HandBack:
    """One release of one runtime. `note(result)` writes what is about to happen, before it does."""

    target: str
    timing: ReleaseTiming
    hold_files: tuple[str, ...]
    clock: Clock
    inbox: Inbox
    audience: Audience
    note: Callable[[ReleaseResult], None]

    def after_grace(self, grace_s: float) -> ReleaseResult:
        """Count down, then ask."""
        return self._count_down(grace_s) or self.now()

    def now(self) -> ReleaseResult:
        """Ask at once, if nothing on this machine speaks against it."""
        alone = lease.hold_alone(self.target)
        if alone is None:
            return ReleaseResult(
                ReleaseStatus.KEPT,
                "another-run",
                words("another run of colab-run on this machine is still at work, or is releasing it"),
            )
        try:
            return self._held_by_file() or self._ask()
        finally:
            alone.close()

    def _ask(self) -> ReleaseResult:
        nonce = secrets.token_hex(8)
        self.note(ReleaseResult(ReleaseStatus.REQUESTED, "requested", nonce=nonce))
        pressed: list[int] = []

        def cancelled() -> bool:
            if (number := self.inbox.take_stop()) is not None:
                pressed.append(number)
            return bool(pressed)

        return request_release(
            self.target,
            nonce=nonce,
            timing=self.timing,
            wait=self.inbox.wait,
            cancelled=cancelled,
            retrying=lambda reason, seconds: self.audience.tell(Retrying(reason, seconds)),
        )

    def _count_down(self, grace_s: float) -> ReleaseResult | None:
        """None when the grace passed in silence."""
        end = self.clock.monotonic() + grace_s
        moments = [grace_s] if grace_s <= 2 * LAST_WORD_S else [grace_s, LAST_WORD_S]
        while True:
            left = end - self.clock.monotonic()
            if moments and left <= moments[0]:
                if grace_s > 0:
                    self.audience.tell(CountingDown(moments[0], self.hold_files[0]))
                moments.pop(0)
            if self.inbox.take_stop() is not None:
                return ReleaseResult(
                    ReleaseStatus.KEPT, "ended-by-person", words("a person stopped the countdown")
                )
            if (held := self._held_by_file()) is not None:
                return held
            if left <= 0:
                return None
            self.inbox.wait(min(left, LOOK_S))

    def _held_by_file(self) -> ReleaseResult | None:
        for path in self.hold_files:
            if os.path.lexists(path):
                return ReleaseResult(
                    ReleaseStatus.KEPT, "hold-file", words("{path} exists; remove it to allow it", path=path)
                )
        return None
