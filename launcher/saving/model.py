"""What is saved, where to, and what lies there afterwards. Pure data.

A *saved state* is one output as a whole: a manifest (`Manifest`) that names every file with its size and
sha256. It becomes visible in one step, after all files are in place and verified; what lies at a target
without a manifest that it matches was never said to be saved, and is never restored.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

# Beside the outputs in their target folder: manifests, and what is on its way.
OURS = ".colab-run"
MANIFEST = "saved.json"
VERSION = 1


class TargetKind(str, Enum):
    """How a target is written to. FOLDER: any mounted folder, Drive too."""

    FOLDER = "folder"
    RCLONE = "rclone"
    GS = "gs"
    S3 = "s3"
    HF = "hf"
    COMMAND = "command"


# The text of a target begins with one of these; everything else is a folder.
_PREFIXES = {
    "rclone:": TargetKind.RCLONE,
    "gs://": TargetKind.GS,
    "s3://": TargetKind.S3,
    "hf://": TargetKind.HF,
    "command:": TargetKind.COMMAND,
}


@dataclass(frozen=True, slots=True)
class Target:
    """Where an output goes.

    `text` is an absolute folder, `remote:path` for rclone (without the prefix), the whole `gs://…`, `s3://…`
    or `hf://…`, or the shell command with `{path}` in it.
    """

    kind: TargetKind
    text: str

    @property
    def shown(self) -> str:
        """As people and other runs know it."""
        bare = self.kind in (TargetKind.RCLONE, TargetKind.COMMAND)
        return f"{self.kind.value}:{self.text}" if bare else self.text


def parse_target(to: str, workdir: str) -> Target:
    """The target that `to` of the job file names; a folder is taken under `workdir`, `~` is the home."""
    for prefix, kind in _PREFIXES.items():
        if to.startswith(prefix):
            keeps_prefix = kind in (TargetKind.GS, TargetKind.S3, TargetKind.HF)
            return Target(kind, (to if keeps_prefix else to[len(prefix) :]).strip())
    return Target(TargetKind.FOLDER, os.path.normpath(os.path.join(workdir, os.path.expanduser(to))))


@dataclass(frozen=True, slots=True)
class Order:
    """One output to be saved, or to be restored.

    `source` is absolute, `name` what it is called at the target. `include` and `exclude` are patterns of
    paths relative to `source` (`saving/listing.py` says how they match). `settled_s`: take only what has
    not changed for so many seconds and is not open for writing (None: everything, as at the end of a run).
    `run_id` and `story` (the id of the first run that this one goes on from) go into the manifest.
    `parts`, where it is not empty, is all that is taken: (place in the output, real path) pairs, wherever
    they lie; `source` is then only the folder that links may lead into.
    """

    source: str
    target: Target
    name: str
    run_id: str
    story: str
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    settled_s: float | None = None
    parts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file of a saved state: `path` relative to the output, bytes, sha256, mode and mtime of the source."""

    path: str
    size: int
    sha256: str
    mtime_ns: int
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class Manifest:
    """One output as it lies at its target, whole and verified.

    `single`: the output is one file, which is then the only row, with the path "". `links` are (path, what
    it says); `folders` are those that would otherwise be missed: empty ones. `saved` is ISO time, UTC.
    """

    run_id: str
    story: str
    saved: str
    files: tuple[FileRow, ...]
    links: tuple[tuple[str, str], ...] = ()
    folders: tuple[str, ...] = ()
    single: bool = False

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(row.size for row in self.files)

    def to_json(self) -> str:
        """As it is written. Names that are no UTF-8 survive as escaped surrogates."""
        return json.dumps({"version": VERSION, **asdict(self)}, indent=1)

    @classmethod
    def from_json(cls, text: str | bytes) -> Manifest:
        """Raises ValueError, KeyError or TypeError for what is none."""
        return cls.from_document(json.loads(text))

    @classmethod
    def from_document(cls, document: Any) -> Manifest:
        """From what the JSON says; raises ValueError, KeyError or TypeError for what is none."""
        if document["version"] != VERSION:
            raise ValueError(f"a manifest of version {document['version']!r}")
        return cls(
            run_id=str(document["run_id"]),
            story=str(document["story"]),
            saved=str(document["saved"]),
            files=tuple(FileRow(**row) for row in document["files"]),
            links=tuple((str(path), str(to)) for path, to in document["links"]),
            folders=tuple(map(str, document["folders"])),
            single=bool(document["single"]),
        )


@dataclass(slots=True)
class SaveReport:
    """What came of an order to save; crosses a pipe as JSON.

    `files`: (place at the target, bytes, sha256) of everything that is there now, verified. `failures`:
    (path, why). `skipped`: neither file, folder nor link. `unsettled`: what was still being written, and
    is there as it was saved before, or not at all. `copied` counts the bytes that had to be moved.
    `verified` is `read-back`, `checksum` (the store's own word on the content) or `exit-code` (a command's,
    and nothing more).
    `committed`: the manifest at the target is that of this state.
    """

    files: list[tuple[str, int, str]] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    unsettled: list[str] = field(default_factory=list)
    copied: int = 0
    verified: str = "read-back"
    committed: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For the pipe."""
        return asdict(self)


@dataclass(slots=True)
class RestoreReport:
    """What came of an order to restore; crosses a pipe as JSON.

    `found`: there was a saved state. `complete`: all of it lies at `source` now, verified. `failures`:
    (path, why); then nothing of it was left at `source`.
    """

    found: bool = False
    complete: bool = False
    files: int = 0
    size: int = 0
    run_id: str = ""
    story: str = ""
    saved: str = ""
    failures: list[tuple[str, str]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For the pipe."""
        return asdict(self)
