"""Which paths of an output are taken: `include` and `exclude` of a job file.

- `*.pt` (no slash inside): a name at any depth.
- `a/b/*`, `/notes.txt` (a slash): counted from the output itself.
- `*` and `?` stop at a slash, `**` goes through folders, `[ab]` and `[!ab]` are one of, or none of.
- `logs/` (a slash at the end): folders only.

A pattern that fits a folder takes all that is in it. Nothing in `include` means everything; `exclude` wins.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Patterns:
    """Ask with paths relative to the output, without a slash at either end."""

    include: re.Pattern[str] | None
    exclude: re.Pattern[str] | None

    def takes(self, path: str, *, folder: bool = False) -> bool:
        """Is this file, link or folder itself part of the output? `folder`: or a link to one."""
        path = f"{path}/" if folder else path
        if self.exclude is not None and self.exclude.match(path):
            return False
        return self.include is None or self.include.match(path) is not None

    def enters(self, path: str) -> bool:
        """Can anything in this folder be part of it?"""
        return self.exclude is None or self.exclude.match(f"{path}/") is None


def patterns(include: Sequence[str], exclude: Sequence[str]) -> Patterns:
    """What the two lists of an order mean."""
    return Patterns(_any_of(include), _any_of(exclude))


def _any_of(texts: Sequence[str]) -> re.Pattern[str] | None:
    if not texts:
        return None
    return re.compile("(?:" + "|".join(map(_expression, texts)) + r")\Z", re.DOTALL)


def _expression(text: str) -> str:
    """One pattern as a regular expression of a path; a folder's path ends with a slash."""
    folder_only = text.endswith("/")
    body = text.rstrip("/").removeprefix("./")
    anchored = "/" in body
    parts = body.lstrip("/").split("/")
    out = "" if anchored else "(?:.*/)?"
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        if part == "**":
            out += ".*" if last else "(?:.*/)?"
        else:
            out += _one_name(part) + ("" if last else "/")
    return out + ("/.*" if folder_only else "(?:/.*)?")


def _one_name(part: str) -> str:
    """A pattern of one name: nothing in it fits a slash."""
    out, place = "", 0
    while place < len(part):
        sign = part[place]
        # The first character of a class may be its own closing bracket: `[]]`.
        end = part.find("]", place + (3 if part[place + 1 : place + 2] == "!" else 2))
        if sign == "*":
            out += "[^/]*"
        elif sign == "?":
            out += "[^/]"
        elif sign == "[" and end > 0:
            inside = part[place + 1 : end]
            negated = inside.startswith("!")
            safe = re.sub(r"([\\\[\]^&~|])", r"\\\1", inside.removeprefix("!"))
            out += "(?!/)[" + ("^" if negated else "") + safe + "]"
            place = end
        else:
            out += re.escape(sign)
        place += 1
    return out
