"""Claims: small files that say which run has taken something that is to be taken once only.

A claim appears whole or not at all, and never changes: of two who want it one gets it.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress

# Nobody gets it any more.
CLOSED = "closed"
_LARGEST = 1 << 16


def take(path: str, run_id: str, **facts: object) -> str:
    """Who has it now: this run, or one before it. Raises OSError."""
    temporary = f"{path}.{os.getpid()}.{os.urandom(4).hex()}.part"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with open(os.open(temporary, flags, 0o600), "w", encoding="utf-8") as file:
            json.dump({**facts, "run_id": run_id}, file)
        _appear(temporary, path)
    except FileExistsError:
        return read(path) or CLOSED
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
    return run_id


def _appear(temporary: str, path: str) -> None:
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # A file system without hard links, such as Drive's: one moment of it is empty.
        with open(temporary, "rb") as content:
            data = content.read()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(path, flags, 0o600), "wb") as file:
            file.write(data)


def read(path: str) -> str | None:
    """Who has it; None for nobody, CLOSED also for what cannot be read."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            told = json.loads(file.read(_LARGEST))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return CLOSED
    run_id = told.get("run_id") if isinstance(told, dict) else None
    return run_id if isinstance(run_id, str) else CLOSED
