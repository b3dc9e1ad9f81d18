"""Runs of this machine that can be told in advance, for the screens of `ps`, `stop`, `wait` and `keep`."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from launcher.record import RunRecord, RunRow
from launcher.report.lines import ENGLISH
from launcher.report.runs import detached_lines, keep_said, runs_screen, stop_said, waited_lines
from launcher.values import Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from launcher.report.lines import Line

NOTHING: Mapping[str, object] = MappingProxyType({})
FOLDER = "/root/.local/state/colab-run/runs/20261122-114501-3fa2"
RUN_ID = "20261122-114501-3fa2"
NOON = 1_795_348_800.0  # 2026-11-22T12:00:00Z


def run_row(
    run_id: str,
    job: str,
    state: str = "started",
    *,
    guarded: bool = True,
    code: int | None = None,
    took: float | None = None,
    release: Mapping[str, object] = NOTHING,
) -> RunRow:
    """A run of ours, as its guard or its record tells of it."""
    told: dict[str, object] = {"state": state, "exit_code": code, "duration_s": took}
    told.update(started="2026-11-22T11:45:01Z", release=dict(release))
    return RunRow(run_id, job, guarded=guarded, told=told, place=FOLDER, uid=0, guard_pid=4711)


def unknown_row(run_id: str, job: str, reason: str, uid: int = 0) -> RunRow:
    """A run that cannot be asked."""
    told = Unknown(reason)
    return RunRow(run_id, job, guarded=True, told=told, place=None, uid=uid, guard_pid=4711)


HELD_BY_KEEP = {"status": "held", "reason": "keep"}
NOT_ACCEPTED = {"status": "failed", "reason": "http-503"}
FOR_A_WHILE = {
    "status": "held",
    "reason": "not-saved",
    "until": "2026-11-22T14:00:00Z",
    "then": "release",
}
RUNS = (
    run_row("20261122-114501-3fa2", "finetune"),
    run_row("20261122-113000-1c04", "prepare-the-data-set", "saving", code=0, took=512.3),
    run_row("20261122-112000-9b21", "評估模型", "done", code=0, took=64.0, release=HELD_BY_KEEP),
    run_row("20261122-111500-0d3e", "ablation", "done", code=74, took=4000.0, release=FOR_A_WHILE),
    run_row("20261122-111000-77aa", "sweep", "releasing", code=0, took=6.0),
    run_row("20261122-110500-5e10", "sweep", "done", code=0, took=7.0, release=NOT_ACCEPTED),
    unknown_row("20261122-110000-2f5b", "stuck", "not-answering"),
    unknown_row("20261122-105500-81c6", "theirs", "another-user", uid=1001),
    run_row("20261122-095959-4d90", "finetune", "done", guarded=False, code=3, took=93.0),
    run_row("20261121-235959-6e77", "finetune", guarded=False),
)

RUN_SCENES: dict[str, Callable[..., list[Line]]] = {
    "ps": lambda p=ENGLISH: runs_screen(RUNS, NOON, p, more=True),
    "ps-empty": lambda p=ENGLISH: runs_screen((), NOON, p),
    "detached": lambda p=ENGLISH: detached_lines(RunRecord("finetune", run_id=RUN_ID), p),
    "stopped": lambda p=ENGLISH: stop_said(RUNS[0], p, taken=True, kill=False),
    "stopped-by-kill": lambda p=ENGLISH: stop_said(RUNS[0], p, taken=True, kill=True),
    "stopped-while-saving": lambda p=ENGLISH: stop_said(RUNS[1], p, taken=True, kill=False),
    "stopped-release": lambda p=ENGLISH: stop_said(RUNS[2], p, taken=True, kill=False),
    "stopped-too-late": lambda p=ENGLISH: stop_said(RUNS[8], p, taken=False, kill=False),
    "waited": lambda p=ENGLISH: waited_lines(RUNS[8], 3, p, timed_out=None),
    "waited-too-long": lambda p=ENGLISH: waited_lines(RUNS[0], 124, p, timed_out=1800.0),
    "kept": lambda p=ENGLISH: keep_said(1800.0, "12:30 UTC", p, managed=True, dropped=False),
    "kept-plain-machine": lambda p=ENGLISH: keep_said(1800.0, "12:30 UTC", p, managed=False, dropped=False),
    "keep-dropped": lambda p=ENGLISH: keep_said(None, "", p, managed=True, dropped=True),
    "keep-of-another-user": lambda p=ENGLISH: keep_said(600.0, "", p, managed=True, dropped=True),
}
