"""The one step that makes a new state the saved one, and how anyone follows it to its end.

`commit.json` is written when every file of the new state is staged, verified and durable. From then on the
new state is the one that counts: whoever finds the file moves what is staged into place, writes `saved.json`,
and removes it. Every step can be done twice. Without the file, what is staged is rubbish. If what it
names is not all there and nothing was moved yet, it is dropped: the state before it is whole.

A commit without a manifest puts files in place that could be saved while others could not. The last complete
state stays the one that is restored: versions of it that would be replaced are moved to `kept/` first.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from launcher.saving.carry import CopyProblem, carry, digest_target
from launcher.saving.commit import Commit, OtherVersion, SavedState, state_from, state_json
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

if TYPE_CHECKING:
    from launcher.saving.carry import Ticking


# More folders than that are synced all at once, where that can be done.
_FEW = 8
_DAMAGED = "it is damaged: move it away, and nothing counts as saved here"


class Unplaced(OSError):
    """A commit that could not be followed to its end: (place, why) for each that is not in place."""

    def __init__(self, failures: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{path}: {what}" for path, what in failures[:3]))
        self.failures = failures


class Misread(OSError):
    """Something of ours is there and cannot be understood: it is neither restored nor written over."""

    def __init__(self, path: str, what: str) -> None:
        super().__init__(None, what, path)


def read_state(layout: Layout) -> SavedState | None:
    """The last complete state; None for none. Raises OSError, and Misread for what is not understood.

    What cannot be read is not "nothing": a job that starts anew would save over what it could go on from.
    """
    try:
        document = read_json(layout.manifest)
        return None if document is None else state_from(document)
    except OtherVersion as error:
        raise Misread(layout.manifest, str(error)) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Misread(layout.manifest, f"{_DAMAGED} ({_told(error)})") from error


def _told(error: Exception) -> str:
    return f"it has no {error}" if isinstance(error, KeyError) else str(error)


def is_pending(layout: Layout) -> bool:
    """Is there a commit to be followed?"""
    return os.path.lexists(layout.commit)


def recover(layout: Layout, ticks: Ticking) -> None:
    """After a kill: follow a commit to its end; then remove what savers left that live no more.

    Raises Unplaced, OSError.
    """
    layout.check()
    if not os.path.isdir(layout.ours):
        return
    with locked(layout.ours):
        follow(layout, ticks)
        sweep(layout)


def follow(layout: Layout, ticks: Ticking) -> None:
    """Follow a commit, if there is one, under the lock. Raises Unplaced, OSError."""
    try:
        document = read_json(layout.commit)
    except ValueError:
        document = None
    if document is None:
        remove(layout.commit)  # Never whole: it is replaced in one step, so this is not ours.
        return
    try:
        commit = Commit.from_json(document)
        layout.check(commit.run_id)
    except OtherVersion as error:
        raise Misread(layout.commit, str(error)) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unplaced([(layout.commit, _told(error))]) from error
    if _can_be_followed(layout, commit, ticks):
        put_in_place(layout, commit, ticks)
    else:
        _drop(layout, commit, ticks)


def _can_be_followed(layout: Layout, commit: Commit, ticks: Ticking) -> bool:
    """Is every file staged, or in its place? False: some are nowhere, and nothing was moved yet.

    A cloud may have got the small commit.json and not the large files before the machine went.
    Raises Unplaced where some files were moved and others are nowhere.
    """
    lost, moved = [], False
    for name, path, size, sha256 in commit.files:
        staged, final = place_of(os.path.join(layout.staged(commit.run_id), name)), layout.final(path)
        if staged is not None and staged[1] == size:
            continue
        there = place_of(final)
        if there is not None and there[1] == size and digest_target(final, ticks)[1] == sha256:
            moved = True
        else:
            lost.append((final, "neither this nor what was staged for it is what was saved"))
    if lost and moved:
        raise Unplaced(lost)
    return not lost


def _drop(layout: Layout, commit: Commit, ticks: Ticking) -> None:
    """The state before it still lies there; what was moved aside first goes back."""
    for path, sha256 in commit.keep.items():
        kept, final = os.path.join(layout.kept, sha256), layout.final(path)
        if os.path.lexists(kept) and not os.path.lexists(final):
            _move(kept, final, ticks)
    os.unlink(layout.commit)
    sync_folder(layout.ours)


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
        write_whole(layout.manifest, state_json(commit.state))
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


def clear_link(layout: Layout, folder: str) -> None:
    """Remove an earlier state's link where a folder is to be: what it leads to is not this folder.

    Raises OSError for a link that the last manifest does not name: somebody else put it there.
    """
    if not os.path.islink(folder):
        return
    state = read_state(layout)
    if state is None or os.path.relpath(folder, layout.root) not in dict(state.manifest.links):
        raise OSError(errno.ENOTDIR, "a link that no save made is where a folder is to be", folder)
    os.unlink(folder)


def ensure_folder(layout: Layout, folder: str, folders: set[str]) -> None:
    """Make a folder in the output and those above; an earlier state's links in the way are replaced.

    `folders` collects what was seen.
    """
    if folder in folders:
        return
    if folder not in (layout.root, layout.folder):
        ensure_folder(layout, os.path.dirname(folder), folders)
        clear_link(layout, folder)
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
