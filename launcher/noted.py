"""What a guard notes of its whole run, so that the watcher can go on in the middle of it. Pure data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launcher.guard.model import RunReport
    from launcher.guard.progress import Progress
    from launcher.holds import Hold
    from launcher.ledger.mirror import Written
    from launcher.ledger.spool import Entry
    from launcher.queue_plan import Standing
    from launcher.record import RunRecord
    from launcher.release.interface import ReleaseResult


@dataclass(slots=True)
class Noted:
    """`folder` is the run's own. `report` is there when the job is over, `decided` when its end is.

    `asked` is then how the release ends without being asked for; None: it is asked for. `told` is True
    when the client has had its last word. `rows` are those of the ledger that may not be on disk yet;
    `planned`: what whoever finds the run needs is in its folder. `stopped_saving`: a person pressed stop
    while results were saved. `restored`: what had to be copied back before the job is done with; `unbegun`:
    the run has ended before its job began; `without_drive`: Drive could not be flushed, and nobody waits for
    it any more. `worked`: the job has shown life in this run. `mirror_rows` are those that the mirror may
    lack, `numbered` how many it was given in all, `mirror_device` the file system that they go to. A hold of
    this run ends at `hold_until` (monotonic), or is over; `hold` is what it is about. `ended_at` is when the
    job ended (CLOCK_BOOTTIME). `before` is how its release stood when it was found without a guard, and
    `idle_reason` why it waited for idleness then, if it did. Between two attempts `again_at` is when the next
    one begins (monotonic), and `so_far` the report of those before it. `set_up`: `setup` has
    done its work; `not_again` is why no attempt followed the last one.
    Of a queue: `queue` is how its runs stand, `queue_stopped` the signal of a person who stopped it, and with
    `queue_closed` it starts nothing more.
    """

    folder: str
    note: str
    record: RunRecord
    progress: Progress | None = None
    report: RunReport | None = None
    decided: bool = False
    asked: ReleaseResult | None = None
    told: bool = False
    rows: list[Entry] = field(default_factory=list)
    planned: bool = False
    stopped_saving: bool = False
    hold_until: float | None = None
    hold_over: bool = False
    hold: Hold | None = None
    ended_at: float | None = None
    idle_reason: str = ""
    restored: bool = False
    unbegun: bool = False
    without_drive: bool = False
    worked: bool = False
    mirror_rows: list[Written] = field(default_factory=list)
    numbered: int = 0
    mirror_device: int | None = None
    before: ReleaseResult | None = None
    again_at: float | None = None
    so_far: RunReport | None = None
    set_up: bool = False
    not_again: str = ""
    gpus: tuple[str, ...] | None = None
    visible: str | None = None
    queue: list[Standing] = field(default_factory=list)
    queue_stopped: int | None = None
    queue_closed: bool = False
