"""The mount table of this process, from /proc/self/mountinfo under a given root folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_ESCAPE = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount: `root` is the folder of the file system that appears at `point`.

    `options` are those of the file system itself; for cgroup v1 they name its controllers.
    """

    root: str
    point: str
    kind: str
    options: frozenset[str]


def read_mounts(root: str) -> tuple[Mount, ...]:
    """All mounts, in the order of the table.

    Raises OSError where the table cannot be read (no /proc).
    """
    text = (Path(root) / "proc/self/mountinfo").read_text("utf-8", "surrogateescape")
    found = (_parse(line) for line in text.splitlines())
    return tuple(mount for mount in found if mount is not None)


def _parse(line: str) -> Mount | None:
    # 36 35 98:0 /root /point rw,noatime master:1 - ext3 /dev/sda1 rw,errors=continue
    before, separator, after = line.partition(" - ")
    place, kind = before.split(" "), after.split(" ")
    if not separator or len(place) < 5 or len(kind) < 3:
        return None
    return Mount(_unescape(place[3]), _unescape(place[4]), kind[0], frozenset(kind[2].split(",")))


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match.group(1), 8)), text)
