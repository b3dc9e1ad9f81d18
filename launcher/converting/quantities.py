"""GPUs, sizes and times as other tools write them, as our texts. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from launcher.converting.secret import without_secrets
from launcher.spec.gpu import parse_class
from launcher.spec.messages import Refused, shown
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Collection

    from launcher.converting.model import Draft

NO_UPPER_END = words("only the least is kept: what is checked is that there is enough")
_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGTkmgt]?)(?:i?[Bb])?")
_FACTORS = {"k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


def gpu(draft: Draft, line: int, what: str, name: str, count: str, classes: Collection[str]) -> str | None:
    """`A100:2` as a job file says it, or None, noted, where there is no such class or number."""
    try:
        option = parse_class(f"{name}:{count}" if count else name, classes)
    except Refused as refused:
        draft.leave(line, what, words("{why}; any GPU will do now", why=refused.message))
        return None
    return option.name if option.count == 1 else f"{option.name}:{option.count}"


def size(text: str, bare: str) -> str | None:
    """`64G`, `500`, `1.5TB` as `64GiB`: these tools count in 2^10; `bare` is the unit of a number alone."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        return None
    return gib(float(match.group(1)) * _FACTORS[(match.group(2) or bare).lower()])


def gib(size_bytes: float) -> str | None:
    """Bytes as `64GiB` or `500MiB`; None for nothing."""
    if size_bytes < 2**20:
        return None
    if size_bytes % 2**30 == 0:
        return f"{size_bytes / 2**30:.0f}GiB"
    return f"{size_bytes / 2**20:.0f}MiB" if size_bytes < 2**50 else None


def least(text: str) -> tuple[str, bool]:
    """The lower end of `16`, `16+`, `16..`, `16..32`, and whether there was an upper one above it."""
    word = text.strip().removesuffix("+")
    lower, dots, upper = (part.strip() for part in word.partition(".."))
    if not dots:
        return lower, False
    if lower[-1:].isdigit():
        lower += re.sub("[^A-Za-z]", "", upper)
    return lower, bool(upper) and upper != lower


def duration(seconds: float) -> str:
    """`1d2h`, `90s`: whole seconds, at least one."""
    rest = max(1, round(seconds))
    parts = []
    for unit, length in _UNITS:
        number, rest = divmod(rest, length)
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts)


def cleaned(text: str) -> str:
    """As it may stand in a comment: short, and without values that may be secrets."""
    return shown(without_secrets(text), 70)
