"""What comes after a job: its results, the runtime, the last word.

All of it is imported before the job starts: the job itself may upgrade or remove this package.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from launcher import holds
from launcher.archive import archive
from launcher.backing import what_goes
from launcher.errors import ExitCode, StateFolderError
from launcher.events import Ended, ReleaseEnded, Said
from launcher.flushing import RETRY_S, Flushing
from launcher.guard.channel import FINAL
from launcher.handback import COLAB_HOLD_FILE, NOT_PREPARED, HandBack
from launcher.ledger.model import State
from launcher.release import marks
from launcher.release.decide import LEFT_TO_QUEUE, decide, when_idle
from launcher.release.drive import drive_is_mounted
from launcher.release.interface import ReleaseResult, ReleaseStatus
from launcher.release_rows import (
    BY_PERSON,
    EARLIER_RUN,
    STATES,
    WAIT_STOPPED,
    Counting,
    has_a_word,
    is_last,
    row_of,
)
from launcher.results import Results
from launcher.spec.model import AfterHold
from launcher.unsaved_files import after_hold, own_hold
from launcher.when_idle import WhenIdle, say_last
from launcher.words import reason, words

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.bookkeeping import Book
    from launcher.clock import Clock
    from launcher.events import Event
    from launcher.guard.desk import Desk
    from launcher.guard.folder import RunFolder
    from launcher.noted import Noted
    from launcher.plan import Plan
    from launcher.release.lease import Lease
    from launcher.release.marks import Announced as OwnNote
    from launcher.watch_senses import Senses
    from launcher.words import Text

# How long a client may take to be told that its run has ended.
LAST_WORD_S = 60.0
# How often a hold is looked at: it may have been saved meanwhile.
HOLD_LOOK_S = 5.0


@dataclass(slots=True)
class AfterJob:
    """From the end of the job to the end of its guard.

    `note()` makes what is noted known to whoever takes over; `tell` is for the client, if there still is
    one. `own` is the run's note beside the leases, `lease` what a release waits for.
    """

    plan: Plan
    desk: Desk
    clock: Clock
    noted: Noted
    folder: RunFolder
    own: OwnNote
    lease: Lease
    book: Book
    note: Callable[[], None]
    tell: Callable[[Event], None]

    def go(self) -> None:
        """Everything that is not done yet."""
        noted = self.noted
        self.desk.begin_anew()
        if noted.told:
            self._tell_again()
        if not noted.decided:
            self._decide(self._save())
        if not is_last(noted.record.release):
            if noted.asked is None or noted.hold_over:
                self.hand_back_at_last()
            elif noted.asked.status is ReleaseStatus.HELD and not self._waits_for_idle:
                self._release_after_hold()
            if self._waits_for_idle:
                self._release_when_idle()
        self._end()

    @property
    def _waits_for_idle(self) -> bool:
        return self.noted.asked is not None and self.noted.asked.waits_for_idle

    def _save(self) -> Results:
        spec, record = self.plan.spec, self.noted.record
        results = Results(self.plan, self.folder, self.desk, self.clock, self, pressed=self._note_press)
        if spec.outputs and not self.noted.unbegun:
            record.state = "saving"
            self.book.note(State.SAVING)
            self.book.flush()
            self.book.write()
            results.save(record)
            results.save_receipt(record)
            self.book.note(State.SAVED)
            holds.lift(self.plan.target, record.saved)
            if not results.complete and record.exit_code == 0:
                record.exit_code, record.decided_by = int(ExitCode.NOT_SAVED), "colab-run"
        return results

    def _note_press(self) -> None:
        self.noted.stopped_saving = True
        self.note()
        self.folder.note_stop()

    def _decide(self, results: Results) -> None:
        """How the release ends without having been asked, or None: it is asked for."""
        noted, record = self.noted, self.noted.record
        if noted.report is None:
            raise AssertionError("the job is over")
        asked = decide(
            when=self.plan.spec.release.when,
            managed=self.plan.platform.managed,
            backed=self.plan.backend is not None,
            no_release=self.plan.options.no_release,
            report=noted.report,
            in_queue=bool(self.plan.options.queue),
        )
        if asked is None and (results.stopped or self.noted.stopped_saving):
            asked = when_idle(BY_PERSON, words("a person pressed stop"))
        if asked is None and self.noted.idle_reason:
            asked = when_idle(self.noted.idle_reason, words("the job is over (release.when: idle)"))
        if asked is None or asked.waits_for_idle or asked.reason == LEFT_TO_QUEUE:
            held = self._held(results)
            asked = asked or held
        if self.plan.backend is not None and not self.plan.spec.release.silent and has_a_word(asked):
            say_last(self.plan, noted)
        if asked is not None and asked.reason == BY_PERSON and self.plan.backend is not None:
            self.keep_for_the_person()
        # Whoever takes over says the last word that is noted here, should we not come to it.
        noted.decided, noted.asked, noted.told = True, asked, asked is not None
        record.release = asked
        record.state = "releasing" if asked is None else "done"
        if asked is not None and asked.status in STATES:
            self.book.note(STATES[asked.status], reason=asked.reason)
        self.note()
        self.desk.begin_anew()
        # First: the client puts it into words while we write it down.
        self.tell(self._ended(asked))
        self.book.write()
        if asked is not None:
            self._last_word()
            self.book.receipt()

    def _ended(self, asked: ReleaseResult | None) -> Ended:
        release, then = self.plan.spec.release, after_hold(self.plan).value
        record = self.noted.record
        return Ended(record, asked, release.grace_s, release.hold_s, then, release.after_s)

    def keep_for_the_person(self) -> None:
        """They are about to change a line and run again: no other guard may release under their hands."""
        with suppress(OSError, StateFolderError):
            marks.keep(self.plan.target, marks.KEEP_AFTER_STOP_S, marks.PRESSED_STOP)

    def _held(self, results: Results) -> ReleaseResult | None:
        """Rule 3: not without the work, neither this run's nor that of one before it."""
        now = self.clock.wall()
        own = own_hold(self.plan, self.folder, self.noted, results, now)
        self.noted.hold = own
        if own is not None:
            try:
                holds.note(self.plan.target, own)
            except OSError as error:
                why = words("the hold could not be noted: {why}", why=reason(error.strerror))
                self.tell(Said(why, warning=True))
            return holds.held_until(own, complete=results.complete)
        earlier = holds.waiting(self.plan.target, now)
        return ReleaseResult(ReleaseStatus.HELD, EARLIER_RUN, earlier) if earlier else None

    def wait_stopped(self) -> None:
        """A person ended the wait of a guard whose client has gone: nobody releases for this run any more."""
        detail = words("a person stopped the wait")
        self.note_release(ReleaseResult(ReleaseStatus.KEPT, WAIT_STOPPED, detail))

    def _release_when_idle(self) -> None:
        self.book.flush()
        self.let_others_release()
        WhenIdle(self).go()

    def _release_after_hold(self) -> None:
        """A stop meanwhile keeps the runtime, as a press does in a countdown.

        It ends early when what it was about is saved (`colab-run save`), or gone.
        """
        if after_hold(self.plan) is AfterHold.STAY:
            return
        self.book.flush()
        self.let_others_release()
        while (left := self.hold_left()) > 0 and self.still_holds:
            self.desk.wait(min(left, HOLD_LOOK_S))
            if self.desk.take_stop() is not None:
                self.wait_stopped()
                return
        if after_hold(self.plan) is AfterHold.ARCHIVE and self.still_holds and not self.archive():
            return
        others = holds.waiting(self.plan.target, self.clock.wall(), without=self.folder.run_id)
        if others:
            self.note_release(ReleaseResult(ReleaseStatus.HELD, EARLIER_RUN, others))
        else:
            self.noted.hold_over = True
            self.note()
            self.hand_back_at_last()

    @property
    def hold(self) -> holds.Hold | None:
        """What this run holds, as it stands beside the leases, or as we know it."""
        return holds.of_run(self.plan.target, self.folder.run_id) or self.noted.hold

    @property
    def still_holds(self) -> bool:
        """Is there still what exists only here?"""
        return self.hold is not None and bool(self.hold.sentence(self.clock.wall()))

    def archive(self) -> bool:
        """To Drive with what exists only here; False: it stays, for that could not be done."""
        hold = self.hold
        if hold is None:
            return False
        self.tell(Said(words("what exists only here is being copied to Drive")))
        run_id, record = self.folder.run_id, self.noted.record
        saved = archive(self.plan, run_id, hold, record, self.clock, self.desk, self)
        record.saved += (saved,)
        if not saved.complete:
            why = words("it could not be copied to Drive: {why}", why=saved.why)
            self.note_release(ReleaseResult(ReleaseStatus.HELD, "archive-failed", why))
            return False
        self.noted.hold = None
        with suppress(OSError):  # Then it goes on speaking, to others: we know better.
            holds.clear(self.plan.target, self.folder.run_id)
        self.book.write()
        return True

    def hold_left(self) -> float:
        """Seconds of the hold that are left, also for whoever takes over in it."""
        if self.noted.hold_until is None:
            self.noted.hold_until = self.clock.monotonic() + self.plan.spec.release.hold_s
            self.note()
        return self.noted.hold_until - self.clock.monotonic()

    def let_others_release(self) -> None:
        """Nothing of this run is at work any more: its lease ends, its note stays until we do."""
        self.own.over()
        self.lease.unlock()

    @property
    def hold_file(self) -> str:
        """A file of this name keeps the runtime."""
        return os.path.join(self.folder.path, "HOLD")

    def hand_back_at_last(self, senses: Senses | None = None) -> None:
        """While Drive cannot be flushed it is held; then `after_hold` decides. Life ends it, by `senses`."""
        while True:
            self._hand_back(senses)
            release, left = self.noted.record.release, self.hold_left()
            if release is None or release.reason != NOT_PREPARED:
                return
            if left <= 0 and after_hold(self.plan) is not AfterHold.RELEASE:
                return
            self.noted.without_drive = left <= 0
            self.desk.wait(min(max(left, 0.0), RETRY_S))
            if self.desk.take_stop() is not None:
                self.wait_stopped()
                return

    def _hand_back(self, senses: Senses | None) -> None:
        if self.plan.backend is None:
            return  # Whoever decided to hand it back knew of one.
        self.book.make_durable()
        self.let_others_release()
        back = HandBack(
            target=what_goes(self.plan.target),
            backend=self.plan.backend,
            timing=self.plan.timing,
            hold_files=(self.hold_file, COLAB_HOLD_FILE),
            clock=self.clock,
            inbox=self.desk,
            audience=Counting(self.noted.record, self.clock, self.tell, self.book.write),
            note=self.note_release,
            run_id=self.folder.run_id,
            own=self.own,
            confirm_s=self.plan.spec.release.confirm_s,
            busy_kernel=lambda: self.book.busy_kernel(attended=self.desk.viewer is not None),
            awake=str if senses is None else senses.awake,
            prepare=partial(self._prepare, senses),
        )
        self.note_release(back.go(self.plan.spec.release.grace_s, resume=self._so_far))

    def _prepare(self, senses: Senses | None, abort: Callable[[], bool]) -> Text:
        mounted = drive_is_mounted()
        said = Flushing(self.plan, self.noted, self.book, self, self.note)(abort)
        if senses is not None and mounted:
            senses.did_work()
            senses.settle(abort)
        return said

    @property
    def _so_far(self) -> ReleaseResult | None:
        """How the release stands, or stood when the run was found without a guard: its nonce goes on."""
        return self.noted.record.release or self.noted.before

    def note_release(self, result: ReleaseResult) -> None:
        """Every change of what is known of the release; the first that is a last word ends the client."""
        record = self.noted.record
        if (result.status, result.reason) == (ReleaseStatus.KEPT, BY_PERSON):
            if record.release is not None and record.release.reason in (BY_PERSON, WAIT_STOPPED):
                return  # It has been said.
            result = self._as_stopped(result)
        if result == record.release:
            return
        if result.waits_for_idle:
            self.noted.asked = result
        state = row_of(result, self._so_far)
        record.release, record.countdown_until = result, None
        if result.status is ReleaseStatus.FAILED and record.exit_code == 0 and not self.noted.told:
            record.exit_code, record.decided_by = int(ExitCode.NOT_RELEASED), "colab-run"
        if state is not None:
            self.book.note(state, nonce=result.nonce, reason=result.reason)
        last = result.status is not ReleaseStatus.REQUESTED and not self.noted.told
        if last:
            record.state, self.noted.told = "done", True
        if result.status is ReleaseStatus.REQUESTED:
            self.book.receipt()  # This machine may come to write no other.
        self.note()
        self.book.flush()
        self.book.write()
        if last:
            self.tell(ReleaseEnded(result, self.plan.rate, after_s=self.plan.spec.release.after_s))
            self._last_word()
        if last or result.status in (ReleaseStatus.ACCEPTED, ReleaseStatus.FAILED):
            self.book.receipt()
        self.book.settle()

    def _as_stopped(self, result: ReleaseResult) -> ReleaseResult:
        """A stopped countdown falls to idle; a guard that waited for something else waits no more."""
        if self.noted.told and self.noted.record.countdown_until is None:
            return replace(result, reason=WAIT_STOPPED)
        return replace(result, status=ReleaseStatus.HELD, then="release")

    # --- the last word ----------------------------------------------------------------------------

    def _tell_again(self) -> None:
        """The guard before us noted that it would, and perhaps did: a client that has gone hears nothing."""
        record, asked = self.noted.record, self.noted.asked
        if asked is not None:
            self.tell(self._ended(asked))
        elif record.release is not None:
            self.tell(ReleaseEnded(record.release, self.plan.rate, after_s=self.plan.spec.release.after_s))
        self.book.write()
        self._last_word()

    def _last_word(self) -> None:
        record = self.noted.record
        self.noted.told = True
        self.note()
        if self.desk.viewer is not None:
            self.desk.viewer.tell(FINAL, record)
        self.desk.conclude(self.book.document())

    def _end(self) -> None:
        record = self.noted.record
        if record.state != "done":
            record.state = "done"
            self.book.write()
        if record.release is None or record.release.status is not ReleaseStatus.CONFIRMED:
            self.book.note(State.DONE)  # Nothing follows what was confirmed.
        self.book.flush()
        self.own.withdraw()
        self.lease.close()
        self._let_the_client_hear()
        self.desk.close()
        self.book.close()

    def _let_the_client_hear(self) -> None:
        """A client that was suspended (Ctrl-Z of a pipeline, a laptop) still gets its last word."""
        give_up = self.clock.monotonic() + LAST_WORD_S
        while self.desk.viewer is not None and self.clock.monotonic() < give_up:
            if not self.desk.viewer.waiting:
                return  # The system keeps for the client what was sent.
            self.desk.wait(1.0)
            self.desk.take()  # Whatever is asked now comes too late.
