"""Handing the runtime back at the end of a run, or on `colab-run release`: who, when, and never early.

`release/protocol.py` decides, `release/look.py` looks, a backend asks; here is the loop that does what was
decided. What is about to happen is noted before it happens.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.errors import StateFolderError
from launcher.events import CountingDown, Retrying
from launcher.release import lease, marks
from launcher.release.interface import AWAKE, Answer, ReleaseResult, ReleaseStatus
from launcher.release.look import Lookout
from launcher.release.protocol import (
    LONGEST_LATE_WAIT_S,
    Do,
    Move,
    Phase,
    Plan,
    Progress,
    Sight,
    after_accepted,
    after_move,
    after_prepared,
    after_refused,
    next_move,
    next_wait,
    taken_up,
)
from launcher.release.wording import asking_again, last_words, not_accepted, retrying
from launcher.values import Known
from launcher.words import spelled, words

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from launcher.clock import Clock
    from launcher.events import Audience
    from launcher.release.interface import ReleaseBackend, ReleaseTiming
    from launcher.release.marks import Announced
    from launcher.words import Text

    class Presses(Protocol):
        """What the loop needs of an inbox: to wait, and to hear of a press."""

        def wait(self, seconds: float) -> None:
            """Return after `seconds`, or as soon as there is something to look at."""

        def take_stop(self) -> int | None:
            """A new press of stop, if there was one."""


COLAB_HOLD_FILE = "/content/HOLD"
# A countdown is said at its start and, if it is long, once more shortly before its end.
LAST_WORD_S = 10.0
# While an answer is awaited, whoever asks something of us is heard for this long, a few times a second.
A_MOMENT_S = 0.001
CONFIRM_S = 120.0
NOT_SENT = Answer(None, "not-sent")
# Why a release ends held before anything was asked for.
NOT_PREPARED = "drive-not-flushed"


def _nothing() -> Text:
    return ""


def _nothing_to_prepare(abort: Callable[[], bool]) -> Text:
    return ""


def _chance() -> float:
    """Uniform in [0, 1). The module `random` would take half a megabyte in every guard."""
    return int.from_bytes(os.urandom(4), "big") / 2.0**32


@dataclass(frozen=True, slots=True)
class HandBack:
    """One release of one runtime; the machine and its other runs are looked at through these.

    `target` is what the runs of this machine hold a lease of; `backend` hands it back.
    `note(result)` is told every change of status, before what it says happens; what it raises delays
    nothing. `busy_kernel()` is a sentence about a notebook kernel that is at work, empty when there is
    none. `own` is the note of the run that ends here, `run_id` its id; `chance` is uniform in [0, 1).

    `awake()` is a sentence about what shows life on a machine that goes because it is idle, empty while
    nothing does; then the release ends held (AWAKE), whatever had been asked for.

    `prepare(abort)` is called before the first request, under the lease, and once more after a hold: empty
    text to go on, otherwise why not, which ends the release held (NOT_PREPARED). It may take minutes, in
    which no run starts; it has to ask `abort()` a few times a second, and to end soon when that says so.
    """

    target: str
    backend: ReleaseBackend
    timing: ReleaseTiming
    hold_files: tuple[str, ...]
    clock: Clock
    inbox: Presses
    audience: Audience
    note: Callable[[ReleaseResult], None]
    run_id: str = ""
    own: Announced | None = None
    confirm_s: float = CONFIRM_S
    busy_kernel: Callable[[], Text] = _nothing
    awake: Callable[[], Text] = _nothing
    prepare: Callable[[Callable[[], bool]], Text] = _nothing_to_prepare
    folder: lease.Folder = lease.FOLDER
    boottime: Callable[[], float] = marks.boottime
    chance: Callable[[], float] = _chance

    def go(self, grace_s: float, resume: ReleaseResult | None = None) -> ReleaseResult:
        """Count down, ask, look again, ask again; wait out what holds it. Returns the last word only.

        `resume` is what a guard of this run that has died had noted last: its nonce goes on.
        """
        if self.own is not None:
            self.own.over()
        plan = self._plan(grace_s)
        at = taken_up(None if resume is None else resume.status, plan, self.clock.monotonic())
        return _Release(self, plan, at, resume).go()

    def now(self) -> ReleaseResult:
        """Ask at once, if nothing on this machine speaks against it; wait for nothing. A person said so."""
        # Who says `release` after having pressed stop has changed their mind.
        marks.drop_keep(self.target, by=marks.PRESSED_STOP, folder=self.folder)
        at = Progress(Phase.ASKING, self.clock.monotonic())
        return _Release(self, self._plan(0.0), at, None, lasting=False).go()

    def _plan(self, grace_s: float) -> Plan:
        return Plan(grace_s, self.confirm_s, self.timing.give_up_after_s)


class _Release:
    """One release while it goes on. Unless `lasting`, it ends where a guard would begin to wait."""

    def __init__(
        self,
        back: HandBack,
        plan: Plan,
        at: Progress,
        resume: ReleaseResult | None,
        *,
        lasting: bool = True,
    ) -> None:
        self._back, self._plan, self._at, self._lasting = back, plan, at, lasting
        earlier = resume.nonce if resume else None
        self._nonce = earlier or os.urandom(8).hex()
        # Once it was told, it stays the one of this release.
        self._told_nonce = earlier is not None
        self._attempts = resume.attempts if resume else 0
        self._answer = NOT_SENT
        self._alone: lease.Lease | None = None
        self._noted: ReleaseResult | None = None
        self._countdown_said: list[float] = []
        self._pressed = False
        self._life: Text = ""
        self._attempt_s = back.timing.attempt_timeout_s * back.backend.patience
        self._lookout = Lookout(
            target=back.target,
            folder=back.folder,
            hold_files=back.hold_files,
            own="" if back.own is None else os.path.basename(back.own.path),
            nonce=self._nonce,
            confirm_s=back.confirm_s,
            way=back.backend.way,
            busy_kernel=back.busy_kernel,
            clock=back.clock,
            boottime=back.boottime,
        )

    def go(self) -> ReleaseResult:
        """Look, decide and move until the last word."""
        if (problem := self._back.backend.hopeless()) is not None:
            return self._note(ReleaseStatus.FAILED, *problem)
        self._begin_countdown()
        try:
            while True:
                sight = self._look()
                now = self._now()
                move = next_move(self._at, sight, self._plan, now)
                result = self._make(move)
                self._at = after_move(self._at, move, self._plan, now)
                if move.do is Do.ASK:
                    result = self._ask()
                elif move.do is Do.PREPARE:
                    result = self._prepare()
                elif move.do is Do.COUNT_DOWN:
                    self._begin_countdown()
                if result is not None:
                    return result
        finally:
            self._give_up_lease()

    def _now(self) -> float:
        return self._back.clock.monotonic()

    def _look(self) -> Sight:
        stopped = self._is_stopped()
        due = self._at.phase is not Phase.HELD and self._now() >= self._at.due
        if self._at.phase is Phase.ACCEPTED and not due:
            return Sight(stopped=stopped)
        if self._at.accepted and due and not stopped:
            gone = self._back.backend.gone(self._attempt_s, self._serve)
            if gone == Known(True):
                return Sight(gone=True)
        sight = self._lookout.look(alone=self._alone is not None, request_due=due)
        if not self._lasting:  # A person said so now.
            sight = sight._replace(released=False, answered=False)
        self._life = self._back.awake()
        return sight._replace(stopped=stopped, awake=bool(self._life))

    def _serve(self) -> None:
        """Hear whoever asks something of us, while somebody else is asked."""
        self._back.inbox.wait(A_MOMENT_S)

    def _is_stopped(self) -> bool:
        """A press counts until it is looked at by the loop, whoever took it."""
        unanswered = self._attempts > 0 and self._answer.reason == "timeout"
        self._hear_presses(going=self._at.accepted > 0 or unanswered)
        pressed, self._pressed = self._pressed, False
        return pressed

    def _hear_presses(self, *, going: bool) -> None:
        """`going`: what we asked for may be on its way, and brings signals to everything that it ends."""
        back = self._back
        number = back.inbox.take_stop()
        ours = going and number in back.backend.brings
        self._pressed = self._pressed or (number is not None and not ours)

    # --- moving -----------------------------------------------------------------------------------

    def _make(self, move: Move) -> ReleaseResult | None:
        """Everything but the request; a result is the last word."""
        if move.do is Do.LEASE:
            self._take_lease()
        elif move.do not in (Do.ASK, Do.PREPARE):
            self._give_up_lease()
        if move.do is Do.WAIT:
            self._say_countdown()
            self._back.inbox.wait(move.seconds)
        elif move.do is Do.HOLD:
            held = self._note(ReleaseStatus.HELD, move.reason, self._lookout.why)
            return None if self._lasting else held
        elif move.do is Do.SAY:
            return self._say(move)
        elif move.do is Do.DONE:
            return self._done(move)
        return None

    def _take_lease(self) -> None:
        # Somebody may have been faster, or the folder may be gone: the next look says so.
        with suppress(StateFolderError):
            self._alone = lease.hold_alone(self._back.target, self._back.folder)

    def _give_up_lease(self) -> None:
        if self._alone is not None:
            self._alone.close()
            self._alone = None

    def _say(self, move: Move) -> ReleaseResult | None:
        if move.status is ReleaseStatus.FAILED:
            failed = self._note(ReleaseStatus.FAILED, move.reason, not_accepted(self._answer))
            return None if self._lasting else failed
        self._note(ReleaseStatus.ACCEPTED, move.reason, asking_again(self._at.accepted))
        return None

    def _done(self, move: Move) -> ReleaseResult:
        back = self._back
        # Who relied on us is to ask again.
        marks.drop_accepted(back.target, self._nonce, folder=back.folder)
        if move.reason == "ended-by-person":
            self._keep_for_person()
        counting = self._at.phase is Phase.COUNTING
        why = last_words(move.reason, back.backend.way, accepted=self._at.accepted, counting=counting)
        if move.reason == AWAKE:
            why = self._life
        return self._note(move.status or ReleaseStatus.FAILED, move.reason, why)

    def _keep_for_person(self) -> None:
        back = self._back
        if self._lasting:
            # A mark that cannot be written changes nothing for this guard: it ends.
            with suppress(OSError, StateFolderError):
                marks.keep(
                    back.target,
                    marks.KEEP_AFTER_STOP_S,
                    marks.PRESSED_STOP,
                    folder=back.folder,
                    now=back.boottime(),
                )

    # --- asking -----------------------------------------------------------------------------------

    def _prepare(self) -> ReleaseResult | None:
        """What has to precede a request, under the lease; a press meanwhile is seen by the next look."""
        back = self._back

        def abort() -> bool:
            self._serve()
            self._hear_presses(going=False)
            return self._pressed

        self._note_request()
        why = back.prepare(abort)
        if self._pressed:
            return None
        if why:
            self._give_up_lease()
            return self._note(ReleaseStatus.HELD, NOT_PREPARED, why)
        self._at = after_prepared(self._at)
        return None

    def _note_request(self) -> None:
        """Before what can be written on Drive for the last time."""
        if self._noted is None or self._noted.status is ReleaseStatus.HELD:
            self._note(ReleaseStatus.REQUESTED, "requested")

    def _ask(self) -> ReleaseResult | None:
        """One request under the lease, which is given up when other guards can see the answer."""
        back = self._back
        self._note_request()
        self._attempts += 1
        self._answer = back.backend.ask(self._nonce, self._attempt_s, self._serve)
        self._hear_presses(going=True)
        now = self._now()
        if self._answer.accepted:
            self._at = after_accepted(self._at, self._plan, now)
            self._tell_others()
            self._give_up_lease()
            accepted = self._accepted()
            return None if self._lasting else accepted
        self._give_up_lease()
        longest = LONGEST_LATE_WAIT_S if self._at.failed else back.timing.longest_wait_s
        wait = next_wait(self._answer, self._at.failures + 1, back.timing, longest, back.chance())
        self._at = after_refused(self._at, self._answer.reason, wait, now)
        back.audience.tell(Retrying(retrying(self._answer), wait))
        return None

    def _accepted(self) -> ReleaseResult:
        noted = self._noted
        if noted is not None and noted.status is ReleaseStatus.ACCEPTED:
            return noted  # Asked again: that it is still here has been noted, and how often.
        return self._note(ReleaseStatus.ACCEPTED, "accepted")

    def _tell_others(self) -> None:
        back = self._back
        with suppress(OSError, StateFolderError):
            marks.note_accepted(
                back.target,
                back.run_id,
                self._nonce,
                way=back.backend.way,
                watched=self._lasting,
                folder=back.folder,
                now=back.boottime(),
            )

    # --- telling ----------------------------------------------------------------------------------

    def _begin_countdown(self) -> None:
        grace = self._plan.grace_s
        if self._at.phase is Phase.COUNTING:
            self._countdown_said = [grace] if grace <= 2 * LAST_WORD_S else [grace, LAST_WORD_S]
        if self._noted is not None and self._noted.status is ReleaseStatus.HELD:
            soon = words("nothing holds it any more: it goes in {time}", time=spelled(grace))
            self._note(ReleaseStatus.HELD, "countdown", soon)

    def _say_countdown(self) -> None:
        said = self._countdown_said
        if self._at.phase is not Phase.COUNTING or not said or self._at.due - self._now() > said[0]:
            return
        if self._plan.grace_s > 0:
            self._back.audience.tell(CountingDown(said[0], self._back.hold_files[0]))
        said.pop(0)

    def _note(self, status: ReleaseStatus, reason: str, detail: Text = "") -> ReleaseResult:
        """Every change of status goes to the ledger, which delays nothing when it cannot be written."""
        self._told_nonce |= self._attempts > 0 or status is ReleaseStatus.REQUESTED
        result = ReleaseResult(
            status,
            reason,
            detail,
            attempts=self._attempts,
            http_status=self._answer.http_status,
            nonce=self._nonce if self._told_nonce else None,
        )
        self._noted = result
        with suppress(Exception):
            self._back.note(result)
        return result
