"""What an earlier save verified at a target, so that a save every few minutes costs little.

It saves work and is never believed alone: the file at the target must still be the one that was read back.
A source is known by its identity only to the run that read it, and only if it was at rest when it was read:
two changes within one tick of the clock of a file system look like one.
"""

from __future__ import annotations

import os
import stat
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from launcher.saving.carry import digest_source, digest_target
from launcher.saving.layout import read_json

if TYPE_CHECKING:
    from launcher.saving.carry import Ticking
    from launcher.saving.layout import Layout
    from launcher.saving.listing import Entry

VERSION = 1
# The coarsest clock of a file system (FAT has 2 s), and some more.
_REST_NS = 2_500_000_000
# (inode, bytes, mtime, ctime) of a file at the target.
Place = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class KnownFile:
    """`source` is the identity it had, () if it may have changed without a sign."""

    source: tuple[int, ...]
    sha256: str
    place: Place


@dataclass(slots=True)
class Known:
    """What the run `run_id` noted."""

    run_id: str = ""
    files: dict[str, KnownFile] = field(default_factory=dict)

    @classmethod
    def read(cls, layout: Layout) -> Known:
        """Empty if there is none that makes sense, or if it cannot be read."""
        try:
            document = read_json(layout.known)
            if document is None or document["version"] != VERSION:
                return cls()
            rows = {
                path: KnownFile(tuple(source), str(sha), _four(place))
                for path, (source, sha, place) in document["files"].items()
            }
            return cls(str(document["run_id"]), rows)
        except (OSError, KeyError, TypeError, ValueError, AttributeError):
            return cls()

    def as_json(self) -> dict[str, Any]:
        """As `known.json` has it."""
        rows = {path: (row.source, row.sha256, row.place) for path, row in self.files.items()}
        return {"version": VERSION, "run_id": self.run_id, "files": rows}


def _four(numbers: Any) -> Place:
    inode, size, mtime, ctime = map(int, numbers)
    return inode, size, mtime, ctime


def place_of(path: str) -> Place | None:
    """What tells the file at the target from another; None if there is no file."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def rests(entry: Entry) -> bool:
    """Would a change from now on be seen in its identity?"""
    changed = max(entry.identity[3], entry.identity[4])
    return not -_REST_NS < time.time_ns() - changed < _REST_NS


@dataclass(slots=True)
class Before:
    """What is known of the target before a save. `hashes`: path -> sha256 by the last manifest."""

    run_id: str
    known: Known
    hashes: dict[str, str]

    def at_once(self, layout: Layout, entry: Entry) -> KnownFile | None:
        """As `there`, if it can be told without reading a file."""
        row = self.known.files.get(entry.path)
        if row is None or self.known.run_id != self.run_id or row.source != entry.identity:
            return None
        place = place_of(layout.final(entry.path))
        if place is None or not self._trusted(row, place, ours=True):
            return None
        return KnownFile(row.source, row.sha256, place)

    def there(self, layout: Layout, entry: Entry, ticks: Ticking) -> KnownFile | None:
        """The file at the target that equals `entry`, if one does. Raises Changed, OSError of the source."""
        row = self.known.files.get(entry.path)
        sha256 = row.sha256 if row else self.hashes.get(entry.path)
        if sha256 is None:
            return None
        final = layout.final(entry.path)
        place = place_of(final)
        if place is None or place[1] != entry.size:
            return None
        resting = rests(entry)
        if digest_source(entry, ticks) != sha256:
            return None
        ours = self.known.run_id == self.run_id
        if not self._trusted(row, place, ours) and _digest(final, ticks) != (entry.size, sha256):
            return None
        return KnownFile(entry.identity if resting else (), sha256, place)

    def _trusted(self, row: KnownFile | None, place: Place, ours: bool) -> bool:
        """Is this the file that was read back? A FUSE mount may number its files anew within one run."""
        return row is not None and (row.place == place or (ours and row.place[1:3] == place[1:3]))


def _digest(path: str, ticks: Ticking) -> tuple[int, str]:
    try:
        return digest_target(path, ticks)
    except OSError:
        return -1, ""  # Then it is copied anew.
