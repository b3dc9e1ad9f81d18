"""Is it there, and how large is it? For inputs of jobs: folders of many files, on slow mounts too."""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING, Any

from launcher.probes.model import InputFacts
from launcher.values import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.values import Reading

DEADLINE_S = 3.0
# Listing more than this takes longer than anybody wants to wait for a check.
MOST_FILES = 200_000
_MISSING = None


def look(paths: Sequence[str], sized: Sequence[bool], deadline_s: float = DEADLINE_S) -> list[Any]:
    """For each path: None where it is missing, its bytes, or the reason why they are not known.

    `sized`: whether its size is asked for; else 0 stands for what is there. Meant for a child: a dead mount
    keeps who asks.
    """
    give_up = time.monotonic() + deadline_s
    return [_look(path, asked, give_up) for path, asked in zip(paths, sized, strict=True)]


def facts_of(paths: Sequence[str], answer: Reading[Any]) -> tuple[InputFacts, ...]:
    """What the child brought back, typed."""
    if isinstance(answer, Unknown):
        return tuple(InputFacts(path, Unknown("input-timeout")) for path in paths)
    return tuple(InputFacts(path, _reading(value)) for path, value in zip(paths, answer.value, strict=True))


def _reading(value: int | str | None) -> Reading[int] | None:
    if value is None:
        return None
    return Unknown(value) if isinstance(value, str) else Known(value)


def _look(path: str, asked: bool, give_up: float) -> int | str | None:
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return _MISSING
    except OSError:
        return "input-unreadable"
    if not stat.S_ISDIR(status.st_mode):
        return status.st_size
    return _folder_size(path, give_up) if asked else 0


def _folder_size(path: str, give_up: float) -> int | str:
    total, files, waiting = 0, 0, [path]
    root = os.stat(path)
    been = {(root.st_dev, root.st_ino)}
    while waiting:
        if time.monotonic() > give_up:
            return "input-timeout"
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    files += 1
                    if entry.is_dir():
                        # Links are followed, each folder once: they may lead around in circles.
                        status = entry.stat()
                        if (status.st_dev, status.st_ino) not in been:
                            been.add((status.st_dev, status.st_ino))
                            waiting.append(entry.path)
                    else:
                        # Links are followed to files: a data set of links is as large as what they name.
                        total += entry.stat().st_size if os.path.exists(entry.path) else 0
                    if files > MOST_FILES or time.monotonic() > give_up:
                        return "input-too-many" if files > MOST_FILES else "input-timeout"
        except OSError:
            return "input-unreadable"
    return total
