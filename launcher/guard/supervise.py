"""Run the job and watch over it until no process of it is left. Standard library only.

The loop has one selector over the job's streams and the signals, and computes its own timeout; it
never polls. The main process's exit is known from waitpid, never from an end of file.
"""

from __future__ import annotations

import os
import selectors
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.guard import oom, tree
from launcher.guard.command import BASH
from launcher.guard.emergency import KILL_ROUND_S, UNKILLABLE_S, end_everything
from launcher.guard.family import Family, peak_ram
from launcher.guard.inbox import LONGEST_WAIT_S, SAME_PRESS_S
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
from launcher.guard.sampler import own_peak_bytes
from launcher.guard.spawn import CannotStart, Command, spawn
from launcher.guard.status import exit_code, outcome_of, signal_of
from launcher.guard.stopping import Stop, Why
from launcher.guard.streams import StreamMode, connect
from launcher.guard.voice import Voice
from launcher.spec.model import Leftovers
from launcher.words import spelled, words

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.clock import Clock
    from launcher.guard.inbox import Inbox
    from launcher.guard.sampler import GpuMeter
    from launcher.guard.session import Keeper
    from launcher.words import Text

FORWARDED = (signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
# What reads the end of a pipe (`> >(tee log.txt)`) ends by itself right after the main process; a
# signal in that moment would cost its last bytes.
SETTLE_S = 0.5
# What a copy of us may grow by before its exec.
OWN_GROWTH = 2 << 20
# How often a run in the background of a shell looks whether it has been brought to the foreground.
FOREGROUND_LOOK_S = 1.0
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
    say: Callable[[Text], None]
    warn: Callable[[Text], None]


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
    waiting: bool = False


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
        self.voice = Voice(watchers.say, watchers.warn)
        self.mode, self.gpu_meter = mode, gpu_meter
        self.state = _State()
        self.family = Family(plan.run_id)
        self.own_peak = 0

    # --- the course of a run --------------------------------------------------------------------

    def run(self) -> RunReport:
        self.started, self.started_wall = self.clock.monotonic(), self.clock.wall()
        self.state.files_since_ns = self.clock.file_tick_ns()
        counters = oom.counter_files(self.plan.env)
        before = oom.read_counters(counters)
        self.streams = connect(self.plan.log_path, self.mode, self.voice.warn)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.inbox, selectors.EVENT_READ, None)
        self.family.start_sampling(self.gpu_meter)
        try:
            self.streams.take_terminal()
            self._steps()
            ram, gpu = self.family.stop_sampling()
            self._until_empty()
            survivors = self.family.living()
            self._drain()
        except BaseException:
            self._abandon()
            raise
        finally:
            self.selector.close()
            self.streams.close()
        evidence = oom.killed_for_memory(before, oom.read_counters(counters))
        return RunReport(
            outcome=self._final_outcome(),
            started_wall=self.started_wall,
            files_since_ns=self.state.files_since_ns,
            duration_s=self.clock.monotonic() - self.started,
            peak_ram_bytes=peak_ram(ram, self.state.largest_process),
            peak_gpu_bytes=gpu,
            out_of_memory=evidence if self.state.killed_by_9 else None,
            ended_by_person=self.state.pressed_at is not None,
            leftovers_stopped=self.state.leftovers,
            survivors=tuple(process.pid for process in survivors),
            log_bytes_lost=self.streams.log.bytes_lost,
            notes=self.voice.unsaid(),
        )

    def _steps(self) -> None:
        if self.plan.setup is not None:
            status = self._command("setup", self.plan.setup)
            self.state.files_since_ns = self.clock.file_tick_ns()
            if status != 0 and self.state.outcome is None:
                self.state.outcome = SetupFailed(exit_code(status)) if status is not None else None
        if self.state.outcome is None and self.state.stop is None:
            status = self._command("run", self.plan.run)
            if self.state.outcome is None and status is not None:
                self.state.outcome = outcome_of(status)

    def _command(self, step: str, argv: tuple[str, ...]) -> int | None:
        """Start one command and watch until its main process has ended; its wait status."""
        state = self.state
        state.step, state.main, state.main_status = step, None, None
        command = Command(
            argv, self.plan.env, self.plan.workdir, self.streams.stdio, self.streams.controlling
        )
        self.own_peak = own_peak_bytes() + OWN_GROWTH
        self.family.before_start()
        try:
            state.main = spawn(command, self._forked).pid
            self.family.started()
            while state.main_status is None:
                self._turn()
                if self._given_up():
                    return None
        except CannotStart as error:
            state.outcome = CouldNotStart(int(error.exit_code), error.why)
            return None
        finally:
            self.family.end_session()
        return state.main_status

    def _forked(self, pid: int, keeper: Keeper | None) -> None:
        self.family.session_led_by(keeper)
        self.watchers.started(self.state.step, pid)

    def _until_empty(self) -> None:
        """The main process has ended; wait for, or stop, whatever it left behind."""
        self.streams.job_side_done()
        self.state.waiting = self.plan.leftovers is Leftovers.WAIT and isinstance(
            self.state.outcome, Succeeded | Failed | Signalled
        )
        if not self._empty() and not self.state.waiting and self.state.stop is None:
            self._begin_stop(Stop(Why.LEFTOVERS, self.clock.monotonic() + SETTLE_S, self.plan.stop_grace_s))
        while not self._empty() and not self._given_up():
            self._turn()

    def _empty(self) -> bool:
        self._reap()
        return self.family.empty()

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
                self.voice.warn(words("the reader of our output takes nothing; the rest is in the log only"))
                self.streams.give_up_readers()  # And so read on, for the log.
            if self._select(DRAIN_S):
                quiet_since = self.clock.monotonic()
            if self.inbox.take_stop() is not None:
                self.state.pressed_at = now

    # --- one turn of the loop -------------------------------------------------------------------

    def _turn(self) -> None:
        self._select(self._timeout())
        self.voice.flush()
        if self.streams.in_background:
            self.streams.take_terminal()
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
        if self.streams.in_background:
            moments.append(now + FOREGROUND_LOOK_S)
        if state.stop is not None and (step := state.stop.next_at()) is not None:
            moments.append(step)
        if state.stop is None and self.plan.max_duration_s is not None:
            moments.append(self.started + self.plan.max_duration_s)
        return min(max(0.0, min(moments) - now), LONGEST_WAIT_S) if moments else None

    def _take_signals(self) -> None:
        for number in self.inbox.take():
            if number in (signal.SIGINT, signal.SIGTERM):
                self._pressed(number)
            elif number in FORWARDED:
                self._forward(number)
            elif number == signal.SIGWINCH:
                self.streams.resize()
            elif number == signal.SIGCONT:
                self.streams.take_terminal()

    def _forward(self, number: int) -> None:
        """To every process of the job, but not to the bash that only waits for them: it would die of it."""
        wrapper = self.plan.run[: len(BASH)] == BASH and self.state.main is not None
        shell = tree.reference(self.state.main) if wrapper and self.state.main else None
        if shell is None or self.family.living() == [shell]:
            tree.send_to_all(self.family.root, number, self.family.not_job())
            return
        for process in self.family.living():
            if process != shell:
                tree.send(process, number)

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
            self.family.reaped(pid)
            # The kernel counts what a process was before its exec too: a copy of us.
            if (peak := usage.ru_maxrss * 1024) > self.own_peak:
                state.largest_process = max(state.largest_process, peak)
            ours = state.killing_since is not None
            if not ours and (signal_of(status) == signal.SIGKILL or exit_code(status) == 137):
                state.killed_by_9 = True
            if pid == state.main:
                state.main_status = status

    def _limits(self) -> None:
        limit = self.plan.max_duration_s
        if limit is None or self.state.stop is not None:
            return
        if self.clock.monotonic() >= self.started + limit:
            self.state.outcome = OverLimit(limit)
            self._begin_stop(Stop(Why.LIMIT, self.clock.monotonic(), self.plan.stop_grace_s))
            self.voice.say(
                words(
                    "max_duration is over: the job gets SIGTERM, and {grace} to end",
                    grace=spelled(self.plan.stop_grace_s),
                )
            )

    # --- stopping -------------------------------------------------------------------------------

    def _pressed(self, number: int) -> None:
        """A person's stop. The first press is polite; a later, separate press kills at once."""
        state, now = self.state, self.clock.monotonic()
        if state.pressed_at is None:
            state.pressed_at = now
            self._polite_stop(number, now)
        elif now - state.pressed_at >= SAME_PRESS_S and state.stop is not None:
            state.stop.kill_now(now)
            self.voice.say(words("stopping now: SIGKILL to the job"))

    def _polite_stop(self, number: int, now: float) -> None:
        state, grace = self.state, self.plan.stop_grace_s
        # Under `leftovers: wait` what the main process left behind is the job.
        if state.outcome is None or (state.waiting and state.stop is None):
            state.outcome = Interrupted(number)
        if state.stop is None:
            self._begin_stop(Stop(Why.PERSON, now, grace, number))
        else:
            state.stop.also(now, number)
        name = signal.Signals(number).name
        self.voice.say(
            words(
                "stopping: {signal} to the job, SIGKILL after {grace}; press again to kill it now",
                signal=name,
                grace=spelled(grace),
            )
        )

    def _begin_stop(self, stop: Stop) -> None:
        self.state.stop = stop
        self._advance_stop()

    def _advance_stop(self) -> None:
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

    def _given_up(self) -> bool:
        since = self.state.killing_since
        return since is not None and self.clock.monotonic() - since > UNKILLABLE_S

    def _abandon(self) -> None:
        """A bug of ours: end the job as politely as it would have ended, then our own helpers."""
        end_everything(
            self.family.root,
            self.family.not_job,
            grace_s=self.plan.stop_grace_s,
            clock=self.clock,
            inbox=self.inbox,
        )
        self.family.end_session()
        self.family.stop_sampling()

    def _final_outcome(self) -> Outcome:
        if self.state.outcome is None:
            raise AssertionError("a run ends in one way or another")
        return self.state.outcome
