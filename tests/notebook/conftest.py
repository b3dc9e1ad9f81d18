"""What the notebook's tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from helpers.endpoint import Endpoint
    from helpers.scene import Scene


@pytest.fixture
def endpoint(scene: Scene) -> Iterator[Endpoint]:
    """The machine is managed."""
    with scene.managed() as endpoint:
        yield endpoint
