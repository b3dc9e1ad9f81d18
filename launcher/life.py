"""Which signs of life count for what: those of a job, and those of a runtime on which no job runs.

Everything that a sampler's child needs is imported here, before the job may upgrade or remove this package.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from launcher.beats import path_of_beat
from launcher.idle.model import WORK, Policy, Sign
from launcher.idle.signals.cpu import CpuSignal
from launcher.idle.signals.files import FilesSignal
from launcher.idle.signals.gpu import GpuSignal
from launcher.idle.signals.kernels import KernelsSignal
from launcher.idle.signals.marks import BeatSignal, KeepSignal, RunsSignal
from launcher.idle.signals.output import OutputSignal
from launcher.idle.signals.terminals import TerminalsSignal
from launcher.idle.signals.traffic import DiskSignal, NetworkSignal
from launcher.probes.life.beats import beat_reader
from launcher.probes.life.files import files_reader
from launcher.probes.life.gpu import gpu_reader
from launcher.probes.life.kernels import kernels_reader
from launcher.probes.life.network import network_reader
from launcher.probes.life.output import output_reader
from launcher.probes.life.processes import job_readers, runtime_readers
from launcher.probes.life.terminals import terminals_reader
from launcher.release import lease, marks
from launcher.values import Known

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from launcher.idle.interface import Reader, Signal
    from launcher.values import Reading

# So often a machine is looked at: at 10 ms a look this is 0.07 % of one core.
PERIOD_S = 15.0
SHORTEST_PERIOD_S = 0.1
# A window has at least so many looks.
LOOKS = 40
# Jupyter servers are asked over HTTP, which costs them something too.
KERNELS_EVERY_S = 60.0


class Sources(NamedTuple):
    """Where signs of life come from: `readers()` is called in the sampler's child, the signals judge."""

    readers: Callable[[], Mapping[Sign, Reader]]
    signals: tuple[Signal, ...]


def period_for(window_s: float) -> float:
    """Seconds between two looks for a window of this length."""
    return min(PERIOD_S, max(SHORTEST_PERIOD_S, window_s / LOOKS))


def stalled_policy(after_s: float) -> Policy:
    """For a job that is alive: from its first work on, and no shorter than its own silences so far."""
    return Policy(after_s, period_for(after_s), armed_by=WORK, adapts=True)


def runtime_policy(after_s: float) -> Policy:
    """For a runtime: whoever runs a job or starts a watch was there, so time counts from then."""
    return Policy(after_s, period_for(after_s))


def job_life(
    root: int,
    log: str,
    folders: Collection[str],
    beat: str,
    period_s: float,
    *,
    skip: Collection[str] = (),
) -> Sources:
    """Of the job below process `root`, which writes its output to `log` and its results into `folders`.

    `beat` is the file of its heartbeats; `skip` are files and folders that others write to.
    """

    def readers() -> dict[Sign, Reader]:
        return {
            Sign.GPU: gpu_reader(),
            **job_readers(root),
            Sign.NETWORK: network_reader(),
            Sign.OUTPUT: output_reader(log),
            Sign.FILES: files_reader(tuple(folders), skip=(os.path.dirname(log), *skip)),
            Sign.BEAT: beat_reader((beat,)),
        }

    signals: tuple[Signal, ...] = (
        GpuSignal(period_s),
        CpuSignal(period_s),
        DiskSignal(period_s),
        NetworkSignal(period_s),
        OutputSignal(),
        FilesSignal(),
        BeatSignal(),
    )
    return Sources(readers, signals)


def runtime_life(
    environ: Mapping[str, str],
    target: str,
    period_s: float,
    *,
    own: str = "",
    folders: Collection[str] = (),
    hold_files: Collection[str] = (),
    without: Collection[Sign] = (),
    skip: Collection[str] = (),
) -> Sources:
    """Of everything on this machine, whose release `target` is about.

    `own` is the file name of the note of the run that waits; files count below `folders` only, but for
    `skip`, which whoever waits writes to itself; `without` are signs that somebody said do not count.
    """

    def readers() -> dict[Sign, Reader]:
        every = {
            Sign.GPU: gpu_reader(),
            **runtime_readers(),
            Sign.NETWORK: network_reader(),
            **({Sign.FILES: files_reader(tuple(folders), skip=skip)} if folders else {}),
            Sign.KERNELS: kernels_reader(environ, max(period_s, min(KERNELS_EVERY_S, 2 * period_s))),
            Sign.TERMINALS: terminals_reader(),
            Sign.BEAT: beat_reader(_beats_of_users()),
            Sign.KEEP: lambda: _kept(target, hold_files),
            Sign.RUNS: lambda: _at_work(own),
        }
        return {sign: reader for sign, reader in every.items() if sign not in without}

    signals: tuple[Signal, ...] = (
        GpuSignal(period_s),
        CpuSignal(period_s),
        DiskSignal(period_s),
        NetworkSignal(period_s),
        *((FilesSignal(),) if folders else ()),
        KernelsSignal(),
        TerminalsSignal(),
        BeatSignal(),
        KeepSignal(),
        RunsSignal(),
    )
    return Sources(readers, tuple(signal for signal in signals if signal.sign not in without))


def _kept(target: str, hold_files: Collection[str]) -> Reading[Any]:
    """Does somebody want this machine for a while, or is there a HOLD file?"""
    held = next((path for path in hold_files if os.path.lexists(path)), None)
    # After a press of stop nobody releases for a while; but it is no work that keeps the machine from idling.
    return Known({"left_s": marks.kept(target, but=marks.PRESSED_STOP), "path": held})


def _beats_of_users() -> tuple[str, ...]:
    """Heartbeats in no run, ours and root's: another user could keep the machine up with a file."""
    return tuple(path_of_beat({}, uid) for uid in sorted({0, os.geteuid()}))


def _at_work(own: str) -> Reading[Any]:
    """The runs of this machine that are at work, whatever they would hand back."""
    rows: list[dict[str, str]] = []
    for note, guarded in marks.runs(lease.FOLDER):
        if guarded and not note.over and marks.file_name(note) != own:
            rows.append({"run_id": note.run_id, "name": note.name})
    return Known(rows)
