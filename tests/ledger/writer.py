"""Writes a ledger or its spool, or stands in the way: `few HOME COUNT`, `hold HOME HOW`, `spool HOME`.

`few` says `RUN NUMBER true|false` for each row, and at the end `closed true|false`.
`hold` takes a lock and says `ready`; it lets go when its stdin ends.
"""

from __future__ import annotations

import os
import sqlite3
import sys

from launcher.ledger import spool
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


def append(home: str) -> None:
    """Add one entry to the spool, with patience."""
    spool.append(home, [spool.Entry("later", "run", 1.0, "boot-1", "ended", "{}")], 30.0)


if __name__ == "__main__":
    what, where, *words = sys.argv[1:]
    if what == "few":
        few(where, int(words[0]))
    elif what == "hold":
        hold(where, words[0])
    else:
        append(where)
