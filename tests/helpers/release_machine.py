"""A machine for a guard that hands it back: its clock moves only while the guard waits."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from launcher.handback import HandBack
from launcher.release.colab import Colab
from launcher.release.interface import ReleaseTiming

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from launcher.events import Event
    from launcher.release.interface import ReleaseResult, ReleaseStatus
    from launcher.words import Text

TIMING = ReleaseTiming(attempt_timeout_s=20, give_up_after_s=300, first_wait_s=1, longest_wait_s=30)
GRACE_S = 100.0
DAY_S = 86400.0


class Gone(Exception):
    """The machine has been taken away."""


@dataclass
class Machine:
    """A machine whose clock moves only while a guard waits; `at` says what happens on it, and when."""

    folder: Path
    address: str
    now: float = 1000.0
    plans: list[tuple[float, Callable[[], object]]] = field(default_factory=list)
    noted: list[tuple[float, ReleaseResult]] = field(default_factory=list)
    told: list[Event] = field(default_factory=list)
    kernel: Text = ""
    kernel_read: list[float] = field(default_factory=list)
    pressed: bool = False

    # --- the clock, the inbox and the audience of a guard -------------------------------------------

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now

    def file_tick_ns(self) -> int:
        return int(self.now * 1e9)

    def wait(self, seconds: float) -> None:
        assert seconds > 0, "a wait of nothing would go round and round"
        end = self.now + seconds
        self.plans.sort(key=lambda plan: plan[0])
        if self.plans and self.plans[0][0] <= end:
            self.now = max(self.now, self.plans[0][0])
            self.plans.pop(0)[1]()
            return
        self.now = end
        assert self.now < 10 * DAY_S, "it waits for ever"

    def take_stop(self) -> int | None:
        pressed, self.pressed = self.pressed, False
        return signal.SIGINT if pressed else None

    def tell(self, event: Event) -> None:
        self.told.append(event)

    # --- what happens -------------------------------------------------------------------------------

    def at(self, seconds: float, action: Callable[[], object]) -> None:
        """`action()` happens `seconds` after the beginning."""
        self.plans.append((1000.0 + seconds, action))

    def goes_at(self, seconds: float) -> None:
        """The machine is taken away."""

        def go() -> None:
            raise Gone

        self.at(seconds, go)

    def press(self) -> None:
        self.pressed = True

    def busy_kernel(self) -> Text:
        self.kernel_read.append(self.now - 1000)
        return self.kernel

    def note(self, result: ReleaseResult) -> None:
        self.noted.append((self.now - 1000, result))

    def guard(self, run_id: str = "a", **changes: object) -> HandBack:
        """The release of one run."""
        given = {
            "target": self.address,
            "backend": Colab(self.address),
            "timing": TIMING,
            "hold_files": (str(self.folder / "HOLD"),),
            "clock": self,
            "inbox": self,
            "audience": self,
            "note": self.note,
            "run_id": run_id,
            "busy_kernel": self.busy_kernel,
            "folder": self.folder / "leases",
            "boottime": self.monotonic,
            "chance": lambda: 0.999,
        }
        return HandBack(**{**given, **changes})  # type: ignore[arg-type]

    def go(self, guard: HandBack | None = None, grace_s: float = GRACE_S) -> ReleaseResult | None:
        """Its last word; None if the machine went away before."""
        try:
            return (guard or self.guard()).go(grace_s)
        except Gone:
            return None

    def said(self) -> list[tuple[ReleaseStatus, str]]:
        """What was noted, in order."""
        return [(result.status, result.reason) for _, result in self.noted]

    def when(self, status: ReleaseStatus, reason: str) -> float:
        """When that was noted first, in seconds from the beginning."""
        return next(at for at, r in self.noted if (r.status, r.reason) == (status, reason))
