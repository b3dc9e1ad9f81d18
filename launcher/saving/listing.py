"""What belongs to an output: files, links and empty folders, by one walk that copies nothing.

Links that lead to something inside the output stay links; what they lead to elsewhere is taken as content,
because it goes with the machine. So is what a link leads to that is not taken itself (`include`).

A *unit* is what rests or does not as a whole: each thing directly in the output, or the file that it is.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from launcher.saving.patterns import Patterns, patterns
from launcher.saving.settled import open_for_writing

if TYPE_CHECKING:
    from launcher.saving.model import Order

# How a link leads nowhere: what it names is not there, or is the link itself.
_NOWHERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
# (st_dev, st_ino, st_size, st_mtime_ns, st_ctime_ns): a file whose identity is the same has not changed.
Identity = tuple[int, int, int, int, int]


@dataclass(slots=True)
class Entry:
    """A file: `path` in the output ("" for the output that is one file), `source` to read it from.

    `mode` are the permission bits.
    """

    path: str
    source: str
    size: int
    mtime_ns: int
    mode: int
    identity: Identity


@dataclass(slots=True)
class Listing:
    """An output as it was when we looked.

    `links` are (path, what it is to say at the target); `folders` those with nothing in them. `skipped`
    (absolute) are neither files nor folders nor links, or lead back to where they are. `unsettled` are the
    units that are still being written: nothing of them is in the lists. `failures` are (absolute path, why).
    `single`: the output is one file.
    """

    files: list[Entry] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    unsettled: list[str] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    single: bool = False

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(entry.size for entry in self.files)

    def leave_out(self, units: set[str]) -> None:
        """They are unsettled, and so is a link to one: `latest -> step5` says that step5 is whole."""
        units = units | set(self.unsettled)
        ends = [(unit_of(path), unit_of(_end_of(path, text))) for path, text in self.links]
        while more := {unit for unit, end in ends if end in units} - units:
            units |= more
        self.files = [entry for entry in self.files if unit_of(entry.path) not in units]
        self.links = [row for row in self.links if unit_of(row[0]) not in units]
        self.folders = [path for path in self.folders if unit_of(path) not in units]
        self.unsettled = sorted(units)


def list_output(order: Order, targets: frozenset[str] = frozenset(), *, keep_links: bool = True) -> Listing:
    """Everything of `order.source` that is to be saved, sorted by path. Never raises OSError.

    `targets` are real paths that are being copied into: they are no part of the output. `keep_links` False
    is for targets that have none: content stands there twice, and a link that leads nowhere is skipped.
    `order.settled_s` leaves out what was changed less than so many seconds ago, or is open for writing.
    Patterns choose among what is in a folder; the output that is one file is always taken.
    """
    root = os.path.realpath(order.source)
    walk = _Walk(root, targets, patterns(order.include, order.exclude), keep_links)
    problem = _why_not(root, targets)
    if problem:
        walk.listing.failures.append((order.source, problem))
        return walk.listing
    if order.parts:
        for place, real in order.parts:
            walk.visit(_Found(place, os.path.realpath(real), ()))
    else:
        walk.listing.single = not os.path.isdir(root)
        walk.visit(_Found("", root, ()))
    walk.settle_links()
    if order.settled_s is not None:
        walk.leave_out_unsettled(order.settled_s)
    listing = walk.listing
    listing.files.sort(key=lambda entry: entry.path)
    listing.links.sort()
    listing.folders.sort()
    return listing


def identity_of(status: os.stat_result) -> Identity:
    """What tells that a file is the one it was, unchanged."""
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def unit_of(path: str) -> str:
    """The unit that a path in the output belongs to."""
    return path.partition("/")[0]


def is_young(changed_ns: int, now_ns: int, settled_s: float) -> bool:
    """Did it change less than `settled_s` from now? To both sides: a clock may have been set back since."""
    return abs(now_ns - changed_ns) < settled_s * 1e9


def _why_not(root: str, targets: frozenset[str]) -> str:
    """What makes `root` no output that could be copied; empty if nothing does."""
    if root in targets:
        return "the target is the output itself"
    if not os.path.isdir(root) and not os.path.isfile(root):
        return "it is neither a file nor a folder"
    return ""


class _Found(NamedTuple):
    """Something to look at: where it is in the output, where it really is, the real folders around it."""

    path: str
    real: str
    above: tuple[str, ...]


class _Link(NamedTuple):
    path: str
    real: str
    text: str
    above: tuple[str, ...]


class _Walk:
    def __init__(self, root: str, targets: frozenset[str], chosen: Patterns, keep_links: bool) -> None:
        self.root, self.targets = root, targets
        self.chosen, self.keep_links = chosen, keep_links
        self.listing = Listing()
        self.links: list[_Link] = []
        # unit -> newest change time, ns: of files, links and folders that are taken.
        self.changed: dict[str, int] = {}
        # Units that a file went away from under our eyes.
        self.moving: set[str] = set()

    def visit(self, first: _Found) -> None:
        """Look at it and at everything in it. A stack: an output may be deeper than Python recurses."""
        stack = [first]
        while stack:
            found = stack.pop()
            try:
                status = os.lstat(found.real)
                if stat.S_ISLNK(status.st_mode):
                    self._link(found, status, stack)
                elif stat.S_ISDIR(status.st_mode):
                    self._folder(found, status, stack)
                elif not self._taken(found.path):
                    continue
                elif stat.S_ISREG(status.st_mode):
                    self._file(found, status)
                else:
                    self.listing.skipped.append(found.real)
            except FileNotFoundError:
                self.moving.add(unit_of(found.path))  # Gone since its folder was read.
            except OSError as error:
                self.listing.failures.append((found.real, error.strerror or str(error)))

    def _taken(self, path: str, *, folder: bool = False) -> bool:
        return not path or self.chosen.takes(path, folder=folder)

    def _file(self, found: _Found, status: os.stat_result) -> None:
        self._note_change(found.path, status)
        mode = stat.S_IMODE(status.st_mode)
        self.listing.files.append(
            Entry(found.path, found.real, status.st_size, status.st_mtime_ns, mode, identity_of(status))
        )

    def _folder(self, found: _Found, status: os.stat_result, stack: list[_Found]) -> None:
        if found.path and not self.chosen.enters(found.path):
            return
        if found.real in found.above or found.real in self.targets:
            # A link that leads back to where we come from, or the very folder that we copy into.
            self.listing.skipped.append(found.real)
            return
        names = os.listdir(found.real)
        if found.path:
            if self._taken(found.path, folder=True):
                self._note_change(found.path, status)
                if not names:
                    self.listing.folders.append(found.path)
            prefix = f"{found.path}/"
        else:
            prefix = ""
            if not names:
                self.listing.folders.append("")
        above = (*found.above, found.real)
        stack += [_Found(prefix + name, os.path.join(found.real, name), above) for name in names]

    def _link(self, found: _Found, status: os.stat_result, stack: list[_Found]) -> None:
        real = os.path.realpath(found.real)
        try:
            end: os.stat_result | None = os.stat(real)
        except OSError as error:
            # What cannot be reached (a mount that died) may well be there: a link would stand for nothing.
            if error.errno not in _NOWHERE and self._taken(found.path):
                raise
            end = None
        exists, folder = end is not None, end is not None and stat.S_ISDIR(end.st_mode)
        if not (self.chosen.enters(found.path) if folder else self._taken(found.path)):
            return
        self._note_change(found.path, status)
        if exists and (not self.keep_links or not self._inside(real)):
            stack.append(_Found(found.path, real, found.above))
        elif not self._taken(found.path, folder=folder):
            return
        elif not self.keep_links:
            self.listing.skipped.append(found.real)
        else:
            text = self._words(found.path, os.readlink(found.real), real if exists else "")
            self.links.append(_Link(found.path, real if exists else "", text, found.above))

    def _words(self, path: str, text: str, real: str) -> str:
        """What the link says at the target: as it is if it holds there, else the way through the output."""
        holds = not text.startswith("/") and _end_of(path, text).split("/")[0] != ".."
        if holds or not real:
            return text
        inside = os.path.relpath(real, self.root)
        return os.path.relpath(inside, os.path.dirname(path) or ".")

    def _inside(self, real: str) -> bool:
        return real == self.root or real.startswith(self.root.rstrip("/") + "/")

    def _note_change(self, path: str, status: os.stat_result) -> None:
        unit = unit_of(path)
        self.changed[unit] = max(self.changed.get(unit, 0), status.st_ctime_ns)

    def settle_links(self) -> None:
        """Links whose other end is taken stay links; of the others the content is taken."""
        taken = {"."}
        for path in (
            *(entry.path for entry in self.listing.files),
            *(link.path for link in self.links),
            *self.listing.folders,
        ):
            while path and path not in taken:
                taken.add(path)
                path = os.path.dirname(path)
        for link in self.links:
            end = os.path.relpath(link.real, self.root) if link.real else ""
            if not end or end in taken or not self.chosen.enters(end):
                self.listing.links.append((link.path, link.text))
            else:
                # What was said to be no part of the output is not brought back by a link, but this was not.
                self.visit(_Found(link.path, link.real, link.above))

    def leave_out_unsettled(self, settled_s: float) -> None:
        """Take out the units that changed lately, that somebody writes to, or whose links lead to one."""
        now = time.time_ns()
        units = {unit for unit, changed in self.changed.items() if is_young(changed, now, settled_s)}
        units |= self.moving
        inodes: dict[tuple[int, int], set[str]] = {}
        for entry in self.listing.files:
            inodes.setdefault(entry.identity[:2], set()).add(unit_of(entry.path))
        for who in open_for_writing(inodes):
            units |= inodes[who]
        self.listing.leave_out(units)


def _end_of(path: str, text: str) -> str:
    """Where in the output a relative link at `path` leads, as it is written."""
    return os.path.normpath(os.path.join(os.path.dirname(path), text))
