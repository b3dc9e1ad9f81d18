"""From an output of the job file to an order: what is copied where, and how its progress is told."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from launcher.events import Copying
from launcher.places import resolve
from launcher.saving.model import Order, parse_target

if TYPE_CHECKING:
    from launcher.clock import Clock
    from launcher.events import Audience
    from launcher.record import RunRecord
    from launcher.saving.meter import Reading
    from launcher.spec.model import Output

# A copy that takes longer than a moment is told of, then now and then.
FIRST_WORD_S = 5.0
NEXT_WORD_S = 30.0


def order_for(
    output: Output, workdir: str, *, run_id: str, story: str, settled_s: float | None = None
) -> Order:
    """The order to save this output (or to restore it) for this run."""
    source = resolve(output.path, workdir)
    return Order(
        source,
        parse_target(output.to, workdir),
        os.path.basename(source),
        run_id,
        story,
        include=output.include,
        exclude=output.exclude,
        settled_s=settled_s,
    )


@dataclass(slots=True)
class Teller:
    """Tells of one copy while it goes on: in the record, for `ps`, and now and then in words."""

    record: RunRecord
    audience: Audience
    clock: Clock
    order: Order
    restoring: bool = False
    _began: float = field(init=False)
    _next: float = field(init=False)

    def __post_init__(self) -> None:
        self._began = self.clock.monotonic()
        self._next = self._began + FIRST_WORD_S

    def __call__(self, reading: Reading) -> None:
        """So far it has come."""
        now = self.clock.monotonic()
        event = Copying(
            self.order.source,
            self.order.target.shown,
            reading.done,
            reading.total,
            now - self._began,
            self.restoring,
        )
        self.record.copying = event
        if now >= self._next and reading.total:
            self._next = now + NEXT_WORD_S
            self.audience.tell(event)

    def over(self) -> None:
        """It is done, one way or the other."""
        self.record.copying = None
