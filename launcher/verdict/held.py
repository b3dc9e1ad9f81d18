"""Who holds GPU memory, and how to end it, as sentences before a job starts. Pure; nothing is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.values import Known, format_size
from launcher.words import counted, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.probes.model import GpuUser
    from launcher.words import Text

MOST_NAMED = 3


def held_hints(users: Sequence[GpuUser]) -> tuple[Text, ...]:
    """One line for each of the first few, and how many more there are."""
    lines = [_line(user) for user in users[:MOST_NAMED]]
    more = len(users) - MOST_NAMED
    if more > 0:
        lines.append(
            counted(
                "{count} more process holds GPU memory: see colab-run probe",
                "{count} more processes hold GPU memory: see colab-run probe",
                more,
            )
        )
    return tuple(lines)


def _line(user: GpuUser) -> Text:
    size = format_size(user.memory_bytes.value) if isinstance(user.memory_bytes, Known) else "?"
    facts = {"size": size, "pid": user.pid, "command": _text(user.command), "user": _text(user.user)}
    if user.whose == "own-kernel":
        return words(
            "{size} of GPU memory are held by this notebook; restart its session to free it", **facts
        )
    if user.whose == "kernel":
        return words(
            "{size} of GPU memory are held by another notebook (process {pid}, {user}); restart its session "
            "to free it",
            **facts,
        )
    if user.whose == "run":
        return words(
            "{size} of GPU memory are held by run {run_id} (process {pid}); end it: {end}",
            **facts,
            run_id=user.run_id,
            end=f"colab-run stop {user.run_id}",
        )
    if user.whose == "leftover":
        return words(
            "{size} of GPU memory are held by {command} (process {pid}, {user}), perhaps left over from an "
            "interrupted cell; end it: {end}",
            **facts,
            end=f"kill {user.pid}",
        )
    if user.whose == "other":
        return words(
            "{size} of GPU memory are held by {command} (process {pid}, {user}); if nobody needs it, end it: "
            "{end}",
            **facts,
            end=f"kill {user.pid}",
        )
    return words(
        "{size} of GPU memory are held by process {pid}, which is not of this container; only its own "
        "machine can end it",
        **facts,
    )


def _text(reading: object) -> str:
    return str(reading.value) if isinstance(reading, Known) else "?"
