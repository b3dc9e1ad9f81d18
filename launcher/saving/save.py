"""Save the outputs of a run, one after the other, each in a child that can be killed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from launcher.children import call_in_child
from launcher.saving.folder import copy_output
from launcher.saving.interface import Saved, SavedFile
from launcher.values import Known, Unknown
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.values import Reading

# A copy has no deadline of its own yet: a large checkpoint on a slow mount may take hours, and the
# person sees what is being waited for. This bound only ends a mount that is dead for ever.
LONGEST_COPY_S = 24 * 3600.0


def _copy(path: str, to: str, token: str, abort: Callable[[], bool], name: str) -> Reading[Any]:
    return call_in_child(
        lambda: copy_output(path, to, token, name).as_dict(), deadline_s=LONGEST_COPY_S, abort=abort
    )


def save_output(path: str, to: str, *, token: str, abort: Callable[[], bool], name: str = "") -> Saved:
    """Copy `path` (file or folder, absolute) into the folder `to`, under its own name or `name`.

    `abort()` is asked a few times a second whether to give up.
    """
    if not os.path.lexists(path):
        return Saved(path, to, missing=True)
    answer = _copy(path, to, token, abort, name)
    if answer == Unknown("crashed"):
        answer = _copy(path, to, token, abort, name)  # Somebody killed it: no reason to keep the machine.
    if not isinstance(answer, Known):
        why = getattr(answer, "detail", "") or answer.reason
        return Saved(path, to, failures=((path, words("the copy did not finish: {why}", why=why)),))
    report = answer.value
    return Saved(
        path,
        to,
        files=tuple(SavedFile(*row) for row in report["files"]),
        failures=tuple((row[0], row[1]) for row in report["failures"]),
        skipped=tuple(report["skipped"]),
    )
