"""Which TPU is here: the environment names it, device files prove it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from helpers.catalogs import shipped
from launcher.probes.tpu import read_tpu
from launcher.values import Known, Unknown

if TYPE_CHECKING:
    from pathlib import Path

    from launcher.values import Reading

COLAB = {"COLAB_TPU_1VM": "1", "TPU_ACCELERATOR_TYPE": "v5e-1", "TPU_WORKER_ID": "0"}


@pytest.mark.parametrize(
    ("environ", "devices", "found"),
    [
        ({}, [], Known(None)),
        ({"COLAB_TPU_1VM": ""}, [], Known(None)),
        (COLAB, [], Known("v5e-1")),
        (COLAB, ["vfio/0"], Known("v5e-1")),
        ({"COLAB_TPU_1VM": "1", "TPU_ACCELERATOR_TYPE": "v6e-1"}, ["accel0"], Known("v6e-1")),
        ({"COLAB_TPU_1VM": "1"}, [], Unknown("tpu-type-not-told")),
        ({"COLAB_TPU_1VM": "1", "TPU_ACCELERATOR_TYPE": "tpu"}, [], Unknown("tpu-type-not-told")),
        ({}, ["accel0", "accel1"], Unknown("tpu-type-not-told")),
        ({}, ["vfio/vfio"], Known(None)),
        ({"TPU_ACCELERATOR_TYPE": "v4-8"}, ["accel0"], Known("v4-8")),
        ({"TPU_ACCELERATOR_TYPE": "V5LITEPOD-4"}, ["vfio/0"], Known("v5e-4")),
        ({"TPU_ACCELERATOR_TYPE": "v5e-1"}, ["null"], Unknown("tpu-device-missing")),
    ],
)
def test_environment_and_devices(
    tmp_path: Path, environ: dict[str, str], devices: list[str], found: Reading[str | None]
) -> None:
    """A name without a device is believed on a TPU runtime of Colab's only; vfio alone proves nothing."""
    for device in devices:
        path = tmp_path / "dev" / device
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert read_tpu(environ, str(tmp_path)) == found


def test_memory_comes_from_the_catalogue() -> None:
    """No driver reports it here."""
    assert shipped().tpu_memory_bytes("v5e-1") == 16 * 2**30
    assert shipped().tpu_memory_bytes("v6e-1") == 32 * 2**30
    assert shipped().tpu_memory_bytes("v4-8") is None
