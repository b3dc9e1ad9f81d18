"""Fixtures of the tests of idle: a machine of its own, and one that is shared and calm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from helpers.house import house
from helpers.watches import end_watches

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from helpers.house import House
    from helpers.scene import Scene


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    """A house with one managed runtime in it."""
    with house(tmp_path) as built:
        yield built
        end_watches(built)
        built.close()


@pytest.fixture
def calm(scene: Scene) -> Iterator[Scene]:
    """A scene on this machine, with a folder in which nothing happens."""
    (scene.work / "quiet").mkdir()
    yield scene
    end_watches(scene)
