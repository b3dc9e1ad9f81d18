"""Save one output to a store: what has changed goes up, is verified, is moved into place, and then holds.

Nothing at the target is touched before everything of the new state lies there, verified. If some of it
cannot be saved, the rest stays in `staged` (and goes into place only where there is no older state
that could be restored): the older state is better than half of a new one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from launcher.saving.listing import identity_of, list_output, unit_of
from launcher.saving.model import FileRow, Manifest
from launcher.saving.remote.manifests import manifest_of, unchanged
from launcher.saving.remote.model import (
    CHANGED,
    COMMIT,
    DIFFERS,
    IN_THE_WAY,
    STAGED,
    Print,
    Stored,
    ToolProblem,
    manifest_path,
    ours,
)
from launcher.saving.remote.prints import print_of
from launcher.saving.remote.scratch import tree_of_links
from launcher.saving.remote.states import Commit, Place, State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.saving.listing import Entry, Listing
    from launcher.saving.meter import Meter
    from launcher.saving.model import Order, SaveReport
    from launcher.saving.remote.model import Sent, Store

_TRIES = 2
# More files than these are not removed one by one.
_FEW = 20


@dataclass(slots=True)
class _Work:
    """`rows`: the new state so far. `waiting`: what has to go up. `prints`: of what went up or will."""

    rows: dict[str, FileRow] = field(default_factory=dict)
    waiting: dict[str, Entry] = field(default_factory=dict)
    prints: dict[str, Print] = field(default_factory=dict)


class StoreSave:
    """One order at one store with moves."""

    def __init__(self, order: Order, store: Store, meter: Meter, report: SaveReport, folder: str) -> None:
        self.order, self.store, self.meter = order, store, meter
        self.report, self.folder = report, folder
        self.place = Place(store, order.name, folder)
        self.tag = order.run_id
        self.work = _Work()

    def run(self) -> None:
        """Everything; what went wrong is in the report. Raises ToolProblem where nothing more can be said."""
        problem = self.store.refuses(self.order.name)
        if problem:
            raise ToolProblem(problem)
        state = self.place.recover()
        if not state.whole:
            # The note that is there speaks of a folder that must not get other files now.
            self.tag += f"-{os.urandom(4).hex()}"
        listing = list_output(self.order)
        self._take_over(listing)
        there = self.store.listing(self.order.name, single=listing.single)
        self.meter.expect(listing.size)
        self._sort_out(listing, state, there)
        self._keep_unsettled(listing, state, there)
        manifest = manifest_of(self.order, listing, self.work.rows, state.manifest)
        if not self.work.waiting and not self.report.failures and _same(manifest, state):
            self._done(manifest)
            self._tidy(state)
            return
        self._send(listing.single, state)
        if self.report.failures and (state.manifest is not None or not state.whole):
            self._say_what_waits()
            return
        self._put_in_place(manifest_of(self.order, listing, self.work.rows, state.manifest))

    @property
    def _staged(self) -> str:
        return self.place.staged(self.tag)

    def _take_over(self, listing: Listing) -> None:
        self.report.failures += listing.failures
        self.report.skipped += listing.skipped
        self.report.unsettled += listing.unsettled

    # --- what has to go up ---------------------------------------------------------------------------

    def _sort_out(self, listing: Listing, state: State, there: Mapping[str, Stored]) -> None:
        old = {row.path: row for row in state.manifest.files} if state.manifest else {}
        for entry in listing.files:
            problem = self.store.refuses(entry.path)
            if problem:
                self.report.failures.append((entry.source, problem))
                continue
            row, stored = old.get(entry.path), there.get(entry.path)
            # Read each time: what was rewritten may have its old size and mtime (rsync -t, cp -p, tar).
            try:
                one = print_of(entry.source, self.store.algorithm, self.meter)
            except OSError as error:
                self.report.failures.append((entry.source, error.strerror or str(error)))
                continue
            said = stored.digest if stored is not None and stored.size == one.size else ""
            known = stored is not None and row is not None and stored.size == row.size == one.size
            known = known and row is not None and not said and row.sha256 == one.sha256
            if known or said == one.digest != "":
                self._keep(entry, one)
            else:
                self.work.waiting[entry.path], self.work.prints[entry.path] = entry, one

    def _keep(self, entry: Entry, one: Print) -> None:
        self.work.rows[entry.path] = FileRow(entry.path, one.size, one.sha256, entry.mtime_ns, entry.mode)
        self.meter.add(one.size, 1)

    def _keep_unsettled(self, listing: Listing, state: State, there: Mapping[str, Stored]) -> None:
        """What is being written is there as it was saved before, or not at all."""
        if state.manifest is None:
            return
        for row in state.manifest.files:
            stored = there.get(row.path)
            if unit_of(row.path) in listing.unsettled and stored and stored.size == row.size:
                self.work.rows.setdefault(row.path, row)

    # --- up ------------------------------------------------------------------------------------------

    def _send(self, single: bool, state: State) -> None:
        """Upload and verify; what changes meanwhile or does not arrive is tried once more."""
        self._skip_what_waits_there(single, state)
        why: dict[str, str] = {}
        for number in range(_TRIES):
            if not self.work.waiting:
                return
            if number:
                self._read_again(why)
            said = self._upload(single).said
            arrived = self._verified(single)
            why = {}
            for path, entry in list(self.work.waiting.items()):
                if not unchanged(entry):
                    why[path] = CHANGED
                elif path not in arrived:
                    why[path] = said or DIFFERS
                else:
                    self._arrived(path, entry)
        for path, reason in why.items():
            self.report.failures.append((self.work.waiting.pop(path).source, reason))

    def _skip_what_waits_there(self, single: bool, state: State) -> None:
        """An earlier try of this run may have brought some of it up, and what is not wanted any more."""
        mine = {path for path in state.staged if path.partition("/")[0] == self.tag}
        if len(mine - {f"{self.tag}/{path}" if path else self.tag for path in self.work.waiting}) > _FEW:
            self.store.remove(self._staged, single=single)
            return
        waiting = self.work.waiting
        left = {path: state.staged.get(f"{self.tag}/{path}" if path else self.tag) for path in waiting}
        same = {path for path, row in left.items() if row and row.size == self.work.prints[path].size}
        if same:
            for path in self._verified(single, same):
                self._arrived(path, waiting[path])

    def _arrived(self, path: str, entry: Entry) -> None:
        one = self.work.prints[path]
        self.work.rows[path] = FileRow(path, one.size, one.sha256, entry.mtime_ns, entry.mode)
        self.report.copied += one.size
        self.meter.add(0, 1)
        del self.work.waiting[path]

    def _read_again(self, why: dict[str, str]) -> None:
        for path, entry in list(self.work.waiting.items()):
            try:
                status = os.stat(entry.source)
                entry.identity = identity_of(status)
                entry.size, entry.mtime_ns = status.st_size, status.st_mtime_ns
                self.work.prints[path] = print_of(entry.source, self.store.algorithm, self.meter)
            except OSError as error:
                self.report.failures.append((entry.source, error.strerror or str(error)))
                del self.work.waiting[path]
                why.pop(path, None)

    def _upload(self, single: bool) -> Sent:
        size = sum(self.work.prints[path].size for path in self.work.waiting)
        if single:
            return self.store.upload_file(self.work.waiting[""].source, self._staged, size)
        tree = tree_of_links(self.folder, {path: entry.source for path, entry in self.work.waiting.items()})
        return self.store.upload(tree, self._staged, size)

    def _verified(self, single: bool, only: set[str] | None = None) -> set[str]:
        paths = self.work.waiting if only is None else only
        wanted = {path: self.work.prints[path] for path in paths}
        return verified(self.store, self._staged, wanted, single=single)

    # --- into place ----------------------------------------------------------------------------------

    def _put_in_place(self, manifest: Manifest) -> None:
        moved = {path: one for path, one in self.work.prints.items() if path in self.work.rows}
        if moved:
            self._leave_nothing_else(set(moved), manifest.single)
        if not self.report.failures:
            moves = {path: (one.size, one.digest) for path, one in moved.items()}
            note = Commit(self.tag, self.store.algorithm, moves, manifest)
            self.place.write(ours(self.order.name, COMMIT), note.to_json())
        if moved:
            said = self.store.move(self._staged, self.order.name, single=manifest.single).said
            missing = set(moved) - self._in_place(moved, manifest.single)
            for path in sorted(missing):
                self.report.failures.append((os.path.join(self.order.source, path), said or DIFFERS))
                del self.work.rows[path]
        if self.report.failures:
            self._done(manifest, committed=False)
            return
        self.place.write(manifest_path(self.order.name), manifest.to_json())
        self._done(manifest)
        self._tidy(None)

    def _leave_nothing_else(self, moved: set[str], single: bool) -> None:
        """What an earlier try brought up and is not of this state must not be moved with it."""
        for others_may_stay in (True, False):
            others = set(self.store.listing(self._staged, single=single)) - moved
            if others and not others_may_stay:
                raise ToolProblem(IN_THE_WAY)
            for path in others:
                self.store.remove(f"{self._staged}/{path}", single=True)
            if not others:
                return

    def _in_place(self, moved: Mapping[str, Print], single: bool) -> set[str]:
        """A store that moves by itself moves what was verified: sizes tell that it is that."""
        name = self.order.name
        there = self.store.listing(name, single=single)
        fits = {
            path: one
            for path, one in moved.items()
            if path in there
            and there[path].size == one.size
            and (not there[path].digest or there[path].digest == one.digest or not one.digest)
        }
        vague = {path: one for path, one in moved.items() if path in there and path not in fits}
        if not self.store.moves_by_itself:
            vague |= {path: one for path, one in fits.items() if not there[path].digest}
        return (set(fits) - set(vague)) | (self.store.confirm(name, vague, single=single) if vague else set())

    def _done(self, manifest: Manifest, *, committed: bool = True) -> None:
        base = f"{self.order.target.shown.rstrip('/')}/{self.order.name}"
        self.report.files += [
            (f"{base}/{row.path}" if row.path else base, row.size, row.sha256)
            for row in manifest.files
            if row.path in self.work.rows
        ]
        self.report.committed = committed
        self.report.verified = (
            "checksum" if self.store.algorithm and not self.store.read_back else "read-back"
        )

    def _say_what_waits(self) -> None:
        """The files that arrived lie beside the older state."""
        base = f"{self.order.target.shown.rstrip('/')}/"
        for path, row in sorted(self.work.rows.items()):
            place = f"{self._staged}/{path}" if path in self.work.prints else f"{self.order.name}/{path}"
            self.report.files.append((base + place.rstrip("/"), row.size, row.sha256))

    def _tidy(self, state: State | None) -> None:
        """What is left in our folder but the manifest. It does no harm if it stays."""
        if state is None or state.staged or state.note:
            self.store.remove(ours(self.order.name, STAGED))
        if state is None or state.note:
            self.store.remove(ours(self.order.name, COMMIT), single=True)


def verified(store: Store, folder: str, wanted: Mapping[str, Print], *, single: bool) -> set[str]:
    """Those that lie in `folder` byte for byte."""
    there = store.listing(folder, single=single)
    right = {path: one for path, one in wanted.items() if path in there and there[path].size == one.size}
    told = {path for path, one in right.items() if there[path].digest and there[path].digest == one.digest}
    unsure = {path: one for path, one in right.items() if path not in told}
    if not unsure:
        return told
    return told | store.confirm(folder, unsure, single=single)


def _same(manifest: Manifest, state: State) -> bool:
    """Would the new manifest say anything new?"""
    old = state.manifest
    return old is not None and (old.run_id, old.files, old.links, old.folders, old.single) == (
        manifest.run_id,
        manifest.files,
        manifest.links,
        manifest.folders,
        manifest.single,
    )
