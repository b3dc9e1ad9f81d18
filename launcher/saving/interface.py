"""Copying results to safety: what was saved, what could not be. Pure data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launcher.words import Text


@dataclass(frozen=True, slots=True)
class SavedFile:
    """One file at its destination: size in bytes and sha256 of what was read back there."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Saved:
    """One output: complete only if `failures` is empty.

    `path` is absolute, `to` the folder it went into. `failures` are (path, why) pairs, `missing` is
    true when there was nothing at `path`.
    """

    path: str
    to: str
    files: tuple[SavedFile, ...] = ()
    failures: tuple[tuple[str, Text], ...] = ()
    missing: bool = False
    skipped: tuple[str, ...] = field(default=())

    @property
    def complete(self) -> bool:
        """Everything that was there is there now, and was read back."""
        return not self.failures and not self.missing

    @property
    def size(self) -> int:
        """Bytes that were saved and verified."""
        return sum(file.size for file in self.files)

    def as_json(self) -> dict[str, object]:
        """The row of `saved` in JSON."""
        return {
            "path": self.path,
            "to": self.to,
            "files": len(self.files),
            "bytes": self.size,
            "complete": self.complete,
            "missing": self.missing,
            "failures": [{"path": path, "why": str(why)} for path, why in self.failures],
            "skipped": list(self.skipped),
        }


SHOWN = 5


@dataclass(frozen=True, slots=True)
class Unsaved:
    """Files that exist only on this machine: (path relative to the workdir, bytes), largest first."""

    files: tuple[tuple[str, int], ...]

    @property
    def count(self) -> int:
        """How many."""
        return len(self.files)

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        return sum(size for _, size in self.files)

    @property
    def largest(self) -> tuple[tuple[str, int], ...]:
        """Those worth naming."""
        return self.files[:SHOWN]

    def as_json(self) -> dict[str, object]:
        """`unsaved` in JSON."""
        return {
            "files": self.count,
            "bytes": self.size,
            "largest": [{"path": path, "bytes": size} for path, size in self.largest],
        }
