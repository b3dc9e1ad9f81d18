"""A small world for the release protocol: runs with watcher and guard, crashes, a server, people.

`steps(world, rules)` lists everything that can happen next. What a guard does is decided by the real
`next_move`; the rest is a model of the kernel (locks that go with their holders) and of the files that
are noted. Time is two moments: what is due, and what is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from launcher.release.interface import ReleaseStatus
from launcher.release.protocol import (
    Do,
    Move,
    Others,
    Phase,
    Plan,
    Progress,
    Sight,
    after_accepted,
    after_move,
    after_prepared,
    after_refused,
    next_move,
    taken_up,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Where the acting process of a run stands.
NEW, LEASED, JOB, EMPTY, MARKED, RELEASING, ENDED, DONE, REFUSED = range(9)
PLAN = Plan(grace_s=1, confirm_s=1, give_up_after_s=9, repeats=1)


class Run(NamedTuple):
    """One run. `stage` and what follows `epoch` is in the acting process; `noted` and `nonce` in the ledger.

    `guard`, `watcher` and `sweeper` live or not; `lease`, `note`, `over` and `locked` (the note's lock) are
    what the kernel and the folder have of it; `sent` is the nonce of its requests so far.
    """

    due: bool
    stage: int = NEW
    guard: bool = True
    watcher: bool = True
    sweeper: bool = False
    job: bool = False
    lease: bool = False
    note: bool = False
    over: bool = False
    locked: bool = False
    noted: ReleaseStatus | None = None
    nonce: str = ""
    mark: bool = False
    stopped: bool = False
    sent: str = ""
    epoch: int = 0
    at: Progress | None = None
    alone: bool = False
    armed: bool = False
    flight: bool = False
    answered: bool = False
    preparing: bool = False

    @property
    def acts(self) -> bool:
        """Does any process of ours live that brings this run to its end?"""
        return self.guard or self.watcher or self.sweeper

    @property
    def lost(self) -> bool:
        """Does it look lost to the others?"""
        return self.note and not self.locked


class World(NamedTuple):
    """The machine. `veto` is absent (0), there (1) or gone for good (2); the rest are budgets and history."""

    runs: tuple[Run, ...]
    veto: int = 0
    kept: int = 0
    crashes: int = 0
    failures: int = 0
    presses: int = 0
    sweeps: int = 0
    accepted: frozenset[str] = frozenset()
    gone: bool = False

    def with_run(self, index: int, run: Run, **changes: object) -> World:
        """The world after one run changed."""
        return self._replace(runs=(*self.runs[:index], run, *self.runs[index + 1 :]), **changes)


class Broken(AssertionError):
    """An invariant does not hold in this world."""


@dataclass(frozen=True)
class Rules:
    """What is explored: the protocol, and what the processes around it do. Mutants change one of these.

    `outlives`: what is handed back goes without the guard that asked for it.
    """

    veto: str = ""
    plan: Plan = PLAN
    outlives: bool = False
    next_move: Callable[[Progress, Sight, Plan, float], Move] = next_move
    keeps_lease_until_answer: bool = True
    watcher_takes_over: bool = True
    notes_before_sending: bool = True
    marks_before_unlocking: bool = True
    believes_over: bool = True
    lease_excludes_runs: bool = True


def must(condition: object, what: str) -> None:
    """Every invariant goes through here."""
    if not condition:
        raise Broken(what)


def normal(at: Progress) -> Progress:
    """Numbers that only matter as due or not, some or none."""
    return at._replace(
        due=1.0 if at.due > 0 else 0.0,
        failures=min(at.failures, 1),
        since=None if at.since is None else 0.0,
        reason=at.reason if at.phase is Phase.HELD else "",
    )


# --- what can happen ------------------------------------------------------------------------------


def steps(world: World, rules: Rules) -> Iterator[tuple[str, World, bool]]:
    """(what happens, the world after it, whether it will happen: a crash, a person or a sweep only may)."""
    for index, run in enumerate(world.runs):
        name = "ABC"[index]
        for what, after in _of_run(world, index, run, rules):
            yield f"{name} {what}", after, True
        for what, after in _of_time(world, index, run):
            yield f"{name} {what}", after, True
        for what, after in _of_fate(world, index, run, rules):
            yield f"{name} {what}", after, False
    if rules.veto and world.veto == 0:
        yield f"{rules.veto} comes", world._replace(veto=1), False
    if rules.veto and world.veto == 1:
        yield f"{rules.veto} goes", world._replace(veto=2), True
    if rules.outlives and world.accepted and not world.gone:
        yield "what was asked for goes", world._replace(gone=True), False
    if world.kept == 1:
        yield "the keep of a press ends", world._replace(kept=2), True


def _of_run(world: World, index: int, run: Run, rules: Rules) -> Iterator[tuple[str, World]]:
    """The next step of the acting process of a run."""
    if run.stage == NEW:
        if any(other.alone for other in world.runs):
            yield "is refused", world.with_run(index, run._replace(stage=REFUSED))
            return
        busy = any(other.flight or other.preparing for other in world.runs)
        must(not busy, "a run starts between request and answer")
        yield "takes its lease", world.with_run(index, run._replace(stage=LEASED, lease=True))
    elif run.stage == JOB and run.job:
        if run.sweeper and not run.lease:
            if not any(other.alone for other in world.runs):
                yield "sweeper takes the lease", world.with_run(index, run._replace(lease=True))
        elif run.sweeper:
            yield "sweeper ends the job", world.with_run(index, run._replace(job=False))
    elif not run.acts or not (run.guard or run.sweeper or rules.watcher_takes_over):
        return
    elif run.stage == LEASED:
        started = run._replace(stage=JOB, note=True, locked=True, job=True)
        yield "starts its job", world.with_run(index, started)
    elif run.stage == JOB:
        yield "is empty", world.with_run(index, run._replace(stage=EMPTY))
    elif run.stage == EMPTY:
        yield "marks its note", world.with_run(index, run._replace(stage=MARKED, over=True))
    elif run.stage == MARKED:
        at = normal(taken_up(run.noted, rules.plan, 0.0)) if run.due else None
        stage = RELEASING if run.due else ENDED
        yield "gives its lease up", world.with_run(index, run._replace(lease=False, stage=stage, at=at))
    elif run.stage == RELEASING:
        yield from _of_release(world, index, run, rules)
    elif run.stage == ENDED:
        gone = run._replace(stage=DONE, note=False, locked=False, at=None)
        yield "removes its note", world.with_run(index, gone)


def _of_release(world: World, index: int, run: Run, rules: Rules) -> Iterator[tuple[str, World]]:
    assert run.at is not None
    if run.flight:
        yield from _answers(world, index, run, rules)
        return
    if run.preparing:
        yield from _prepares(world, index, run)
        return
    if run.answered:
        yield "gives the lease up", world.with_run(index, _settled(run._replace(mark=True)))
        return
    if run.armed:
        yield "sends", _sent(world, index, run, rules)
        return
    if run.at.due > 0 and run.at.phase is not Phase.HELD:
        yield "has waited", world.with_run(index, run._replace(at=run.at._replace(due=0.0)))
    sight = look(world, index, run, rules)
    move = rules.next_move(run.at, sight, rules.plan, 0.0)
    after = _moved(world, index, run, move, rules)
    if after != world:
        yield f"looks: {move.do.value} {move.reason}".strip(), after


def look(world: World, index: int, run: Run, rules: Rules) -> Sight:
    """What the lookout of a guard would see."""
    others = [other for number, other in enumerate(world.runs) if number != index]
    at_work = any(other.lease for other in others) or (
        rules.believes_over and any(other.note and other.locked and not other.over for other in others)
    )
    asking = any(other.alone for other in others)
    there = world.veto == 1
    return Sight(
        stopped=run.stopped,
        kept=world.kept == 1 or (there and rules.veto == "keep"),
        hold_file=there and rules.veto == "HOLD",
        others=Others.RUN if at_work else Others.RELEASE if asking else Others.NONE,
        lost=any(other.lost for other in others),
        busy=there and rules.veto == "kernel",
        released=any(other.mark for other in others),
        alone=run.alone,
        gone=world.gone,
    )


def _moved(world: World, index: int, run: Run, move: Move, rules: Rules) -> World:
    assert run.at is not None
    at = normal(after_move(run.at, move, rules.plan, 0.0))
    if move.do is Do.LEASE:
        free = not any(other.alone or (other.lease and rules.lease_excludes_runs) for other in world.runs)
        return world.with_run(index, run._replace(alone=free))
    if move.do is Do.PREPARE:
        # Where the request is noted may be out of reach afterwards.
        return world.with_run(index, _noted(index, run, rules)._replace(preparing=True))
    if move.do is Do.ASK:
        must(run.at.prepared, "asks before it has prepared")
        must(world.veto != 1 and world.kept != 1, "asks although the last look could see that it must not")
        return world.with_run(index, _noted(index, run, rules)._replace(at=at, armed=True))
    run = run._replace(alone=False, stopped=False)
    if move.do is Do.DONE:
        kept = 1 if move.reason == "ended-by-person" and world.kept == 0 else world.kept
        ended = run._replace(stage=ENDED, noted=move.status, mark=False, at=None)
        return world.with_run(index, ended, kept=kept)
    return world.with_run(index, run._replace(at=at, noted=move.status or run.noted))


def _noted(index: int, run: Run, rules: Rules) -> Run:
    """The run with its request noted, before it is prepared for and sent."""
    assert run.at is not None
    if not rules.notes_before_sending:
        return run
    status = ReleaseStatus.ACCEPTED if run.at.accepted else ReleaseStatus.REQUESTED
    return run._replace(noted=status, nonce=_nonce(index, run))


def _prepares(world: World, index: int, run: Run) -> Iterator[tuple[str, World]]:
    """Drive is flushed; or it cannot be, as long as the budget lasts; a press is seen by the next look."""
    assert run.at is not None
    landed = run._replace(preparing=False)
    if run.stopped:
        yield "is stopped while it prepares", world.with_run(index, landed)
        return
    yield "has prepared", world.with_run(index, landed._replace(at=after_prepared(run.at)))
    if world.failures:
        held = landed._replace(stage=ENDED, alone=False, noted=ReleaseStatus.HELD, at=None)
        yield "cannot prepare", world.with_run(index, held, failures=world.failures - 1)


def _nonce(index: int, run: Run) -> str:
    return run.nonce or f"{'ABC'[index]}{run.epoch}"


def _sent(world: World, index: int, run: Run, rules: Rules) -> World:
    nonce = _nonce(index, run)
    must(not any(other.job for other in world.runs), "I1: asks while a process of a job lives")
    must(not any(other.lease for other in world.runs), "I1: asks while a run holds its lease")
    must(run.sent in ("", nonce), "two nonces for the end of one run")
    answered_another = any(other.mark for other in world.runs if other is not run)
    must(run.noted is ReleaseStatus.ACCEPTED or not answered_another, "asks although another was accepted")
    alone = run.alone and rules.keeps_lease_until_answer
    return world.with_run(index, run._replace(armed=False, flight=True, sent=nonce, alone=alone))


def _answers(world: World, index: int, run: Run, rules: Rules) -> Iterator[tuple[str, World]]:
    """200; or, as long as the budget lasts, an error, or an acceptance whose answer is lost."""
    assert run.at is not None
    landed = run._replace(flight=False)
    accepted = landed._replace(
        at=normal(after_accepted(run.at, rules.plan, 0.0)), noted=ReleaseStatus.ACCEPTED, nonce=run.sent
    )
    if rules.marks_before_unlocking:
        accepted = accepted._replace(mark=True, answered=True)
    else:
        accepted = accepted._replace(alone=False, answered=True)
    had = world.accepted | {run.sent}
    yield "is answered 200", world.with_run(index, accepted, accepted=had)
    if world.failures:
        refused = _settled(landed._replace(at=normal(after_refused(run.at, "http-500", 1.0, 0.0))))
        left = world.failures - 1
        yield "is answered 500", world.with_run(index, refused, failures=left)
        yield "waits in vain for its answer", world.with_run(index, refused, failures=left, accepted=had)


def _settled(run: Run) -> Run:
    return run._replace(answered=False, alone=False)


def _of_time(world: World, index: int, run: Run) -> Iterator[tuple[str, World]]:
    if run.job and run.stage == JOB and not run.sweeper:
        yield "job ends", world.with_run(index, run._replace(job=False))
    if run.mark:
        yield "mark is as old as confirm", world.with_run(index, run._replace(mark=False))
    if run.locked and not run.acts:
        yield "note is let go", world.with_run(index, run._replace(locked=False))


def _of_fate(world: World, index: int, run: Run, rules: Rules) -> Iterator[tuple[str, World]]:
    """What may happen to a run from outside."""
    if world.presses and run.stage == RELEASING and run.acts and not run.stopped:
        yield "is stopped", world.with_run(index, run._replace(stopped=True), presses=world.presses - 1)
    if world.crashes and LEASED <= run.stage <= ENDED:
        yield from _crashes(world, index, run, rules)
    if world.sweeps and run.lost and not run.acts:
        swept = _reborn(run._replace(sweeper=True, locked=True), rules)
        yield "is swept", world.with_run(index, swept, sweeps=world.sweeps - 1)


def _crashes(world: World, index: int, run: Run, rules: Rules) -> Iterator[tuple[str, World]]:
    left = world.crashes - 1
    if run.guard:
        dead = run._replace(guard=False)
        after = _reborn(dead, rules) if run.watcher else _orphaned(dead)
        yield "guard is killed", world.with_run(index, after, crashes=left)
        if run.flight:
            # It had reached the server all the same.
            arrived = world.accepted | {run.sent}
            yield "guard is killed on the way", world.with_run(index, after, crashes=left, accepted=arrived)
    if run.watcher:
        dead = run._replace(watcher=False)
        after = dead if run.guard else _orphaned(dead)
        yield "watcher is killed", world.with_run(index, after, crashes=left)
    if run.sweeper:
        after = _orphaned(run._replace(sweeper=False))
        yield "sweeper is killed", world.with_run(index, after, crashes=left)


def _orphaned(run: Run) -> Run:
    """Watcher and guard are dead: their lease is free at once, their note a moment later."""
    return run._replace(
        lease=False,
        alone=False,
        armed=False,
        flight=False,
        answered=False,
        preparing=False,
        at=None,
        stopped=False,
    )


def _reborn(run: Run, rules: Rules) -> Run:
    """Another process goes on from what was noted; a job that had not started never will."""
    run = run._replace(alone=False, armed=False, flight=False, answered=False, preparing=False, stopped=False)
    at = normal(taken_up(run.noted, rules.plan, 0.0)) if run.stage == RELEASING else None
    return run._replace(at=at, epoch=run.epoch + 1)
