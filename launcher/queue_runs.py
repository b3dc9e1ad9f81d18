"""The runs of a queue, started in their turn and waited for. Runs in the queue's guard.

A run counts as started when it has taken its claim, which it does before anything of it is started. A guard
that takes a queue up finds by the claims what its predecessor had begun: where none was taken, it takes that
one itself, so that a command which is still on its way starts nothing any more.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from launcher import claims, runs
from launcher.errors import ExitCode
from launcher.events import RunOfQueue
from launcher.guard import control
from launcher.guard.desk import KILL, PRESS, SAME_PRESS_S
from launcher.guard.folder import RunFolder
from launcher.guard.model import Interrupted
from launcher.guard.queueing import GOES_ON, Stands, is_over, outcome, to_start
from launcher.guard.tree import become_subreaper
from launcher.once import started_something
from launcher.queue_plan import MOST_STARTS, Standing, Ticket, claims_of
from launcher.queue_starting import read_result, read_said, reap, reap_watchers, start
from launcher.record import RunRow
from launcher.release import marks
from launcher.values import Unknown

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from launcher.events import Event
    from launcher.guard.desk import Desk
    from launcher.guard.model import Outcome
    from launcher.noted import Noted
    from launcher.plan import Plan
    from launcher.queue_plan import Asked

# How often runs are looked at.
LOOK_S = 0.1
# A run that has ended lets go of its GPUs and its note a moment later; the next one waits for that.
LEAVING_S = 5.0
# How often somebody is sent to look after a run that has lost its guard.
LOOK_AFTER_S = 2.0
# A claim that cannot be closed (the disk is full) is tried again for so long.
SETTLE_S = 60.0


class QueueRuns:
    """From the first start to the end of the last run.

    `changed(event)` notes how they stand now and tells the event, `begun()` that one is really at work.
    """

    def __init__(
        self,
        plan: Plan,
        asked: Asked,
        desk: Desk,
        noted: Noted,
        folder: RunFolder,
        changed: Callable[[Event | None], None],
        begun: Callable[[], None],
    ) -> None:
        self._plan, self._asked, self._desk = plan, asked, desk
        self._noted, self._folder = noted, folder
        self._changed, self._tell_begun = changed, begun
        if not noted.queue:
            noted.queue = [Standing() for _ in asked.items]
        self._starters: dict[int, int] = {}
        # Starters that have ended: with which code, and until when their claims are tried to be closed.
        self._ended: dict[int, tuple[int, float]] = {}
        self._lookers: list[int] = []
        self._awaited: dict[int, runs.Awaited] = {}
        self._leaving: dict[str, float] = {}
        self._to_stop: set[int] = set()
        self._pressed_at = float("-inf")
        self._looked_after = float("-inf")

    @property
    def _standings(self) -> list[Standing]:
        return self._noted.queue

    @property
    def _places(self) -> list[Any]:
        return [one.place(item) for one, item in zip(self._standings, self._asked.items, strict=True)]

    @property
    def outcome(self) -> Outcome:
        """How the queue has ended."""
        return outcome(self._places, keep_going=self._asked.keep_going, stopped_by=self._noted.queue_stopped)

    @property
    def by_person(self) -> bool:
        """Has a person ended it?"""
        return isinstance(self.outcome, Interrupted)

    def go(self) -> None:
        """Start them all in their turn; returns when none goes on and none follows."""
        become_subreaper()
        with suppress(FileExistsError):
            os.mkdir(claims_of(self._folder.path), 0o700)
        self._take_up()
        while True:
            self._look()
            self._start_more()
            if self._is_over():
                break
            self._desk.wait(LOOK_S)
            self._hear_presses()
            self._stop_those()
        self._end()

    def finish(self) -> None:
        """The queue was left behind: what goes on goes on to its end, and nothing follows."""
        become_subreaper()
        for number in range(len(self._standings)):
            self._find(number)
        self._noted.queue_closed = True
        self._stop_as_noted()
        while not self._is_over():
            self._desk.wait(LOOK_S)
            self._hear_presses()
            self._stop_those()
            self._look()
        self._end()

    def _is_over(self) -> bool:
        closed = self._noted.queue_stopped is not None or self._noted.queue_closed
        return is_over(self._places, keep_going=self._asked.keep_going, stopped=closed) and not self._starters

    # --- taking up ----------------------------------------------------------------------------------

    def _take_up(self) -> None:
        """What a guard before us was about to start is started by nobody now, or was started already."""
        for number, one in enumerate(self._standings):
            if one.stands is Stands.RUNNING:
                self._await(number)
            elif one.stands is Stands.STARTING:  # Whoever starts it was the child of that guard.
                self._ended[number] = (-signal.SIGKILL, time.monotonic() + SETTLE_S)
        self._stop_as_noted()
        if any(one.begun for one in self._standings):
            self._tell_begun()

    def _find(self, number: int) -> None:
        """The same where all that is known are the claims."""
        one = self._standings[number]
        for attempt in range(1, MOST_STARTS + 1):
            one.starts = attempt
            self._settle_claim(number)
            if one.run_id is not None:
                return

    def _settle_claim(self, number: int) -> None:
        """From now on nobody takes the claim who has not taken it yet; or all stays as it is."""
        with suppress(OSError):
            claims.take(self._claim(number), claims.CLOSED)
        self._heed_claim(number, or_else=Stands.WAITING)

    def _heed_claim(self, number: int, or_else: Stands) -> None:
        one = self._standings[number]
        run_id = claims.read(self._claim(number))
        if run_id is None:
            return
        if run_id == claims.CLOSED:
            one.stands = or_else
            return
        one.run_id, one.stands = run_id, Stands.RUNNING
        self._await(number)
        self._changed(self._event(number))

    def _claim(self, number: int) -> str:
        return self._ticket(number).claim(self._plan.home)

    def _ticket(self, number: int) -> Ticket:
        return Ticket(self._folder.run_id, number, self._standings[number].starts)

    # --- starting -----------------------------------------------------------------------------------

    def _start_more(self) -> None:
        if self._leaving:
            return
        closed = self._noted.queue_stopped is not None or self._noted.queue_closed
        for number in to_start(self._places, keep_going=self._asked.keep_going, stopped=closed):
            self._start(number)

    def _start(self, number: int) -> None:
        one, item = self._standings[number], self._asked.items[number]
        one.starts += 1
        one.stands = Stands.STARTING
        self._changed(None)  # Before it is started.
        ticket = self._ticket(number)
        words = ["run", "--detach", "--queue", str(ticket), "--result", self._result(number), *item.words]
        try:
            pid = start(
                words,
                self._plan.environ,
                self._asked.cwd,
                self._said(number),
                one_stream=self._asked.one_stream,
            )
        except OSError:
            self._could_not_start(number, 126)
            return
        self._starters[pid] = number

    def _result(self, number: int) -> str:
        return self._claim(number) + ".json"

    def _said(self, number: int) -> str:
        return self._claim(number) + ".said"

    def _starter_ended(self, number: int, code: int, until: float) -> None:
        one = self._standings[number]
        if one.stands is Stands.STARTING:
            self._settle_claim(number)
        settled = one.stands is not Stands.STARTING
        if not settled and time.monotonic() < until:
            return  # It could be started twice: once more in the next look.
        del self._ended[number]
        if one.run_id is None:
            killed = code < 0 or code == ExitCode.NOT_EXECUTABLE  # It, or the watcher that it had started.
            if not settled or not killed or one.starts >= MOST_STARTS:
                self._could_not_start(number, code if code > 0 else 128 - code)
            else:
                self._changed(None)  # It was killed before it had started anything: once more.
            return
        if code == 0 and one.stands is Stands.RUNNING:
            one.begun = True
            self._tell_begun()

    def _could_not_start(self, number: int, code: int) -> None:
        """Nothing of this run was started."""
        one = self._standings[number]
        if self._noted.queue_stopped is not None:
            one.stands = Stands.NOT_STARTED
            self._changed(None)
            return
        one.stands, one.exit_code = Stands.ENDED, code
        one.told = read_result(self._result(number))
        self._changed(self._event(number, said=read_said(self._said(number))))

    # --- looking ------------------------------------------------------------------------------------

    def _look(self) -> None:
        for pid, code in reap(tuple(self._starters)).items():
            self._ended[self._starters.pop(pid)] = (code, time.monotonic() + SETTLE_S)
        for number, how in tuple(self._ended.items()):
            self._starter_ended(number, *how)
        reaped = reap(self._lookers)
        self._lookers = [pid for pid in self._lookers if pid not in reaped]
        reap_watchers()
        for number, one in enumerate(self._standings):
            if one.stands is Stands.STARTING:
                self._heed_claim(number, or_else=Stands.STARTING)
            elif one.stands is Stands.RUNNING:
                self._look_at(number)
        self._look_at_leaving()

    def _await(self, number: int) -> None:
        one, item = self._standings[number], self._asked.items[number]
        told, place = Unknown("not-asked"), self._place(number)
        row = RunRow(one.run_id or "", item.name, guarded=True, told=told, place=place, uid=os.geteuid())
        self._awaited[number] = runs.Awaited(row, self._look_after)

    def _place(self, number: int) -> str:
        return os.path.join(self._plan.home, "runs", self._standings[number].run_id or "")

    def _look_at(self, number: int) -> None:
        one = self._standings[number]
        told = self._awaited[number].look(0.0)
        if not one.begun and started_something(told or runs.read_record(self._place(number)) or {}):
            one.begun = True  # Who has started it may not be our child.
            self._tell_begun()
        if told is None:
            return
        self._awaited.pop(number).close()
        code, attempts = told.get("exit_code"), told.get("attempts")
        one.stands = Stands.ENDED
        one.exit_code = code if isinstance(code, int) else runs.LOST_CODE
        one.begun = one.begun or (isinstance(attempts, int) and attempts > 0)
        one.by_person = told.get("outcome") == "interrupted"
        one.told = {name: value for name, value in told.items() if not isinstance(value, Unknown)}
        self._to_stop.discard(number)
        if one.run_id is not None:
            self._leaving[one.run_id] = time.monotonic() + LEAVING_S
        self._changed(self._event(number))

    def _look_at_leaving(self) -> None:
        if not self._leaving:
            return
        there = {note.run_id for note, _ in marks.runs()}
        now = time.monotonic()
        self._leaving = {one: until for one, until in self._leaving.items() if one in there and until > now}

    def _look_after(self) -> None:
        """A run has lost its guard: any call of our command leaves one behind that ends it."""
        now = time.monotonic()
        if now - self._looked_after < LOOK_AFTER_S:
            return
        self._looked_after = now
        with suppress(OSError):
            self._lookers.append(start(["ps", "--json"], self._plan.environ, "/", os.devnull))

    def _event(self, number: int, said: str = "") -> RunOfQueue:
        one, item = self._standings[number], self._asked.items[number]
        return RunOfQueue(
            number + 1,
            len(self._standings),
            item.name,
            one.run_id,
            self._place(number),
            alone=item.limit == 1,
            exit_code=one.exit_code,
            said=said,
        )

    # --- a person's stop ----------------------------------------------------------------------------

    def _hear_presses(self) -> None:
        for asked in self._desk.take():
            if asked.what == KILL:
                self._press(asked.number, kill=True)
            elif asked.what == PRESS:
                now = time.monotonic()
                again = self._noted.queue_stopped is not None and now - self._pressed_at >= SAME_PRESS_S
                self._pressed_at = now if again or self._noted.queue_stopped is None else self._pressed_at
                self._press(asked.number, kill=again)

    def _press(self, number: int, *, kill: bool) -> None:
        if self._noted.queue_stopped is None:
            self._noted.queue_stopped = number or signal.SIGINT
            self._folder.note_stop()
        elif not kill:
            return
        self._stop_what_goes_on(kill=kill)
        self._changed(None)

    def _stop_what_goes_on(self, *, kill: bool) -> None:
        self._to_stop = {at for at, one in enumerate(self._standings) if one.stands in GOES_ON}
        for number in self._to_stop:
            self._standings[number].kill |= kill

    def _stop_as_noted(self) -> None:
        """A person pressed stop before we were here; what comes right now may be the same press."""
        if self._noted.queue_stopped is not None:
            self._pressed_at = time.monotonic()
            self._stop_what_goes_on(kill=False)

    def _stop_those(self) -> None:
        """Each is told as soon as it can be; one that has not begun does not begin."""
        for number in sorted(self._to_stop):
            one = self._standings[number]
            if one.stands is Stands.STARTING:
                self._settle_claim(number)
                if one.stands is Stands.STARTING:
                    continue
            if one.run_id is None:
                one.stands = Stands.NOT_STARTED
                self._to_stop.discard(number)
            elif not one.kill and os.path.lexists(RunFolder(self._place(number)).stopped):
                self._to_stop.discard(number)  # It has heard it; a second time it would be killed.
            else:
                with suppress(OSError, control.Silent):
                    control.ask(one.run_id, {"ask": "stop", "kill": one.kill}, LOOK_S, 0.0)
                    self._to_stop.discard(number)

    # --- the end ------------------------------------------------------------------------------------

    def _end(self) -> None:
        for one in self._standings:
            if one.stands is Stands.WAITING:
                one.stands = Stands.NOT_STARTED
        for awaited in self._awaited.values():
            awaited.close()
        for pid in self._lookers:
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)
        self._changed(None)
