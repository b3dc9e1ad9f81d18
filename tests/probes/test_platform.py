"""Which platform we stand on, and whether Drive is mounted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from launcher.probes.model import PlatformKind
from launcher.probes.platform import read_platform

if TYPE_CHECKING:
    from pathlib import Path

ADDRESS = "172.28.0.1:8011"
FUSE = "50 24 0:50 / /content/drive rw,nosuid - fuse.drive drive rw,user_id=0"


def with_mounts(root: Path, *lines: str) -> str:
    (root / "proc" / "self").mkdir(parents=True)
    (root / "proc" / "self" / "mountinfo").write_text("\n".join(lines) + "\n")
    return str(root)


TAG = {"COLAB_RELEASE_TAG": "release-colab_20250902"}
KAGGLE = {"KAGGLE_KERNEL_RUN_TYPE": "Interactive"}
SLURM = {"SLURM_JOB_ID": "4711"}
JUPYTER = {"JPY_PARENT_PID": "81"}
SSH = {"SSH_CONNECTION": "192.0.2.1 50000 192.0.2.2 22"}
ENTERPRISE = {"VERTEX_PRODUCT": "COLAB_ENTERPRISE"}
MANAGED = {"TBE_RUNTIME_ADDR": ADDRESS}


@pytest.mark.parametrize(
    ("environ", "kind", "target"),
    [
        (MANAGED, PlatformKind.COLAB, ADDRESS),
        ({**MANAGED, **TAG, **JUPYTER, **KAGGLE, **SLURM, **SSH}, PlatformKind.COLAB, ADDRESS),
        ({"TBE_RUNTIME_ADDR": ""}, PlatformKind.PLAIN, None),
        ({"TBE_RUNTIME_ADDR": " "}, PlatformKind.PLAIN, None),
        ({"TBE_RUNTIME_ADDR": "", **JUPYTER}, PlatformKind.JUPYTER, None),
        (TAG, PlatformKind.COLAB_UNMANAGED, None),
        ({**TAG, **JUPYTER, **SLURM, **SSH}, PlatformKind.COLAB_UNMANAGED, None),
        ({"COLAB_GPU": ""}, PlatformKind.PLAIN, None),
        (KAGGLE, PlatformKind.KAGGLE, None),
        ({**KAGGLE, **TAG, **JUPYTER}, PlatformKind.KAGGLE, None),
        ({"KAGGLE_URL_BASE": "https://www.kaggle.com"}, PlatformKind.KAGGLE, None),
        ({"KAGGLE_USERNAME": "me", "KAGGLE_KEY": "x"}, PlatformKind.PLAIN, None),
        (ENTERPRISE, PlatformKind.COLAB_ENTERPRISE, None),
        ({**ENTERPRISE, **TAG}, PlatformKind.COLAB_ENTERPRISE, None),
        ({**ENTERPRISE, **MANAGED}, PlatformKind.COLAB_ENTERPRISE, ADDRESS),
        ({"VERTEX_PRODUCT": "WORKBENCH_INSTANCE"}, PlatformKind.PLAIN, None),
        (SLURM, PlatformKind.SLURM, None),
        ({**SLURM, **JUPYTER, **SSH}, PlatformKind.SLURM, None),
        ({"SLURM_JOB_ID": ""}, PlatformKind.PLAIN, None),
        (JUPYTER, PlatformKind.JUPYTER, None),
        ({"JUPYTERHUB_SERVICE_PREFIX": "/user/me/"}, PlatformKind.JUPYTER, None),
        ({**JUPYTER, **SSH}, PlatformKind.JUPYTER, None),
        (SSH, PlatformKind.SSH, None),
        ({}, PlatformKind.PLAIN, None),
    ],
)
def test_the_environment_tells(
    tmp_path: Path, environ: dict[str, str], kind: PlatformKind, target: str | None
) -> None:
    """Only a release address proves a machine that can be handed back; an image's tag does not."""
    platform = read_platform(environ, str(tmp_path))
    assert (platform.kind, platform.release_target) == (kind, target)
    assert platform.managed is (target is not None)
    assert platform.on_colab is (kind is PlatformKind.COLAB), "an image on one's own box has no menu"


def test_the_host_file_tells(tmp_path: Path) -> None:
    """A scrubbed environment (ssh) on a Colab machine is still Colab, but cannot be handed back."""
    (tmp_path / "var" / "colab").mkdir(parents=True)
    (tmp_path / "var" / "colab" / "hostname").touch()
    for environ in ({}, TAG):
        platform = read_platform(environ, str(tmp_path))
        assert (platform.kind, platform.on_colab) == (PlatformKind.COLAB_UNMANAGED, True)


def test_drive_is_mounted(tmp_path: Path) -> None:
    """The mount table says so."""
    assert read_platform({}, with_mounts(tmp_path, FUSE)).drive_mounted


@pytest.mark.parametrize("line", ["", "50 24 0:50 / /content/drive2 rw - fuse.drive drive rw"])
def test_a_folder_named_drive_is_not_drive(tmp_path: Path, line: str) -> None:
    """What is written below an unmounted /content/drive goes with the machine."""
    (tmp_path / "content" / "drive" / "MyDrive").mkdir(parents=True)
    assert not read_platform({}, with_mounts(tmp_path, line)).drive_mounted


def test_no_mount_table(tmp_path: Path) -> None:
    """Without /proc a plain folder is still not a mount."""
    (tmp_path / "content" / "drive").mkdir(parents=True)
    assert not read_platform({}, str(tmp_path)).drive_mounted
