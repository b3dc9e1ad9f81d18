"""What a commit is to do, from what is staged and what was saved before. Looks, and changes nothing."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from launcher.clock import SystemClock, iso_utc
from launcher.saving.commit import Commit, SavedState
from launcher.saving.listing import unit_of
from launcher.saving.model import FileRow, Manifest

if TYPE_CHECKING:
    from launcher.saving.layout import Layout
    from launcher.saving.listing import Listing
    from launcher.saving.model import Order
    from launcher.saving.stage import Staged


def plan_commit(
    order: Order,
    layout: Layout,
    listing: Listing,
    staged: Staged,
    earlier: SavedState | None,
    *,
    complete: bool,
) -> Commit | None:
    """None where nothing is to be done. Not `complete`: some files failed, `earlier` stays what is saved."""
    commit = Commit(
        order.run_id,
        [(name, path, entry.size, sha) for path, (entry, name, sha) in sorted(staged.fresh.items())],
        [row for row in listing.links if not _link_stands(layout, row)],
        [path for path in listing.folders if not os.path.isdir(layout.final(path))],
    )
    if complete:
        commit.state = _new_state(order, listing, staged, earlier)
    elif earlier is not None:
        commit.keep = _to_keep(commit, earlier)
        commit.state = replace(earlier, kept=earlier.kept | commit.keep.keys())
    if commit.state is not None and earlier is not None and _same(commit.state, earlier):
        commit.state = earlier
    nothing = not (commit.files or commit.links or commit.folders) and commit.state == earlier
    return None if nothing else commit


def would_forget(earlier: SavedState | None, listing: Listing) -> bool:
    """A moment without files, as between two versions, is no reason to forget those that are saved."""
    return earlier is not None and bool(earlier.manifest.files) and not (listing.files or listing.links)


def _new_state(
    order: Order, listing: Listing, staged: Staged, earlier: SavedState | None
) -> SavedState | None:
    """Everything that was taken, and of the units that are not settled what was saved before."""
    hashes = {path: sha256 for path, _, sha256 in staged.verified()}
    files = [
        FileRow(entry.path, entry.size, hashes[entry.path], entry.mtime_ns, entry.mode)
        for entry in staged.entries()
    ]
    links, folders, kept = list(listing.links), list(listing.folders), frozenset[str]()
    units = set(listing.unsettled)
    single = listing.single
    if earlier is not None and units and earlier.manifest.single == single:
        before = earlier.manifest
        files += [row for row in before.files if unit_of(row.path) in units]
        links += [row for row in before.links if unit_of(row[0]) in units]
        folders += [path for path in before.folders if unit_of(path) in units]
        kept = frozenset(path for path in earlier.kept if unit_of(path) in units)
    if units and not (files or links or folders):
        return earlier  # Nothing rests yet: that is no state.
    if not files and would_forget(earlier, listing):
        return earlier
    files.sort(key=lambda row: row.path)
    manifest = Manifest(
        order.run_id,
        order.story,
        iso_utc(SystemClock().wall()),
        tuple(files),
        tuple(sorted(links)),
        tuple(sorted(folders)),
        single,
    )
    return SavedState(manifest, kept)


def _to_keep(commit: Commit, earlier: SavedState) -> dict[str, str]:
    """Versions of the last complete state whose places are taken now."""
    taken = {path for _, path, _, _ in commit.files} | {path for path, _ in commit.links}
    return {
        row.path: row.sha256
        for row in earlier.manifest.files
        if row.path in taken and row.path not in earlier.kept
    }


def _same(new: SavedState, old: SavedState) -> bool:
    return new.kept == old.kept and replace(new.manifest, saved=old.manifest.saved) == old.manifest


def _link_stands(layout: Layout, row: tuple[str, str]) -> bool:
    path, text = row
    try:
        return os.readlink(layout.final(path)) == text
    except OSError:
        return False
