"""Answers of `doctor --json`, and machines for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from helpers import fake_nvml

if TYPE_CHECKING:
    from helpers.scene import Ended, Scene

KEYS = (
    *("python", "programs", "locale", "platform", "driver", "gpus", "cgroup", "shm", "supervision", "clock"),
    *("state", "ledger", "disk", "drive", "leases", "runs", "watch", "release", "rates"),
)


def rows(ended: Ended) -> dict[str, dict[str, Any]]:
    """The rows by id, after what holds for every answer: one fix where something is amiss, none elsewhere."""
    document = ended.document
    assert document["schema_version"] == 1
    assert document["exit_code"] == ended.code
    fails = [row for row in document["rows"] if row["status"] == "fail"]
    assert ended.code == (69 if fails else 0), fails
    for row in document["rows"]:
        assert set(row) == {"id", "status", "found", "fix"}
        assert row["found"]
        assert bool(row["fix"]) == (row["status"] in ("fail", "unknown")), row
    return {row["id"]: row for row in document["rows"]}


def of(found: dict[str, dict[str, Any]], key: str) -> tuple[str, str]:
    """Status and what was found."""
    return found[key]["status"], found[key]["found"]


def driver(scene: Scene, scenario: str, *lines: str) -> dict[str, str]:
    """The environment of a machine with this driver; skips without a compiler."""
    if fake_nvml.compiler() is None:
        pytest.skip("no C compiler for the fake driver library")
    env = fake_nvml.environment(scenario, scene.folder / "nvml")
    file = fake_nvml.scenario_file(scene.folder / "nvml")
    file.write_text("\n".join([file.read_text().strip(), *lines]) + "\n")
    return env
