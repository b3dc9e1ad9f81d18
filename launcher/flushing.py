"""Before a request everything on Drive goes to Google: what is only in the VM's cache goes with the VM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.events import Said
from launcher.ledger.mirror import mirror_of
from launcher.places import DRIVE, is_on_drive, is_under, resolve
from launcher.release.drive import drive_is_mounted, flush_drive
from launcher.words import spelled, words

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.bookkeeping import Book
    from launcher.events import Audience
    from launcher.noted import Noted
    from launcher.plan import Plan
    from launcher.release.interface import DriveFlush
    from launcher.words import Text

# Colab's own deadline is a day. A checkpoint of some gigabytes takes minutes.
DEADLINE_S = 900.0
# A flush that failed is tried again so often while its hold lasts.
RETRY_S = 300.0


@dataclass(slots=True)
class Flushing:
    """For `HandBack.prepare`. Nothing is written to Drive afterwards: it is not mounted any more.

    `note()` makes what is noted known to whoever takes over.
    """

    plan: Plan
    noted: Noted
    book: Book
    audience: Audience
    note: Callable[[], None]

    def __call__(self, abort: Callable[[], bool]) -> Text:
        """Why the runtime must not go yet; empty: it may."""
        if self.noted.without_drive or not drive_is_mounted():
            return ""  # Looked at now: another cell may have mounted it since the start.
        mirror = mirror_of(self.plan.spec)
        leaves = mirror is not None and is_under(mirror, DRIVE)
        if leaves:
            self.book.leave_mirror(DEADLINE_S)
        flush, why = _flush(self.audience, abort)
        if leaves and not flush.safe:
            self.book.return_to_mirror()
        before = self.noted.record.drive
        if before is None or not (before.safe and flush.status == "not-mounted"):
            self.noted.record.drive = flush  # Else a guard before us has flushed it.
            self.note()
        self.book.write()
        if why and not self._depends():
            self.audience.tell(Said(why, warning=True))
            return ""
        return why

    def _depends(self) -> bool:
        """Did this run put anything there?"""
        spec = self.plan.spec
        places = [resolve(output.to, spec.workdir) for output in spec.outputs]
        archived = [row.to for row in self.noted.record.saved]
        return is_on_drive(spec.workdir, self.plan.platform) or any(
            is_under(place, DRIVE) for place in (*places, *archived)
        )


def flush_or_say(audience: Audience, discard: bool, abort: Callable[[], bool]) -> Text:
    """The same for a release that no run has asked for: whatever is on Drive counts, unless `discard`."""
    if not drive_is_mounted():
        return ""
    _, why = _flush(audience, abort)
    if why and discard:
        audience.tell(Said(why, warning=True))
        return ""
    return why


def _flush(audience: Audience, abort: Callable[[], bool]) -> tuple[DriveFlush, Text]:
    """What came of it, and why it is not enough; an empty text where it is, or where somebody said stop."""
    audience.tell(Said(words("bringing what was written to Drive to Google, before the release")))
    flush = flush_drive(DEADLINE_S, abort)
    if flush.safe or flush.status == "aborted":
        return flush, ""
    why: Text = flush.detail or flush.status
    if flush.status == "timeout":
        why = words("it took longer than {time}", time=spelled(DEADLINE_S))
    return flush, words("Drive could not be flushed: {why}", why=why)
