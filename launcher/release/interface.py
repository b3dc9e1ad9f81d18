"""Handing the runtime back: what can be asked, and what can come of it. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from launcher.values import Known, Reading

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.words import Text

STILL_HERE: Known[bool] = Known(False)


# Why the release of an idle machine ends: something shows life, and it is waited for idleness again.
AWAKE = "awake"
# Why a release waits for idleness, and not for an hour to pass or a reason to go.
FALLS_TO_IDLE = ("idle", "ended-by-person", "when-success", "when-failure", AWAKE)


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
    `reason` is a stable code (`idle`, `another-run`, `http-503`…), `detail` a sentence
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

    @property
    def waits_for_idle(self) -> bool:
        """Not now, but once nothing has shown life for a while?"""
        return self.status is ReleaseStatus.HELD and self.reason in FALLS_TO_IDLE

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


@dataclass(frozen=True, slots=True)
class DriveFlush:
    """What came of it, after `seconds`.

    `status` is `flushed`, `not-mounted` (nothing to do), `failed`, `timeout`, `absent` (mounted, and nothing
    there that could flush it) or `aborted`. `detail` is what was said, for people.
    """

    status: str
    seconds: float
    detail: str = ""

    @property
    def safe(self) -> bool:
        """Does nothing that was written to Drive depend on this machine any more?"""
        return self.status in ("flushed", "not-mounted")

    def as_json(self) -> dict[str, object]:
        """`drive` in JSON."""
        return {"status": self.status, "seconds": self.seconds, "detail": self.detail}


class Answer(NamedTuple):
    """What came of one request.

    `http_status` is None where no HTTP answer came, or none could; `reason` is a stable code (`http-503`,
    `exit-1`, `timeout`, `connection-refused`…), `retry_after_s` how long to wait before the next one.
    `accepted` is what the provider documents as success; `firm`: a refusal that seldom passes within
    seconds. `said` is the end of what a program said, for people.
    """

    http_status: int | None
    reason: str
    retry_after_s: float = 0.0
    accepted: bool = False
    firm: bool = False
    said: str = ""


class ReleaseBackend(Protocol):
    """One way of handing the runtime back. Small, whole and picklable: it is made before the job starts.

    `name` is a value of `release.with`. `way` tells two backends apart that end different things: who has
    asked for one has not asked for the other. `patience`: one attempt may take so many times as long as
    one request to Colab. `ends_the_bill`: is what goes also what is paid for? `brings` are the signals that
    reach a client of ours in what goes: once it was asked for, they are no person's press of stop.
    """

    @property
    def name(self) -> str:
        """As the job file has it."""

    @property
    def way(self) -> str:
        """What exactly would end, such as `slurm:1234`; no secret."""

    @property
    def patience(self) -> float:
        """How many times the time of one request to Colab an attempt may take."""

    @property
    def ends_the_bill(self) -> bool:
        """Does the end of it end what is paid for?"""

    @property
    def brings(self) -> tuple[int, ...]:
        """Signals that its end brings to our own client."""

    def describe(self) -> Text:
        """What will be done, exactly: `POST http://172.28.0.1:8011/unassign`."""

    def hopeless(self) -> tuple[str, Text] | None:
        """(stable code, why) if asking can never work, whatever happens meanwhile. Asks nobody."""

    def permission(self) -> Text:
        """Why it will not work, as far as can be told; empty if nothing speaks against it.

        Asked before the job starts: takes seconds at most and changes nothing. Never raises.
        """

    def ask(self, nonce: str, deadline_s: float, meanwhile: Callable[[], None]) -> Answer:
        """One attempt, `deadline_s` seconds at most; `meanwhile()` is called a few times a second.

        Never raises. The same `nonce` goes with every attempt of one release.
        """

    def gone(self, deadline_s: float, meanwhile: Callable[[], None]) -> Reading[bool]:
        """Has it gone, seen from outside of it? STILL_HERE where we would have gone with it. Never raises.

        Takes `deadline_s` seconds at most; `meanwhile()` is called as in `ask`.
        """

    def as_json(self) -> dict[str, Any]:
        """What somebody needs who builds it again; no environment, no token."""
