"""What the tests of a release share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from helpers.house import house

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from helpers.house import House


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    """A house with one managed runtime in it."""
    with house(tmp_path) as built:
        yield built
        built.close()
