"""The one step that makes a new state the saved one, and how anyone follows it to its end.

`commit.json` is written when every file of the new state is staged, verified and durable. From then on the
new state is the one that counts: whoever finds the file moves what is staged into place, writes `saved.json`,
and removes it. Every step can be done twice. Without the file, what is staged is rubbish.

A commit without a manifest puts files in place that could be saved while others could not. The last complete
state stays the one that is restored: versions of it that would be replaced are moved to `kept/` first.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from launcher.saving.carry import CopyProblem, carry
from launcher.saving.disk import Disk
from launcher.saving.known import Place, place_of
from launcher.saving.layout import (
    Layout,
    is_abandoned,
    locked,
    read_json,
    remove,
    remove_tree,
    sync_folder,
    why,
    write_whole,
)
from launcher.saving.listing import Entry, identity_of
from launcher.saving.model import VERSION, FileRow, Manifest

if TYPE_CHECKING:
    from launcher.saving.carry import Ticking


# More folders than that are synced all at once, where that can be done.
_FEW = 8


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
            "state": None if self.state is None else _state_json(self.state),
        }

    @classmethod
    def from_json(cls, document: Any) -> Commit:
        """Raises ValueError, KeyError or TypeError for what is none."""
        if document["version"] != VERSION:
            raise ValueError(f"a commit of version {document['version']!r}")
        return cls(
            document["run_id"],
            [(name, path, size, sha) for name, path, size, sha in document["files"]],
            [(path, text) for path, text in document["links"]],
            list(document["folders"]),
            dict(document["keep"]),
            None if document["state"] is None else _state(document["state"]),
        )


def _state_json(state: SavedState) -> dict[str, Any]:
    manifest = state.manifest
    document: dict[str, Any] = {item.name: getattr(manifest, item.name) for item in fields(manifest)}
    names = [item.name for item in fields(FileRow)]
    # Not asdict: it copies every number of 10,000 rows.
    document["files"] = [{name: getattr(row, name) for name in names} for row in manifest.files]
    return {"version": VERSION, **document, "kept": sorted(state.kept)}


def _state(document: Any) -> SavedState:
    return SavedState(Manifest.from_document(document), frozenset(document.get("kept", ())))


class Unplaced(OSError):
    """A commit that could not be followed to its end: (place, why) for each that is not in place."""

    def __init__(self, failures: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{path}: {what}" for path, what in failures[:3]))
        self.failures = failures


def read_state(layout: Layout) -> SavedState | None:
    """The last complete state; None for none, and for a file that is not ours. Raises OSError."""
    document = read_json(layout.manifest)
    try:
        return None if document is None else _state(document)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def is_pending(layout: Layout) -> bool:
    """Is there a commit to be followed?"""
    return os.path.lexists(layout.commit)


def recover(layout: Layout, ticks: Ticking) -> None:
    """After a kill: follow a commit to its end; then remove what savers left that live no more.

    Raises Unplaced, OSError.
    """
    if not os.path.isdir(layout.ours):
        return
    with locked(layout.ours):
        follow(layout, ticks)
        sweep(layout)


def follow(layout: Layout, ticks: Ticking) -> None:
    """Follow a commit, if there is one, under the lock. Raises Unplaced, OSError."""
    document = read_json(layout.commit)
    if document is None:
        remove(layout.commit)  # Never whole: it is replaced in one step, so this is not ours.
        return
    try:
        commit = Commit.from_json(document)
    except (KeyError, TypeError, ValueError) as error:
        raise Unplaced([(layout.commit, str(error))]) from error
    put_in_place(layout, commit, ticks)


def put_in_place(layout: Layout, commit: Commit, ticks: Ticking) -> dict[str, Place]:
    """The steps after `commit.json` is durable: what tells each file in its place from another.

    Raises Unplaced with everything that cannot be placed.
    """
    places: dict[str, Place] = {}
    folders: set[str] = set()
    failures = []
    for number, row in enumerate(commit.files):
        try:
            _place_file(layout, commit, row, folders, places, ticks)
        except OSError as error:
            failures.append((layout.final(row[1]), why(error)))
        if not number % 64:
            ticks.add()
    for path, text in commit.links:
        try:
            _place_link(layout, commit, path, text, folders, ticks)
        except OSError as error:
            failures.append((layout.final(path), why(error)))
    for path in commit.folders:
        try:
            ensure_folder(layout, layout.final(path), folders)
        except OSError as error:
            failures.append((layout.final(path), why(error)))
    if failures:
        raise Unplaced(failures)
    _sync(folders, ticks)
    if commit.state is not None:
        write_whole(layout.manifest, _state_json(commit.state))
    os.unlink(layout.commit)
    sync_folder(layout.ours)
    remove_tree(layout.staged(commit.run_id))
    if commit.state is not None and not commit.state.kept:
        remove_tree(layout.kept)
    return places


def _place_file(
    layout: Layout,
    commit: Commit,
    row: tuple[str, str, int, str],
    folders: set[str],
    places: dict[str, Place],
    ticks: Ticking,
) -> None:
    name, path, size, _ = row
    staged, final = os.path.join(layout.staged(commit.run_id), name), layout.final(path)
    ensure_folder(layout, os.path.dirname(final), folders)
    if path in commit.keep and os.path.lexists(staged):
        _keep(layout, commit, path, ticks)
    try:
        _move(staged, final, ticks)
    except FileNotFoundError:
        pass  # Moved before the kill; or somebody else's hand was in it.
    place = place_of(final)
    if place is None or place[1] != size:
        raise OSError(f"neither {staged} nor this is what was saved")
    places[path] = place


def _move(here: str, there: str, ticks: Ticking) -> None:
    """In one step; `there` may be on another file system (a folder of the target is a mount)."""
    try:
        os.replace(here, there)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _over_the_border(here, there, ticks)


def _over_the_border(here: str, there: str, ticks: Ticking) -> None:
    """Copy once more, beside the place where it goes."""
    status = os.stat(here)
    mode = stat.S_IMODE(status.st_mode)
    entry = Entry("", here, status.st_size, status.st_mtime_ns, mode, identity_of(status))
    beside = os.path.join(os.path.dirname(there), f".colab-run-{os.path.basename(here)[:64]}.part")
    try:
        carry(entry, beside, Disk(quick=False), ticks)
        os.replace(beside, there)
    except CopyProblem as error:
        remove(beside)
        raise OSError(str(error)) from error
    except OSError:
        remove(beside)
        raise
    remove(here)


def _sync(folders: set[str], ticks: Ticking) -> None:
    """Make the new names durable."""
    root = min(folders, key=len, default="")
    if len(folders) > _FEW and (disk := Disk.of(root)).quick:
        descriptor = os.open(root, os.O_RDONLY | os.O_CLOEXEC)
        try:
            disk.sync_all(descriptor)
        finally:
            os.close(descriptor)
    else:
        for folder in sorted(folders):
            sync_folder(folder)
            ticks.add()


def _keep(layout: Layout, commit: Commit, path: str, ticks: Ticking) -> None:
    """Move the version away that the last complete state needs; asked only before its place is taken."""
    sha256 = commit.keep.get(path)
    if sha256 is None:
        return
    kept, final = os.path.join(layout.kept, sha256), layout.final(path)
    if os.path.lexists(kept) or os.path.islink(final) or not os.path.isfile(final):
        return
    os.makedirs(layout.kept, exist_ok=True)
    _move(final, kept, ticks)


def _place_link(
    layout: Layout, commit: Commit, path: str, text: str, folders: set[str], ticks: Ticking
) -> None:
    final = layout.final(path)
    if os.path.islink(final) and os.readlink(final) == text:
        return
    ensure_folder(layout, os.path.dirname(final), folders)
    staged = os.path.join(layout.staged(commit.run_id), "link")
    os.makedirs(os.path.dirname(staged), exist_ok=True)
    remove(staged)
    os.symlink(text, staged)
    _keep(layout, commit, path, ticks)
    os.replace(staged, final)


def ensure_folder(layout: Layout, folder: str, folders: set[str]) -> None:
    """Make a folder in the output and those above; links in it that are in the way are replaced.

    An earlier state's link: what it leads to is not this folder. `folders` collects what was seen.
    """
    if folder in folders:
        return
    if folder not in (layout.root, layout.folder):
        ensure_folder(layout, os.path.dirname(folder), folders)
        if os.path.islink(folder):
            os.unlink(folder)
    if not os.path.isdir(folder):
        os.makedirs(folder, exist_ok=True)
        folders.add(os.path.dirname(folder))
    folders.add(folder)


def sweep(layout: Layout, but: str = "") -> None:
    """Remove what dead savers left, but not of the run `but`: no commit is pending, and we hold the lock."""
    for name in _names(layout.all_staged):
        folder = os.path.join(layout.all_staged, name)
        if name != but and is_abandoned(folder):
            remove_tree(folder)
    for name in _names(layout.ours):
        if name.endswith(".new"):
            remove(os.path.join(layout.ours, name))
    state = read_state(layout)
    needed = {row.sha256 for row in state.manifest.files if row.path in state.kept} if state else set()
    for name in _names(layout.kept):
        if name not in needed:
            remove(os.path.join(layout.kept, name))


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
