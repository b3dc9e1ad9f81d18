"""What surrounds the checks, and how paths are shown: by variable or `~`, never by a person's name."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.errors import StateFolderError
from launcher.guard.folder import state_folder
from launcher.release import place

if TYPE_CHECKING:
    import datetime
    from collections.abc import Mapping

    from launcher.catalog.model import Catalog
    from launcher.probes.model import Platform


@dataclass(frozen=True, slots=True)
class Around:
    """The machine as the checks see it. `root` is the folder below which /proc, /sys and /dev are."""

    environ: Mapping[str, str]
    catalog: Catalog
    platform: Platform
    workdir: str
    today: datetime.date
    root: str = "/"
    leases: str = place.FOLDER
    temporary: str = "/tmp"  # noqa: S108 - where sockets of guards are, see guard/meeting.py
    drive: str = "/content/drive"

    @property
    def home(self) -> str | None:
        """The state folder, whether it exists or not; None where no home is known."""
        try:
            return state_folder(self.environ)
        except StateFolderError:
            return None


def nearest(path: str) -> str:
    """The folder itself, or the nearest above it that exists. May hang on a network file system."""
    while not os.path.isdir(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    return path
