"""A folder of our own for as long as a save takes, and the tree of links that a tool is given to copy."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PREFIX = ".colab-run-"


@contextmanager
def scratch(parent: str, purpose: str) -> Iterator[str]:
    """A new private folder in `parent`, gone afterwards, as is what a killed one of that purpose left."""
    prefix = f"{_PREFIX}{_digest(purpose)}-"
    for name in os.listdir(parent):
        if name.startswith(prefix):
            _remove(os.path.join(parent, name))
    folder = os.path.join(parent, prefix + os.urandom(6).hex())
    os.mkdir(folder, 0o700)
    try:
        yield folder
    finally:
        _remove(folder)


def temporary_folder(environ: Mapping[str, str]) -> str:
    """Where the user wants temporary files."""
    wanted = environ.get("TMPDIR", "")
    return wanted if os.path.isabs(wanted) and os.access(wanted, os.W_OK | os.X_OK) else "/tmp"  # noqa: S108


def tree_of_links(folder: str, files: Mapping[str, str]) -> str:
    """A new folder under `folder` with a symbolic link for each path; every tool here follows them.

    No hard links: those would change the ctime of the files, by which we tell what a run has made.
    """
    tree = os.path.join(folder, os.urandom(4).hex())
    os.mkdir(tree)
    for path, source in files.items():
        place = os.path.join(tree, path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        os.symlink(source, place)
    return tree


def _digest(purpose: str) -> str:
    import hashlib

    return hashlib.sha256(os.fsencode(purpose)).hexdigest()[:16]


def _remove(folder: str) -> None:
    """If it is ours: in /tmp others may have made one of that name."""
    from shutil import rmtree

    try:
        status = os.lstat(folder)
    except OSError:
        return
    if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid():
        rmtree(folder, ignore_errors=True)
