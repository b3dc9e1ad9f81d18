"""Fixtures that more than one folder of tests uses."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from helpers.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


# `nohup make test &` and some CI runners start us with these ignored, and children inherit that: no
# test would be the one that it seems to be.
for _number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.SIG_DFL)


# A process that is suspended for a moment says nothing about the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """A world of its own for one test; at the end nothing that it started may be left."""
    scene = Scene(tmp_path)
    yield scene
    scene.close()
