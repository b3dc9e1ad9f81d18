"""Before the job starts: outputs that a run before this one saved are copied back, whole or not at all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from launcher.children import call_in_child
from launcher.events import Said
from launcher.orders import Teller, order_for
from launcher.saving.interface import Restored
from launcher.saving.save import Onlooker, restore_output
from launcher.values import Known, format_size
from launcher.words import counted, words

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.clock import Clock
    from launcher.events import Audience
    from launcher.plan import Plan
    from launcher.record import RunRecord
    from launcher.spec.model import Output
    from launcher.words import Text


# How long a look at an output may take.
LOOK_S = 30.0


def restore_outputs(
    plan: Plan, record: RunRecord, clock: Clock, audience: Audience, stopped: Callable[[], bool]
) -> Text:
    """Why the job cannot go on from what was saved; empty: everything is in place, or nothing was saved yet.

    `record.restored` and the run's story are filled in. Once `stopped()` says so it returns early.
    """
    record.story = record.run_id
    for output in plan.spec.outputs:
        if not output.restore:
            continue
        row = _restore(output, plan, record, clock, audience, stopped)
        record.restored += (row,)
        if row.why:
            return words(
                "the last save of {path} at {folder} could not be restored ({why})",
                path=output.path,
                folder=output.to,
                why=row.why,
            )
        if row.complete or row.in_place:
            audience.tell(Said(_said(row)))
        if row.complete and record.resumed_from is None:
            record.resumed_from, record.story = row.run_id, row.story or row.run_id
        if stopped():
            break
    return ""


def _restore(
    output: Output,
    plan: Plan,
    record: RunRecord,
    clock: Clock,
    audience: Audience,
    stopped: Callable[[], bool],
) -> Restored:
    run_id = record.run_id or ""
    order = order_for(output, plan.spec.workdir, run_id=run_id, story=run_id)
    answer = call_in_child(lambda: _is_there(order.source), deadline_s=LOOK_S)
    if not isinstance(answer, Known):
        why = words("{path} cannot be looked at ({why})", path=order.source, why=answer.reason)
        return Restored(order.source, order.target.shown, why=why)
    if answer.value:
        return Restored(order.source, order.target.shown, in_place=True)
    teller = Teller(record, audience, clock, order, restoring=True)
    try:
        return restore_output(order, plan.environ, Onlooker(stopped, teller))
    finally:
        teller.over()


def _said(row: Restored) -> Text:
    if row.in_place:
        return words(
            "{path} is not empty: nothing is restored, the job goes on from what is there", path=row.path
        )
    return counted(
        "restored {path}: {count} file, {size}, as run {run_id} saved it at {time}",
        "restored {path}: {count} files, {size}, as run {run_id} saved it at {time}",
        row.files,
        path=row.path,
        size=format_size(row.size),
        run_id=row.run_id,
        time=row.saved,
    )


def _is_there(path: str) -> bool:
    """Anything but an empty folder. For a child: it may hang."""
    try:
        with os.scandir(path) as entries:
            return next(entries, None) is not None
    except NotADirectoryError:
        return True
    except OSError:
        return os.path.lexists(path)


def told_to_job(record: RunRecord) -> dict[str, str]:
    """What the job's environment says about it.

    COLAB_RUN_RESUMED is 1 where the job finds work of a run before it, restored or still in place, else 0;
    COLAB_RUN_RESTORED lists the paths that were copied back, separated like PATH.
    """
    found = any(row.complete or row.in_place for row in record.restored)
    restored = [row.path for row in record.restored if row.complete]
    return {
        "COLAB_RUN_RESUMED": "1" if found else "0",
        "COLAB_RUN_RESTORED": os.pathsep.join(restored),
    }
