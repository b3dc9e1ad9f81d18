"""Commands of the contract that are not there yet: refused by name, never ignored.

A row leaves this table in the change that brings the command.
"""

from __future__ import annotations

COMMANDS = frozenset(("report", "advise", "submit"))


def not_yet(command: str) -> str | None:
    """The command if it is not available yet, or None."""
    return f"`colab-run {command}`" if command in COMMANDS else None
