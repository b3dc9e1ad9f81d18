"""What lies where files of an output are to go: folders are made, and what cannot be is said before."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from launcher.saving.journal import clear_link
from launcher.saving.layout import why

if TYPE_CHECKING:
    from launcher.saving.layout import Layout
    from launcher.saving.listing import Listing


@dataclass(slots=True)
class Ground:
    """Prepares the final places. Making folders changes no saved state."""

    layout: Layout
    _folders: dict[str, OSError | None] = field(default_factory=dict)
    _new: set[str] = field(default_factory=set)

    def prepare(self, listing: Listing) -> list[tuple[str, str]]:
        """Take out of `listing` what cannot be placed: (final place, why)."""
        bad: dict[str, OSError] = {}
        for path in listing.folders:
            self._check(bad, path, self._folder(path))
        for path in [entry.path for entry in listing.files] + [path for path, _ in listing.links]:
            self._check(bad, path, self._above(path) or self._blocked(path))
        listing.files = [entry for entry in listing.files if entry.path not in bad]
        listing.links = [row for row in listing.links if row[0] not in bad]
        listing.folders = [path for path in listing.folders if path not in bad]
        return [(self.layout.final(path), why(error)) for path, error in bad.items()]

    def _check(self, bad: dict[str, OSError], path: str, problem: OSError | None) -> None:
        if problem is not None:
            bad[path] = problem

    def _above(self, path: str) -> OSError | None:
        return self._folder(os.path.dirname(path)) if path else None

    def _blocked(self, path: str) -> OSError | None:
        """A folder where a file or a link is to be: it may hold what we do not know."""
        if os.path.dirname(path) in self._new and path:
            return None
        try:
            status = os.lstat(self.layout.final(path))
        except FileNotFoundError:
            return None
        except OSError as error:
            return error
        if stat.S_ISDIR(status.st_mode):
            return OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        return None

    def _folder(self, path: str) -> OSError | None:
        """Make sure of a folder and of those above it; the answer is remembered."""
        if path not in self._folders:
            above = self._folder(os.path.dirname(path)) if path else None
            self._folders[path] = above or self._make(path)
        return self._folders[path]

    def _make(self, path: str) -> OSError | None:
        folder = self.layout.final(path)
        try:
            if path:  # At the root it is the user's.
                clear_link(self.layout, folder)
            if not os.path.isdir(folder):
                os.makedirs(folder)
                self._new.add(path)
        except FileExistsError:
            if os.path.isdir(folder):
                return None  # Another saver made it just now.
            return OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        except OSError as error:
            return error
        return None
