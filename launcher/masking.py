"""Values of secrets are masked in everything that is ours: words, documents, receipts. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

MASK = "***"
# A shorter value would blot out half of every sentence and protect nothing.
SHORTEST = 4


def mask_text(text: str, values: Collection[str]) -> str:
    """`text` without any of the secret values."""
    for value in sorted(values, key=len, reverse=True):
        if len(value) >= SHORTEST:
            text = text.replace(value, MASK)
    return text


def mask_json(document: Any, values: Collection[str]) -> Any:
    """The same for every text in a JSON document, keys included."""
    if isinstance(document, str):
        return mask_text(document, values)
    if isinstance(document, Mapping):
        return {mask_text(key, values): mask_json(value, values) for key, value in document.items()}
    if isinstance(document, Sequence):
        return [mask_json(item, values) for item in document]
    return document
