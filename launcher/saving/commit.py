"""What `commit.json` and `saved.json` say. They come from far away: no path may lead out of the output.

Who may write to a target (a shared drive) must not be able to make a saver move or remove what is not ours.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from launcher.saving.model import VERSION, FileRow, Manifest

if TYPE_CHECKING:
    from launcher.saving.layout import Layout

_NAME = re.compile(r"[A-Za-z0-9._-]+")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class SavedState:
    """The last complete state, and which of its files lie in `kept/` under their sha256."""

    manifest: Manifest
    kept: frozenset[str] = frozenset()

    def place(self, layout: Layout, path: str, sha256: str) -> str:
        """Where a file of this state lies."""
        return os.path.join(layout.kept, sha256) if path in self.kept else layout.final(path)


@dataclass(slots=True)
class Commit:
    """What is to be put in place. `files`: (name in `staged/run_id`, path, bytes, sha256).

    `keep`: path -> sha256 of the version that is moved to `kept/` first. `state` is what `saved.json` is to
    say (None: as before, there was none).
    """

    run_id: str
    files: list[tuple[str, str, int, str]] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    keep: dict[str, str] = field(default_factory=dict)
    state: SavedState | None = None

    def as_json(self) -> dict[str, Any]:
        """As `commit.json` has it."""
        return {
            "version": VERSION,
            "run_id": self.run_id,
            "files": self.files,
            "links": self.links,
            "folders": self.folders,
            "keep": self.keep,
            "state": None if self.state is None else state_json(self.state),
        }

    @classmethod
    def from_json(cls, document: Any) -> Commit:
        """Raises ValueError, KeyError or TypeError for what is none."""
        _check_version(document)
        commit = cls(
            document["run_id"],
            [(name, path, size, sha) for name, path, size, sha in document["files"]],
            [(path, text) for path, text in document["links"]],
            list(document["folders"]),
            dict(document["keep"]),
            None if document["state"] is None else state_from(document["state"]),
        )
        commit.check()
        return commit

    def check(self) -> None:
        """Raises ValueError where it names what is not in the output, or not ours."""
        for name in (self.run_id, *(name for name, *_ in self.files)):
            if not _NAME.fullmatch(name) or name in (".", ".."):
                raise ValueError(f"it names {name!r}")
        for _, path, size, sha256 in self.files:
            _check_path(path, may_be_all=True)
            _check_content(size, sha256)
        for path, text in self.links:
            _check_path(path)
            _check_text(text)
        for path in self.folders:
            _check_path(path, may_be_all=True)
        for path, sha256 in self.keep.items():
            _check_path(path, may_be_all=True)
            _check_content(0, sha256)


def state_json(state: SavedState) -> dict[str, Any]:
    """As `saved.json` has it."""
    manifest = state.manifest
    document: dict[str, Any] = {item.name: getattr(manifest, item.name) for item in fields(manifest)}
    names = [item.name for item in fields(FileRow)]
    # Not asdict: it copies every number of 10,000 rows.
    document["files"] = [{name: getattr(row, name) for name in names} for row in manifest.files]
    return {"version": VERSION, **document, "kept": sorted(state.kept)}


def state_from(document: Any) -> SavedState:
    """Raises ValueError, KeyError, TypeError or AttributeError for what is none; OtherVersion."""
    _check_version(document)
    state = SavedState(Manifest.from_document(document), frozenset(document.get("kept", ())))
    manifest = state.manifest
    for row in manifest.files:
        _check_path(row.path, may_be_all=manifest.single)
        _check_content(row.size + row.mode + row.mtime_ns, row.sha256)
    for path, text in manifest.links:
        _check_path(path)
        _check_text(text)
    for path in filter(None, manifest.folders):
        _check_path(path)
    if manifest.single and (len(manifest.files) != 1 or manifest.links or manifest.folders):
        raise ValueError("it makes no sense")
    return state


class OtherVersion(ValueError):
    """Written by a colab-run that is newer than this one."""


def _check_version(document: Any) -> None:
    version = document["version"]
    if isinstance(version, int) and version > VERSION:
        raise OtherVersion(f"it is of version {version}: a newer colab-run is needed")
    if version != VERSION:
        raise ValueError(f"it is of version {version!r}")


def _check_path(path: str, *, may_be_all: bool = False) -> None:
    """Relative and without a way up; "" is the output itself."""
    _check_text(path)
    if not (may_be_all and not path) and {"", ".", ".."} & set(path.split("/")):
        raise ValueError(f"it names {path!r}")


def _check_text(text: str) -> None:
    if b"\0" in os.fsencode(text):
        raise ValueError(f"it names {text!r}")


def _check_content(number: int, sha256: str) -> None:
    if not isinstance(number, int) or not _SHA256.fullmatch(sha256):
        raise ValueError(f"it says {number!r} and {sha256!r} of a file")
