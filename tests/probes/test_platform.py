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


@pytest.mark.parametrize(
    ("environ", "kind", "target"),
    [
        ({"TBE_RUNTIME_ADDR": ADDRESS}, PlatformKind.COLAB, ADDRESS),
        ({"TBE_RUNTIME_ADDR": ADDRESS, "COLAB_RELEASE_TAG": "x"}, PlatformKind.COLAB, ADDRESS),
        ({"TBE_RUNTIME_ADDR": ""}, PlatformKind.PLAIN, None),
        ({"TBE_RUNTIME_ADDR": " "}, PlatformKind.PLAIN, None),
        ({"COLAB_RELEASE_TAG": "release-colab_20250902"}, PlatformKind.COLAB_UNMANAGED, None),
        ({"COLAB_GPU": ""}, PlatformKind.PLAIN, None),
        ({"KAGGLE_KERNEL_RUN_TYPE": "Interactive"}, PlatformKind.PLAIN, None),
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


def test_the_host_file_tells(tmp_path: Path) -> None:
    """A scrubbed environment (ssh) on a Colab machine is still Colab, but cannot be handed back."""
    (tmp_path / "var" / "colab").mkdir(parents=True)
    (tmp_path / "var" / "colab" / "hostname").touch()
    assert read_platform({}, str(tmp_path)).kind is PlatformKind.COLAB_UNMANAGED


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
