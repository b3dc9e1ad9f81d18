"""Which platform this is, from the environment and a few files under a given root folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.probes.model import Platform, PlatformKind
from launcher.probes.mounts import read_mounts

if TYPE_CHECKING:
    from collections.abc import Mapping

# Google's own `colab.runtime.unassign` sends its request there; no other marker proves a VM that can
# be handed back (the image's other markers are also set in containers that people run themselves).
_MANAGED_VARIABLE = "TBE_RUNTIME_ADDR"
_IMAGE_VARIABLE = "COLAB_RELEASE_TAG"
_HOST_FILE = "var/colab/hostname"
_DRIVE = "/content/drive"


def read_platform(environ: Mapping[str, str], root: str = "/") -> Platform:
    """The platform that `environ` and the files under `root` show."""
    target = environ.get(_MANAGED_VARIABLE, "").strip() or None
    if target is not None:
        kind = PlatformKind.COLAB
    elif environ.get(_IMAGE_VARIABLE) or (Path(root) / _HOST_FILE).exists():
        kind = PlatformKind.COLAB_UNMANAGED
    else:
        kind = PlatformKind.PLAIN
    return Platform(kind=kind, release_target=target, drive_mounted=_drive_is_mounted(root))


def _drive_is_mounted(root: str) -> bool:
    """True where writes below /content/drive leave this machine.

    The mount table is asked first: touching the folder of a dead mount may block for good.
    """
    try:
        return any(mount.point == _DRIVE for mount in read_mounts(root))
    except OSError:
        return os.path.ismount(Path(root) / _DRIVE.lstrip("/"))
