"""Bring a saved state back: into a folder beside the source, every sha256 checked, then one rename."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from launcher.saving.remote.model import DIFFERS, NOT_ALL_THERE, ToolProblem
from launcher.saving.remote.prints import sha256_of
from launcher.saving.remote.scratch import scratch
from launcher.saving.remote.states import Place

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.saving.meter import Meter
    from launcher.saving.model import FileRow, Manifest, Order, RestoreReport
    from launcher.saving.remote.model import Store

# (manifest, empty local folder) -> what the tool complained of; for an output that is one file, it lies under
# `ONE` in the folder afterwards.
ONE = "one"


def is_empty(path: str) -> bool:
    """Is nothing at `path`, or an empty folder?"""
    try:
        return not os.listdir(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False


def restore_from_store(order: Order, store: Store, meter: Meter, report: RestoreReport, folder: str) -> None:
    """Raises ToolProblem and OSError; then nothing is at the source."""
    place = Place(store, order.name, folder)
    state = place.recover()
    candidates = (state.manifest,) if state.manifest else state.perhaps
    report.found = bool(candidates) or not state.whole
    for number, manifest in enumerate(candidates):
        try:
            bring_back(order, manifest, lambda one, into: _fetch(store, order, one, into), meter, report)
            return
        except ToolProblem:
            if number + 1 == len(candidates):
                raise
    if report.found:
        raise ToolProblem(NOT_ALL_THERE)


def _fetch(store: Store, order: Order, manifest: Manifest, into: str) -> str:
    if manifest.single:
        return store.download_file(order.name, os.path.join(into, ONE)).said
    paths = [row.path for row in manifest.files]
    return store.download(order.name, into, paths, manifest.size).said if paths else ""


def bring_back(
    order: Order,
    manifest: Manifest,
    fetch: Callable[[Manifest, str], str],
    meter: Meter,
    report: RestoreReport,
) -> None:
    """`fetch` downloads the files of a manifest into a folder. Raises ToolProblem and OSError."""
    parent = os.path.dirname(order.source)
    os.makedirs(parent, exist_ok=True)
    meter.expect(manifest.size)
    with scratch(parent, f"restore {order.source}") as temporary:
        arriving, whole = os.path.join(temporary, "arriving"), os.path.join(temporary, "whole")
        os.mkdir(arriving)
        said = fetch(manifest, arriving)
        if manifest.single:
            row = manifest.files[0]
            _take(os.path.join(arriving, ONE), whole, row, said, meter)
        else:
            os.mkdir(whole)
            for row in manifest.files:
                _take(os.path.join(arriving, row.path), os.path.join(whole, row.path), row, said, meter)
            _furnish(whole, manifest)
        _sync(whole)
        if os.path.isdir(order.source) and manifest.single:
            os.rmdir(order.source)
        os.rename(whole, order.source)
    report.complete = True
    report.files, report.size = len(manifest.files), manifest.size
    report.run_id, report.story, report.saved = manifest.run_id, manifest.story, manifest.saved


def _take(arrived: str, place: str, row: FileRow, said: str, meter: Meter) -> None:
    """Only what the manifest names, and only if it is that."""
    if os.path.islink(arrived):
        arrived = os.path.realpath(arrived)  # the cache of a tool
    if not os.path.isfile(arrived):
        raise ToolProblem(said or NOT_ALL_THERE)
    if sha256_of(arrived, meter) != (row.size, row.sha256):
        raise ToolProblem(DIFFERS)
    os.makedirs(os.path.dirname(place), exist_ok=True)
    os.rename(arrived, place)
    os.chmod(place, row.mode & 0o777)
    os.utime(place, ns=(row.mtime_ns, row.mtime_ns))
    meter.add(0, 1)


def _furnish(whole: str, manifest: Manifest) -> None:
    """Empty folders and links."""
    whole = os.path.realpath(whole)
    for path in manifest.folders:
        os.makedirs(os.path.join(whole, path), exist_ok=True)
    for path, text in manifest.links:
        place = os.path.join(whole, path)
        if os.path.realpath(os.path.dirname(place)) != os.path.dirname(place):
            raise ToolProblem(NOT_ALL_THERE)  # Through another link: no save of ours says that.
        os.makedirs(os.path.dirname(place), exist_ok=True)
        os.symlink(text, place)


def _sync(path: str) -> None:
    """On the disk before it gets its name: one call for all of it."""
    os.sync()
