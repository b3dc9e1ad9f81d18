"""The end of a run whose runtime is handed back once it is idle. The client has gone; the guard waits.

Of several runs that have ended on one machine, the newest one's guard waits, by its job file's word.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from launcher import holds
from launcher.errors import StateFolderError
from launcher.handback import COLAB_HOLD_FILE
from launcher.idling import IDLE, STOPPED
from launcher.life import runtime_life, runtime_policy
from launcher.release import latest, marks
from launcher.release.decide import when_idle
from launcher.release.interface import AWAKE, ReleaseResult, ReleaseStatus
from launcher.release_rows import BY_PERSON, EARLIER_RUN
from launcher.spec.model import AfterHold
from launcher.unsaved_files import after_hold
from launcher.watch_senses import Senses
from launcher.watch_table import wait_json
from launcher.words import words

if TYPE_CHECKING:
    from launcher.after_job import AfterJob
    from launcher.noted import Noted
    from launcher.plan import Plan

# While something that exists only here holds the release, it is looked for this often.
HOLD_LOOK_S = 15.0
NEWER = "a-later-run-decides"
# Who stops a countdown has to type it, or click: that may be seen before the stop is heard.
STILL_MEANT_S = 60.0


def say_last(plan: Plan, noted: Noted) -> None:
    """From now on this run's word counts for the machine; a mark that cannot be written changes nothing."""
    if noted.ended_at is None:
        noted.ended_at = marks.boottime()
    with suppress(OSError, StateFolderError):
        latest.say(plan.target, latest.Word(noted.ended_at, noted.record.run_id or ""))


class WhenIdle:
    """Waits, and releases, until the last word. The run's own lease has been given up by then."""

    def __init__(self, after: AfterJob) -> None:
        self._after = after
        plan, policy = after.plan, runtime_policy(after.plan.spec.release.after_s)
        sources = runtime_life(
            plan.environ,
            plan.target,
            policy.period_s,
            own=os.path.basename(after.own.path),
            hold_files=(after.hold_file, COLAB_HOLD_FILE),
        )
        self._archived = False
        self._woken_at = float("-inf")
        self._look_s = min(HOLD_LOOK_S, policy.window_s)
        self._senses = Senses(sources, policy, after.clock)

    def go(self) -> None:
        """Until it is released, or somebody else's, or a person's."""
        desk = self._after.desk
        told, grace_s = desk.status, self._after.plan.spec.release.grace_s
        desk.status = lambda: {**told(), "idle": self._senses.idle_json()}
        desk.why = lambda: {**desk.status(), **wait_json(self._senses, grace_s)}
        # A hold counts from the end of the job, as it was said.
        self._after.hold_left()
        try:
            while self._once():
                pass
        finally:
            self._senses.close()
            desk.status, desk.why = told, dict

    def _once(self) -> bool:
        """Wait for idleness, and release; False for the last word."""
        ended = self._senses.wait(self._after.desk, self._said_later)
        if ended == STOPPED and self._after.clock.monotonic() - self._woken_at < STILL_MEANT_S:
            self._keep()
            return True
        if ended != IDLE:
            self._end(ended)
            return False
        if self._is_held():
            return self._wait_out_hold()
        self._after.hand_back_at_last(self._senses)
        release = self._after.noted.record.release
        if release is not None and release.reason == AWAKE:
            self._woken_at = self._after.clock.monotonic()
        return release is not None and release.waits_for_idle

    def _keep(self) -> None:
        """A person stopped the countdown, and what they did for it was seen as life a moment before."""
        self._woken_at = float("-inf")
        self._after.keep_for_the_person()
        self._after.note_release(when_idle(BY_PERSON, words("a person stopped the countdown")))

    def _said_later(self) -> str:
        """Has a run whose job ended after ours said what is to become of this machine?"""
        noted = self._after.noted
        own = latest.Word(noted.ended_at or 0.0, noted.record.run_id or "")
        last = latest.said(self._after.plan.target)
        return NEWER if last > own and last.run_id != own.run_id else ""

    def _end(self, why: str) -> None:
        if why == STOPPED:
            self._after.wait_stopped()
            return
        detail = words("a later run on this machine decides about its release")
        self._after.note_release(ReleaseResult(ReleaseStatus.KEPT, NEWER, detail))

    # --- rule 3 -----------------------------------------------------------------------------------

    def _is_held(self) -> bool:
        """Does what exists only here speak against it? Noted when it does."""
        after = self._after
        earlier = holds.waiting(after.plan.target, after.clock.wall(), without=after.folder.run_id)
        if self._after.still_holds and not self._is_given_up():
            if not self._archived:
                detail = words("files exist only on this machine")
                after.note_release(ReleaseResult(ReleaseStatus.HELD, "unsaved-files", detail))
        elif earlier:
            after.note_release(ReleaseResult(ReleaseStatus.HELD, EARLIER_RUN, earlier))
        else:
            return False
        return True

    def _is_given_up(self) -> bool:
        """The hold is over, and what follows it allows the release."""
        after = self._after
        if after.hold_left() > 0 or after_hold(after.plan) is AfterHold.STAY:
            return False
        if after_hold(after.plan) is AfterHold.RELEASE:
            return True
        if self._archived:
            return False  # It could not be copied, and was said so.
        self._archived = True
        done = after.archive()
        self._senses.did_work()
        self._senses.settle(lambda: False)
        return done

    def _wait_out_hold(self) -> bool:
        """A little: until it is saved, or gone. Also after the hold, for nobody else would look."""
        after = self._after
        after.desk.wait(self._look_s)
        if after.desk.take_stop() is not None:
            self._end(STOPPED)
            return False
        self._senses.hear()
        if why := self._said_later():
            self._end(why)
            return False
        if not self._senses.idle:
            after.note_release(when_idle(AWAKE, self._senses.awake()))
        return True
