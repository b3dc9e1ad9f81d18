"""What a guard does next about its release. Pure: `next_move` decides, `after_*` say where that leads.

Somebody else looks at the world, makes the move, and looks again. The order before a request is fixed:
nothing speaks against it, the countdown has passed, the lease is held alone, what has to precede a request
is done under it, and a last look under the lease still sees nothing. The lease is given up once the answer
is there, or its deadline has passed, and never held while waiting: a start is refused from the preparation
to the answer and at no other time. A hold undoes the preparation: there may be new work when it ends.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from launcher.release.interface import AWAKE, ReleaseStatus

if TYPE_CHECKING:
    from launcher.release.interface import Answer, ReleaseTiming

# How often the world is looked at: during a countdown, and while something holds the release.
LOOK_S = 1.0
HELD_LOOK_S = 2.0
# After the release was reported as failed, requests follow each other at least this often.
LONGEST_LATE_WAIT_S = 300.0
LONGEST_CONFIRM_S = 3600.0


class Phase(str, Enum):
    """Where a release stands. HELD: something speaks against it; ACCEPTED: the next look is due later."""

    COUNTING = "counting"
    HELD = "held"
    ASKING = "asking"
    ACCEPTED = "accepted"


class Others(str, Enum):
    """Who else is on this machine: nobody, a run that may be at work, or somebody who asks just now."""

    NONE = "none"
    RUN = "run"
    RELEASE = "release"


class Plan(NamedTuple):
    """The waits of one release, in seconds, and how often an accepted one is asked for again."""

    grace_s: float
    confirm_s: float
    give_up_after_s: float
    repeats: int = 8


class Progress(NamedTuple):
    """Where one guard stands.

    `due` is when the phase's wait is over and `since` when the first request of this round was sent, both
    on the guard's clock. `reason` is why it is held, or why the last request was not accepted. `accepted`
    counts the accepted requests, `failures` those in a row that were not; `failed`: said so. `prepared`: what
    has to precede a request is done.
    """

    phase: Phase
    due: float
    reason: str = ""
    accepted: int = 0
    failures: int = 0
    since: float | None = None
    failed: bool = False
    prepared: bool = False


class Sight(NamedTuple):
    """What a guard sees at one moment.

    `stopped`: a person pressed stop. `lost`: a run whose watcher and guard have both died. `released`:
    another guard's request was accepted within our confirm time; `answered`: somebody's was who looks after
    nothing, such as a person's. `alone`: we hold the lease alone. `gone`:
    what we were accepted for has gone, and we have not gone with it. `awake`: this release is one of an idle
    machine, and that is not idle any more.
    """

    stopped: bool = False
    kept: bool = False
    hold_file: bool = False
    others: Others = Others.NONE
    lost: bool = False
    busy: bool = False
    released: bool = False
    answered: bool = False
    alone: bool = False
    gone: bool = False
    awake: bool = False


class Do(str, Enum):
    """The kinds of moves: what is done with `Move.reason`, `status` and `seconds`."""

    COUNT_DOWN = "count down"
    HOLD = "hold"
    WAIT = "wait"
    LEASE = "take the lease alone"
    PREPARE = "prepare"
    ASK = "ask"
    SAY = "say"
    DONE = "done"


class Move(NamedTuple):
    """One move. WAIT has `seconds`, HOLD a `reason`, SAY and DONE a `status` and a `reason`."""

    do: Do
    reason: str = ""
    status: ReleaseStatus | None = None
    seconds: float = 0.0


def taken_up(noted: ReleaseStatus | None, plan: Plan, now: float) -> Progress:
    """Where a guard starts; `noted` is what one of the same run that has died had noted last."""
    if noted is ReleaseStatus.ACCEPTED:
        return Progress(Phase.ACCEPTED, now + plan.confirm_s, accepted=1)
    if noted in (ReleaseStatus.REQUESTED, ReleaseStatus.FAILED):
        return Progress(Phase.ASKING, now, failed=noted is ReleaseStatus.FAILED)
    return Progress(Phase.COUNTING, now + plan.grace_s)


def speaks_against(sight: Sight) -> str:
    """The stable code of what holds the release now; empty when nothing does."""
    if sight.kept:
        return "keep"
    if sight.hold_file:
        return "hold-file"
    if sight.others is Others.RUN:
        return "another-run"
    if sight.lost:
        return "lost-run"
    return "kernel-busy" if sight.busy else ""


def next_move(at: Progress, sight: Sight, plan: Plan, now: float) -> Move:
    """What to do at `now`. LEASE may fail: the next look says why. After PREPARE it is looked again."""
    if sight.stopped:
        status = ReleaseStatus.ACCEPTED if at.accepted else ReleaseStatus.KEPT
        return Move(Do.DONE, "ended-by-person", status)
    if sight.released and not at.accepted:
        # That guard looks again, and asks again; two would be one too many.
        return Move(Do.DONE, "another-run-released", ReleaseStatus.ACCEPTED)
    if at.phase is Phase.ACCEPTED and now < at.due:
        return Move(Do.WAIT, seconds=at.due - now)
    if sight.gone and at.accepted:
        return Move(Do.DONE, "gone", ReleaseStatus.CONFIRMED)
    if sight.awake:
        return Move(Do.DONE, AWAKE, ReleaseStatus.HELD)
    if reason := speaks_against(sight):
        if at.phase is Phase.HELD and at.reason == reason:
            return Move(Do.WAIT, seconds=HELD_LOOK_S)
        return Move(Do.HOLD, reason, ReleaseStatus.HELD)
    if at.phase is Phase.HELD:
        return Move(Do.COUNT_DOWN)
    if at.phase is Phase.ACCEPTED:
        if at.accepted > plan.repeats:
            return Move(Do.DONE, "still-here", ReleaseStatus.FAILED)
        return Move(Do.SAY, "still-here", ReleaseStatus.ACCEPTED)
    if _tired(at, plan, now):
        return Move(Do.SAY, at.reason, ReleaseStatus.FAILED)
    if now < at.due:
        return Move(Do.WAIT, seconds=min(at.due - now, LOOK_S))
    if sight.answered and not at.accepted:
        return Move(Do.WAIT, seconds=LOOK_S)  # It may go any moment; if it does not, nobody else asks again.
    if sight.alone:
        return Move(Do.ASK if at.prepared else Do.PREPARE)
    if sight.others is Others.RELEASE:
        return Move(Do.WAIT, seconds=LOOK_S)
    return Move(Do.LEASE)


def _tired(at: Progress, plan: Plan, now: float) -> bool:
    """Is it time to say that nothing was accepted? Asking goes on all the same."""
    if at.failed or at.accepted or not at.failures or at.since is None:
        return False
    return now - at.since >= plan.give_up_after_s


def after_move(at: Progress, move: Move, plan: Plan, now: float) -> Progress:
    """Where a move leads; what PREPARE and ASK come to is said later, by `after_*`."""
    if move.do is Do.HOLD:
        return Progress(Phase.HELD, now, move.reason, at.accepted)
    if move.do is Do.COUNT_DOWN:
        return Progress(Phase.COUNTING, now + plan.grace_s, accepted=at.accepted)
    if move.do is Do.ASK:
        since = now if at.since is None else at.since
        return at._replace(phase=Phase.ASKING, since=since)
    if move.do is Do.SAY:
        if move.status is ReleaseStatus.FAILED:
            return at._replace(failed=True)
        return Progress(Phase.ASKING, now, accepted=at.accepted, prepared=at.prepared)
    return at


def after_prepared(at: Progress) -> Progress:
    """What has to precede a request is done."""
    return at._replace(prepared=True)


def after_accepted(at: Progress, plan: Plan, now: float) -> Progress:
    """Accepted: look again after `confirm`, then after twice as long, and so on up to an hour."""
    # 2.0: a confirm time of 0 or of days is somebody's own choice, the doubling is not to overflow.
    wait = max(plan.confirm_s, min(plan.confirm_s * 2.0 ** min(at.accepted, 30), LONGEST_CONFIRM_S))
    return Progress(Phase.ACCEPTED, now + wait, accepted=at.accepted + 1, prepared=at.prepared)


def after_refused(at: Progress, reason: str, wait_s: float, now: float) -> Progress:
    """Any other answer, or none: the next request follows in `wait_s`."""
    return at._replace(phase=Phase.ASKING, due=now + wait_s, reason=reason, failures=at.failures + 1)


def next_wait(answer: Answer, failures: int, timing: ReleaseTiming, longest_s: float, chance: float) -> float:
    """Seconds until the next request: exponential back-off with full jitter.

    `failures` counts the requests that were not accepted (1 after the first), `chance` is in [0, 1).
    """
    if answer.firm:
        own = longest_s  # A refusal seldom passes within seconds.
    else:
        own = chance * min(longest_s, timing.first_wait_s * 2.0 ** min(failures - 1, 60))
    # The server's own word counts more than ours.
    return max(own, answer.retry_after_s)
