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
_HOST_FILE = "var/colab/hostname"
_DRIVE = "/content/drive"

# The first row of which one variable is set and not empty holds, after Colab Enterprise and managed Colab.
# Kaggle's image has google.colab and /content too, so it is asked about before Colab's image; a notebook
# inside a Slurm allocation is in the allocation, and one on a machine reached by SSH is a notebook.
_KAGGLE = ("KAGGLE_KERNEL_RUN_TYPE", "KAGGLE_URL_BASE")
_IMAGE = ("COLAB_RELEASE_TAG",)
_ELSEWHERE = (
    (PlatformKind.SLURM, ("SLURM_JOB_ID",)),
    (PlatformKind.JUPYTER, ("JPY_PARENT_PID", "JUPYTERHUB_SERVICE_PREFIX", "JUPYTERHUB_API_URL")),
    (PlatformKind.SSH, ("SSH_CONNECTION",)),
)


def read_platform(environ: Mapping[str, str], root: str = "/") -> Platform:
    """The platform that `environ` and the files under `root` show."""
    target = environ.get(_MANAGED_VARIABLE, "").strip() or None
    kind = _kind(environ, root, managed=target is not None)
    return Platform(
        kind=kind,
        release_target=target,
        drive_mounted=_drive_is_mounted(root),
        host_file=(Path(root) / _HOST_FILE).exists(),
    )


def _kind(environ: Mapping[str, str], root: str, *, managed: bool) -> PlatformKind:
    def has(names: tuple[str, ...]) -> bool:
        return any(environ.get(name, "").strip() for name in names)

    if environ.get("VERTEX_PRODUCT") == "COLAB_ENTERPRISE":
        return PlatformKind.COLAB_ENTERPRISE
    if managed:
        return PlatformKind.COLAB
    if has(_KAGGLE):
        return PlatformKind.KAGGLE
    if has(_IMAGE) or (Path(root) / _HOST_FILE).exists():
        return PlatformKind.COLAB_UNMANAGED
    return next((kind for kind, names in _ELSEWHERE if has(names)), PlatformKind.PLAIN)


def _drive_is_mounted(root: str) -> bool:
    """True where writes below /content/drive leave this machine.

    The mount table is asked first: touching the folder of a dead mount may block for good.
    """
    try:
        return any(mount.point == _DRIVE for mount in read_mounts(root))
    except OSError:
        return os.path.ismount(Path(root) / _DRIVE.lstrip("/"))
