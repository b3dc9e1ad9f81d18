"""What lies at a target in our folder: the manifest, and the note of a save that is being put into place.

A save puts its files beside the output first (`staged`), then writes `commit.json` (what moves, and the
manifest that holds afterwards), then lets the store move them, then writes the manifest. Whoever comes after
a kill reads the note and completes it. The note is never older than the manifest; where both say the
same, all was done.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from launcher.saving.model import Manifest
from launcher.saving.remote.model import (
    COMMIT,
    DIFFERS,
    STAGED,
    NotUnderstood,
    Store,
    ToolProblem,
    harmless,
    manifest_path,
    ours,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.saving.remote.model import Stored


@dataclass(frozen=True, slots=True)
class Commit:
    """`moves`: path -> (size, digest of the store's kind) of what comes from `staged/<tag>`."""

    tag: str
    algorithm: str
    moves: dict[str, tuple[int, str]]
    manifest: Manifest

    def to_json(self) -> str:
        """As it is written."""
        return json.dumps(
            {
                "tag": self.tag,
                "algorithm": self.algorithm,
                "moves": [[path, size, digest] for path, (size, digest) in self.moves.items()],
                "manifest": self.manifest.to_json(),
            }
        )

    @classmethod
    def from_json(cls, text: bytes) -> Commit:
        """Raises ValueError, KeyError or TypeError for what is none."""
        document = json.loads(text)
        moves = {str(path): (int(size), str(digest)) for path, size, digest in document["moves"]}
        manifest = Manifest.from_json(document["manifest"])
        return cls(str(document["tag"]), str(document["algorithm"]), moves, manifest)


@dataclass(slots=True)
class State:
    """What a target holds of one output.

    `whole`: nothing speaks against it that the files are those of `manifest`. If something does, `manifest`
    is None, and `perhaps` are those that the files may fit: only their sha256 can tell. `staged`: what an
    earlier try left (path below `staged`). `note`: something was begun and is not tidied up.
    """

    manifest: Manifest | None
    staged: dict[str, Stored]
    note: bool = False
    whole: bool = True
    perhaps: tuple[Manifest, ...] = ()


class Place:
    """One output at one store."""

    def __init__(self, store: Store, name: str, folder: str) -> None:
        self.store, self.name, self.folder = store, name, folder

    def staged(self, tag: str) -> str:
        """Where files wait; of an output that is one file, the file itself."""
        return ours(self.name, STAGED, tag)

    def recover(self) -> State:
        """Look, and complete what was cut off. Raises ToolProblem."""
        found = self.store.listing(ours(self.name))
        prefix = f"{STAGED}/"
        staged = {path[len(prefix) :]: row for path, row in found.items() if path.startswith(prefix)}
        commit = self._commit() if COMMIT in found else None
        there = os.path.basename(manifest_path(self.name)) in found
        manifest = self.manifest(may_be_cut_off=commit is not None) if there else None
        state = State(manifest, staged, note=COMMIT in found)
        if commit is None or commit.manifest == manifest:
            return state
        state.whole = self._complete(commit, staged)
        if state.whole:
            self.write(manifest_path(self.name), commit.manifest.to_json())
            state.manifest = commit.manifest
        else:
            state.perhaps = tuple(one for one in (commit.manifest, manifest) if one)
            state.manifest = None
        return state

    def manifest(self, *, may_be_cut_off: bool) -> Manifest | None:
        """The one that is there. Raises NotUnderstood; None if half of it is there, and that may be."""
        document = _document(self.read(manifest_path(self.name)))
        if document is None and may_be_cut_off:
            return None
        return manifest_from(document)

    def _commit(self) -> Commit | None:
        """None: it was cut off in the middle, and so nothing was moved. Raises NotUnderstood."""
        text = self.read(ours(self.name, COMMIT))
        if _document(text) is None:
            return None
        try:
            return Commit.from_json(text)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise NotUnderstood from error

    def _complete(self, commit: Commit, staged: Mapping[str, Stored]) -> bool:
        """Let the store go on moving. Is everything there then, as far as sizes and digests say?"""
        single = commit.manifest.single
        if any(path.partition("/")[0] == commit.tag for path in staged):
            self.store.move(self.staged(commit.tag), self.name, single=single)
        there = self.store.listing(self.name, single=single)
        comparable = commit.algorithm == self.store.algorithm
        for row in commit.manifest.files:
            stored = there.get(row.path)
            digest = commit.moves.get(row.path, (0, ""))[1] if comparable else ""
            if stored is None or stored.size != row.size or (digest and stored.digest not in ("", digest)):
                return False
        return True

    def read(self, path: str) -> bytes:
        """A small file of ours."""
        local = os.path.join(self.folder, os.urandom(4).hex())
        sent = self.store.download_file(path, local)
        try:
            with open(local, "rb") as reader:
                return reader.read()
        except OSError as error:
            raise ToolProblem(sent.said or f"{path}: {error.strerror}") from error
        finally:
            _unlink(local)

    def write(self, path: str, text: str) -> None:
        """A small file of ours, over the one that is there; read back."""
        local = os.path.join(self.folder, os.urandom(4).hex())
        with open(local, "w", encoding="utf-8") as writer:
            writer.write(text)
        sent = self.store.upload_file(local, path)
        _unlink(local)
        if sent.said or self.read(path) != text.encode():
            raise ToolProblem(sent.said or DIFFERS)


def manifest_from(document: Any) -> Manifest:
    """What the JSON of a manifest says. Raises NotUnderstood, also where a path leads out of the output."""
    try:
        manifest = Manifest.from_document(document)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotUnderstood from error
    paths = [row.path for row in manifest.files if row.path] + [path for path, _ in manifest.links]
    if not all(map(harmless, [*paths, *filter(None, manifest.folders)])):
        raise NotUnderstood
    return manifest


def _document(text: bytes) -> Any:
    """What the JSON says; None if it is none: the end is missing."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass  # It never came, or goes with its folder.
