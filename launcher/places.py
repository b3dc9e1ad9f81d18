"""Where the paths of a job file lead. Little is imported here: the guard needs it all its life."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launcher.probes.model import Platform

DRIVE = "/content/drive"


def resolve(path: str, workdir: str) -> str:
    """A path of the job file as an absolute one: `~` is the home folder, the rest is under the workdir."""
    return os.path.normpath(os.path.join(workdir, os.path.expanduser(path)))


def is_under(path: str, folder: str) -> bool:
    """Is it the folder, or something in it?"""
    return path == folder or path.startswith(folder + "/")


def is_on_drive(path: str, platform: Platform) -> bool:
    """Does it lie on the mounted Drive, which outlives the machine?"""
    return platform.drive_mounted and is_under(os.path.realpath(path), DRIVE)
