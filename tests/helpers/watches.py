"""Watches of a scene: how a test starts and asks them, and what it waits for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from helpers.house import NO_HOUSE, can_build
from helpers.scene import until

if TYPE_CHECKING:
    from helpers.endpoint import Endpoint
    from helpers.scene import Scene

in_a_house = pytest.mark.skipif(not can_build(), reason=NO_HOUSE)

WINDOW_S = 2.0
# Two samples, and what a busy machine takes to start a request.
LATE_S = 0.2 + 10.0
# For longer than the window nothing may be asked for.
WATCHED_S = 1.6 * WINDOW_S
# The network is everybody's, and so are terminals.
NOW = ("--idle", "2s", "--grace", "0s", "--ignore", "network,terminals")
# Where others' processes are seen, too: what is left are kernels, files, `keep` and runs.
CALM = ("--ignore", "cpu,disk,network,terminals,beat", "--dir", "quiet")
BURN = ("bash", "-c", "while :; do :; done")


def end_watches(scene: Scene) -> None:
    assert scene.run("watch", "--stop").code == 0


def start(scene: Scene, *words: str) -> float:
    """Start a watch, which has to come back at once; when it came."""
    ended = scene.run("watch", *words)
    assert ended.code == 0, ended.err
    return time.monotonic()


def watches(scene: Scene) -> list[dict[str, Any]]:
    """Every watch that somebody guards, as `ps` has it."""
    rows = scene.run("ps", "--json").document["runs"]
    return [row for row in rows if row["job"] == "watch" and row["guarded"]]


def why(scene: Scene) -> dict[str, Any]:
    """The one wait that there is, with a row for each sign."""
    (wait,) = scene.run("watch", "--why", "--json").document["waits"]
    return {**wait, "by": {row["sign"]: row for row in wait["signs"]}}


def released(endpoint: Endpoint) -> bool:
    return bool(until(lambda: endpoint.requests, "the request of an idle runtime"))


def kept(endpoint: Endpoint, seconds: float = WATCHED_S) -> None:
    """Nothing is asked for in all that time."""
    ends = time.monotonic() + seconds
    until(lambda: endpoint.requests or time.monotonic() > ends, "the end of the wait")
    assert endpoint.requests == []
