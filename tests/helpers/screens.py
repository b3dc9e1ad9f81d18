"""Runtimes, verdicts and ends of runs that can be told in advance, for the screens that people read."""

from __future__ import annotations

import datetime
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from helpers.catalogs import shipped
from launcher import events
from launcher.errors import JobFileError
from launcher.guard import model as ends
from launcher.jobs import Job
from launcher.judging import hold_against, rate_of
from launcher.preflight import judge_outputs, judge_secrets
from launcher.probes.model import Gpu, GpuFacts, HostFacts, Platform, PlatformKind, RuntimeFacts
from launcher.record import RunRecord
from launcher.release.decide import decide
from launcher.release.interface import ReleaseResult, ReleaseStatus
from launcher.report.problems import problems_screen
from launcher.report.runtime import probe_screen
from launcher.report.story import say
from launcher.saving.interface import Saved, SavedFile, Unsaved
from launcher.spec.model import When
from launcher.spec.schema import read_job
from launcher.values import Known, Unknown
from launcher.verdict.hints import Account

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from launcher.catalog.model import Catalog
    from launcher.report.lines import Line

FINETUNE = """\
name: finetune
resources:
  gpu: A100
  ram: 50GB
  disk: 30GB
run: python train.py
max_duration: 6h
"""
BAD = """\
name: finetune
resource: {gpu: A1000}
resources:
  gpu: A1000
  ram: 50
  dsk: 30GB
max_duration： 6h
run: python train.py
"""
NOTHING: Mapping[str, str] = MappingProxyType({})
TARGET = "172.28.0.1:8011"
UNTOLD = Account()


def gpu(name: str, class_name: str, memory_mib: int, capability: tuple[int, int]) -> Gpu:
    """An idle GPU, as NVML reports it."""
    memory = memory_mib * 2**20
    return Gpu(
        index=0,
        name=Known(name),
        class_name=Known(class_name),
        uuid=Known("GPU-00000000-0000-0000-0000-000000000000"),
        memory_total_bytes=Known(memory),
        memory_free_bytes=Known(memory - 400 * 2**20),
        compute_capability=Known(capability),
        mig=Known(False),
        mig_devices=Known(()),
        utilisation_percent=Known(0),
        power_w=Known(9.6),
        processes=Known(()),
    )


T4 = gpu("Tesla T4", "T4", 15360, (7, 5))
A100 = gpu("NVIDIA A100-SXM4-40GB", "A100-40GB", 40960, (8, 0))


def colab(
    card: Gpu | None, *, ram_bytes: int, disk_bytes: int = 66_100_000_000, drive: bool = False
) -> RuntimeFacts:
    """A managed Colab runtime, five minutes old."""
    return RuntimeFacts(
        gpu=GpuFacts(Known(() if card is None else (card,)), Known("580.82.07"), Known("13.0")),
        host=HostFacts(
            ram_total_bytes=Known(ram_bytes),
            ram_available_bytes=Known(ram_bytes - 1_200_000_000),
            ram_limited_by_cgroup=Known(False),
            cpus=Known(2.0),
            disk_path="/content",
            disk_free_bytes=Known(disk_bytes),
            uptime_s=Known(300.0),
        ),
        platform=Platform(PlatformKind.COLAB, TARGET, drive),
    )


T4_RUNTIME = colab(T4, ram_bytes=13_609_431_040)
A100_RUNTIME = colab(A100, ram_bytes=89_658_000_000, drive=True)
CPU_RUNTIME = colab(None, ram_bytes=13_609_431_040)
NO_DRIVER = replace(
    T4_RUNTIME,
    gpu=GpuFacts(Unknown("driver-mismatch"), Unknown("driver-mismatch"), Unknown("driver-mismatch")),
)
PLAIN = replace(CPU_RUNTIME, platform=Platform(PlatformKind.PLAIN))


def judged(
    facts: RuntimeFacts,
    text: str = FINETUNE,
    *,
    source: str = "finetune.yaml",
    environ: Mapping[str, str] = NOTHING,
    account: Account = UNTOLD,
) -> events.Judged:
    """What `app.check` does, with a runtime that is given."""
    catalog = dated()
    data = text.encode()
    spec = read_job(data, source=source, folder="/content", overrides=(), classes=catalog.class_names())
    job = Job(source, data, spec, ("colab-run", "check", source))
    others = (*judge_secrets(spec, environ), *judge_outputs(spec, facts.platform))
    found = hold_against(job, facts, catalog, account, others=others)
    return found if found.advice is None else replace(found, advice=found.advice.few())


def dated() -> Catalog:
    """The catalogue that ships, on the day of the screens."""
    return shipped().as_of(datetime.date(2026, 11, 22))


def refused(facts: RuntimeFacts, text: str = FINETUNE, *, in_cell: bool = False) -> list[Line]:
    return say(events.Refused(judged(facts, text), in_cell))


def problems(text: str) -> list[Line]:
    """Every problem of a job file, with its place."""
    try:
        judged(CPU_RUNTIME, text)
    except JobFileError as error:
        return problems_screen(error.problems, error.source_lines)
    raise AssertionError("this job file has no problems")


# --- ends of runs ---------------------------------------------------------------------------------

SAVED = Saved(
    "/content/checkpoints",
    "/content/drive/MyDrive/finetune",
    tuple(
        SavedFile(f"checkpoints/{name}", size, "0" * 64)
        for name, size in (("last.pt", 812_000_000), ("log.csv", 4_200))
    ),
)
FOLDER = "/root/.local/state/colab-run/runs/20261122-114501-3fa2"


def ended(
    outcome: ends.Outcome,
    *,
    facts: RuntimeFacts = A100_RUNTIME,
    when: When | None = When.ALWAYS,
    no_release: bool = False,
    saved: tuple[Saved, ...] = (SAVED,),
    unsaved: Unsaved | None = None,
    exit_code: int | None = None,
    release: ReleaseResult | None = None,
    **report: object,
) -> list[Line]:
    """The block at the end of a run of an hour and twelve minutes."""
    record = RunRecord(
        "finetune",
        run_id="20261122-114501-3fa2",
        managed=facts.platform.managed,
        rate=rate_of(facts, dated()),
        saved=saved,
        unsaved=unsaved,
        log=f"{FOLDER}/log",
        log_saved_to=f"{SAVED.to}/colab-run-20261122-114501-3fa2.log" if saved else None,
    )
    record.report = ends.RunReport(
        outcome=outcome,
        started_wall=0.0,
        files_since_ns=0,
        duration_s=4321.0,
        peak_ram_bytes=Known(21_300_000_000),
        peak_gpu_bytes=Known(36_100_000_000) if facts is A100_RUNTIME else Unknown("no-gpu"),
        **report,  # type: ignore[arg-type]
    )
    record.outcome = outcome.name
    record.exit_code = int(outcome.exit_code) if exit_code is None else exit_code
    asked = release or decide(when=when, managed=record.managed, no_release=no_release, report=record.report)
    return say(events.Ended(record, asked, 120.0))


RATE = rate_of(A100_RUNTIME, dated())
HELD = ReleaseResult(ReleaseStatus.HELD, "unsaved-files", "files exist only on this machine")
NOT_SAVED = ReleaseResult(ReleaseStatus.HELD, "not-saved", "outputs could not be saved and verified")
LOST = Saved(
    "/content/checkpoints",
    "/content/drive/MyDrive/finetune",
    SAVED.files[1:],
    failures=(("checkpoints/last.pt", "No space left on device"),),
)


def release_said(status: ReleaseStatus, reason: str, detail: str = "") -> list[Line]:
    return say(events.ReleaseEnded(ReleaseResult(status, reason, detail), RATE))


def handing_back() -> list[Line]:
    """A countdown, one request that is not accepted, one that is."""
    return [
        *say(events.CountingDown(120.0, f"{FOLDER}/HOLD")),
        *say(events.Retrying("http-503", 2.0)),
        *release_said(ReleaseStatus.ACCEPTED, "accepted"),
    ]


def launching() -> list[Line]:
    warning = "the output folder /content/out is on this machine's own disk and goes with it"
    return [
        *say(events.Launching("finetune", "20261122-114501-3fa2", (warning,))),
        *say(events.Said("max_duration is over: the job gets SIGTERM, and 30 s to end")),
        *say(events.SavingBegan("checkpoints", "/content/drive/MyDrive/finetune")),
    ]


SECRET = FINETUNE.replace("max_duration: 6h", "secrets: [HF_TOKEN]")
TO_DRIVE = FINETUNE.replace(
    "max_duration: 6h", "outputs: [{path: checkpoints, to: /content/drive/MyDrive/finetune}]"
)
NO_DRIVE = replace(A100_RUNTIME, platform=replace(A100_RUNTIME.platform, drive_mounted=False))
WITH_SKYPILOT_WORDS = "resources: {accelerators: A100, memory: 32+}\nrun: python train.py\n"
TWO_CLASSES = FINETUNE.replace("gpu: A100", "gpu: [L4, A100, '=H100']").replace("30GB", "90GB")
TOO_MUCH = FINETUNE.replace("50GB", "2TB")

# Every screen that is worth a look, by the name of its file in tests/assets/screens.
SCENES: dict[str, Callable[[], list[Line]]] = {
    "check-met": lambda: say(judged(A100_RUNTIME)),
    "check-refused": lambda: say(judged(T4_RUNTIME)),
    "check-read-as": lambda: say(judged(A100_RUNTIME, WITH_SKYPILOT_WORDS)),
    "check-no-needs": lambda: say(judged(PLAIN, "run: python train.py\n")),
    "refused-t4": lambda: refused(T4_RUNTIME),
    "refused-t4-in-cell": lambda: refused(T4_RUNTIME, in_cell=True),
    "refused-no-gpu": lambda: refused(CPU_RUNTIME),
    "refused-several-classes": lambda: refused(T4_RUNTIME, TWO_CLASSES),
    "refused-too-much": lambda: refused(T4_RUNTIME, TOO_MUCH),
    "refused-secret": lambda: refused(A100_RUNTIME, SECRET),
    "refused-secret-plain-machine": lambda: refused(PLAIN, "secrets: [HF_TOKEN]\nrun: python train.py\n"),
    "refused-no-drive": lambda: refused(NO_DRIVE, TO_DRIVE),
    "refused-plain-machine": lambda: refused(PLAIN),
    "unknown": lambda: refused(NO_DRIVER, FINETUNE.replace("  ram: 50GB\n", "")),
    "unknown-and-short": lambda: refused(NO_DRIVER),
    "probe-cpu": lambda: probe_screen(CPU_RUNTIME, rate_of(CPU_RUNTIME, dated())),
    "probe-t4": lambda: probe_screen(T4_RUNTIME, rate_of(T4_RUNTIME, dated())),
    "probe-no-driver": lambda: probe_screen(NO_DRIVER, rate_of(NO_DRIVER, dated())),
    "problems": lambda: problems(BAD),
    "launching": launching,
    "announced-stay": lambda: say(events.Announced(7200.0, "stay", RATE)),
    "announced-release": lambda: say(events.Announced(7200.0, "release", RATE)),
    "ended-succeeded": lambda: ended(ends.Succeeded()),
    "ended-failed": lambda: ended(ends.Failed(3), when=When.SUCCESS, leftovers_stopped=2),
    "ended-setup-failed": lambda: ended(ends.SetupFailed(1), saved=()),
    "ended-could-not-start": lambda: ended(ends.CouldNotStart(127, "there is no command pyhton"), saved=()),
    "ended-killed": lambda: ended(
        ends.Signalled(9), out_of_memory="the kernel ended 1 process of this container for RAM"
    ),
    "ended-over-limit": lambda: ended(ends.OverLimit(21600.0)),
    "ended-by-person": lambda: ended(ends.Interrupted(2)),
    "ended-not-saved": lambda: ended(ends.Succeeded(), saved=(LOST,), exit_code=74, release=NOT_SAVED),
    "ended-held": lambda: ended(
        ends.Succeeded(),
        saved=(),
        unsaved=Unsaved(7, 8_400_000_000, (("checkpoints/last.pt", 8_300_000_000), ("out.csv", 98_000_000))),
        release=HELD,
    ),
    "ended-not-managed": lambda: ended(ends.Succeeded(), facts=PLAIN),
    "ended-without-release": lambda: ended(ends.Succeeded(), when=When.NEVER),
    "ended-idle-policy": lambda: ended(ends.Succeeded(), when=None),
    "handing-back": handing_back,
    "release-held": lambda: release_said(
        ReleaseStatus.HELD,
        "unsaved-files",
        "7 files of the run 20261122-114501-3fa2 may exist only here, under /content",
    ),
    "release-failed": lambda: release_said(
        ReleaseStatus.FAILED, "connection-refused", "the release was not accepted"
    ),
    "release-kept": lambda: release_said(
        ReleaseStatus.KEPT, "hold-file", "/content/HOLD exists; remove it to allow it"
    ),
    "release-not-managed": lambda: release_said(
        ReleaseStatus.NOT_MANAGED, "not-managed", "this machine is not a managed Colab runtime"
    ),
}


def plain(lines: list[Line]) -> str:
    """As it is printed without colour."""
    return "".join(f"{line.plain}\n" for line in lines)
