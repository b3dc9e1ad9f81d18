"""Save an output to a repository of the Hub, and bring it back (`hf.py` says in which order, and why)."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from launcher.saving.listing import identity_of, list_output, unit_of
from launcher.saving.model import MANIFEST, FileRow, Manifest
from launcher.saving.remote.hf import NOTE, HfState, Hub
from launcher.saving.remote.manifests import manifest_of, unchanged
from launcher.saving.remote.model import CHANGED, DIFFERS, ToolProblem, ours
from launcher.saving.remote.prints import print_of
from launcher.saving.remote.restoring import ONE, bring_back
from launcher.saving.remote.scratch import tree_of_links

if TYPE_CHECKING:
    from launcher.saving.listing import Entry, Listing
    from launcher.saving.meter import Meter
    from launcher.saving.model import Order, RestoreReport, SaveReport
    from launcher.saving.remote.model import Print

_TRIES = 2


class HubSave:
    """One order."""

    def __init__(self, order: Order, hub: Hub, meter: Meter, report: SaveReport) -> None:
        self.order, self.hub, self.meter, self.report = order, hub, meter, report
        self.rows: dict[str, FileRow] = {}
        self.waiting: dict[str, Entry] = {}
        self.prints: dict[str, Print] = {}
        self.revision = ""

    def run(self) -> None:
        """What went wrong is in the report. Raises ToolProblem where nothing more can be said."""
        problem = self.hub.refuses(self.order.name)
        if problem:
            raise ToolProblem(problem)
        state = self.hub.state(self.order.name)
        listing = list_output(self.order)
        self.report.failures += listing.failures
        self.report.skipped += listing.skipped
        self.report.unsettled += listing.unsettled
        self.meter.expect(listing.size)
        self._sort_out(listing, state)
        manifest = manifest_of(self.order, listing, self.rows, state.manifest)
        if not self.waiting and state.manifest is not None and _alike(manifest, state.manifest):
            self._done(not self.report.failures)
            return
        token = os.urandom(8).hex()
        self.revision = state.revision
        if self.waiting:
            note = {"token": token, "paths": sorted(self.waiting)}
            self.hub.write(ours(self.order.name, NOTE), note)
            self._send(listing.single)
        if self.report.failures:
            self._done(False)
            return
        manifest = manifest_of(self.order, listing, self.rows, state.manifest)
        document = json.loads(manifest.to_json())
        document |= {"revision": self.revision or self._revision_now(), "token": token}
        self.hub.write(ours(self.order.name, MANIFEST), document)
        self._done(True)

    def _revision_now(self) -> str:
        """Nothing had to go up: any file of ours tells."""
        self.hub.write(ours(self.order.name, NOTE), {"token": "", "paths": []})
        snapshot = self.hub.snapshot([ours(self.order.name, NOTE)])
        self.hub.forget(snapshot)
        return snapshot.revision

    def _sort_out(self, listing: Listing, state: HfState) -> None:
        old = {row.path: row for row in state.manifest.files} if state.manifest else {}
        for entry in listing.files:
            problem = self.hub.refuses(entry.path)
            if problem:
                self.report.failures.append((entry.source, problem))
                continue
            row = None if entry.path in state.dirty else old.get(entry.path)
            # Read each time: what was rewritten may have its old size and mtime (rsync -t, cp -p, tar).
            try:
                one = print_of(entry.source, "", self.meter)
            except OSError as error:
                self.report.failures.append((entry.source, error.strerror or str(error)))
                continue
            if row and (row.size, row.sha256) == (one.size, one.sha256):
                self._keep(entry, one)
            else:
                self.waiting[entry.path], self.prints[entry.path] = entry, one
        for row in old.values():
            if unit_of(row.path) in listing.unsettled and row.path not in state.dirty:
                self.rows.setdefault(row.path, row)

    def _keep(self, entry: Entry, one: Print) -> None:
        self.rows[entry.path] = FileRow(entry.path, one.size, one.sha256, entry.mtime_ns, entry.mode)
        self.meter.add(one.size, 1)

    def _send(self, single: bool) -> None:
        why: dict[str, str] = {}
        for number in range(_TRIES):
            if number:
                self._read_again()
            if not self.waiting:
                return
            said = self._upload(single)
            arrived, self.revision = self.hub.confirm(
                self.order.name, {path: self.prints[path] for path in self.waiting}
            )
            why = {}
            for path, entry in list(self.waiting.items()):
                if not unchanged(entry):
                    why[path] = CHANGED
                elif path not in arrived:
                    why[path] = said or DIFFERS
                else:
                    one = self.prints[path]
                    self.rows[path] = FileRow(path, one.size, one.sha256, entry.mtime_ns, entry.mode)
                    self.report.copied += one.size
                    self.meter.add(0, 1)
                    del self.waiting[path]
        self.report.failures += [(self.waiting[path].source, reason) for path, reason in why.items()]

    def _upload(self, single: bool) -> str:
        if single:
            return self.hub.upload(self.waiting[""].source, self.order.name, self.prints[""].size).said
        tree = tree_of_links(self.hub.folder, {path: entry.source for path, entry in self.waiting.items()})
        size = sum(self.prints[path].size for path in self.waiting)
        return self.hub.upload(tree, self.order.name, size).said

    def _read_again(self) -> None:
        for path, entry in list(self.waiting.items()):
            try:
                status = os.stat(entry.source)
                entry.identity = identity_of(status)
                entry.size, entry.mtime_ns = status.st_size, status.st_mtime_ns
                self.prints[path] = print_of(entry.source, "", self.meter)
            except OSError as error:
                self.report.failures.append((entry.source, error.strerror or str(error)))
                del self.waiting[path]

    def _done(self, committed: bool) -> None:
        base = f"{self.order.target.shown.rstrip('/')}/{self.order.name}"
        for path, row in sorted(self.rows.items()):
            self.report.files.append((f"{base}/{path}" if path else base, row.size, row.sha256))
        self.report.committed = committed


def restore_from_hub(order: Order, hub: Hub, meter: Meter, report: RestoreReport) -> None:
    """Raises ToolProblem and OSError; then nothing is at the source."""
    state = hub.state(order.name)
    if state.manifest is None:
        return
    report.found = True

    def fetch(manifest: Manifest, into: str) -> str:
        hub.folder = into
        for batch in hub.batches(order.name, {row.path: row for row in manifest.files}):
            paths = [f"{order.name}/{path}" if path else order.name for path in batch]
            snapshot = hub.snapshot(paths, state.revision, manifest.size)
            for path, place in zip(batch, paths, strict=True):
                arrived = os.path.realpath(os.path.join(snapshot.folder, place))
                target = os.path.join(into, path or ONE)
                os.makedirs(os.path.dirname(target), exist_ok=True)
                if snapshot.folder and os.path.isfile(arrived):
                    _bring(arrived, target)
            hub.forget(snapshot)
        return ""

    bring_back(order, state.manifest, fetch, meter, report)


def _bring(arrived: str, target: str) -> None:
    """Out of the cache; two files of the same content are one there."""
    try:
        os.link(arrived, target)
    except OSError:
        from shutil import copyfile

        copyfile(arrived, target)


def _alike(new: Manifest, old: Manifest) -> bool:
    return (new.run_id, new.files, new.links, new.folders, new.single) == (
        old.run_id,
        old.files,
        old.links,
        old.folders,
        old.single,
    )
