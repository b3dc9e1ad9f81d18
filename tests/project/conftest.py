"""What the tests of the project itself share: the repository, pyproject.toml, freshly built packages."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder that holds pyproject.toml."""
    assert (ROOT / "pyproject.toml").is_file(), f"{ROOT} is not the repository"
    return ROOT


@pytest.fixture(scope="session")
def project(root: Path) -> dict[str, Any]:
    """`[project]` of pyproject.toml."""
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@dataclass(frozen=True)
class Built:
    """One source distribution, and the wheel that was built from it."""

    wheel: Path
    sdist: Path


@pytest.fixture(scope="session")
def built(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Both packages, built from a copy of the repository in which things lie that must not get into them."""
    folder = tmp_path_factory.mktemp("build")
    source = folder / "colab-run"
    shutil.copytree(
        root,
        source,
        symlinks=True,
        ignore=shutil.ignore_patterns(".git", ".venv*", "dist", "__pycache__", ".*_cache", ".hypothesis"),
    )
    for name in ("results", "output"):
        shutil.rmtree(source / "examples" / "digits" / name, ignore_errors=True)
    for environment in (".venv", ".venv-dev", "env"):
        for planted in ("launcher/planted.py", "configs/planted.yaml", "tests/planted.py"):
            path = source / environment / "lib" / "python3.13" / "site-packages" / planted
            path.parent.mkdir(parents=True)
            path.write_text("# must not be packed\n", encoding="utf-8")
    for planted in ("examples/digits/output/planted.txt", "examples/torch-gpu/checkpoints/planted.pt"):
        (source / planted).parent.mkdir(parents=True, exist_ok=True)
        (source / planted).write_text("must not be packed\n", encoding="utf-8")

    made = subprocess.run(
        [sys.executable, "-I", "-m", "build", "--no-isolation", "--outdir", folder / "dist", source],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert made.returncode == 0, made.stdout
    (wheel,) = (folder / "dist").glob("*.whl")
    (sdist,) = (folder / "dist").glob("*.tar.gz")
    return Built(wheel, sdist)
