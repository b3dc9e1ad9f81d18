"""`--set KEY=VALUE` of the command line."""

from __future__ import annotations

from launcher.errors import UsageError
from launcher.words import words


def read_overrides(typed: list[str]) -> list[tuple[str, str]]:
    """The pairs, in order. Raises UsageError."""
    pairs = []
    for word in typed:
        key, equals, value = word.partition("=")
        if not equals or not key.strip():
            raise UsageError(
                words("{option} is not KEY=VALUE", option=f"--set {word}"),
                words("write, for example, {example}", example="--set resources.ram=20GB"),
            )
        pairs.append((key.strip(), value))
    return pairs
