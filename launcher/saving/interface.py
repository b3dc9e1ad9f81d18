"""Copying results to safety: what was saved, what could not be. Pure data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from launcher.words import words

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

    `path` is absolute, `to` where it went (a folder, or a target as the job file has it). `failures` are
    (path, why) pairs, `missing` is true when there was nothing at `path`. `verified` is how we know:
    `read-back`, `checksum`, or `exit-code` where a command took it. `copied` bytes had to be moved; the
    rest was there already. `unsettled` was left out, because it was still being written.
    """

    path: str
    to: str
    files: tuple[SavedFile, ...] = ()
    failures: tuple[tuple[str, Text], ...] = ()
    missing: bool = False
    skipped: tuple[str, ...] = field(default=())
    verified: str = "read-back"
    copied: int = 0
    unsettled: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Everything that was there is there now, and was read back."""
        return not self.failures and not self.missing and not self.unsettled

    @property
    def why(self) -> Text:
        """The first reason why it is not complete; empty if it is."""
        if self.failures:
            return words("{path}: {why}", path=self.failures[0][0], why=self.failures[0][1])
        if self.unsettled:
            return words("{path} is still being written", path=self.unsettled[0])
        return words("{path} does not exist", path=self.path) if self.missing else ""

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
            "copied_bytes": self.copied,
            "verified": self.verified,
            "complete": self.complete,
            "missing": self.missing,
            "failures": [{"path": path, "why": str(why)} for path, why in self.failures],
            "skipped": list(self.skipped),
            "still_being_written": list(self.unsettled),
        }


@dataclass(frozen=True, slots=True)
class Restored:
    """One output that was to be copied back to `path` before the job.

    `found`: something was saved at `to`. `complete`: all of it lies at `path` now, verified; then `run_id`,
    `story` and `saved` (ISO time) say whose it is. `in_place`: there was something at `path` already, so
    nothing was touched. Otherwise `why` says what went wrong; empty: there was nothing to restore.
    """

    path: str
    to: str
    found: bool = False
    complete: bool = False
    files: int = 0
    size: int = 0
    run_id: str = ""
    story: str = ""
    saved: str = ""
    in_place: bool = False
    why: Text = ""

    def as_json(self) -> dict[str, object]:
        """The row of `restored` in JSON."""
        return {
            "path": self.path,
            "from": self.to,
            "found": self.found,
            "complete": self.complete,
            "in_place": self.in_place,
            "files": self.files,
            "bytes": self.size,
            "run_id": self.run_id or None,
            "saved": self.saved or None,
            "why": str(self.why) or None,
        }


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The last save of one output while the job ran; `saved` is ISO time, None if there was none yet.

    `files` and `size` are what then lay at `to`; `waiting` counts what was left out because it was still
    being written. `why` is what went wrong the last time; empty: nothing.
    The last that went well took `took_s` seconds.
    """

    path: str
    to: str
    saved: str | None
    files: int = 0
    size: int = 0
    waiting: int = 0
    why: Text = ""
    took_s: float = 0.0

    def as_json(self) -> dict[str, object]:
        """The row of `checkpoints` in JSON."""
        return {
            "path": self.path,
            "to": self.to,
            "saved": self.saved,
            "files": self.files,
            "bytes": self.size,
            "still_being_written": self.waiting,
            "why": str(self.why) or None,
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
