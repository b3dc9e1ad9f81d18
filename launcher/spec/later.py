"""Keys of the job file whose behaviour comes later: checked like all others, then refused as such. Pure.

When one of them comes to life, its function moves to schema.py and returns what it reads.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from launcher.spec.messages import Refused, shown
from launcher.spec.unknown import close

if TYPE_CHECKING:
    from launcher.spec.reader import Field, MappingReader


def read_later(reader: MappingReader, level: str) -> None:
    """Take the keys of `level` that come later."""
    for name, check in _LATER[level].items():
        field = reader.take(name)
        if field is not None:
            field.problem_at_key("later")
            check(field)


def _notify(field: Field) -> None:
    def parse(text: str) -> str:
        if re.fullmatch(r"https?://[^\s/]+\S*", text) is None:
            raise Refused("url", found=shown(text.split("/")[0]))  # the rest may be a secret
        return text

    example = "{webhook: 'https://example.org/hook'}"
    for item in field.items(example=f"[{example}]"):
        target = item.mapping(example=example)
        if target is not None:
            webhook = target.need("webhook", example="https://example.org/hook")
            if webhook is not None:
                webhook.read(parse, example="https://example.org/hook")
            close(target)


_LATER = {
    "top": {
        "notify": _notify,
    },
}
