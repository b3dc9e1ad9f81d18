"""Which TPU this runtime has, from its environment and its device files; no library is asked.

Loading one would take the TPU from the job, since a single process may hold it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.values import Known, Reading, Unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

# `v5litepod-4` is Google Cloud's name of what Colab calls `v5e-4`.
_TYPE = re.compile(r"v[0-9]+[a-z]*-[0-9]{1,4}")
_CLOUD_NAMES = (("v5litepod-", "v5e-"), ("v5lite-", "v5e-"))
# COLAB_TPU_ADDR named a TPU on another machine, which Colab no longer has.
_VM_VARIABLE = "COLAB_TPU_1VM"
_TYPE_VARIABLE = "TPU_ACCELERATOR_TYPE"
# The driver's devices: one for each chip up to v4, groups of vfio since, which other devices use too.
_OWN_DEVICES, _SHARED_DEVICES = "dev/accel*", "dev/vfio/*"


def read_tpu(environ: Mapping[str, str], root: str = "/") -> Reading[str | None]:
    """The name of the slice, such as `v5e-1`; Known(None) where nothing shows a TPU.

    `Unknown("tpu-type-not-told")` where one is here and nobody says which, `Unknown("tpu-device-missing")`
    where a variable names one on a machine that has no such device and is no TPU runtime of Colab's.
    """
    named = environ.get(_TYPE_VARIABLE, "").strip().lower()
    for cloud, ours in _CLOUD_NAMES:
        named = ours + named.removeprefix(cloud) if named.startswith(cloud) else named
    is_vm = environ.get(_VM_VARIABLE, "").strip() == "1"
    has_device = _exists(root, _OWN_DEVICES)
    if not (named or is_vm or has_device):
        return Known(None)
    if not _TYPE.fullmatch(named):
        return Unknown("tpu-type-not-told")
    if not (is_vm or has_device or _exists(root, _SHARED_DEVICES)):
        return Unknown("tpu-device-missing")
    return Known(named)


def _exists(root: str, pattern: str) -> bool:
    return any(Path(root).glob(pattern))
