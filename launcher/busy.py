"""Is a notebook kernel other than our own at work? It speaks against every release."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.probes import kernels
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.words import Text

# Meanwhile nobody is answered.
KERNELS_DEADLINE_S = 1.5


def busy_elsewhere(environ: Mapping[str, str], own: str | None, now: float) -> Text:
    """A sentence about a kernel, other than `own`, that is at work; empty if none is."""
    mine = frozenset({own} if own else ())
    reading = kernels.read_kernels(environ, own=mine, deadline_s=KERNELS_DEADLINE_S)
    busy = kernels.busy_elsewhere(reading, now=now)
    if busy is None:
        return ""  # What cannot be read does not count at the end of a run.
    return words("another notebook kernel is at work ({name})", name=busy.name)
