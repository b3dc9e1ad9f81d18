"""What a change of a release is worth: a row of the ledger, the last word, a countdown in the record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.clock import iso_utc
from launcher.events import CountingDown
from launcher.ledger.model import State
from launcher.release.interface import ReleaseResult, ReleaseStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.clock import Clock
    from launcher.events import Event
    from launcher.record import RunRecord

BY_PERSON = "ended-by-person"
WAIT_STOPPED = "wait-stopped"
EARLIER_RUN = "unsaved-files-of-an-earlier-run"
# The last word of a release; what these say of others, or of a person, is no answer to a request of ours.
NOT_OURS = ("ended-by-person", "another-run-released")
HOPELESS = ("bad-address", "other-environment", "no-allocation", "no-server", "no-kernel", "not-ours")
LAST = (*NOT_OURS, *HOPELESS)
STATES = {
    ReleaseStatus.REQUESTED: State.REQUESTED,
    ReleaseStatus.ACCEPTED: State.ACCEPTED,
    ReleaseStatus.HELD: State.HELD,
    ReleaseStatus.FAILED: State.FAILED,
    ReleaseStatus.KEPT: State.KEPT,
    ReleaseStatus.CONFIRMED: State.CONFIRMED,
}


@dataclass(slots=True)
class Counting:
    """Notes a countdown in the record, for `ps` and who reads the result file, and tells it."""

    record: RunRecord
    clock: Clock
    client: Callable[[Event], None]
    written: Callable[[], None] = lambda: None

    def tell(self, event: Event) -> None:
        """One event of the release."""
        if isinstance(event, CountingDown):
            self.record.countdown_until = iso_utc(self.clock.wall() + event.seconds)
            self.written()
        self.client(event)


def has_a_word(asked: ReleaseResult | None) -> bool:
    """Does this end of a run say what is to become of the machine once it is idle? A refused one does not."""
    silent = ("survivors", "refused")
    return (
        asked is not None
        and asked.reason not in silent
        and (asked.waits_for_idle or asked.status is ReleaseStatus.NOT_ASKED)
    )


def is_last(result: ReleaseResult | None) -> bool:
    """Has the release ended for good? Then whoever takes over does not begin it anew."""
    if result is None or result.waits_for_idle:
        return False
    failed = result.status is ReleaseStatus.FAILED and result.reason == "still-here"
    return failed or result.status in (ReleaseStatus.KEPT, ReleaseStatus.CONFIRMED) or result.reason in LAST


def row_of(result: ReleaseResult, before: ReleaseResult | None) -> State | None:
    """The row of the ledger that it is worth, after what was told `before`.

    The last row may be all that a later machine has: from `requested` and `accepted` it concludes that the
    silence of this one is the end of it. So neither stays the last word of a guard that goes on living.
    """
    if result.reason in HOPELESS:
        return State.FAILED
    if result.reason == "still-here":
        return State.STILL_HERE
    if result.status is ReleaseStatus.ACCEPTED and result.reason in NOT_OURS:
        ours = before is not None and before.status is ReleaseStatus.ACCEPTED
        return State.STILL_HERE if ours else State.KEPT
    return STATES.get(result.status)
