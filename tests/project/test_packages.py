"""What users get: the installed package under test, and what the wheel and the source distribution hold."""

from __future__ import annotations

import sysconfig
import tarfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import launcher

if TYPE_CHECKING:
    from conftest import Built

MAKE = "run the tests with `make test`"


def test_the_installed_wheel_is_what_is_tested(root: Path) -> None:
    """Not the source tree, and not an editable install of it."""
    tested = Path(launcher.__file__).resolve()
    places = {Path(sysconfig.get_path(key)).resolve() for key in ("purelib", "platlib")}
    assert any(place in tested.parents for place in places), f"{tested} is not in site-packages: {MAKE}"
    assert root / "launcher" not in tested.parents, f"{tested} is the source tree: {MAKE}"


def test_the_installed_files_are_those_of_the_source(root: Path) -> None:
    """A forgotten rebuild would test yesterday's code."""
    source, installed = root / "launcher", Path(launcher.__file__).resolve().parent

    def contents(folder: Path) -> dict[str, bytes]:
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.py")}

    ours, theirs = contents(source), contents(installed)
    assert ours, f"no source was found in {source}"
    differing = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
    assert not differing, f"installed and source differ in {differing}: {MAKE}"


def test_the_installed_package_has_its_data(root: Path) -> None:
    """The rows of configs/ are found beside the installed package, byte for byte."""
    installed = Path(launcher.__file__).resolve().parent / "_configs"
    data = [path for path in (root / "configs").rglob("*") if path.is_file()]
    assert data, "configs/ is empty"
    for path in data:
        copy = installed / path.relative_to(root / "configs")
        assert copy.is_file(), f"{copy} is missing: {MAKE}"
        assert copy.read_bytes() == path.read_bytes(), f"{copy} is not what configs/ holds: {MAKE}"


def test_wheel_contents(built: Built, root: Path) -> None:
    """The package, its types marker and its data; no test, and nothing at the top level but launcher/."""
    with zipfile.ZipFile(built.wheel) as wheel:
        names = set(wheel.namelist())
        metadata_folder = next(name for name in names if name.endswith(".dist-info/METADATA")).split("/")[0]
        metadata = wheel.read(f"{metadata_folder}/METADATA").decode()
        entry_points = wheel.read(f"{metadata_folder}/entry_points.txt").decode()
    assert {PurePosixPath(name).parts[0] for name in names} == {"launcher", metadata_folder}
    assert "launcher/py.typed" in names
    for folder, prefix in (("launcher", "launcher"), ("configs", "launcher/_configs")):
        for path in (root / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert f"{prefix}/{path.relative_to(root / folder).as_posix()}" in names
    assert not [name for name in names if "planted" in name or "tests" in PurePosixPath(name).parts]
    assert f"{metadata_folder}/licenses/LICENSE" in names
    assert "License-Expression: Apache-2.0" in metadata
    assert entry_points.split() == ["[console_scripts]", "colab-run", "=", "launcher.__main__:main"]


def test_sdist_contents(built: Built) -> None:
    """All that is needed to build and test, and no virtual environment or example result that lay around."""
    with tarfile.open(built.sdist) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    for needed in (
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "Makefile",
        "launcher/__init__.py",
        "tests/project/test_packages.py",
        "tests/assets/colab/constraints.gpu.txt",
        "examples/digits/job.yaml",
    ):
        assert needed in names, f"{needed} is missing"
    assert any(name.startswith("configs/") for name in names)
    assert not [name for name in sorted(names) if "planted" in name or "site-packages" in name]
