"""Files that a run made and that exist nowhere else: they would go with the machine.

Found by change time (ctime), which no program can set back: everything under the workdir, on the
same file system, that changed after `setup` ended. Caches, virtual environments, core files and our
own state are no results.
"""

from __future__ import annotations

import os
import re
import stat

from launcher.saving.interface import Unsaved

CACHES = frozenset(
    ("__pycache__", ".cache", ".ipynb_checkpoints", ".pytest_cache", ".mypy_cache", ".ruff_cache")
).union(("node_modules", ".npm"))
CORE = re.compile(r"\Acore(\.[0-9]+)?\Z")


def find_unsaved(workdir: str, since_ns: int, *, without: frozenset[tuple[int, int]]) -> Unsaved:
    """What changed under `workdir` at or after `since_ns` (see Clock.file_tick_ns).

    `without` are (device, inode) pairs that are not results: our state folder, the result file, and
    files that our own output was redirected to. Empty files and links hold nothing.
    """
    found: list[tuple[str, int]] = []
    try:
        device = os.stat(workdir).st_dev
    except OSError:
        return Unsaved(())
    for folder, names, files in os.walk(workdir, onerror=None):
        names[:] = [name for name in names if _to_visit(os.path.join(folder, name), device, without)]
        for name in files:
            size = _changed_size(os.path.join(folder, name), since_ns, without)
            if size and not CORE.match(name) and not _is_git_index(folder, name):
                found.append((os.path.relpath(os.path.join(folder, name), workdir), size))
    found.sort(key=lambda row: (-row[1], row[0]))
    return Unsaved(tuple(found))


def _to_visit(folder: str, device: int, without: frozenset[tuple[int, int]]) -> bool:
    if os.path.basename(folder) in CACHES:
        return False
    try:
        status = os.lstat(folder)
    except OSError:
        return False
    if status.st_dev != device or (status.st_dev, status.st_ino) in without:
        return False
    return not os.path.exists(os.path.join(folder, "pyvenv.cfg"))


def _changed_size(path: str, since_ns: int, without: frozenset[tuple[int, int]]) -> int:
    try:
        status = os.lstat(path)
    except OSError:
        return 0
    if not stat.S_ISREG(status.st_mode) or status.st_ctime_ns < since_ns:
        return 0
    return 0 if (status.st_dev, status.st_ino) in without else status.st_size


def _is_git_index(folder: str, name: str) -> bool:
    """A tool that asks for the commit id refreshes it; the objects and branches beside it do count."""
    return name == "index" and os.path.basename(folder) == ".git"


def identity(path_or_descriptor: str | int) -> tuple[int, int] | None:
    """(device, inode) for `without`, or None."""
    try:
        status = os.stat(path_or_descriptor)
    except OSError:
        return None
    return status.st_dev, status.st_ino
