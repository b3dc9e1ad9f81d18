"""Save an output into a folder: a local disk, NFS, Drive or another FUSE mount.

1. Stage: what is not at the target yet is copied into `.colab-run/NAME/staged/RUN`, synced and read back.
2. Commit: `commit.json` is written. From here on the new state counts, whoever finishes it (`journal.py`).
3. Every staged file is renamed into place. 4. `saved.json` names the new state.

So a kill at any point leaves the old saved state or the new one, and no file in its place is ever half.
Nothing of the user's is deleted: what is no longer in the output stays, and only leaves the manifest.

If some files fail, the others are put in place all the same: results first. `saved.json` then still says the
last complete state, and of that state the versions that were replaced are kept aside, so that it can be
restored as a whole. Units that are not settled stay as the last manifest has them.

Runs in a child (`saving/save.py`): a dead network mount can hang for ever.
"""

from __future__ import annotations

import errno
import os
import signal
import stat
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.saving.carry import CopyProblem, carry
from launcher.saving.disk import Disk
from launcher.saving.ground import Ground
from launcher.saving.journal import Unplaced, follow, is_pending, put_in_place, read_state, sweep
from launcher.saving.known import Before, Known, Place, place_of
from launcher.saving.layout import (
    Layout,
    locked,
    progress_of,
    remove,
    remove_tree,
    sync_folder,
    try_lock,
    why,
    write_whole,
)
from launcher.saving.listing import Entry, Listing, identity_of, list_output, unit_of
from launcher.saving.model import OURS, SaveReport
from launcher.saving.plan import plan_commit, would_forget
from launcher.saving.stage import NO_ROOM, Stager, Ticks, is_change, staged_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from launcher.saving.carry import Ticking
    from launcher.saving.meter import Meter
    from launcher.saving.model import Order

# Two files that hold room (and an inode each) for what has to be written at the end.
_BALLAST = ("ballast-1", "ballast-2")
_ROW_BYTES = 512
_OTHER_LOOKS_S = 0.5
_THREADS, _THREADS_FAR_AWAY = 4, 8
NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)


def save_to_folder(order: Order, meter: Meter) -> SaveReport:
    """Save `order.source` under `order.target`. Never raises for what a file system does.

    What is in `files` lies in its final place, read back.
    """
    _take_limits_as_errors()
    report = SaveReport()
    layout = Layout(order.target.text, order.name)
    if problem := layout.problem():
        report.failures.append((layout.root, problem))
        return report
    saver = _Saver(order, layout, Ticks(meter), report)
    try:
        saver.save(meter)
    except OSError as error:
        saver.give_up(error)
    return report


def copy_file(path: str, folder: str, name: str, run_id: str, meter: Meter) -> SaveReport:
    """Copy one plain file, such as the log, to `folder/name`: whole or not at all, and read back."""
    _take_limits_as_errors()
    report = SaveReport()
    ticks = Ticks(meter)
    temporary = os.path.join(folder, OURS, f"{staged_name(name)}-{run_id}.part")
    final = os.path.join(folder, name)
    try:
        Layout(folder, name).check()
        os.makedirs(os.path.dirname(temporary), exist_ok=True)
        disk = Disk.of(os.path.dirname(temporary))
        for last in (False, True):
            try:
                entry = _entry_of(path)
                meter.expect(entry.size)
                done = carry(entry, temporary, disk, ticks)
                break
            except CopyProblem:
                if last:
                    raise
        os.replace(temporary, final)
        sync_folder(folder)
        ticks.add(0, 1)
        report.files.append((final, done.size, done.sha256))
        report.copied, report.committed = done.written, True
    except (OSError, CopyProblem) as error:
        remove(temporary)
        report.failures.append((path, why(error)))
    try:
        os.rmdir(os.path.dirname(temporary))
    except OSError:
        pass  # Outputs have theirs in it.
    return report


def _entry_of(path: str) -> Entry:
    real = os.path.realpath(path)
    status = os.stat(real)
    mode = stat.S_IMODE(status.st_mode)
    return Entry("", real, status.st_size, status.st_mtime_ns, mode, identity_of(status))


def _take_limits_as_errors() -> None:
    """RLIMIT_FSIZE kills who does not ignore its signal; ignored, it is EFBIG."""
    try:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    except (ValueError, AttributeError):
        pass  # not the main thread, or no such signal


@dataclass(slots=True)
class _Saver:
    order: Order
    layout: Layout
    ticks: Ticking
    report: SaveReport
    # An earlier commit that cannot be finished: this save takes its place.
    stuck: bool = False

    @property
    def staging(self) -> str:
        return self.layout.staged(self.order.run_id)

    def save(self, meter: Meter) -> None:
        """All four steps."""
        targets = frozenset(
            map(os.path.realpath, (self.layout.folder, self.layout.root, os.path.dirname(self.layout.ours)))
        )
        listing = self._list(targets)
        self.report.skipped = listing.skipped
        self.report.failures += listing.failures
        self.report.unsettled = listing.unsettled
        if listing.failures and not (listing.files or listing.links or listing.folders):
            return
        meter.expect(listing.size)
        self.layout.check(self.order.run_id)
        os.makedirs(self.layout.ours, exist_ok=True)
        with self._staging_alone():
            listing = self._without_links(listing, targets)
            self.report.failures += Ground(self.layout).prepare(listing)
            stager = self._stager()
            waiting = stager.sift(listing.files)
            self._take_ballast(waiting)
            stager.stage(waiting)
            with locked(self.layout.ours):
                self._commit(listing, stager)
                remove_tree(self.staging)

    @contextmanager
    def _staging_alone(self) -> Iterator[None]:
        """Our staging folder, with its lock. Another save of this run may be at it: it ends before we begin.

        Waits without the lock around it, which that one needs for its commit.
        """
        seen: object = None
        while True:
            with locked(self.layout.ours):
                self._begin()
                held = try_lock(self.staging)
            if held is not None:
                break
            if (now := progress_of(self.staging)) != seen:
                seen = now
                self.ticks.add()  # Who hangs for ever is not waited for for ever.
            time.sleep(_OTHER_LOOKS_S)
        try:
            yield
        except OSError as error:
            if error.errno in NO_ROOM and not is_pending(self.layout):
                with locked(self.layout.ours):
                    remove_tree(self.staging)  # The disk is not left full with what helps nobody.
            raise
        finally:
            os.close(held)

    def give_up(self, error: OSError) -> None:
        """What happened to the save as a whole."""
        if isinstance(error, Unplaced):
            failed = {path for path, _ in error.failures}
            self.report.failures += error.failures
            self.report.files = [row for row in self.report.files if row[0] not in failed]
            return
        self.report.files = []
        self.report.failures.append((error.filename or self.layout.root, why(error)))

    def _list(self, targets: frozenset[str], *, keep_links: bool = True) -> Listing:
        return list_output(self.order, targets, keep_links=keep_links)

    def _begin(self) -> None:
        """Under the lock: finish what another began, remove what the dead left, make our own place."""
        try:
            follow(self.layout, self.ticks)
            sweep(self.layout, but=self.order.run_id)
        except Unplaced:
            self.stuck = True
        os.makedirs(self.staging, exist_ok=True)

    def _without_links(self, listing: Listing, targets: frozenset[str]) -> Listing:
        """Drive and other FUSE targets know no links: the content then stands there twice."""
        if not listing.links:
            return listing
        probe = os.path.join(self.staging, "link")
        remove(probe)
        try:
            os.symlink("somewhere", probe)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            listing = self._list(targets, keep_links=False)
            self.report.skipped, self.report.unsettled = listing.skipped, listing.unsettled
        remove(probe)
        return listing

    def _stager(self) -> Stager:
        state = read_state(self.layout)
        hashes = {} if state is None else {row.path: row.sha256 for row in state.manifest.files}
        disk = Disk.of(self.staging)
        before = Before(self.order.run_id, Known.read(self.layout), hashes)
        threads = _THREADS if disk.quick else _THREADS_FAR_AWAY
        return Stager(self.layout, self.staging, disk, before, self.ticks, threads)

    def _take_ballast(self, waiting: Sequence[Entry]) -> None:
        """Hold the room that the commit will need, before the files take all there is."""
        room = 4096 + sum(_ROW_BYTES + 3 * len(entry.path) for entry in waiting)
        for name in _BALLAST if waiting else ():
            path = os.path.join(self.staging, name)
            remove(path)
            with open(path, "xb") as writer:
                writer.write(b"\0" * room)

    def _commit(self, listing: Listing, stager: Stager) -> None:
        """Under the lock: make this the saved state."""
        staged = stager.result
        # Another run may have saved since we looked.
        moved = [
            entry
            for entry, row in staged.there.values()
            if place_of(self.layout.final(entry.path)) != row.place
        ]
        staged.forget({entry.path for entry in moved})
        stager.stage(moved, reuse=False)
        self._sort_out(listing, stager)
        earlier = read_state(self.layout)
        commit = plan_commit(
            self.order, self.layout, listing, staged, earlier, complete=not self.report.failures
        )
        self.report.copied = staged.copied
        self.report.files = [
            (self.layout.final(path), size, sha) for path, size, sha in sorted(staged.verified())
        ]
        for name in _BALLAST:
            remove(os.path.join(self.staging, name))
        places = {}
        if commit is not None:
            sync_folder(self.staging)
            write_whole(self.layout.commit, commit.as_json())
            places = put_in_place(self.layout, commit, self.ticks)
        self.report.committed = not self.report.failures and (commit or earlier) is not None
        if self.order.settled_s is None and would_forget(earlier, listing):
            self.report.skipped.append(self.order.source)  # Nothing in it: what was saved stays the state.
        self._note_known(listing, stager, places)

    def _sort_out(self, listing: Listing, stager: Stager) -> None:
        """While the job runs, a file that changed is no failure: its unit is not settled."""
        staged = stager.result
        if self.order.settled_s is not None:
            units = {unit_of(path) for path, (_, problem) in staged.problems.items() if is_change(problem)}
            listing.leave_out(units)
            self.report.unsettled = listing.unsettled
            staged.forget(staged.paths() - {entry.path for entry in listing.files})
        self.report.failures += [(entry.source, why(problem)) for entry, problem in staged.problems.values()]

    def _note_known(self, listing: Listing, stager: Stager, places: dict[str, Place]) -> None:
        """For the next save; it only costs time if this cannot be written."""
        before = stager.before.known
        known = Known(self.order.run_id, stager.result.known(places))
        if before.run_id == self.order.run_id:
            units = set(listing.unsettled)
            known.files.update({path: row for path, row in before.files.items() if unit_of(path) in units})
        if known != before:
            try:
                write_whole(self.layout.known, known.as_json())
            except OSError:
                remove(self.layout.known)
