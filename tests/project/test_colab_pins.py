"""Installing colab-run into a Colab runtime changes nothing that is preinstalled there.

The lists of what is preinstalled are in tests/assets/colab. pip answers the question itself, with `--dry-run`
and a report; where no package index can be reached these tests skip.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

if TYPE_CHECKING:
    from conftest import Built

COLAB_PYTHON = "3.13"
# What may be new on each image.
MAY_ADD = {
    "gpu": {"colab-run"},
    "cpu": {"colab-run", "nvidia-ml-py"},
    "tpu": {"colab-run", "nvidia-ml-py"},
}


def pins(root: Path, image: str) -> dict[str, str]:
    """Normalised name -> version, of one image."""
    path = root / "tests" / "assets" / "colab" / f"constraints.{image}.txt"
    rows = [line.split("==") for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return {canonicalize_name(name): version for name, version in rows}


def pip(python: str | Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """pip of one interpreter, without questions and without a word about its own version."""
    return subprocess.run(
        [python, "-I", "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def would_install(python: str | Path, report: Path, *arguments: str | Path) -> dict[str, str]:
    """Normalised name -> version of what `pip install ARGUMENTS` would put there."""
    done = pip(python, "install", "--quiet", "--dry-run", "--report", report, *arguments)
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads(report.read_text(encoding="utf-8"))["install"]
    return {canonicalize_name(row["metadata"]["name"]): row["metadata"]["version"] for row in rows}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skips where pip itself is missing or finds no package index."""
    target = tmp_path_factory.mktemp("index")
    asked = ["install", "--dry-run", "--no-deps", "--ignore-installed", "--retries", "1", "--timeout", "15"]
    done = pip(sys.executable, *asked, "--target", target, "typer")
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        pytest.skip(f"no package index can be reached: {last}")


def colab_python() -> Path | None:
    """A working Python of Colab's version on this machine: running us, on PATH, or kept by pyenv."""
    if sys.version_info[:2] == tuple(map(int, COLAB_PYTHON.split("."))):
        return Path(sys.executable)
    name = f"python{COLAB_PYTHON}"
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [shutil.which(name), *sorted(versions.glob(f"{COLAB_PYTHON}.*/bin/{name}"))]
    for candidate in filter(None, candidates):
        # pyenv puts a stand-in on PATH that fails for a version that is not switched on: ask it.
        works = subprocess.run([candidate, "-Ic", "import venv, ensurepip"], capture_output=True, check=False)
        if works.returncode == 0:
            return Path(candidate)
    return None


@pytest.mark.parametrize("image", MAY_ADD)
def test_lower_bounds_are_met_by_the_image(image: str, root: Path, project: dict[str, Any]) -> None:
    """Every dependency is preinstalled in a version that we accept, and none has an upper bound."""
    pinned = pins(root, image)
    for text in project["dependencies"]:
        requirement = Requirement(text)
        name = canonicalize_name(requirement.name)
        assert [one.operator for one in requirement.specifier] == [">="], f"{text}: lower bounds only"
        if name in MAY_ADD[image]:
            continue
        assert name in pinned, f"{text}: the {image} image has no {name}"
        assert requirement.specifier.contains(Version(pinned[name])), (
            f"{text}: the {image} image has {pinned[name]}"
        )


@pytest.mark.usefixtures("index")
@pytest.mark.parametrize("image", MAY_ADD)
def test_everything_resolves_to_what_the_image_has(
    image: str, root: Path, built: Built, tmp_path: Path
) -> None:
    """Resolved from nothing for Colab's Python and Linux, every other distribution is the pinned one."""
    platforms = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
    resolved = would_install(
        sys.executable,
        tmp_path / "report.json",
        *("--ignore-installed", "--target", tmp_path / "target"),
        *("--python-version", COLAB_PYTHON, "--only-binary=:all:"),
        *(word for platform in platforms for word in ("--platform", platform)),
        *("--constraint", root / "tests" / "assets" / "colab" / f"constraints.{image}.txt"),
        built.wheel,
    )
    pinned = pins(root, image)
    assert "colab-run" in resolved
    assert len(resolved) > 1, "no dependency was resolved: this would prove nothing"
    new = {name: version for name, version in resolved.items() if pinned.get(name) != version}
    assert set(new) <= MAY_ADD[image], f"would change the {image} image: {new}"


@pytest.mark.usefixtures("index")
@pytest.mark.parametrize("image", MAY_ADD)
def test_installing_into_the_image_adds_only_ourselves(
    image: str, root: Path, built: Built, project: dict[str, Any], tmp_path: Path
) -> None:
    """A real environment of Colab's Python with the pinned packages: pip would add nothing else."""
    python = colab_python()
    if python is None:
        pytest.skip(f"no working Python {COLAB_PYTHON} on this machine")
    subprocess.run([python, "-m", "venv", tmp_path / "colab"], check=True, timeout=120)
    inside = tmp_path / "colab" / "bin" / "python"
    names = [Requirement(text).name for text in project["dependencies"]]
    present = [name for name in names if canonicalize_name(name) not in MAY_ADD[image]]
    constraints = root / "tests" / "assets" / "colab" / f"constraints.{image}.txt"
    made = pip(inside, "install", "--quiet", "--constraint", constraints, *present)
    assert made.returncode == 0, made.stderr

    added = would_install(inside, tmp_path / "report.json", built.wheel)
    assert "colab-run" in added
    assert set(added) <= MAY_ADD[image], f"would change the {image} image: {added}"
