"""Files that change: the newest below some folders, found by a walk that is done a little at a time.

A walk over a large tree takes many calls; then it begins anew. So a change is seen one whole walk after it
was made, at the latest. Of a tree that has more than MOST_IN_WALK entries only so many are seen, those near
the top first: a data set must not keep a job that writes nothing looking alive. Taken are change times
(ctime), which no program can set, and modification times; neither in the future, where they are after the
clock was set back: they would hide each change until then.
"""

from __future__ import annotations

import os
import stat
import time
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any

from launcher.values import Known, Reading, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

# One call does no more than this, whichever comes first: a look is to cost a few milliseconds.
MOST_ENTRIES = 1000
BUDGET_S = 0.005
# And a walk no more than this: five minutes at the default period.
MOST_IN_WALK = 20_000
# Clocks are corrected by so much without anybody having set them.
CLOCK_SLACK_S = 60.0
# So many entries are one step.
_AT_ONCE = 32
_LONGEST_PATH = 200
# What changes by itself, and what nobody's work is: as launcher/saving/unsaved.py has it, and `.git`.
_NOT_ENTERED = frozenset(
    ("__pycache__", ".cache", ".ipynb_checkpoints", ".pytest_cache", ".mypy_cache", ".ruff_cache")
).union(("node_modules", ".npm", ".git", "site-packages", "conda-meta"))


def files_reader(
    folders: Collection[str],
    skip: Collection[str] = (),
    *,
    most_entries: int = MOST_ENTRIES,
    most_in_walk: int = MOST_IN_WALK,
    budget_s: float = BUDGET_S,
    wall: Callable[[], float] = time.time,
) -> Callable[[], Reading[Any]]:
    """Reads `{"newest", "path", "walked", "cycles", "entries"}` of everything below `folders`.

    `newest` is the newest time of change that was seen (epoch seconds, null for none), `path` whose it is
    (from its folder on); `walked` is when the last whole walk ended (null before), `cycles` how many have,
    `entries` how many files and folders it saw. Folders that are not there yet are empty; links are not
    followed, other file systems not entered. `skip` are files and folders that do not count.
    """
    return _Walk(folders, skip, most_entries, most_in_walk, budget_s, wall)


class _Walk:
    def __init__(
        self,
        folders: Collection[str],
        skip: Collection[str],
        most_entries: int,
        most_in_walk: int,
        budget_s: float,
        wall: Callable[[], float],
    ) -> None:
        self._roots = tuple(dict.fromkeys(os.path.realpath(folder) for folder in folders))
        self._skip = frozenset(os.path.realpath(path) for path in skip)
        # Ours that come and go, or are replaced, change the folder that they are in.
        self._quiet = frozenset(os.path.dirname(path) for path in self._skip)
        self._most_entries, self._most_in_walk = most_entries, most_in_walk
        self._budget_s, self._wall = budget_s, wall
        self._steps: Iterator[None] | None = None
        self._newest, self._root, self._path = 0.0, "", ""
        self._now = 0.0
        self._seen = self._entries = self._cycles = 0
        self._walked: float | None = None

    def __call__(self) -> Reading[Any]:
        try:
            self._go_on()
        except OSError:
            self._steps = None
            return Unknown("not-readable")
        shown = os.path.relpath(self._path, self._root) if self._path else ""
        if len(shown) > _LONGEST_PATH:
            shown = f"…{shown[-_LONGEST_PATH:]}"
        return Known(
            {
                "newest": self._newest or None,
                "path": shown.encode("utf-8", "replace").decode(),
                "walked": self._walked,
                "cycles": self._cycles,
                "entries": self._entries if self._cycles else self._seen,
            }
        )

    def _go_on(self) -> None:
        """The next part of this walk, or the first of another."""
        if self._steps is None:
            self._steps, self._seen = self._walk(), 0
        self._now = self._wall()
        if self._newest > self._now + CLOCK_SLACK_S:
            self._newest, self._root, self._path = 0.0, "", ""
        deadline, enough = time.monotonic() + self._budget_s, self._seen + self._most_entries
        for _ in self._steps:
            if self._seen >= self._most_in_walk:
                break
            if self._seen >= enough or time.monotonic() >= deadline:
                return
        self._steps = None
        self._entries, self._cycles = self._seen, self._cycles + 1
        self._walked = self._wall()

    def _walk(self) -> Iterator[None]:
        """A step is a few files, or a folder. Raises OSError where one of the roots cannot be read."""
        for root in self._roots:
            try:
                status = os.stat(root)
            except (FileNotFoundError, NotADirectoryError):
                continue
            self._note(root, root, status)
            if not stat.S_ISDIR(status.st_mode):
                continue
            os.scandir(root).close()
            waiting = deque((root,))
            while waiting:
                yield from self._folder(waiting.popleft(), root, status.st_dev, waiting)
                yield

    def _folder(self, folder: str, root: str, device: int, waiting: deque[str]) -> Iterator[None]:
        if folder != root and os.path.lexists(f"{folder}/pyvenv.cfg"):
            return
        try:
            with os.scandir(folder) as entries:
                while some := list(islice(entries, _AT_ONCE)):
                    for entry in some:
                        self._take(entry, root, device, waiting)
                    yield
        except OSError:
            return  # Gone meanwhile, or somebody else's: nobody could list it.

    def _take(self, entry: os.DirEntry[str], root: str, device: int, waiting: deque[str]) -> None:
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError:
            return
        path = entry.path
        if status.st_dev != device or path in self._skip:
            return
        if stat.S_ISDIR(status.st_mode):
            # A root of its own has a walk of its own.
            if entry.name in _NOT_ENTERED or path in self._roots:
                return
            waiting.append(path)
        self._note(path, root, status)

    def _note(self, path: str, root: str, status: os.stat_result) -> None:
        self._seen += 1
        changed = status.st_ctime
        if changed < status.st_mtime <= self._now:
            changed = status.st_mtime
        if self._newest < changed <= self._now + CLOCK_SLACK_S and path not in self._quiet:
            self._newest, self._root, self._path = changed, root, path
