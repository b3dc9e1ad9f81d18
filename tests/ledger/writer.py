"""Writes a ledger, or stands in the way of one: `writer.py few HOME COUNT`, `writer.py hold HOME HOW`.

`few` says `RUN NUMBER true|false` for each row, and at the end `closed true|false`.
`hold` takes a lock and says `ready`; it lets go when its stdin ends.
"""

from __future__ import annotations

import os
import sqlite3
import sys

from launcher.ledger.model import LedgerUnusable, State
from launcher.ledger.store import Ledger

COURSE = (
    State.PLANNED,
    State.STARTED,
    State.ENDED,
    State.SAVING,
    State.REQUESTED,
    State.ACCEPTED,
    State.DONE,
)


def few(home: str, count: int) -> None:
    """Write `count` rows of legal runs."""
    try:
        ledger = Ledger.open(home, "boot-1")
    except LedgerUnusable as error:
        print("unusable", error.reason)
        return
    for number in range(count):
        run_id = f"run-{number // len(COURSE)}"
        safe = ledger.write(run_id, COURSE[number % len(COURSE)], 1e9 + number, number=number)
        print(run_id, number, str(safe).lower(), flush=True)
    print("closed", str(ledger.close()).lower())


def hold(home: str, how: str) -> None:
    """Hold the ledger's lock: `immediate` as a writer does, `exclusive` with readers out as well."""
    connection = sqlite3.connect(os.path.join(home, "ledger.sqlite3"), isolation_level=None)
    if how == "exclusive":
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("CREATE TABLE IF NOT EXISTS held (one)")
    print("ready", flush=True)
    sys.stdin.read()
    connection.execute("ROLLBACK")
    connection.close()


if __name__ == "__main__":
    {"few": lambda: few(sys.argv[2], int(sys.argv[3])), "hold": lambda: hold(sys.argv[2], sys.argv[3])}[
        sys.argv[1]
    ]()
