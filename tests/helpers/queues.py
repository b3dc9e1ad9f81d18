"""Queues of a scene: job files that leave marks, and what a test looks at."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.ours import GUARD, WATCHER, is_dead, name_of
from helpers.scene import until

if TYPE_CHECKING:
    from helpers.scene import Scene

# Each start of a job is a line; a gated one waits for a file.
MARK = 'echo "$NAME" >> marks; '
GATED = MARK + 'until [ -e "gate-$NAME" ]; do sleep 0.02; done; '
ALWAYS = {"when": "always", "grace": "0s", "unsaved": "discard"}


def job(
    scene: Scene,
    name: str,
    run: str = "",
    *,
    gated: bool = False,
    argv: list[str] | None = None,
    **keys: object,
) -> str:
    """Write NAME.yaml, whose job leaves its name in `marks`; the file's name."""
    document: dict[str, Any] = {
        "run": (GATED if gated else MARK) + run,
        "env": {"NAME": name},
        "stop_grace": "1s",
        "release": ALWAYS,
        **keys,
    }
    if argv is not None:
        document["run"] = argv
    return scene.write_job(json.dumps(document), f"{name}.yaml")


def marks(scene: Scene) -> list[str]:
    """Which jobs were started, in order."""
    path = scene.work / "marks"
    return path.read_text().split() if path.exists() else []


def until_marked(scene: Scene, *names: str) -> None:
    until(lambda: set(names) <= set(marks(scene)), f"the start of {names}")


def open_gate(scene: Scene, name: str) -> None:
    """Let a gated job go on."""
    (scene.work / f"gate-{name}").touch()


def queue_of(scene: Scene) -> dict[str, Any]:
    """The last document of the one queue; empty before there is one."""
    return next((found for found in scene.results() if "queue_id" in found), {})


def runs_of(scene: Scene) -> list[dict[str, Any]]:
    """The documents of its runs."""
    return [found for found in scene.results() if "queue_id" not in found]


def until_done(scene: Scene) -> dict[str, Any]:
    """The queue's document once it has its exit code."""
    return until(lambda: found if (found := queue_of(scene)).get("state") == "done" else None, "its end")


def stands(document: dict[str, Any]) -> list[str]:
    """How the runs of a queue stand, in order."""
    return [run["stands"] for run in document["runs"]]


def ours_of(scene: Scene, run_id: str) -> tuple[int, int]:
    """(watcher, guard) of a run or a queue: its guard has the socket of that name."""
    (row,) = [row for row in scene.run("ps", "--json").document["runs"] if row["run_id"] == run_id]
    guard = int(row["guard_pid"])
    parent = int(Path(f"/proc/{guard}/stat").read_text().rpartition(")")[2].split()[1])
    assert name_of(guard) == GUARD
    assert name_of(parent) == WATCHER
    return parent, guard


def kill_all(*pids: int) -> None:
    """SIGKILL, at once, and wait for the ends."""
    for pid in pids:
        os.kill(pid, 9)
    until(lambda: all(map(is_dead, pids)), f"the end of {pids}")
