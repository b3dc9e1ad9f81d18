"""Run the job and watch over it until no process of it is left. Standard library only.

The loop has one selector over the job's streams and the desk, and computes its own timeout; it never
polls. The main process's exit is known from waitpid, never from an end of file.
"""

from __future__ import annotations

import os
import resource  # noqa: F401 - wait4 imports it at the first end of a child, which should be quick
import selectors
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.guard import oom
from launcher.guard.beside import Beside
from launcher.guard.desk import KILL, PRESS, SIGNAL, TYPED
from launcher.guard.emergency import UNKILLABLE_S
from launcher.guard.ending import Ending
from launcher.guard.family import Family, peak_ram
from launcher.guard.model import (
    CouldNotStart,
    Failed,
    Outcome,
    RunPlan,
    RunReport,
    SetupFailed,
    Signalled,
    Stalled,
    Succeeded,
)
from launcher.guard.progress import Progress
from launcher.guard.sampler import own_peak_bytes
from launcher.guard.session import Keeper
from launcher.guard.spawn import CannotStart, Command, failed_start, has_begun, never_began, spawn
from launcher.guard.status import exit_code, outcome_of, signal_of, status_of
from launcher.guard.watcher import NEVER
from launcher.spec.model import Leftovers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from launcher.clock import Clock
    from launcher.guard.desk import Desk
    from launcher.guard.sampler import GpuMeter
    from launcher.guard.sideline import Sideline
    from launcher.guard.streams import Streams
    from launcher.guard.watcher import Seat
    from launcher.words import Text

# What a copy of us may grow by before its exec.
OWN_GROWTH = 2 << 20
# While the job waits for a client that is behind: how often we look whether it has stalled.
PAUSED_LOOK_S = 1.0
LIFELINE = "lifeline"
# How long what a dead guard had begun may take to be gone.
CLEAR_S = 2.0
# An outsider that writes into the job's pipe for ever does not keep the run from its end.
LONGEST_DRAIN_S = 10.0
# After the last process has gone, its bytes may still be on their way through the terminal.
DRAIN_S = 0.2


@dataclass(frozen=True, slots=True)
class Watchers:
    """Whom the supervisor tells.

    `note(progress)` is called at each change that somebody who takes over has to know, above all before
    the first instruction of `setup` and of `run`; `begun(step)` when that one really runs; `say` and
    `warn` take one sentence for the person; `save_s` is how long the last save of the results took.
    """

    note: Callable[[Progress], None]
    begun: Callable[[str, int], None]
    say: Callable[[Text], None]
    warn: Callable[[Text], None]
    save_s: Callable[[], float] = lambda: 0.0


def supervise(
    plan: RunPlan,
    *,
    clock: Clock,
    desk: Desk,
    seat: Seat,
    streams: Streams,
    watchers: Watchers,
    gpu_meter: GpuMeter | None = None,
    progress: Progress | None = None,
    sidelines: Sequence[Sideline] = (),
    stalled: Callable[[], Stalled | None] = lambda: None,
    may_follow: Callable[[Progress], bool] = lambda progress: False,
) -> RunReport:
    """Run `setup` and `run` of the plan; the report, once no process of the job is left.

    The `streams` stay open: unless another attempt `may_follow` the job's own ends of them are closed.
    The `sidelines` are looked after while `run` is at work; when `stalled()` says so, the job is ended.
    With the `progress` that was noted last it goes on where a guard that is gone has stopped; the
    job's processes are children of the caller then.
    """
    if progress is None:
        kills = oom.read_counters(oom.counter_files(plan.env))
        progress = Progress(clock.monotonic(), clock.wall(), clock.file_tick_ns(), kills)
    supervisor = _Supervisor(plan, clock, desk, seat, streams, watchers, gpu_meter, progress)
    return supervisor.run(sidelines, stalled, may_follow)


class _Supervisor:
    def __init__(
        self,
        plan: RunPlan,
        clock: Clock,
        desk: Desk,
        seat: Seat,
        streams: Streams,
        watchers: Watchers,
        gpu_meter: GpuMeter | None,
        progress: Progress,
    ) -> None:
        self.plan, self.clock, self.desk, self.seat = plan, clock, desk, seat
        self.streams, self.watchers, self.gpu_meter = streams, watchers, gpu_meter
        self.state = progress
        self.family = Family()
        self.ending = Ending(plan, clock, progress, self.family, watchers.note, watchers.say, watchers.save_s)
        self.own_peak = 0

    # --- the course of a run --------------------------------------------------------------------

    def run(
        self,
        sidelines: Sequence[Sideline],
        stalled: Callable[[], Stalled | None],
        may_follow: Callable[[Progress], bool],
    ) -> RunReport:
        state = self.state
        self.beside, self.stalled, self.may_follow = Beside(sidelines, self.family), stalled, may_follow
        if state.begun:
            self.streams.tell_untold()
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.desk, selectors.EVENT_READ, None)
        self._bound()
        if state.keeper is not None and LIFELINE in self.seat.kept:
            self.family.session_led_by(Keeper(state.keeper, self.seat.kept[LIFELINE]))
        self.family.start_sampling(self.gpu_meter)
        self.beside.adopt()
        self.ending.resume()
        try:
            self._steps()
            ram, gpu = self.family.stop_sampling()
            self._until_empty()
            survivors = self.family.living() if self.ending.given_up() else []
            self._drain()
        finally:
            self.selector.close()
            self.seat.expect_end_before(NEVER)
        return RunReport(
            outcome=self._final_outcome(),
            started_wall=state.started_wall,
            files_since_ns=state.files_since_ns,
            duration_s=self.clock.monotonic() - state.started,
            peak_ram_bytes=peak_ram(ram, state.largest_process),
            peak_gpu_bytes=gpu,
            out_of_memory=self._out_of_memory(),
            ended_by_person=state.pressed_at is not None,
            leftovers_stopped=state.leftovers,
            survivors=tuple(process.pid for process in survivors),
            log_bytes_lost=self.streams.log.bytes_lost,
        )

    def _out_of_memory(self) -> Text | None:
        """Only of what really ended by a SIGKILL that was not ours."""
        state = self.state
        if not state.killed_by_9:
            return None
        began = state.started if state.began is None else state.began
        victims = state.killed & (oom.victims_since(began) or frozenset())
        counts = oom.read_counters(tuple(state.memory_kills))
        return oom.killed_for_memory(state.memory_kills, counts, victims)

    def _bound(self) -> None:
        """A guard that hangs is not waited for much longer than the job may take."""
        if (limit := self.ending.limit()) is not None:
            left = max(0.0, limit[0])
            self.seat.expect_end_before(time.monotonic() + left + self.plan.stop_grace_s + UNKILLABLE_S)

    def _steps(self) -> None:
        state = self.state
        if self.plan.setup is not None and state.step != "run":
            status = self._command("setup", self.plan.setup)
            state.files_since_ns = self.clock.file_tick_ns()
            if status != 0 and state.outcome is None:
                state.outcome = SetupFailed(exit_code(status)) if status is not None else None
        if state.step == "run" or (state.outcome is None and state.stop is None):
            status = self._command("run", self.plan.run)
            if state.outcome is None and status is not None:
                state.outcome = outcome_of(status)

    def _command(self, step: str, argv: tuple[str, ...]) -> int | None:
        """Start one command, if that was not done yet, and watch until its main process has ended.

        Its wait status, or None where it could not start or cannot be ended.
        """
        state = self.state
        command = Command(
            argv,
            self.plan.env,
            self.plan.workdir,
            self.streams.stdio,
            self.streams.controlling,
            self.seat.oom_score,
        )
        try:
            if state.step != step or state.main is None:
                if self.seat.again:
                    self._clear_the_way()
                self._start(step, command)
            elif failure := failed_start(command, self.seat.notes):
                raise failure  # Reaped by the guard before us.
            self._say_begun()
            self._reap()  # Of what ended before we took over, no signal tells.
            while state.main_status is None or self._must_start_again():
                if state.main_status is not None:
                    self._clear_the_way()
                    self._start(step, command)
                    self._say_begun()
                    continue
                self._turn()
                if self.ending.given_up():
                    return None
                self._say_begun()
            if failure := failed_start(command, self.seat.notes):
                raise failure
        except CannotStart as error:
            state.outcome = CouldNotStart(int(error.exit_code), error.why)
            return None
        finally:
            self.seat.drop(LIFELINE)
            self.family.end_session()
        return state.main_status

    def _must_start_again(self) -> bool:
        """Did the child end at its gate, because that closed with a guard? Unless a stop has come since."""
        return never_began(self.seat.notes) and self.state.stop is None

    def _clear_the_way(self) -> None:
        """Whoever led the session of a child that never began still has the terminal: let it go."""
        self.seat.drop(LIFELINE)
        self.family.end_session()
        give_up = time.monotonic() + CLEAR_S
        while not self._empty() and time.monotonic() < give_up:
            self.desk.wait(CLEAR_S / 100)

    def _start(self, step: str, command: Command) -> None:
        state = self.state
        state.step, state.main, state.main_status = step, None, None
        self.own_peak = own_peak_bytes() + OWN_GROWTH
        self.family.before_start()
        spawn(command, self.seat.notes, self._forked)
        self.family.started()

    def _say_begun(self) -> None:
        """Once for each step, also where the guard that let it through the gate could not say so any more."""
        state = self.state
        if state.begun != state.step and state.main is not None and has_begun(self.seat.notes):
            state.begun = state.step
            self.watchers.begun(state.step, state.main)
            self.streams.tell_untold()

    def _forked(self, pid: int, keeper: Keeper | None) -> None:
        self.family.session_led_by(keeper)
        if keeper is not None:
            # Its session, and the terminal of the job, are not to end with us.
            self.seat.keep(LIFELINE, keeper.lifeline)
        self.state.main, self.state.keeper = pid, None if keeper is None else keeper.pid
        self.watchers.note(self.state)

    def _until_empty(self) -> None:
        """The main process has ended; wait for, or stop, whatever it left behind."""
        self.beside.leave()
        if not self.may_follow(self.state):
            self.streams.job_side_done()
        self.state.waiting = self.plan.leftovers is Leftovers.WAIT and isinstance(
            self.state.outcome, Succeeded | Failed | Signalled
        )
        if not self._empty() and not self.state.waiting and self.state.stop is None:
            self.ending.leftovers()
        while not self._empty() and not self.ending.given_up():
            self._turn()

    def _empty(self) -> bool:
        self._reap()
        return self.family.empty()

    def _drain(self) -> None:
        """Read what is still in pipes and terminal."""
        # Pipes whose job side we keep for the next attempt come to no end, and all of it is there by now.
        quiet_s = 0.0 if self.may_follow(self.state) and self.streams.master is None else DRAIN_S
        began = quiet_since = self.clock.monotonic()
        while not self.streams.drained:
            moved = self._select(quiet_s)
            self._take_asked()
            now = self.clock.monotonic()
            if moved:
                quiet_since = now
            if (not moved and now - quiet_since >= quiet_s) or now - began > LONGEST_DRAIN_S:
                return  # Somebody outside the job holds the other end.

    # --- one turn of the loop -------------------------------------------------------------------

    def _turn(self) -> None:
        at_work = self.state.step == "run"
        self._select(_sooner(self.ending.timeout(), self.beside.due_in() if at_work else None))
        self._take_asked()
        if at_work:
            self.beside.tend()
        self._reap()
        self.ending.limits()
        if (found := self.stalled()) is not None:
            self.ending.stalled(found)
        self.ending.advance()

    def _select(self, timeout: float | None) -> bool:
        """Move bytes for at most `timeout` seconds; did any descriptor of the job have something?"""
        self.streams.register(self.selector)
        if self.streams.paused:
            timeout = PAUSED_LOOK_S if timeout is None else min(timeout, PAUSED_LOOK_S)
        moved = False
        for key, events in self.selector.select(timeout):
            if key.data is not None:
                self.streams.handle(key.data, events)
                moved = True
        return moved

    def _take_asked(self) -> None:
        for asked in self.desk.take():
            if asked.what == PRESS:
                self.ending.pressed(asked.number)
            elif asked.what == KILL:
                self.ending.kill(asked.number)
            elif asked.what == SIGNAL:
                self.ending.forward(asked.number)
            elif asked.what == TYPED:
                self.streams.type(asked.data)
            else:
                self.streams.resize(asked.data)

    def _reap(self) -> None:
        """Collect every child that has ended; the main one's status is noted."""
        state = self.state
        while (ended := _who_ended()) is not None:
            if ended.si_pid == state.main:
                # Noted while the kernel still has it: whoever takes over finds it in one of the two places.
                state.main_status = status_of(ended)
                self._note_kill(ended.si_pid, state.main_status)
                self.watchers.note(state)
            if self.beside.take_ended(ended.si_pid):
                continue
            pid, status, usage = os.wait4(ended.si_pid, 0)
            if self.family.reaped(pid):
                continue  # What it used, and how it ended, tells nothing of the job.
            # The kernel counts what a process was before its exec too: a copy of us.
            if (peak := usage.ru_maxrss * 1024) > self.own_peak:
                state.largest_process = max(state.largest_process, peak)
            self._note_kill(pid, status)

    def _note_kill(self, pid: int, status: int) -> None:
        """Was it ended by a SIGKILL that was not ours? A shell that had to wait for such a one says 137."""
        state = self.state
        if state.killing_since is None and exit_code(status) == 128 + signal.SIGKILL:
            state.killed_by_9 = True
            if signal_of(status) is not None:
                state.killed |= {pid}

    def _final_outcome(self) -> Outcome:
        if self.state.outcome is None:
            raise AssertionError("a run ends in one way or another")
        return self.state.outcome


def _sooner(first: float | None, second: float | None) -> float | None:
    """The smaller of two waits; None is for ever."""
    return second if first is None else first if second is None else min(first, second)


def _who_ended() -> os.waitid_result | None:
    """A child that has ended and was not reaped yet."""
    try:
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
