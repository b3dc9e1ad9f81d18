"""How a job is ended: by a person, by its limit, because it stalled, or only its leftovers are there."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.clock import suspended_s
from launcher.guard import tree
from launcher.guard.command import BASH
from launcher.guard.desk import LONGEST_WAIT_S, SAME_PRESS_S
from launcher.guard.emergency import KILL_ROUND_S, UNKILLABLE_S
from launcher.guard.limits import Limits
from launcher.guard.model import Interrupted, RunPlan, Stalled
from launcher.guard.stopping import Stop, Why
from launcher.words import spelled, words

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.clock import Clock
    from launcher.guard.family import Family
    from launcher.guard.model import OverLimit
    from launcher.guard.progress import Progress
    from launcher.words import Text

# What reads the end of a pipe (`> >(tee log.txt)`) ends by itself right after the main process; a
# signal in that moment would cost its last bytes.
SETTLE_S = 0.5
# A machine that was suspended wakes up with its timers where they were; its bill has gone on.
LOOK_AT_BUDGET_S = 10.0


@dataclass(slots=True)
class Ending:
    """Sends the signals, when they are due; `note` is told of a stop before its first one."""

    plan: RunPlan
    clock: Clock
    state: Progress
    family: Family
    note: Callable[[Progress], None]
    say: Callable[[Text], None]
    save_s: Callable[[], float] = lambda: 0.0
    suspended: Callable[[], float] = suspended_s

    def timeout(self) -> float | None:
        """Seconds until something is due; None: nothing ever is."""
        state, now = self.state, self.clock.monotonic()
        moments = [state.next_kill] if state.killing_since is not None else []
        if state.stop is not None and (step := state.stop.next_at()) is not None:
            moments.append(step)
        if state.stop is None and (limit := self.limit()) is not None:
            moments.append(now + limit[0])
            if self.plan.budget_s is not None:
                moments.append(now + LOOK_AT_BUDGET_S)
        return min(max(0.0, min(moments) - now), LONGEST_WAIT_S) if moments else None

    def leftovers(self) -> None:
        """The main process has ended: stop what it left."""
        self._begin(Stop(Why.LEFTOVERS, self.clock.monotonic() + SETTLE_S, self.plan.stop_grace_s))

    def forward(self, number: int) -> None:
        """To every process of the job, but not to the bash that only waits for them: it would die of it.

        Whom a person means first: the program itself, before everybody else is looked for.
        """
        if number in (signal.SIGTSTP, signal.SIGCONT):
            # No shell is there for the job: the kernel would drop its SIGTSTP.
            what = signal.SIGSTOP if number == signal.SIGTSTP else signal.SIGCONT
            for process in self.family.living():
                tree.send(process, what)
            self.state.paused = what == signal.SIGSTOP
            self.note(self.state)
            return
        # Once it was reaped, its number may be somebody else's.
        alive = self.state.main if self.state.main_status is None else None
        main = None if alive is None else tree.reference(alive)
        wrapper = self.plan.run[: len(BASH)] == BASH
        first = [] if main is None else (tree.children(main.pid) if wrapper else [main])
        for process in first:
            tree.send(process, number)
        others = [process for process in self.family.living() if process not in first]
        if wrapper and len(others) > (0 if first else 1):
            others = [process for process in others if process != main]
        for process in others:
            tree.send(process, number)
        for process in (*first, *others):
            tree.send(process, signal.SIGCONT)

    def resume(self) -> None:
        """After a takeover: who suspended the job may be gone with the guard that knew of it."""
        if self.state.paused:
            self.forward(signal.SIGCONT)

    def limits(self) -> None:
        """Begin the stop that is due when `max_duration` is over, or the budget nearly so."""
        if self.state.stop is not None or (limit := self.limit()) is None or limit[0] > 0:
            return
        self.state.outcome = limit[1]
        self._begin(Stop(Why.LIMIT, self.clock.monotonic(), self.plan.stop_grace_s))
        grace = spelled(self.plan.stop_grace_s)
        if limit[1].limit == "budget":
            said = words("the budget is nearly used up: the job gets SIGTERM, {grace} to end", grace=grace)
        else:
            said = words("max_duration is over: the job gets SIGTERM, and {grace} to end", grace=grace)
        self.say(said)

    def limit(self) -> tuple[float, OverLimit] | None:
        """The limit that is reached first, and in how many seconds."""
        plan = self.plan
        limits = Limits(plan.max_duration_s, plan.budget_s, plan.stop_grace_s, self.save_s())
        return limits.left(*self.state.passed(self.clock.monotonic(), self.suspended()))

    def stalled(self, outcome: Stalled) -> None:
        """It shows no sign of life, and is to be stopped then; unless it is being stopped already."""
        if self.state.stop is not None or self.state.outcome is not None:
            return
        self.state.outcome = outcome
        self._begin(Stop(Why.STALLED, self.clock.monotonic(), self.plan.stop_grace_s))
        self.say(
            words(
                "the job has stalled: it gets SIGTERM, and {grace} to end",
                grace=spelled(self.plan.stop_grace_s),
            )
        )

    def pressed(self, number: int) -> None:
        """A person's stop. The first press is polite; a later, separate press kills at once."""
        state, now = self.state, self.clock.monotonic()
        if state.pressed_at is None:
            state.pressed_at = now
            self._polite_stop(number, now)
            self.note(state)
        elif now - state.pressed_at >= SAME_PRESS_S and state.stop is not None:
            self._kill_now()

    def kill(self, number: int) -> None:
        """`stop --kill`: no grace."""
        if self.state.pressed_at is None:
            self.state.pressed_at = self.clock.monotonic()
            self._interrupt(number)
        self._kill_now()
        self.note(self.state)

    def _kill_now(self) -> None:
        now = self.clock.monotonic()
        if self.state.stop is None:
            self.state.stop = Stop(Why.PERSON, now, 0.0)
        self.state.stop.kill_now(now)
        self.say(words("stopping now: SIGKILL to the job"))
        self.advance()

    def _interrupt(self, number: int) -> None:
        state = self.state
        # Under `leftovers: wait` what the main process left behind is the job.
        if state.outcome is None or (state.waiting and state.stop is None):
            state.outcome = Interrupted(number)

    def _polite_stop(self, number: int, now: float) -> None:
        state, grace = self.state, self.plan.stop_grace_s
        self._interrupt(number)
        if state.stop is None:
            self._begin(Stop(Why.PERSON, now, grace, number))
        else:
            state.stop.also(now, number)
        name = signal.Signals(number).name
        self.say(
            words(
                "stopping: {signal} to the job, SIGKILL after {grace}; press again to kill it now",
                signal=name,
                grace=spelled(grace),
            )
        )

    def _begin(self, stop: Stop) -> None:
        self.state.stop = stop
        self.note(self.state)
        self.advance()

    def advance(self) -> None:
        """Send what is due of a stop."""
        state, now = self.state, self.clock.monotonic()
        if state.stop is not None and (number := state.stop.due(now)) is not None:
            if number == signal.SIGKILL:
                state.killing_since, state.next_kill = now, now
            else:
                taken = tree.send_to_all(self.family.root, number, self.family.not_job())
                if state.stop.why is Why.LEFTOVERS:
                    state.leftovers = max(state.leftovers, taken)
        if state.killing_since is not None and now >= state.next_kill:
            tree.kill_all(self.family.root, self.family.not_job())
            state.next_kill = now + KILL_ROUND_S

    def given_up(self) -> bool:
        """Was everybody killed long ago, and somebody is still there?"""
        since = self.state.killing_since
        return since is not None and self.clock.monotonic() - since > UNKILLABLE_S
