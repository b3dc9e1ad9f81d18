"""Outputs with `every` are saved while the job runs, so that a machine that vanishes costs minutes.

Only what is complete: unchanged for some seconds, and open for writing in no process. The guard forks a
child for each save; the job never waits for it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from launcher.budget import limits_of
from launcher.children import Child
from launcher.clock import iso_utc
from launcher.events import Said
from launcher.orders import Teller, order_for
from launcher.release import marks
from launcher.saving.interface import Checkpoint
from launcher.saving.meter import Meter
from launcher.saving.save import STALL_S, Onlooker, save_there
from launcher.saving.schedule import Schedule
from launcher.values import Known, format_size
from launcher.words import counted, words

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.clock import Clock
    from launcher.events import Audience
    from launcher.noted import Noted
    from launcher.plan import Plan
    from launcher.saving.model import Order
    from launcher.values import Reading

# What has not changed for so long is complete.
SETTLED_S = 5.0
LOOK_S = 1.0
# The answer has to fit into a pipe.
LONGEST_WHY = 500
# Before the runtime is taken away nobody waits long for a target that takes nothing.
HURRIED_STALL_S = 15.0
NOBODY = -1


class Checkpoints:
    """For the supervisor, as `guard.sideline.Sideline`. `written()` is called when the record has changed."""

    def __init__(
        self,
        plan: Plan,
        noted: Noted,
        clock: Clock,
        audience: Audience,
        written: Callable[[], None],
        *,
        began: float,
        boottime: float,
    ) -> None:
        spec, now = plan.spec, clock.monotonic()
        limits = limits_of(spec, plan.rate)
        ends = (limits.max_duration_s, None if limits.budget_s is None else limits.told_at)
        self._plan, self._record, self._clock = plan, noted.record, clock
        self._audience, self._written = audience, written
        self._schedule = Schedule(
            every=tuple(output.every_s for output in spec.outputs),
            ends=tuple(began + limit for limit in ends if limit is not None),
            walls=tuple(now + wall - boottime for wall in plan.walls) if spec.outputs else (),
            now=now,
            again=now - began > LOOK_S,
        )
        self._child: Child | None = None
        self._number = NOBODY
        self._waiting: list[int] = []
        self._stalled: set[int] = set()
        self._hurried = False
        self._meter: Meter | None = None
        self._onlooker = Onlooker()
        self._since = 0.0
        self._over = False

    @property
    def pid(self) -> int:
        """The child that saves just now; 0 for none."""
        return 0 if self._child is None else self._child.pid

    def due_in(self) -> float | None:
        """Until the next save, or the next look at the one that goes on."""
        if self._child is not None:
            return LOOK_S
        if self._waiting and not self._over:
            return 0.0
        at = None if self._over else self._schedule.next_at()
        return None if at is None else max(0.0, at - self._clock.monotonic())

    def tend(self, forking: Callable[[], None]) -> bool:
        """Begin a save that is due, one output at a time; end one that has stalled."""
        now = self._clock.monotonic()
        if self._over:
            # Leftovers of the job are being ended: a save that began now would be in the way of the last one.
            return False
        self._queue_what_is_due(now)
        if self._child is not None:
            if self._is_hopeless():
                self.ended()
            return False
        return bool(self._waiting) and self._begin(self._waiting.pop(0), now, forking)

    def _queue_what_is_due(self, now: float) -> None:
        due = self._schedule.due(now)
        if self._schedule.before_wall(now):
            self._hurried = True
            text = words("this runtime may soon be taken away by its platform: results are saved now")
            self._audience.tell(Said(text, warning=True))
        self._schedule.began(now)
        new = [number for number in due if number not in self._waiting and number != self._number]
        # Behind the others: what took nothing the last time.
        self._waiting += sorted(new, key=lambda number: number in self._stalled)

    def _is_hopeless(self) -> bool:
        """Has it taken nothing for long? Before a wall, others are waiting for their last chance."""
        if self._meter is None:
            return False
        self._onlooker.stall_s = HURRIED_STALL_S if self._hurried and self._waiting else STALL_S
        return self._onlooker.abort(self._meter)

    def _begin(self, number: int, now: float, forking: Callable[[], None]) -> bool:
        order, meter, environ = self._order(number), Meter(), self._plan.environ
        forking()
        try:
            self._child = Child(lambda: _summary(order, meter, environ))
        except OSError:
            meter.close()
            self._schedule.ended((number,), now, 0.0)  # Another time.
            return False
        self._number, self._meter, self._since = number, meter, now
        self._onlooker = Onlooker(progress=Teller(self._record, _Quiet(), self._clock, order))
        return True

    def _order(self, number: int) -> Order:
        record = self._record
        run_id = record.run_id or ""
        return order_for(
            self._plan.spec.outputs[number],
            self._plan.spec.workdir,
            run_id=run_id,
            story=record.story or run_id,
            settled_s=SETTLED_S,
        )

    def ended(self) -> None:
        """Take the answer of the child, and write down what lies at the target now."""
        number, answer = self._number, self._close()
        now = self._clock.monotonic()
        self._schedule.ended((number,), now, now - self._since)
        (self._stalled.add if self._onlooker.stalled else self._stalled.discard)(number)
        self._note(self._order(number), answer)
        self._written()

    def stop(self) -> None:
        """The job is over: what is unfinished goes on in the last save."""
        self._over = True
        if self._child is not None:
            self._close()

    def _close(self) -> Reading[Any]:
        child, self._child, self._number = self._child, None, NOBODY
        self._record.copying = None
        if self._meter is not None:
            self._meter.close()
        if child is None:
            raise AssertionError("there is a child to end")
        return child.end()

    def _note(self, order: Order, answer: Reading[Any]) -> None:
        record, shown = self._record, order.target.shown
        before = record.checkpoints.get(order.source, Checkpoint(order.source, shown, None))
        if not isinstance(answer, Known):
            why = self._onlooker.why(answer)
            after = replace(before, waiting=0, why=why)
        elif (told := answer.value) is None:
            return  # There is nothing yet.
        elif told["why"]:
            after = replace(before, waiting=told["waiting"], why=told["why"])
        else:
            saved = iso_utc(self._clock.wall()) if told["files"] else None
            took = self._clock.monotonic() - self._since
            after = Checkpoint(
                order.source, shown, saved, told["files"], told["size"], told["waiting"], took_s=took
            )
        record.checkpoints[order.source] = after
        self._tell(before, after)

    def _tell(self, before: Checkpoint, after: Checkpoint) -> None:
        """The first save, and every change for the worse or the better; not each one of hundreds."""
        if after.why and str(after.why) != str(before.why):
            text = words("{path} could not be saved just now: {why}", path=after.path, why=after.why)
            self._audience.tell(Said(text, warning=True))
        elif after.saved and not after.why and (before.saved is None or before.why):
            text = counted(
                "{path} is being saved while the job runs: {count} file so far ({size}) at {folder}",
                "{path} is being saved while the job runs: {count} files so far ({size}) at {folder}",
                after.files,
                path=after.path,
                size=format_size(after.size),
                folder=after.to,
            )
            self._audience.tell(Said(text))


def checkpoints_of(
    plan: Plan, noted: Noted, clock: Clock, audience: Audience, written: Callable[[], None]
) -> Checkpoints | None:
    """What is saved while the job runs; of a run that goes on, from where it was."""
    if not plan.spec.outputs:
        return None
    began = clock.monotonic() if noted.progress is None else noted.progress.started
    return Checkpoints(plan, noted, clock, audience, written, began=began, boottime=marks.boottime())


class _Quiet:
    """While the job runs, how far a copy is stands in the record only."""

    def tell(self, event: object) -> None:
        """Nothing."""


def _summary(order: Order, meter: Meter, environ: dict[str, str]) -> dict[str, Any] | None:
    """In the child: short enough for a pipe that nobody reads before the end."""
    report = save_there(order, meter, environ)
    if report is None:
        return None
    failures = report["failures"]
    why = f"{failures[0][0]}: {failures[0][1]}"[:LONGEST_WHY] if failures else ""
    if not why and not report["files"] and report["unsettled"]:
        why = f"all of it has changed within the last {SETTLED_S:g} s"
    return {
        "files": len(report["files"]),
        "size": sum(row[1] for row in report["files"]),
        "waiting": len(report["unsettled"]),
        "why": why,
    }
