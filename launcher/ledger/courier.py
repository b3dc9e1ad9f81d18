"""Carries rows to the mirror, in a child: Drive takes its time, and what hangs must not hang a guard.

A mirror that takes nothing is said once. One that is full or read-only is tried again with the rows that
come; one that hung is left alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher.children import Child
from launcher.ledger.mirror import write_rows
from launcher.values import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.clock import Clock
    from launcher.ledger.mirror import Place, Written
    from launcher.values import Reading

# How long a batch of rows may take, from the start of its child.
DEADLINE_S = 10.0
# A look at what other machines left there may take longer: nobody waits for it.
LOOK_DEADLINE_S = 60.0
HUNG = "timeout"


class Courier:
    """One guard's way to the mirror; while the job runs, as `guard.sideline.Sideline`.

    `rows` are those that may not be there yet; they leave the list when they are. `look` is done once,
    behind the first rows. `changed(device)` is called when a batch has gone well, `failed(why)` at the
    first that has not, `lost(why)` for a file that was to be copied and cannot be read any more. `again`:
    a guard of this run before us was killed, perhaps in the middle of a file.
    """

    def __init__(
        self,
        place: Place,
        rows: list[Written],
        clock: Clock,
        run_id: str,
        *,
        look: Callable[[], Any] | None,
        changed: Callable[[int], None],
        failed: Callable[[str], None],
        lost: Callable[[str], None],
        again: bool = False,
    ) -> None:
        self._place, self._rows, self._clock, self._look = place, rows, clock, look
        self._changed, self._failed, self._lost = changed, failed, lost
        self._run_id, self._untidy = run_id, again
        self._child: Child | None = None
        self._carried = 0  # How many rows the child was given; 0 where it looks.
        self._since = 0.0
        self._wanted = bool(rows)
        self._said = False
        self._over = False
        self._left_it = False
        self._beside = False

    # --- for whoever has rows ---------------------------------------------------------------------

    def send(self) -> None:
        """Have what waits carried there, soon; returns at once."""
        self._wanted = bool(self._rows)
        if not self._beside:
            self._take_if_done(0.0)
            if self._child is None and self._wanted and not self._over:
                self._start()

    def settle(self) -> None:
        """Wait until what there is has been carried, at most DEADLINE_S; then the rest stays here."""
        self._wanted = bool(self._rows)
        while not self._over:
            if self._child is None:
                if not self._wanted or not self._start():
                    return
            elif not self._carried:
                if not self._wanted:
                    return
                self._drop()  # It looks; there will be another time.
            elif not self._take_if_done(self._left()):
                self._give_up()

    def finish(self) -> None:
        """The last rows, and the look if it is still to come; nothing is carried afterwards."""
        self.settle()
        if self._child is None and self._look is not None and not self._over:
            self._start()
        if self._child is not None:
            self._take_if_done(min(DEADLINE_S, self._left()))
        self.leave()

    def leave(self) -> None:
        """The place is about to be unmounted, or we end: nobody of ours may be in it."""
        self._drop()
        self._left_it, self._over = not self._over, True

    def come_back(self) -> None:
        """It was not unmounted; a place that hung is not gone back to."""
        if self._left_it:
            self._left_it = self._over = False

    # --- for guard.sideline.Sideline --------------------------------------------------------------

    def beside(self) -> Courier:
        """The job is about to run: from now on only `tend` starts a child."""
        self._beside = True
        return self

    @property
    def pid(self) -> int:
        """The child that is on its way; 0 for none."""
        return 0 if self._child is None else self._child.pid

    def due_in(self) -> float | None:
        """At once where there is something to carry; until the deadline of what is on its way."""
        if self._child is not None:
            return self._left()
        return 0.0 if not self._over and (self._wanted or self._look is not None) else None

    def tend(self, forking: Callable[[], None]) -> bool:
        """Start what is due; give up what has hung."""
        if self._child is not None:
            if self._left() <= 0:
                self._give_up()
            return False
        if self.due_in() is None:
            return False
        forking()
        return self._start()

    def ended(self) -> None:
        """Take the answer."""
        if self._child is not None:
            child, self._child = self._child, None
            self._take(child.end())

    def stop(self) -> None:
        """The job is over: what is on its way is carried again."""
        self._beside = False
        if not self._take_if_done(0.0):
            self._drop()

    # --- a child ----------------------------------------------------------------------------------

    def _start(self) -> bool:
        """Rows first, then the look; False where no process can be created."""
        rows, place = list(self._rows), self._place
        tidy = self._run_id if self._untidy else ""
        looks = self._look
        work = (lambda: write_rows(place, rows, tidy)) if rows and self._wanted else looks
        if work is None:
            return False
        try:
            self._child = Child(work)
        except OSError as error:
            self._fail(error.strerror or str(error))
            return False
        self._carried = 0 if work is looks else len(rows)
        self._since = self._clock.monotonic()
        return True

    def _left(self) -> float:
        longest = DEADLINE_S if self._carried else LOOK_DEADLINE_S
        return max(0.0, self._since + longest - self._clock.monotonic())

    def _take_if_done(self, seconds: float) -> bool:
        """Has it come back, after at most so long?"""
        if self._child is None or not self._child.done(seconds):
            return False
        self.ended()
        return True

    def _drop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            self._untidy = self._untidy or self._carried > 0
            child.end()

    def _give_up(self) -> None:
        """A mirror that hangs; a look that does is no news."""
        carried = self._carried
        self._drop()
        self._look = None
        if carried:
            self._fail(HUNG)
            self._over = True

    def _take(self, answer: Reading[Any]) -> None:
        if not self._carried:
            self._look = None
            return
        if isinstance(answer, Unknown):
            self._fail(getattr(answer, "detail", "") or answer.reason)
            return
        told = answer.value if isinstance(answer, Known) else {}
        over = {*told["names"], *told["lost"]}
        self._rows[:] = [row for row in self._rows if row.name not in over]
        for why in told["lost"].values():
            self._lost(why)
        self._untidy = False
        if told["why"]:
            self._fail(str(told["why"]))
            return
        self._wanted = bool(self._rows)
        self._place = self._place._replace(device=told["device"])
        self._changed(told["device"])

    def _fail(self, why: str) -> None:
        self._wanted = False
        self._look = None  # Nobody looks around where nothing can be written.
        if not self._said:
            self._said = True
            self._failed(why)
