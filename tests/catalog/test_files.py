"""Finding the data files, and what happens to a copy that somebody edited."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from launcher.catalog.files import find_configs
from launcher.catalog.load import load_catalog
from launcher.errors import UsageError


@pytest.fixture
def own_copy(tmp_path: Path) -> Path:
    """The shipped files in a folder of the user's."""
    return Path(shutil.copytree(find_configs({}), tmp_path / "my configs ü"))


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def test_the_files_are_found_without_being_named() -> None:
    """An installed colab-run has its data with it, from any working folder."""
    folder = find_configs({})
    assert (folder / "accelerators.yaml").is_file()
    assert (folder / "platforms" / "colab.yaml").is_file()


def test_a_named_folder_wins(own_copy: Path) -> None:
    """COLAB_RUN_CONFIGS replaces the shipped files, so rates can be corrected without a new release."""
    edit(own_copy / "platforms" / "colab.yaml", "give_up_after: 5m", "give_up_after: 1.5s")
    edit(own_copy / "platforms" / "colab.yaml", 'checked: "2026-09-27"', "checked: 2026-11-01")
    catalog = load_catalog(find_configs({"COLAB_RUN_CONFIGS": str(own_copy)}))
    assert catalog.colab.release.give_up_after_s == 1.5
    assert catalog.colab.unit_price.checked == "2026-11-01"


def test_a_named_folder_that_is_wrong_is_said_so(tmp_path: Path) -> None:
    """A folder without the data is never passed over in silence for the shipped one."""
    with pytest.raises(UsageError, match=r"no accelerators\.yaml"):
        find_configs({"COLAB_RUN_CONFIGS": str(tmp_path)})


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("memory: 15360MiB", "memory: 15360", r"accelerators\.T4\.memory"),
        ("memory: 15360MiB", "memory: a lot", r"accelerators\.T4\.memory"),
        ("bandwidth: 320", "bandwidth: .nan", r"accelerators\.T4\.bandwidth"),
        ("bandwidth: 320", "bandwidth: yes", r"accelerators\.T4\.bandwidth"),
        ("capability: 7.5", "capability: 7.55", r"accelerators\.T4\.capability"),
        ('"Tesla T4"', '"Tesla (T4"', r"accelerators\.T4\.names"),
        ("covers: [T4]", "covers: [T5]", "covers T5"),
        ("accelerators:", "accelerators: [", r"accelerators\.yaml cannot be read"),
        ("accelerators:", "others:", r"accelerators: the value is missing"),
    ],
)
def test_a_slip_in_an_edited_file_is_named_with_its_place(
    own_copy: Path, old: str, new: str, where: str
) -> None:
    """A user's own copy can be wrong: the answer is the place and what to write, never a traceback."""
    edit(own_copy / "accelerators.yaml", old, new)
    with pytest.raises(UsageError, match=where):
        load_catalog(own_copy)


def test_a_missing_platform_file_is_named(own_copy: Path) -> None:
    """A folder with half of the files is an error that names the missing one."""
    (own_copy / "platforms" / "colab.yaml").unlink()
    with pytest.raises(UsageError, match=r"colab\.yaml cannot be read"):
        load_catalog(own_copy)


def test_a_runtime_with_a_gpu_that_no_row_describes_is_an_error(own_copy: Path) -> None:
    """The two files hold together."""
    edit(own_copy / "platforms" / "colab.yaml", "gpu: L4", "gpu: L5")
    with pytest.raises(UsageError, match=r"runtimes\.l4\.gpu"):
        load_catalog(own_copy)
