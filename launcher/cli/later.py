"""Commands and options of the contract that are not there yet: refused by name, never ignored.

A row leaves this table in the change that brings the feature.
"""

from __future__ import annotations

COMMANDS = frozenset(("report", "advise", "submit"))
OPTIONS: dict[str, tuple[str, ...]] = {}


def not_yet(command: str, words: list[str]) -> str | None:
    """What of this command line is not available yet, or None."""
    if command in COMMANDS:
        return f"`colab-run {command}`"
    for word in words:
        option = word.split("=", 1)[0]
        if option in OPTIONS.get(command, ()):
            return f"`{option}`"
    return None
