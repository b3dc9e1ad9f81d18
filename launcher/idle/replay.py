"""What policies would have released, and how often they would have been wrong. Pure.

A *session* is one job that was alive until `session.end` (replay_session.py). GPU *work* is a sample over
`above` percent. Of every session a policy gets its first release only: after it the machine is gone.

- *false*: GPU work resumed after the release, before the end of the session. Per 100 hours of
  all sessions to their ends.
- *recovered*: the GPU-hours from a release that is not false to the session's end, as a share of all
  GPU-hours without work. Over sessions in which a GPU ever worked; those in which none did are `unused`,
  apart: who waits for the first work never releases those.
- *unproven*: not false as far as is known, and the session went on after its recording (`censored`). They
  count as recovered up to the recording's end.
- *lost*: GPU-hours of work after a false release: what would not have been done.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.idle import replay_peers as peers
from launcher.idle.decide import Memory, standing, step
from launcher.idle.model import Active, IdleSince, Life, Look, Moment, Policy, Sign
from launcher.values import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from launcher.idle.model import Sample
    from launcher.idle.replay_session import Session
    from launcher.idle.vigil import Vigil

HOUR_S = 3600.0
STALLED, RUNTIME = "colab-run", "colab-run-runtime"
# Armed by what a session of GPU samples has.
ARMED = frozenset((Sign.GPU,))


@dataclass(frozen=True, slots=True)
class Rule:
    """A policy with its window. `released(session)` is the time of its first release, or None."""

    name: str
    window_s: float
    released: Callable[[Session], float | None]


@dataclass(frozen=True, slots=True)
class Judged:
    """What one policy did to one session. Seconds are of GPUs: two GPUs for an hour are two hours."""

    release: float | None
    false: bool
    unproven: bool
    recovered_s: float
    lost_s: float


@dataclass(frozen=True, slots=True)
class Score:
    """What one policy did to many sessions; see the module."""

    name: str
    window_s: float
    sessions: int = 0
    releases: int = 0
    false: int = 0
    unproven: int = 0
    session_s: float = 0.0
    idle_s: float = 0.0
    recovered_s: float = 0.0
    unused_s: float = 0.0
    unused_recovered_s: float = 0.0
    lost_s: float = 0.0

    @property
    def recovered_percent(self) -> float:
        """Of the idle GPU-hours of sessions that ever worked."""
        return 100 * self.recovered_s / self.idle_s if self.idle_s else 0.0

    @property
    def unused_percent(self) -> float:
        """Of the GPU-hours of sessions that never worked."""
        return 100 * self.unused_recovered_s / self.unused_s if self.unused_s else 0.0

    @property
    def false_per_100h(self) -> float:
        """False releases per 100 hours of sessions."""
        return 100 * HOUR_S * self.false / self.session_s if self.session_s else 0.0

    def beats(self, other: Score) -> bool:
        """Is this better on both axes?"""
        return self.recovered_percent > other.recovered_percent and self.false_per_100h < other.false_per_100h


# --- policies -------------------------------------------------------------------------------------


def rules(window_s: float, above: float = 0.0) -> tuple[Rule, ...]:
    """All policies with this window, ours first. One that cannot have such a window is left out."""

    def rule(name: str, released: Callable[[Session], float | None]) -> Rule:
        return Rule(name, window_s, released)

    every = [
        rule(STALLED, lambda session: ours(session, _policy(session, window_s, job=True), above)),
        rule(RUNTIME, lambda session: ours(session, _policy(session, window_s, job=False), above)),
        rule("fixed", lambda session: peers.fixed(session, window_s, above)),
        rule("fixed-armed", lambda session: peers.fixed(session, window_s, above, armed=True)),
        rule("skypilot", peers.skypilot),
        rule("gpumon", lambda session: peers.gpumon(session, window_s, peers.GPUMON_GUARD_S)),
        rule("gpumon-spot", lambda session: peers.gpumon(session, window_s, 0.0)),
        rule("gpu-auto-shutdown", lambda session: peers.shutdown(session, window_s)),
    ]
    if peers.DSTACK_SHORTEST_S <= window_s <= peers.DSTACK_LONGEST_S:
        every.insert(5, rule("dstack", lambda session: peers.dstack(session, window_s)))
    return tuple(every)


# The windows that others have when nobody says another one.
THEIR_WINDOWS = {
    "dstack": peers.DSTACK_S,
    "gpumon": peers.GPUMON_STANDARD_S,
    "gpumon-spot": peers.GPUMON_SPOT_S,
    "gpu-auto-shutdown": peers.SHUTDOWN_S,
}
NAMES = tuple(rule.name for rule in rules(peers.DSTACK_S))


def _policy(session: Session, window_s: float, *, job: bool) -> Policy:
    """Of a stalled job, or of an idle runtime. The period is the session's: nobody looked more often."""
    period_s = session.period_s or window_s
    return Policy(window_s, period_s, armed_by=ARMED, adapts=True) if job else Policy(window_s, period_s)


def ours(session: Session, policy: Policy, above: float) -> float | None:
    """By our own decision, over a series of looks that know the GPUs and nothing else."""
    memory, alive = Memory(), 0.0
    for tick in session.ticks:
        use = peers.highest(tick)
        if use is None or use > above:
            alive = tick.at
        row = Unknown("not-read") if use is None else Known(Life(alive))
        look = Look(Moment(tick.at, tick.at, tick.at), {Sign.GPU: row})
        memory = step(memory, look, policy)
        if isinstance(standing(memory, policy), IdleSince):
            return tick.at
    return None


class Watched:
    """One policy of ours over samples as they come, with all signs that were recorded."""

    def __init__(self, vigil: Vigil) -> None:
        self._vigil = vigil
        self._began: float | None = None
        self.released: float | None = None
        self.alive_again = False

    def take(self, sample: Sample) -> None:
        """One more sample. After the release only whether life is seen again."""
        at = sample.moment.at
        self._began = at if self._began is None else self._began
        now = self._vigil.take(sample)
        if self.released is None:
            self.released = at - self._began if isinstance(now, IdleSince) else None
        elif isinstance(now, Active) and now.quiet_since is not None:
            self.alive_again |= now.quiet_since - self._began > self.released


# --- judgement ------------------------------------------------------------------------------------


def judge(session: Session, release: float | None, above: float, *, again: bool = False) -> Judged:
    """What a release at this time would have meant; `again`: another sign than the GPU was alive later."""
    if release is None:
        return Judged(None, False, False, 0.0, 0.0)
    lost_s, resumed = 0.0, again
    for tick, until in session.ends:
        working = sum(isinstance(use, Known) and use.value > above for use in tick.use)
        if tick.at > release and working:
            resumed = True
            lost_s += working * (until - tick.at)
    recovered_s = 0.0 if resumed else session.gpus * max(0.0, session.end - release)
    return Judged(release, resumed, session.censored and not resumed, recovered_s, lost_s)


def idle_of(session: Session, above: float) -> tuple[float, bool]:
    """(GPU-seconds without work, did any GPU ever work?)."""
    idle_s, worked = 0.0, False
    for tick, until in session.ends:
        for use in tick.use:
            if isinstance(use, Known):
                worked |= use.value > above
                idle_s += until - tick.at if use.value <= above else 0.0
    return idle_s, worked


def score(rule: Rule, sessions: Iterable[Session], above: float = 0.0) -> Score:
    """One policy on all of them."""
    return total(rule.name, rule.window_s, ((s, judge(s, rule.released(s), above)) for s in sessions), above)


def total(name: str, window_s: float, judged: Iterable[tuple[Session, Judged]], above: float) -> Score:
    """The sum of what was judged."""
    rows = [(session, one, *idle_of(session, above)) for session, one in judged]
    used = [(one, idle_s) for _, one, idle_s, worked in rows if worked]
    unused = [(one, idle_s) for _, one, idle_s, worked in rows if not worked]
    return Score(
        name,
        window_s,
        sessions=len(rows),
        releases=sum(one.release is not None for _, one, _, _ in rows),
        false=sum(one.false for _, one, _, _ in rows),
        unproven=sum(one.unproven for _, one, _, _ in rows),
        session_s=sum(session.end for session, _, _, _ in rows),
        idle_s=sum(idle_s for _, idle_s in used),
        recovered_s=sum(one.recovered_s for one, _ in used),
        unused_s=sum(idle_s for _, idle_s in unused),
        unused_recovered_s=sum(one.recovered_s for one, _ in unused),
        lost_s=sum(one.lost_s for _, one, _, _ in rows),
    )
