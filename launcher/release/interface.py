"""Handing the runtime back: what can be asked, and what can come of it. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launcher.words import Text


class ReleaseStatus(str, Enum):
    """How far a release got. HTTP 200 is `accepted`; only a look from outside can confirm."""

    NOT_ASKED = "not-asked"
    NOT_MANAGED = "not-managed"
    KEPT = "kept"
    HELD = "held"
    REQUESTED = "requested"
    ACCEPTED = "accepted"
    CONFIRMED = "confirmed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ReleaseResult:
    """What came of a release.

    A hold ends at `until` (ISO, UTC), `then` with `release` or `stay`.
    `reason` is a stable code (`idle-not-available-yet`, `another-run`, `http-503`…), `detail` a sentence
    for a person, `attempts` how many requests were sent and `http_status` the last answer's.
    """

    status: ReleaseStatus
    reason: str
    detail: Text = ""
    attempts: int = 0
    http_status: int | None = None
    nonce: str | None = None
    until: str | None = None
    then: str | None = None

    def as_json(self) -> dict[str, object]:
        """The `release` object in JSON."""
        return {
            "status": self.status.value,
            "reason": self.reason,
            "detail": str(self.detail),
            "attempts": self.attempts,
            "http_status": self.http_status,
            "nonce": self.nonce,
            "until": self.until,
            "then": self.then,
        }


@dataclass(frozen=True, slots=True)
class ReleaseTiming:
    """How long handing a runtime back may take, all in seconds."""

    attempt_timeout_s: float
    give_up_after_s: float
    first_wait_s: float
    longest_wait_s: float
