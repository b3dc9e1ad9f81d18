"""What a machine can know of one before it: was it asked to go, and has it been silent since?

Only somebody else can say that a machine is gone. The next one does, in the mirror; what it saw it says
with it.
"""

from __future__ import annotations

import binascii
import time
from typing import TYPE_CHECKING

from launcher.ledger.mirror import NotARow, Place, names_in, read_row, write_rows, written
from launcher.ledger.model import RELEASE, Row, State, of_release
from launcher.ledger.recover import ASKED, Step, next_step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.ledger.mirror import Name
    from launcher.ledger.model import Run
    from launcher.ledger.store import Ledger

# For clocks that differ, and for what takes its time on its way through Drive.
SLACK_S = 120.0
# Where a row does not say it: as in the job file, and as long as a release is tried.
CONFIRM_S = 120.0
GIVE_UP_AFTER_S = 300.0
_ABOUT = frozenset(state.value for state in RELEASE - {State.CONFIRMED})
_ASKED = frozenset(state.value for state in ASKED)
# A folder with the runs of years is read as far as this lets us, the newest first.
LOOK_S = 30.0


def confirm(folder: str, boot_id: str, host: str, now: float) -> list[str]:
    """Note of each run of another boot that its machine is gone, as far as anybody here can know that.

    The ids of the runs. `now` is wall time; may hang with its disk. What cannot be read or written is
    left to somebody else.
    """
    try:
        runs, _ = names_in(folder)
    except OSError:
        return []
    deadline = time.monotonic() + LOOK_S
    done = []
    for run_id, names in runs.items():
        if time.monotonic() > deadline:
            break
        row = _last_word(folder, names)
        if row is not None and is_gone(row, boot_id, now):
            # The number says what it knew of: what the run tells later is judged anew.
            told = confirmed(row, boot_id, now)._replace(seq=max(name.number for name in names))
            said = written(told, host, by=f"{binascii.crc32(boot_id.encode()):08x}")
            if write_rows(Place(folder), [said])["names"]:
                done.append(run_id)
    return done


def _last_word(folder: str, names: Sequence[Name]) -> Row | None:
    """The last row about the release, where nobody has confirmed anything since; None also for a damaged one.

    A run that is done may say there what no row before it did: that another run's release was accepted,
    or that a person stopped it.
    """
    own = [name for name in names if not name.by]
    about = [name for name in own if name.kind in _ABOUT]
    done = [name for name in own if name.kind == State.DONE.value]
    known = max((name.number for name in names if name.kind == State.CONFIRMED.value), default=0)
    if max((name.number for name in (*about, *done)), default=0) <= known:
        return None
    if not done and about[-1].kind not in _ASKED:
        return None
    try:
        rows = [read_row(folder, name) for name in sorted((*about[-1:], *done[-1:]))]
    except NotARow:
        return None
    told = of_release(rows)
    return told[1]._replace(state=State(told[0])) if told is not None and told[0] in _ASKED else None


def is_gone(last: Row, boot_id: str, now: float) -> bool:
    """Has the machine of this row, the last about its release, been silent for long enough?

    A machine that is still here after `confirm` says so, and one whose requests fail says that, too.
    """
    if last.state not in ASKED or last.boot_id == boot_id:
        return False
    silent = _seconds(last, "confirm_s", CONFIRM_S) + SLACK_S
    if last.state is State.REQUESTED:
        silent += _seconds(last, "give_up_after_s", GIVE_UP_AFTER_S) + _seconds(last, "unmount_s", 0.0)
    return now - last.wall > silent


def confirmed(last: Row, boot_id: str, now: float) -> Row:
    """What is written of it; `after` is what was heard of it last, `accepted` whether that was a yes."""
    facts: dict[str, object] = {
        "after": last.state.value,
        "accepted": last.state is State.ACCEPTED,
        "silent_s": round(now - last.wall, 3),
        "nonce": last.facts.get("nonce"),
    }
    return Row(last.run_id, last.seq, now, boot_id, State.CONFIRMED, facts)


def note_gone(ledger: Ledger, run: Run, own_boot: str, now: float) -> None:
    """Note how it stands with a run of an earlier boot of this disk, whose machine is gone."""
    same_boot = run.last.boot_id == own_boot
    step = next_step(run.last, guarded=False, same_boot=same_boot)
    if step is Step.NOTE_LOST:
        ledger.write(run.run_id, State.LOST, now)
    elif step is Step.NOTE_CONFIRMED:
        ledger.write(run.run_id, State.CONFIRMED, now, **confirmed(run.last, own_boot, now).facts)


def _seconds(row: Row, name: str, otherwise: float) -> float:
    value = row.facts.get(name)
    return float(value) if isinstance(value, int | float) and 0 <= value < 1e9 else otherwise
