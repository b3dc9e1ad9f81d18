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
from launcher.release import latest
from launcher.release.decide import when_idle
from launcher.release.interface import AWAKE, ReleaseResult, ReleaseStatus
from launcher.release_rows import EARLIER_RUN
from launcher.spec.model import AfterHold
from launcher.unsaved_files import after_hold
from launcher.watch_senses import Senses
from launcher.watch_table import wait_json
from launcher.words import words

if TYPE_CHECKING:
    from launcher.after_job import AfterJob
    from launcher.plan import Plan

# While something that exists only here holds the release, it is looked for this often.
HOLD_LOOK_S = 15.0
NEWER = "a-later-run-decides"


def say_last(plan: Plan, run_id: str) -> None:
    """From now on this run's word counts for the machine; a mark that cannot be written changes nothing."""
    with suppress(OSError, StateFolderError):
        latest.say(plan.target, run_id)


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
        if ended != IDLE:
            self._end(ended)
            return False
        if self._is_held():
            return self._wait_out_hold()
        self._after.hand_back_at_last(self._senses)
        release = self._after.noted.record.release
        return release is not None and release.waits_for_idle

    def _said_later(self) -> str:
        """Has a run that ended after ours said what is to become of this machine?"""
        after = self._after
        return NEWER if latest.said(after.plan.target) > after.folder.run_id else ""

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
        if self._still_holds() and not self._is_given_up():
            detail = words("files exist only on this machine")
            after.note_release(ReleaseResult(ReleaseStatus.HELD, "unsaved-files", detail))
        elif earlier:
            after.note_release(ReleaseResult(ReleaseStatus.HELD, EARLIER_RUN, earlier))
        else:
            return False
        return True

    def _still_holds(self) -> bool:
        """Is there still what the end of the run has noted as being here only?"""
        hold = holds.of_run(self._after.plan.target, self._after.folder.run_id)
        return hold is not None and bool(hold.sentence(self._after.clock.wall()))

    def _is_given_up(self) -> bool:
        """The hold is over, and what follows it allows the release."""
        after = self._after
        if after.hold_left() > 0 or after_hold(after.plan) is AfterHold.STAY:
            return False
        if after_hold(after.plan) is AfterHold.RELEASE:
            return True
        archived = after.archive()
        self._senses.did_work()
        return archived

    def _wait_out_hold(self) -> bool:
        """A little; False when nothing will come of it any more."""
        after = self._after
        if after.noted.record.release is not None and after.noted.record.release.reason == "archive-failed":
            return False
        if self._still_holds() and after.hold_left() <= 0:
            return False
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
