"""Run the job and watch over it until no process of it is left. Standard library only.

The loop has one selector over the job's streams and the signals, and computes its own timeout; it
never polls. The main process's exit is known from waitpid, never from an end of file.
"""

from __future__ import annotations

import os
import resource
import selectors
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from launcher.guard import oom, tree
from launcher.guard.model import (
    CouldNotStart,
    Failed,
    Interrupted,
    Outcome,
    OverLimit,
    RunPlan,
    RunReport,
    SetupFailed,
    Signalled,
    Succeeded,
)
from launcher.guard.sampler import Sampler
from launcher.guard.spawn import CannotStart, spawn
from launcher.guard.stopping import SAME_PRESS_S, Stop, Why
from launcher.guard.streams import StreamMode, connect
from launcher.spec.model import Leftovers
from launcher.values import Known, Reading, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.clock import Clock
    from launcher.guard.inbox import Inbox
    from launcher.guard.sampler import GpuMeter

FORWARDED = (signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
# Between two rounds of SIGKILL, and how long we believe that a killed process may still go.
KILL_ROUND_S = 0.05
UNKILLABLE_S = 60.0
# After the last process has gone, its bytes may still be on their way through the terminal.
DRAIN_S = 0.2
# How long a reader that takes nothing may keep us after the job: the log has everything.
STALLED_READER_S = 10.0


@dataclass(frozen=True, slots=True)
class Watchers:
    """Whom the supervisor tells.

    `started(step, pid)` runs before the first instruction of `setup` and of `run`; `say` and `warn`
    take one sentence for the person.
    """

    started: Callable[[str, int], None]
    say: Callable[[str], None]
    warn: Callable[[str], None]


@dataclass(slots=True)
class _State:
    """What is known so far."""

    step: str = ""
    main: int | None = None
    main_status: int | None = None
    killed_by_9: bool = False
    files_since_ns: int = 0
    outcome: Outcome | None = None
    stop: Stop | None = None
    killing_since: float | None = None
    next_kill: float = 0.0
    pressed_at: float | None = None
    largest_process: int = 0
    leftovers: int = 0
    helpers: set[int] = field(default_factory=set)


def supervise(
    plan: RunPlan,
    *,
    clock: Clock,
    inbox: Inbox,
    mode: StreamMode,
    watchers: Watchers,
    gpu_meter: GpuMeter | None = None,
) -> RunReport:
    """Run `setup` and `run` of the plan; the report, once no process of the job is left."""
    return _Supervisor(plan, clock, inbox, mode, watchers, gpu_meter).run()


class _Supervisor:
    def __init__(
        self,
        plan: RunPlan,
        clock: Clock,
        inbox: Inbox,
        mode: StreamMode,
        watchers: Watchers,
        gpu_meter: GpuMeter | None,
    ) -> None:
        self.plan, self.clock, self.inbox, self.watchers = plan, clock, inbox, watchers
        self.mode, self.gpu_meter = mode, gpu_meter
        self.state = _State()
        self.me = os.getpid()
        self.own_rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    # --- the course of a run --------------------------------------------------------------------

    def run(self) -> RunReport:
        tree.become_subreaper()
        # Whoever exec'ed us may have left children of its own: they are not the job's.
        self.foreign = frozenset(process.pid for process in tree.descendants(self.me))
        self.started, self.started_wall = self.clock.monotonic(), self.clock.wall()
        self.state.files_since_ns = self.clock.file_tick_ns()
        counters = oom.counter_files(self.plan.env)
        before = oom.read_counters(counters)
        self.streams = connect(self.plan.log_path, self.mode, self.watchers.warn)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.inbox, selectors.EVENT_READ, None)
        sampler = Sampler(self.gpu_meter, self.foreign)
        self.state.helpers.add(sampler.pid)
        try:
            self.streams.take_terminal()
            self._steps()
            ram, gpu = self._stop(sampler)
            self._until_empty()
            survivors = self._living()
            self._drain()
        finally:
            self.selector.close()
            self.streams.close()
        evidence = oom.killed_for_memory(before, oom.read_counters(counters))
        return RunReport(
            outcome=self._final_outcome(),
            started_wall=self.started_wall,
            files_since_ns=self.state.files_since_ns,
            duration_s=self.clock.monotonic() - self.started,
            peak_ram_bytes=_peak(ram, self.state.largest_process),
            peak_gpu_bytes=gpu,
            out_of_memory=evidence if self.state.killed_by_9 else None,
            ended_by_person=self.state.pressed_at is not None,
            leftovers_stopped=self.state.leftovers,
            survivors=tuple(process.pid for process in survivors),
            log_bytes_lost=self.streams.log.bytes_lost,
        )

    def _steps(self) -> None:
        if self.plan.setup is not None:
            status = self._command("setup", self.plan.setup)
            self.state.files_since_ns = self.clock.file_tick_ns()
            if status != 0 and self.state.outcome is None:
                self.state.outcome = SetupFailed(_exit_code(status)) if status is not None else None
        if self.state.outcome is None and self.state.stop is None:
            status = self._command("run", self.plan.run)
            if self.state.outcome is None and status is not None:
                self.state.outcome = _outcome_of(status)

    def _command(self, step: str, argv: tuple[str, ...]) -> int | None:
        """Start one command and watch until its main process has ended; its wait status."""
        state = self.state
        state.step, state.main, state.main_status = step, None, None
        try:
            state.main = spawn(
                argv,
                env=self.plan.env,
                workdir=self.plan.workdir,
                stdio=self.streams.stdio,
                controlling_terminal=self.streams.controlling,
                on_forked=lambda pid: self.watchers.started(step, pid),
            )
        except CannotStart as error:
            state.outcome = CouldNotStart(int(error.exit_code), error.why)
            return None
        while state.main_status is None:
            self._turn()
            if self._given_up():
                return None
        return state.main_status

    def _until_empty(self) -> None:
        """The main process has ended; wait for, or stop, whatever it left behind."""
        self.streams.job_side_done()
        self._reap()
        first = self._living()
        wait = self.plan.leftovers is Leftovers.WAIT and isinstance(
            self.state.outcome, Succeeded | Failed | Signalled
        )
        if first and not wait and self.state.stop is None:
            self.state.leftovers = len(first)
            self._begin_stop(Stop(Why.LEFTOVERS, self.clock.monotonic(), self.plan.stop_grace_s))
        while not self._empty() and not self._given_up():
            self._turn()

    def _drain(self) -> None:
        """Hand on what is still in pipes and terminal, without waiting for a reader that stalls."""
        quiet_since = stalled_since = self.clock.monotonic()
        undelivered = -1
        while not self.streams.drained():
            now = self.clock.monotonic()
            if self.streams.undelivered() != undelivered:
                undelivered, stalled_since = self.streams.undelivered(), now
            if undelivered == 0 and now - quiet_since > DRAIN_S:
                return  # Somebody outside the job holds the other end.
            if undelivered and now - stalled_since > STALLED_READER_S:
                self.watchers.warn("the reader of our output takes nothing; the rest is in the log only")
                return
            if self._select(DRAIN_S):
                quiet_since = self.clock.monotonic()
            if self.inbox.take_stop() is not None:
                self.state.pressed_at = now

    # --- one turn of the loop -------------------------------------------------------------------

    def _turn(self) -> None:
        self._select(self._timeout())
        self._take_signals()
        self._reap()
        self._limits()
        self._advance_stop()

    def _select(self, timeout: float | None) -> bool:
        """Move bytes for at most `timeout` seconds; did any descriptor of the job have something?"""
        self.streams.register(self.selector)
        moved = False
        for key, events in self.selector.select(timeout):
            if key.data is not None:
                self.streams.handle(key, events)
                moved = True
        return moved

    def _timeout(self) -> float | None:
        state, now = self.state, self.clock.monotonic()
        moments = [state.next_kill] if state.killing_since is not None else []
        if state.stop is not None and (step := state.stop.next_at()) is not None:
            moments.append(step)
        if state.stop is None and self.plan.max_duration_s is not None:
            moments.append(self.started + self.plan.max_duration_s)
        return max(0.0, min(moments) - now) if moments else None

    def _take_signals(self) -> None:
        for number in self.inbox.take():
            if number in (signal.SIGINT, signal.SIGTERM):
                self._pressed(number)
            elif number in FORWARDED and self.state.main is not None:
                tree.send_to_all(self.me, number, self._not_job())
            elif number == signal.SIGWINCH:
                self.streams.resize()
            elif number == signal.SIGCONT:
                self.streams.take_terminal()

    def _reap(self) -> None:
        """Collect every child that has ended; the main one's status is noted."""
        state = self.state
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            state.helpers.discard(pid)
            # The kernel counts what a process was before its exec too: a copy of us.
            if usage.ru_maxrss > self.own_rss:
                state.largest_process = max(state.largest_process, usage.ru_maxrss * 1024)
            ours = state.killing_since is not None
            if not ours and (_signal_of(status) == signal.SIGKILL or _exit_code(status) == 137):
                state.killed_by_9 = True
            if pid == state.main:
                state.main_status = status

    def _limits(self) -> None:
        limit = self.plan.max_duration_s
        if limit is None or self.state.stop is not None:
            return
        if self.clock.monotonic() >= self.started + limit:
            self.state.outcome = OverLimit(limit)
            self.watchers.say(
                f"max_duration is over: the job gets SIGTERM, and {self.plan.stop_grace_s:g} s to end"
            )
            self._begin_stop(Stop(Why.LIMIT, self.clock.monotonic(), self.plan.stop_grace_s))

    # --- stopping -------------------------------------------------------------------------------

    def _pressed(self, number: int) -> None:
        """A person's stop. The first press is polite; a later, separate press kills at once."""
        state, now = self.state, self.clock.monotonic()
        if state.pressed_at is None:
            state.pressed_at = now
            self._polite_stop(number, now)
        elif now - state.pressed_at >= SAME_PRESS_S and state.stop is not None:
            self.watchers.say("stopping now: SIGKILL to the job")
            state.stop.kill_now(now)

    def _polite_stop(self, number: int, now: float) -> None:
        state, grace = self.state, self.plan.stop_grace_s
        if state.outcome is None:
            state.outcome = Interrupted(number)
        name = signal.Signals(number).name
        self.watchers.say(
            f"stopping: {name} to the job, SIGKILL after {grace:g} s; press again to kill it now"
        )
        if state.stop is None:
            self._begin_stop(Stop(Why.PERSON, now, grace, number))
        else:
            state.stop.also(now, number)

    def _begin_stop(self, stop: Stop) -> None:
        self.state.stop = stop
        self._advance_stop()

    def _advance_stop(self) -> None:
        state, now = self.state, self.clock.monotonic()
        if state.stop is not None and (number := state.stop.due(now)) is not None:
            if number == signal.SIGKILL:
                state.killing_since, state.next_kill = now, now
            else:
                tree.send_to_all(self.me, number, self._not_job())
        if state.killing_since is not None and now >= state.next_kill:
            tree.kill_all(self.me, self._not_job())
            state.next_kill = now + KILL_ROUND_S

    def _given_up(self) -> bool:
        since = self.state.killing_since
        return since is not None and self.clock.monotonic() - since > UNKILLABLE_S

    # --- who is left ----------------------------------------------------------------------------

    def _not_job(self) -> frozenset[int]:
        return self.foreign | frozenset(self.state.helpers)

    def _living(self) -> list[tree.ProcessRef]:
        return tree.descendants(self.me, self._not_job())

    def _empty(self) -> bool:
        """No process of the job is left: the kernel says so where it can (no child at all)."""
        self._reap()
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return True
        # A child of whoever exec'ed us, or a sampler that hangs in the driver, stands in the way. Two
        # looks, because a process that forks and ends during one look can be missed by it.
        return bool(self._not_job()) and not self._living() and not self._living()

    def _stop(self, sampler: Sampler) -> tuple[int, Reading[int]]:
        """End the sampler, so that "no child left" can be exact; its peaks."""
        if sampler.pid in self.state.helpers and sampler.kill():
            self.state.helpers.discard(sampler.pid)
        return sampler.peaks()

    def _final_outcome(self) -> Outcome:
        if self.state.outcome is None:
            raise AssertionError("a run ends in one way or another")
        return self.state.outcome


def _peak(sampled: int, largest_process: int) -> Reading[int]:
    peak = max(sampled, largest_process)
    return Known(peak) if peak else Unknown("not-sampled")


def _signal_of(status: int) -> int | None:
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else None


def _exit_code(status: int) -> int:
    number = _signal_of(status)
    return 128 + number if number is not None else os.WEXITSTATUS(status)


def _outcome_of(status: int) -> Outcome:
    number = _signal_of(status)
    if number is not None:
        return Signalled(number)
    code = os.WEXITSTATUS(status)
    return Failed(code) if code else Succeeded()
