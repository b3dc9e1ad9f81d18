"""Which watches there are on this machine, and what their guards say."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from launcher.guard import control
from launcher.release import marks
from launcher.watch_plan import REPLACED_BY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from launcher.release.marks import RunNote

# How long a watch that was asked to end may take: its last save may have to be cut off first.
END_S = 10.0
LOOK_S = 0.02
WHY = {"ask": "why"}


def watches() -> list[RunNote]:
    """Every watch of this boot that somebody guards, oldest first, whoever it belongs to."""
    return [note for note, guarded in marks.runs() if note.watch and guarded]


def own_watches() -> list[RunNote]:
    """Those that are ours to ask."""
    return [note for note in watches() if note.uid == os.geteuid()]


class Told(NamedTuple):
    """What the guard of `run_id` said; `document` is None where it does not answer. `pid` is the guard's."""

    run_id: str
    document: dict[str, Any] | None
    pid: int | None = None


def ask(run_ids: Iterable[str], patience_s: float = control.PATIENCE_S) -> list[Told]:
    """Each guard's answer to `why`: how its wait stands, with a row for each sign of life."""
    asked = list(run_ids)
    answers = control.ask_all(asked, WHY, [patience_s] * len(asked), patience_s)
    return [
        Told(run_id, answer, answer.get("guard_pid"))
        if isinstance(answer, dict)
        else Told(run_id, None, getattr(answer, "pid", None))
        for run_id, answer in zip(asked, answers, strict=True)
    ]


def end(note: RunNote, replaced_by: str = "") -> bool:
    """Ask a watch to end, and wait until it has; False where it does not answer, or does not end."""
    question = {"ask": "stop", **({REPLACED_BY: replaced_by} if replaced_by else {})}
    try:
        control.ask(note.run_id, question)
    except (OSError, control.Silent):
        return not _is_there(note)
    deadline = time.monotonic() + END_S
    while _is_there(note):
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_S)
    return True


def _is_there(note: RunNote) -> bool:
    return any(one.run_id == note.run_id for one in watches())


class Replaced(NamedTuple):
    """What became of older watches, by id: `ended`, or still there, as far as anybody can tell."""

    ended: list[str]
    left: list[str]


def replace_others(run_id: str) -> Replaced:
    """End our watches that are older than this one: the newest counts."""
    replaced = Replaced([], [])
    for note in own_watches():
        if note.run_id < run_id:
            (replaced.ended if end(note, replaced_by=run_id) else replaced.left).append(note.run_id)
    return replaced
