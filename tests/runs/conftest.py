"""What the tests of runs share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from helpers.lab import Lab
from helpers.shell import Shell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A world of its own for one test; at the end nothing that it started may be left."""
    lab = Lab(tmp_path / "lab")
    yield lab
    lab.close()


@pytest.fixture
def shell(lab: Lab) -> Shell:
    """One of several shells."""
    return Shell(lab)
