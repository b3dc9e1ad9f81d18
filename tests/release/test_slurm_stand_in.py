"""`with: slurm` through stand-ins for `squeue` and `scancel`: what is cancelled, and what counts as gone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from launcher.release.slurm import Slurm, job_of
from launcher.values import Known, Reading, Unknown

if TYPE_CHECKING:
    from pathlib import Path

A_LONG_TIME_S = 20.0
OURS, OTHER = str(os.geteuid()), str(os.geteuid() + 1)


def nothing() -> None:
    """Nobody asks."""


class Cluster:
    """`squeue` says `rows` and ends with `code`; `scancel` notes what it is told."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder, folder / "log"
        self.says("")
        self._program("scancel", f'echo "$@" >> {self.log}; env >> {folder}/env')

    def _program(self, name: str, script: str) -> None:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def says(self, rows: str, code: int = 0) -> None:
        script = f'echo "$@" >> {self.folder}/asked; env >> {self.folder}/env\n'
        self._program("squeue", f"{script}cat <<END\n{rows}\nEND\nexit {code}")

    def backend(self, job: str = "9", **more: str) -> Slurm:
        path = f"{self.folder}{os.pathsep}{os.environ['PATH']}"
        return Slurm(job, {"PATH": path, "SLURM_JOB_ID": job, **more})

    def cancelled(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path)


ARRAY = {"SLURM_ARRAY_JOB_ID": "5", "SLURM_ARRAY_TASK_ID": "1"}


@pytest.mark.parametrize(
    ("rows", "cancelled"),
    [
        (f"9 9 RUNNING {OURS}", "9"),
        (f"9 5_1 RUNNING {OURS}", "5_1"),
        (f"9 9_3 RUNNING {OURS}\n10 9_4 RUNNING {OURS}", "9_3"),
        (f"9 9+0 RUNNING {OURS}", "9"),
        (f"9 9 COMPLETING {OURS}", "9"),
    ],
)
def test_stand_in_squeue_says_what_we_are_called(cluster: Cluster, rows: str, cancelled: str) -> None:
    """Whatever the environment says of arrays: a job that an element of one has submitted inherits that."""
    cluster.says(rows)
    for backend in (cluster.backend(), cluster.backend(**ARRAY)):
        assert str(backend.describe()) == f"scancel {cancelled}"
        assert backend.permission() == ""
        assert backend.ask("n", A_LONG_TIME_S, nothing).accepted
    assert cluster.cancelled() == [cancelled] * 2


@pytest.mark.parametrize(
    ("rows", "code", "reason"),
    [
        ("", 0, "not-listed"),
        (f"8 8 RUNNING {OURS}", 0, "not-listed"),
        ("slurm_load_jobs error: Unable to contact slurm controller", 1, "exit-1"),
        (f"9 9 RUNNING {OTHER}", 0, "not-ours"),
    ],
)
def test_nothing_is_cancelled_where_squeue_does_not_know(
    cluster: Cluster, rows: str, code: int, reason: str
) -> None:
    """Not the number alone: that of one element is also that of the whole array."""
    cluster.says(rows, code)
    answer = cluster.backend().ask("n", A_LONG_TIME_S, nothing)
    assert (answer.accepted, answer.reason) == (False, reason)
    assert str(cluster.backend().permission())
    assert cluster.cancelled() == []


@pytest.mark.parametrize(
    ("rows", "code", "gone"),
    [
        (f"9 9 CANCELLED {OURS}", 0, Known(True)),
        (f"9 9 TIMEOUT {OURS}", 0, Known(True)),
        ("slurm_load_jobs error: Invalid job id specified", 1, Known(True)),
        (f"9 9 COMPLETING {OURS}", 0, Known(False)),
        (f"9 9 SUSPENDED {OURS}", 0, Known(False)),
        (f"9 9 RUNNING {OURS}", 0, Known(False)),
        ("", 0, Unknown("not-listed")),
        ("Invalid job id", 0, Unknown("not-listed")),
        ("slurm_load_jobs error: Zero Bytes were transmitted or received", 1, Unknown("exit-1")),
    ],
)
def test_gone_is_what_has_come_to_its_end(
    cluster: Cluster, rows: str, code: int, gone: Reading[bool]
) -> None:
    """Or what Slurm has forgotten; a list that lacks it is none."""
    cluster.says(rows, code)
    assert cluster.backend().gone(A_LONG_TIME_S, nothing) == gone


def test_what_a_person_set_is_not_for_us(cluster: Cluster) -> None:
    """A filter would hide our job from `squeue`, or from `scancel`, which then ends with 0."""
    cluster.says(f"9 9 RUNNING {OURS}")
    person = {"SQUEUE_STATES": "PENDING", "SCANCEL_NAME": "none", "SLURM_CLUSTERS": "x", "SLURM_CONF": "/c"}
    assert cluster.backend(**person).ask("n", A_LONG_TIME_S, nothing).accepted
    seen = {line.partition("=")[0] for line in (cluster.folder / "env").read_text().splitlines()}
    assert seen & set(person) == {"SLURM_CONF"}
    words = (cluster.folder / "asked").read_text().split()
    assert {"--jobs=9", "--states=all"} <= set(words)


def test_a_number_is_believed_only_if_it_is_one() -> None:
    """Whatever SLURM_JOB_ID holds becomes a word of `scancel`."""
    assert job_of({"SLURM_JOB_ID": " 5 "}) == "5"
    assert [job_of({"SLURM_JOB_ID": text}) for text in ("5 6", "--me", "")] == ["", "", ""]
