"""How the ledger's tables came to be, step by step: a ledger of any released version opens for ever.

A step is never changed once it is released. A new one is added at the end, with a database of the
version before it in tests/assets/ledger.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Statements(Protocol):
    """What a step needs of a connection."""

    def execute(self, sql: str, /) -> object:
        """Run one statement."""


def rows_of_runs(connection: Statements) -> None:
    """Version 1: one table. `uid` names a row from before it is written, so that none is written twice."""
    connection.execute(
        """
        CREATE TABLE rows (
            id INTEGER PRIMARY KEY,
            uid TEXT NOT NULL UNIQUE,
            run_id TEXT NOT NULL,
            seq INTEGER NOT NULL,
            wall REAL NOT NULL,
            boot_id TEXT NOT NULL,
            state TEXT NOT NULL,
            facts TEXT NOT NULL,
            UNIQUE (run_id, seq)
        )
        """
    )


MIGRATIONS: tuple[Callable[[Statements], None], ...] = (rows_of_runs,)
CURRENT = len(MIGRATIONS)


def migrate(connection: Statements, version: int) -> None:
    """Bring tables of `version` to CURRENT, inside the caller's transaction."""
    for step in MIGRATIONS[version:]:
        step(connection)
    if version < CURRENT:
        connection.execute(f"PRAGMA user_version = {CURRENT}")
