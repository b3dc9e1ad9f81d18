"""Machines that `doctor` judges, with every reading given: what it shows of them never changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from helpers.catalogs import shipped
from launcher.doctoring import gpus, machine, programs, runs, storage
from launcher.doctoring.model import Diagnosis, Row
from launcher.probes.cgroup import Limits
from launcher.probes.model import Gpu, GpuFacts, Platform, PlatformKind
from launcher.release.marks import RunNote
from launcher.report.doctor import doctor_screen
from launcher.report.lines import ENGLISH
from launcher.values import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.report.lines import Line, Paper

NEEDED = [
    programs.Needed("typer", "0.12", "0.20.0"),
    programs.Needed("rich", "13", "13.9.4"),
    programs.Needed("psutil", "5.9", "5.9.5"),
    programs.Needed("PyYAML", "6", "6.0.3"),
]
MIB = 1 << 20
GIB = 1 << 30
LOST = RunNote("20261122-114501-3fa2", "/root/.local/state/colab-run", "finetune", 0, "172.28.0.1:8011")
T4 = Gpu(
    index=0,
    name=Known("Tesla T4"),
    class_name=Known("T4"),
    uuid=Known("GPU-00000000-0000-4000-8000-000000000001"),
    memory_total_bytes=Known(15360 * MIB),
    memory_free_bytes=Known(6360 * MIB),
    compute_capability=Known((7, 5)),
    mig=Known(False),
    mig_devices=Known(()),
    utilisation_percent=Known(0),
    power_w=Known(9.0),
    processes=Known(()),
)
DRIVER = GpuFacts(Known((T4,)), Known("550.54.15"), Known("12.4"))
HANGS = GpuFacts(Unknown("timeout"), Unknown("timeout"), Unknown("timeout"))
COLAB = Platform(PlatformKind.COLAB, "172.28.0.1:8011", drive_mounted=True)


def rows(*, amiss: bool) -> tuple[Row, ...]:
    """A T4 runtime of Colab's, in order but for what a person has to judge; or with much amiss."""
    facts = HANGS if amiss else DRIVER
    home = storage.Folder("~/.local/state/colab-run", True, True, 0o700, "overlay", "", 72 * 10**9)
    holder = gpus.Holder(1432, "python3")
    drive = storage.Drive("Transport endpoint is not connected" if amiss else "", 95 * 10**9, 0.0)
    return (
        programs.judge_python((3, 12, 12), NEEDED),
        programs.judge_programs({"bash": "5.1.16", "python": "3.12.12", "python3": "3.12.12"}, "3.12"),
        programs.judge_locale("utf-8", "en"),
        machine.judge_platform(COLAB),
        gpus.judge_driver(facts, "/usr/lib64-nvidia/libnvidia-ml.so.1"),
        *gpus.judge_gpus(facts),
        gpus.judge_unlisted("timeout") if amiss else gpus.judge_processes([holder], ()),
        machine.judge_cgroup("v2", Known(Limits()), ("/sys/fs/cgroup/memory.events",)),
        machine.judge_shm(64 * MIB if amiss else 6 * GIB, 64 * MIB if amiss else 6 * GIB, writable=True),
        machine.judge_supervision(machine.Means()),
        machine.judge_clock(machine.Times(machine.EARLIEST + 1, 0.0, 0)),
        storage.judge_state(home),
        storage.judge_ledger("corrupt" if amiss else "", 49152),
        storage.judge_disk([storage.Room("/tmp", 72 * 10**9, 10**6)]),
        storage.judge_drive(drive, on_colab=True),
        runs.judge_leases(runs.Meeting("/tmp/colab-run.leases", True)),
        *runs.judge_runs([(LOST, False)] if amiss else [], 0),
        runs.judge_release("colab", ""),
        *programs.judge_rates([programs.Rate("t4", "2026-01-05", stale=True)] if amiss else []),
    )


def diagnosed(paper: Paper = ENGLISH, *, amiss: bool = False) -> list[Line]:
    """The screen."""
    menu = shipped().colab.menu.feedback.words
    return doctor_screen(Diagnosis("0.1.0", rows(amiss=amiss), menu), paper)


DOCTOR_SCENES: dict[str, Callable[..., list[Line]]] = {
    "doctor": diagnosed,
    "doctor-amiss": lambda paper=ENGLISH: diagnosed(paper, amiss=True),
}
