"""What a job asks of the GPU, from one text: `A100`, `=A100`, `A100:2`, `any`, `any:2`, `none`. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from launcher.spec import quantities
from launcher.spec.messages import Refused, nearest, shown
from launcher.spec.model import GpuAny, GpuClasses, GpuClassOption, GpuNone, GpuRequest
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Collection

MOST_GPUS = 64
# Words of product names that say nothing about the class.
_DECORATION = re.compile(r"\b(nvidia|tesla|geforce|quadro|sxm[0-9]?|pcie|hbm[0-9]?e?)\b")
_SIZE = re.compile(r"[0-9]+\s*[GM]i?B?(\+|\.\.)?", re.IGNORECASE)
_SHORTEST = 2


def parse_gpu(text: str, classes: Collection[str]) -> GpuRequest:
    """One scalar, as in `exec --gpu A100:2`. Raises messages.Refused, which is a values.BadValue."""
    word = text.strip()
    if re.fullmatch(r"none\s*(:.*)?", word, re.IGNORECASE):
        if ":" in word:
            raise Refused("gpu-no-count")
        return GpuNone()
    match = re.fullmatch(r"any\s*(?::(.*))?", word, re.IGNORECASE)
    if match:
        return GpuAny(_count(match.group(1)) if match.group(1) is not None else 1)
    return GpuClasses((parse_class(word, classes),))


def parse_class(text: str, classes: Collection[str]) -> GpuClassOption:
    """`A100`, `=A100` or `A100:2`. Raises messages.Refused."""
    word = text.strip()
    exact = word.startswith("=")
    name, colon, count = word.removeprefix("=").strip().partition(":")
    name = name.strip()
    if re.fullmatch("any|none", name, re.IGNORECASE):
        if exact:
            raise Refused("gpu-not-exact", hint=word.removeprefix("=").strip())
        raise Refused("gpu-alone", found=shown(word))
    found = _find_class(name, classes)
    if found is None:
        raise _explain_class(name, classes)
    if not colon:
        return GpuClassOption(found, 1, exact)
    if _SIZE.fullmatch(count.split(":")[0].strip()):
        raise _explain_size_as_count(found, count, classes)
    return GpuClassOption(found, _count(count), exact)


def is_class(text: str, classes: Collection[str]) -> bool:
    """Whether this names a class or family."""
    return _find_class(text, classes) is not None


def _count(text: str) -> int:
    return quantities.integer(text, least=1, most=MOST_GPUS, example="A100:2")


def _normal(name: str) -> str:
    return re.sub(r"[\s_-]+", "", _DECORATION.sub(" ", name.lower().replace("_", " ")))


def _find_class(name: str, classes: Collection[str]) -> str | None:
    if name in classes:
        return name
    wanted = _normal(name)
    return next((known for known in classes if wanted and _normal(known) == wanted), None)


def _explain_class(name: str, classes: Collection[str]) -> Refused:
    if re.fullmatch("[0-9]{1,3}", name) and 1 <= int(name) <= MOST_GPUS:
        return Refused("gpu-as-number", found=name)
    if _SIZE.fullmatch(name):
        return Refused("gpu-as-size", found=name)
    found = shown(name)
    wanted = _normal(name)[:100]
    normal = {_normal(known): known for known in reversed(list(classes))}
    # `V100-16GB` begins with a class; `A10G` is nearest to `A10`, but is not `A100`.
    begins = [key for key in normal if len(key) >= _SHORTEST and wanted.startswith(key) and wanted != key]
    near = max(begins, key=len, default=None) or nearest(wanted, list(normal))
    if near is not None:
        return Refused("class-near", found=found, near=normal[near])
    return Refused("class", found=found, known=", ".join(["any", "none", *classes]))


def _explain_size_as_count(name: str, count: str, classes: Collection[str]) -> Refused:
    """Dstack writes `A100:80GB:2`."""
    memory, _, times = count.partition(":")
    suffix = f":{times}" if times else ""
    digits = re.match("[0-9]+", memory.strip())
    variant = _find_class(f"{name}-{digits.group() if digits else ''}GB", classes)
    instead = f"{variant}{suffix}" if variant else f"{{memory: {shown(memory)}}}"
    hint = words("write `{instead}`", instead=instead)
    return Refused("gpu-size-as-count", found=shown(memory), hint=hint)
