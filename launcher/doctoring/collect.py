"""Run every check in a child of its own, all at once, with a deadline for all: none can hold up the rest."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from launcher.children import Child
from launcher.doctoring.model import Health, Row, row_from_plain, unsure
from launcher.values import Known
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from launcher.values import Reading
    from launcher.words import Text

# The slowest honest answer is a driver's, after 2 s, and a Jupyter server's.
DEADLINE_S = 6.0


class Check(NamedTuple):
    """One check. `look` reads and judges; `key` and `fix` are for the row where it gives no answer.

    `hangs`: not answering is itself not in order.
    """

    key: str
    look: Callable[[], Iterable[Row]]
    fix: Text
    hangs: bool = False


def examine(checks: Sequence[Check], deadline_s: float = DEADLINE_S) -> tuple[Row, ...]:
    """The rows of all checks, in their order. Takes a little more than `deadline_s` at most; never raises."""
    began = time.monotonic()
    children = [_start(check) for check in checks]
    for child in children:
        if child is not None:
            child.done(max(0.0, began + deadline_s - time.monotonic()))
    late = [child is not None and not child.done(0.0) for child in children]
    for child, is_late in zip(children, late, strict=True):
        if child is not None and is_late:
            # All at once, before the first is waited for: one may take a moment to go.
            with suppress(OSError):
                os.killpg(child.pid, signal.SIGKILL)
    found: list[Row] = []
    for check, child, is_late in zip(checks, children, late, strict=True):
        answer = None if child is None else child.end()
        found += _rows(check, answer, late=is_late, waited_s=deadline_s)
    return tuple(found)


def _start(check: Check) -> Child | None:
    try:
        return Child(lambda: [row.as_plain() for row in check.look()])  # A pipe's 64 KiB hold every row.
    except OSError:
        return None


def _rows(check: Check, answer: Reading[object] | None, *, late: bool, waited_s: float) -> list[Row]:
    if isinstance(answer, Known) and isinstance(answer.value, list):
        return [row_from_plain(row) for row in answer.value]
    if late:
        health = Health.FAIL if check.hangs else Health.UNKNOWN
        said = words("no answer within {seconds} s", seconds=f"{waited_s:g}")
        return [Row(check.key, health, said, check.fix)]
    if answer is None:
        why: object = words("no process can be created")
    else:
        # The kind of error only: what it said may name anything.
        why = str(getattr(answer, "detail", "") or getattr(answer, "reason", "")).partition(":")[0]
    return [unsure(check.key, words("could not be looked at: {why}", why=why), check.fix)]
