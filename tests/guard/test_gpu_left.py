"""After the end: who holds GPU memory and did not before. A driver of a few lines of C stands in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from helpers import fake_nvml

if TYPE_CHECKING:
    from helpers.lab import Lab

needs_driver = pytest.mark.skipif(fake_nvml.compiler() is None, reason="no C compiler for the fake driver")


def run(lab: Lab, before: str, after: str) -> object:
    """`gpu_processes_left` of a run at whose start the driver says `before`, and `after` at its end."""
    driver = fake_nvml.environment(before, lab.folder / "driver")
    job = f'echo {after} > "$FAKE_NVML_FILE"'
    end = lab.run("exec", "--json", "--", "sh", "-c", job, env=driver)
    assert end.code == 0, end.err
    return end.document["gpu_processes_left"]


@needs_driver
def test_who_holds_gpu_memory_afterwards_is_told(lab: Lab) -> None:
    """The pids are those of the driver; a size that it does not tell is unknown, not 0."""
    left = run(lab, "t4", "busy-t4")
    assert [row["pid"] for row in left] == [4242, 4343]
    assert left[0]["memory_bytes"] > 0
    assert left[1]["memory_bytes"] == {"unknown": "not-available"}


@needs_driver
def test_who_held_it_before_is_not_the_jobs(lab: Lab) -> None:
    """Somebody else's notebook."""
    assert run(lab, "busy-t4", "busy-t4") == []


@needs_driver
def test_a_gpu_that_is_left_clean(lab: Lab) -> None:
    """Nothing to tell is an empty list."""
    assert run(lab, "t4", "t4") == []


@needs_driver
def test_a_driver_that_hangs_at_the_end(lab: Lab) -> None:
    """Unknown, after a deadline; the run has its own code."""
    assert run(lab, "t4", "hang") == {"unknown": "timeout"}


def test_no_gpu_at_all(lab: Lab) -> None:
    """Absent hardware is known to be absent."""
    assert lab.run("exec", "--json", "--", "true").document["gpu_processes_left"] == []
