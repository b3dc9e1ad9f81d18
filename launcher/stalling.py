"""A job that is alive and shows no sign of life: said, noted with where it stands, and stopped if asked.

For the supervisor these are two sidelines: the sampler, and whoever finds out where the job stands.
"""

from __future__ import annotations

import os
from math import inf
from typing import TYPE_CHECKING

from launcher.beats import path_of_beat
from launcher.events import Said
from launcher.guard.model import Stalled
from launcher.idle.model import SIGNS, Because, IdleSince, Policy
from launcher.idle.sampler import Sampler
from launcher.idle.vigil import Vigil
from launcher.idling import is_fresh
from launcher.ledger.mirror import mirror_of
from launcher.life import job_life, stalled_policy
from launcher.places import is_under, resolve
from launcher.record import Silence
from launcher.saving.model import TargetKind, parse_target
from launcher.spec.model import IdleAction
from launcher.stacks import Stacks
from launcher.values import Known
from launcher.words import alternated, listed, spelled, words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from launcher.clock import Clock
    from launcher.events import Audience
    from launcher.guard.folder import RunFolder
    from launcher.guard.sideline import Sideline
    from launcher.idle.model import Sample, Sign, Standing
    from launcher.life import Sources
    from launcher.noted import Noted
    from launcher.plan import Plan
    from launcher.words import Text

# A job that has ended by then has cost nothing.
BEGIN_AFTER_S = 0.1
# The sampler writes its sample before we look for it.
LATE = 0.1


class Stalling:
    """For the supervisor, as `guard.sideline.Sideline`; `stacks` is the other one.

    `note()` is called when what somebody who takes over has to know has changed, `write()` when what people
    see has. Whoever takes over begins anew: it counts no second in which nobody looked.
    """

    def __init__(
        self,
        policy: Policy,
        sources: Sources,
        action: IdleAction,
        stacks: Stacks,
        noted: Noted,
        clock: Clock,
        audience: Audience,
        note: Callable[[], None],
        write: Callable[[], None],
    ) -> None:
        self.stacks = stacks
        self._stops, self._noted, self._record = action is IdleAction.STOP, noted, noted.record
        self._clock, self._audience, self._note, self._write = clock, audience, note, write
        self._policy, self._signals = policy, sources.signals
        self._vigil, self._paused = self._new_vigil(), False
        self._forking: Callable[[], None] = lambda: None
        self._sampler = Sampler(sources.readers, policy.period_s, lambda: self._forking())
        self._next = 0.0
        self._begun = self._over = False
        self._silent: IdleSince | None = None
        self._quiet_since = -inf
        self._told = False
        self._last: Sample | None = None

    @property
    def sidelines(self) -> tuple[Sideline, ...]:
        """Both."""
        return (self, self.stacks)

    def found(self) -> Stalled | None:
        """How the job ends, now that it has been silent for so long; None: it goes on."""
        if self._silent is None or self._last is None or not self._told:
            return None
        if not is_fresh(self._last, self._clock.monotonic(), self._sampler.period_s):
            return None
        return Stalled(self._last.moment.at - self._silent.at) if self._stops else None

    # --- for guard.sideline.Sideline --------------------------------------------------------------

    @property
    def pid(self) -> int:
        """The sampler's child; 0 while there is none."""
        return self._sampler.pid

    def due_in(self) -> float | None:
        """Until the next sample has come."""
        if self._over:
            return None
        if not self._begun:
            return 0.0
        return max(0.0, self._next - self._clock.monotonic())

    def tend(self, forking: Callable[[], None]) -> bool:
        """Take what was sampled; True when the sampler's child is a new one."""
        now = self._clock.monotonic()
        if self._over:
            return False
        if not self._begun:
            self._begun, self._next = True, now + BEGIN_AFTER_S
        if now < self._next:
            return False
        before, self._forking = self._sampler.pid, forking
        period = self._sampler.period_s
        self._next = now + period
        try:
            samples = self._sampler.take()
        except OSError:
            return False  # No process can be created: nothing is known, so nothing follows.
        self._count_no_pause()
        for sample in () if self._paused else samples:
            standing = self._vigil.take(sample)
            # A guard that was suspended finds what was so then.
            if is_fresh(sample, now, period):
                self._last = sample
                self._judge(standing)
        if samples:
            self._next = max(now + period / 2, samples[-1].moment.at + (1 + LATE) * period)
        return self._sampler.pid not in (0, before)

    def ended(self) -> None:
        """The sampler's child has ended: the next `tend` starts another."""
        self._sampler.ended()

    def stop(self) -> None:
        """The job is over."""
        self._over = True
        self._sampler.stop()

    # --- what follows from a sample ---------------------------------------------------------------

    def _new_vigil(self) -> Vigil:
        """It counts from now on; whether the job has ever worked is known from before."""
        policy = self._policy
        if self._noted.worked:
            policy = Policy(policy.window_s, policy.period_s, policy.coverage, adapts=policy.adapts)
        return Vigil(policy, self._signals)

    def _count_no_pause(self) -> None:
        """A job that a person has suspended is not stalled; once it goes on, its silence is counted anew."""
        progress = self._noted.progress
        paused = progress is not None and progress.paused
        if self._paused and not paused:
            self._vigil = self._new_vigil()
        if paused:
            self._silent = None
        self._paused = paused

    def _judge(self, standing: Standing) -> None:
        if not self._noted.worked and self._vigil.memory.armed:
            self._noted.worked = True
            self._note()
        if isinstance(standing, IdleSince):
            if self._silent is None:
                self._silent, self._quiet_since = standing, standing.at
                self.stacks.ask(self._tell)
            return
        self._silent = None  # Unknown counts as alive: nobody is stopped then.
        # What was seen before the silence is no news, and at the first look everything counts as alive.
        signs = [sign for sign in standing.which if (self._seen(sign) or -inf) > self._quiet_since]
        if standing.because is Because.ALIVE and signs:
            self._told = False
            self._take_back(signs)

    def _seen(self, sign: Sign) -> float | None:
        """When it was seen last since we look (monotonic); None where it was not."""
        look, first = self._vigil.memory.look, self._vigil.memory.first
        row = None if look is None else look.lives.get(sign)
        at = row.value.last_alive if isinstance(row, Known) else first
        return at if at > first else None

    def _tell(self, stacks: str | None) -> None:
        """Once for each silence, and when it is known where the job stands; life may have come back since."""
        if self._silent is None or self._last is None or self._over:
            return
        self._told = True
        if self._record.stalled is not None:
            return  # Said already, in the same silence.
        silence = self._silence(self._silent, self._last, stacks)
        self._record.stalled = silence
        self._record.stalls += 1
        stop = words("to stop it: {command}", command=f"colab-run stop {self._record.run_id}")
        told: tuple[Text, ...] = (
            silence.text,
            words("where it stands: {path}", path=stacks) if stacks else "",
            "" if self._stops else stop,
        )
        # Before it is noted: should we be killed in between, it is said twice, and not never.
        self._audience.tell(Said(alternated(part for part in told if part), warning=True))
        self._note()
        self._write()

    def _silence(self, since: IdleSince, last: Sample, stacks: str | None) -> Silence:
        now = last.moment
        seen: dict[str, tuple[float | None, Text]] = {}
        for row in self._vigil.table().rows:
            if isinstance(row.reading, Known):
                at = self._seen(row.sign)
                seen[row.sign.value] = (
                    None if at is None else now.wall - now.at + at,
                    row.reading.value.detail,
                )
        quiet = now.at - since.at
        return Silence(now.wall - quiet, quiet, seen, stacks)

    def _take_back(self, signs: Sequence[Sign]) -> None:
        """Said once: it works again."""
        silence, self._record.stalled = self._record.stalled, None
        if silence is None or self._last is None:
            return
        lasted = spelled(max(0, round(self._last.moment.wall - silence.since_wall)))
        named = listed(SIGNS.get(sign.value, sign.value) for sign in signs)
        again = words("the job shows life again, after {time}: {signs}", time=lasted, signs=named)
        self._audience.tell(Said(again))
        self._note()
        self._write()


def stalling_of(
    plan: Plan,
    folder: RunFolder,
    noted: Noted,
    clock: Clock,
    audience: Audience,
    note: Callable[[], None],
    write: Callable[[], None],
) -> Stalling:
    """For the job of this run, whose guard is the process that calls this."""
    spec = plan.spec
    policy = stalled_policy(spec.idle.after_s)
    outputs = [resolve(output.path, spec.workdir) for output in spec.outputs]
    sources = job_life(
        os.getpid(),
        folder.log,
        (spec.workdir, *outputs),
        path_of_beat({"COLAB_RUN_DIR": folder.path}, os.geteuid()),
        policy.period_s,
        skip=_not_the_jobs(plan, outputs),
    )
    stacks = Stacks(folder.stacks, plan.environ, plan.secrets, clock)
    return Stalling(policy, sources, spec.idle.action, stacks, noted, clock, audience, note, write)


def _not_the_jobs(plan: Plan, outputs: Sequence[str]) -> list[str]:
    """What is written by us, or by who reads what we say, and may lie in the workdir.

    A folder in which the job works as well is not among it.
    """
    spec = plan.spec
    targets = (parse_target(output.to, spec.workdir) for output in spec.outputs)
    places = [target.text for target in targets if target.kind is TargetKind.FOLDER]
    places += [place for place in (mirror_of(spec), plan.home) if place is not None]
    works = (spec.workdir, *outputs)
    kept = [place for place in places if not any(is_under(work, place) for work in works)]
    return [*kept, *([plan.result.path] if plan.result.path else []), *plan.own_paths]
