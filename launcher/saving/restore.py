"""Bring the last complete saved state back from a folder: all of it, verified, in one step, or nothing.

Only to where nothing is: the output must be absent or an empty folder.
"""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.saving import journal
from launcher.saving.carry import CopyProblem
from launcher.saving.disk import Disk
from launcher.saving.journal import Unplaced, is_pending, read_state
from launcher.saving.layout import Layout, remove_tree, why
from launcher.saving.listing import Entry, identity_of
from launcher.saving.model import RestoreReport
from launcher.saving.small import Task, batches, carry_batch
from launcher.saving.stage import Ticks, in_threads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.saving.carry import Carried, Ticking
    from launcher.saving.commit import SavedState
    from launcher.saving.meter import Meter
    from launcher.saving.model import FileRow, Manifest, Order

_THREADS = 4
_PREFIX = ".colab-run-restoring-"


def restore_from_folder(order: Order, meter: Meter) -> RestoreReport:
    """Copy the last complete save of `order` back to `order.source`. Never raises for what a disk does."""
    report = RestoreReport()
    layout = Layout(order.target.text, order.name)
    ticks = Ticks(meter)
    try:
        layout.check()
        if is_pending(layout):
            journal.recover(layout, ticks)
        state = read_state(layout)
        if state is None:
            return report
        _describe(report, state.manifest)
        meter.expect(state.manifest.size)
        problem = _why_not(order.source)
        if problem:
            report.failures.append((order.source, problem))
            return report
        with _beside(os.path.realpath(order.source), order.run_id) as place:
            restorer = _Restorer(layout, state, place, ticks)
            report.failures += restorer.fetch()
            if not report.failures:
                _put(restorer.result, os.path.realpath(order.source))
                report.complete = True
    except Unplaced as error:
        report.found = True
        report.failures += error.failures
    except OSError as error:
        # What is there and cannot be read is not "nothing".
        report.found = report.found or is_pending(layout) or os.path.lexists(layout.manifest)
        report.failures.append((error.filename or order.source, why(error)))
    return report


def _describe(report: RestoreReport, manifest: Manifest) -> None:
    report.found = True
    report.files, report.size = len(manifest.files), manifest.size
    report.run_id, report.story, report.saved = manifest.run_id, manifest.story, manifest.saved


def _why_not(source: str) -> str:
    """What lies at the place of the output; empty if nothing does."""
    try:
        if os.path.isdir(source):
            return "it is not empty" if os.listdir(source) else ""
    except OSError as error:
        return why(error)
    return "it is there already" if os.path.lexists(source) else ""


@contextmanager
def _beside(source: str, run_id: str) -> Iterator[str]:
    """A new folder beside `source`, ours while we live; what killed ones left for this source is removed."""
    import hashlib  # in the child that copies: OpenSSL is not for the guard

    parent = os.path.dirname(source)
    os.makedirs(parent, exist_ok=True)
    prefix = f"{_PREFIX}{hashlib.sha256(os.fsencode(source)).hexdigest()[:12]}-"
    for name in os.listdir(parent):
        if name.startswith(prefix):
            _remove_if_dead(os.path.join(parent, name))
    place = os.path.join(parent, f"{prefix}{run_id}-{os.getpid()}")
    os.mkdir(place, 0o700)
    descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pass  # no locks here: then nobody removes it either
        yield place
    finally:
        os.close(descriptor)
        remove_tree(place)


def _remove_if_dead(place: str) -> None:
    try:
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        remove_tree(place)
    except OSError:
        pass  # Somebody is at it.
    finally:
        os.close(descriptor)


@dataclass(slots=True)
class _Restorer:
    layout: Layout
    state: SavedState
    place: str
    ticks: Ticking

    @property
    def result(self) -> str:
        return os.path.join(self.place, "output")

    def _final(self, path: str) -> str:
        return os.path.join(self.result, path) if path else self.result

    def fetch(self) -> list[tuple[str, str]]:
        """Everything of the state under `result`; (path at the target, why) of what is not as saved."""
        manifest = self.state.manifest
        failures: list[tuple[str, str]] = []
        if not manifest.single:
            self._make_folders(manifest)
        rows = {self._final(row.path): row for row in manifest.files}
        tasks = []
        for staged, row in rows.items():
            try:
                tasks.append(Task(self._entry(row), staged))
            except (OSError, CopyProblem) as error:
                failures.append((self.layout.final(row.path), why(error)))
        if failures:
            return failures
        disk = Disk.of(self.place)

        def carry(batch: list[Task]) -> None:
            for task, came in zip(batch, carry_batch(batch, disk, self.ticks), strict=True):
                problem = _mismatch(rows[task.staged], came)
                if problem:
                    failures.append((task.entry.source, problem))

        in_threads(carry, batches(tasks), _THREADS)
        if not failures:
            for path, text in manifest.links:
                os.symlink(text, self._final(path))
            self._modes(rows)
        return failures

    def _make_folders(self, manifest: Manifest) -> None:
        paths = {os.path.dirname(row.path) for row in manifest.files}
        paths |= {os.path.dirname(path) for path, _ in manifest.links}
        os.makedirs(self.result)
        for path in sorted(paths | set(manifest.folders)):
            os.makedirs(self._final(path), exist_ok=True)

    def _entry(self, row: FileRow) -> Entry:
        """The file at the target as something to copy."""
        source = self.state.place(self.layout, row.path, row.sha256)
        status = os.stat(source)
        if not stat.S_ISREG(status.st_mode) or status.st_size != row.size:
            raise CopyProblem("it is not what was saved: its size differs")
        return Entry(
            row.path, os.path.realpath(source), row.size, row.mtime_ns, row.mode, identity_of(status)
        )

    def _modes(self, rows: dict[str, FileRow]) -> None:
        for place, row in rows.items():
            if not row.mode & 0o200:
                os.chmod(place, row.mode & 0o777)


def _mismatch(row: FileRow, came: Carried | Exception) -> str:
    if isinstance(came, Exception):
        return why(came)
    return "" if came.sha256 == row.sha256 else "it is not what was saved: its content differs"


def _put(result: str, source: str) -> None:
    """In one step; an empty folder that is there gives its mode to the new one."""
    if os.path.isdir(source):
        if os.path.isdir(result):
            status = os.stat(source)
            os.chmod(result, stat.S_IMODE(status.st_mode))
            if os.geteuid() == 0:
                os.chown(result, status.st_uid, status.st_gid)
        else:
            os.rmdir(source)
    os.rename(result, source)
