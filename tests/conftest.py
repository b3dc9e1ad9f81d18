"""Fixtures that more than one folder of tests uses."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from helpers.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


# `nohup make test &` and some CI runners start us with these ignored, and children inherit that: no
# test would be the one that it seems to be.
for _number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.SIG_DFL)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """A world of its own for one test; at the end nothing that it started may be left."""
    scene = Scene(tmp_path)
    yield scene
    scene.close()
