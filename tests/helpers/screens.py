"""Runtimes, verdicts and ends of runs that can be told in advance, for the screens that people read."""

from __future__ import annotations

import datetime
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from helpers.catalogs import shipped
from helpers.doctor_screens import DOCTOR_SCENES
from helpers.run_screens import FOLDER, RUN_SCENES
from helpers.runtimes import A100_RUNTIME, T4_RUNTIME, colab
from helpers.watch_screens import WATCH_SCENES
from launcher import events
from launcher.cli.look import error_lines
from launcher.errors import JobFileError, UsageError
from launcher.guard import model as ends
from launcher.i18n import speaker
from launcher.jobs import Job
from launcher.judging import catalogue_of, hold_against, rate_of
from launcher.preflight import judge_outputs, judge_secrets
from launcher.probes.model import GpuFacts, Platform, PlatformKind, RuntimeFacts
from launcher.record import RunRecord
from launcher.release.decide import decide
from launcher.release.interface import ReleaseResult, ReleaseStatus
from launcher.report.catalogue import catalogue_screen
from launcher.report.explained import explained_screen, meaning_of
from launcher.report.lines import ENGLISH, Paper
from launcher.report.problems import problems_screen
from launcher.report.runtime import probe_screen
from launcher.report.story import say
from launcher.saving.interface import Saved, SavedFile, Unsaved
from launcher.spec.model import When
from launcher.spec.schema import read_job
from launcher.values import Known, Unknown
from launcher.verdict.hints import Account
from launcher.words import counted, spelled, words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from launcher.catalog.model import Catalog
    from launcher.report.lines import Line
    from launcher.words import Text

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
UNTOLD = Account()


CPU_RUNTIME = colab(None, ram_bytes=13_609_431_040)
OLD_RUNTIME = replace(A100_RUNTIME, host=replace(A100_RUNTIME.host, uptime_s=Known(20 * 3600.0)))
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
    others = (*judge_secrets(spec, environ), *judge_outputs(spec, facts.platform, environ))
    found = hold_against(job, facts, catalog, account, others=others)
    return found if found.advice is None else replace(found, advice=found.advice.few())


def dated() -> Catalog:
    """The catalogue that ships, on the day of the screens."""
    return shipped().as_of(datetime.date(2026, 11, 22))


def offers(units: float | None) -> events.Offers:
    """What `catalog` shows on the day of the screens."""
    return catalogue_of(dated(), Account(balance=units), None)


def refused(
    facts: RuntimeFacts, text: str = FINETUNE, *, in_cell: bool = False, paper: Paper = ENGLISH
) -> list[Line]:
    return say(events.Refused(judged(facts, text), in_cell), paper)


def explained(code: str, paper: Paper = ENGLISH) -> list[Line]:
    """What a code means."""
    meaning = meaning_of(code)
    assert meaning is not None
    return explained_screen(code, meaning, paper)


def problems(text: str, paper: Paper = ENGLISH) -> list[Line]:
    """Every problem of a job file, with its place."""
    try:
        judged(CPU_RUNTIME, text)
    except JobFileError as error:
        return problems_screen(error.problems, error.source_lines, paper)
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
    after_hold: str = "stay",
    paper: Paper = ENGLISH,
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
    asked = release or decide(
        when=when,
        managed=record.managed,
        backed=record.managed,
        no_release=no_release,
        report=record.report,
    )
    return say(events.Ended(record, asked, 120.0, 7200.0, after_hold), paper)


A_FILE = Unsaved((("model.pt", 8_300_000_000),))
RATE = rate_of(A100_RUNTIME, dated())
HELD = ReleaseResult(ReleaseStatus.HELD, "unsaved-files", words("files exist only on this machine"))
NOT_SAVED = ReleaseResult(ReleaseStatus.HELD, "not-saved", words("outputs could not be saved and verified"))
LOST = Saved(
    "/content/checkpoints",
    "/content/drive/MyDrive/finetune",
    SAVED.files[1:],
    failures=(("checkpoints/last.pt", "No space left on device"),),
)


def release_said(status: ReleaseStatus, reason: str, detail: Text = "", paper: Paper = ENGLISH) -> list[Line]:
    return say(events.ReleaseEnded(ReleaseResult(status, reason, detail), RATE), paper)


def handing_back(paper: Paper = ENGLISH) -> list[Line]:
    """A countdown, one request that is not accepted, one that is."""
    return [
        *say(events.CountingDown(120.0, f"{FOLDER}/HOLD"), paper),
        *say(events.Retrying("http-503", 2.0), paper),
        *release_said(ReleaseStatus.ACCEPTED, "accepted", paper=paper),
    ]


def launching(paper: Paper = ENGLISH) -> list[Line]:
    warning = words(
        "the output folder {folder} is on this machine's own disk and goes with it", folder="/content/out"
    )
    return [
        *say(events.Launching("finetune", "20261122-114501-3fa2", (warning,)), paper),
        *say(
            events.Said(
                words("max_duration is over: the job gets SIGTERM, and {grace} to end", grace=spelled(30.0))
            ),
            paper,
        ),
        *say(events.SavingBegan("checkpoints", "/content/drive/MyDrive/finetune"), paper),
    ]


SECRET = FINETUNE.replace("max_duration: 6h", "secrets: [HF_TOKEN]")
TO_DRIVE = FINETUNE.replace(
    "max_duration: 6h", "outputs: [{path: checkpoints, to: /content/drive/MyDrive/finetune}]"
)
NO_DRIVE = replace(A100_RUNTIME, platform=replace(A100_RUNTIME.platform, drive_mounted=False))
WITH_SKYPILOT_WORDS = "resources: {accelerators: A100, memory: 32+}\nrun: python train.py\n"
TWO_CLASSES = FINETUNE.replace("gpu: A100", "gpu: [L4, A100, '=H100']").replace("30GB", "90GB")
TPU = "resources: {tpu: v6e-1}\nrun: python train.py\n"
TOO_MUCH = FINETUNE.replace("50GB", "2TB")

# Every screen that is worth a look, by the name of its file in tests/assets/screens.
SCENES: dict[str, Callable[..., list[Line]]] = {
    "check-met": lambda p=ENGLISH: say(judged(A100_RUNTIME), paper=p),
    "check-refused": lambda p=ENGLISH: say(judged(T4_RUNTIME), paper=p),
    "check-read-as": lambda p=ENGLISH: say(judged(A100_RUNTIME, WITH_SKYPILOT_WORDS), paper=p),
    "check-no-needs": lambda p=ENGLISH: say(judged(PLAIN, "run: python train.py\n"), paper=p),
    "refused-t4": lambda p=ENGLISH: refused(T4_RUNTIME, paper=p),
    "refused-t4-in-cell": lambda p=ENGLISH: refused(T4_RUNTIME, in_cell=True, paper=p),
    "refused-no-gpu": lambda p=ENGLISH: refused(CPU_RUNTIME, paper=p),
    "refused-several-classes": lambda p=ENGLISH: refused(T4_RUNTIME, TWO_CLASSES, paper=p),
    "refused-too-much": lambda p=ENGLISH: refused(T4_RUNTIME, TOO_MUCH, paper=p),
    "refused-secret": lambda p=ENGLISH: refused(A100_RUNTIME, SECRET, paper=p),
    "refused-secret-plain-machine": lambda p=ENGLISH: refused(
        PLAIN, "secrets: [HF_TOKEN]\nrun: python train.py\n", paper=p
    ),
    "refused-no-drive": lambda p=ENGLISH: refused(NO_DRIVE, TO_DRIVE, paper=p),
    "refused-plain-machine": lambda p=ENGLISH: refused(PLAIN, paper=p),
    "unknown": lambda p=ENGLISH: refused(NO_DRIVER, FINETUNE.replace("  ram: 50GB\n", ""), paper=p),
    "unknown-and-short": lambda p=ENGLISH: refused(NO_DRIVER, paper=p),
    "check-balance": lambda p=ENGLISH: say(judged(T4_RUNTIME, account=Account(balance=87.0)), paper=p),
    "check-costs-more": lambda p=ENGLISH: say(
        # Without disk: that of an L4 is not known.
        judged(
            A100_RUNTIME,
            FINETUNE.replace("gpu: A100", "gpu: L4").replace("50GB", "20GB").replace("  disk: 30GB\n", ""),
        ),
        paper=p,
    ),
    "check-old-runtime": lambda p=ENGLISH: say(
        judged(OLD_RUNTIME, account=Account(dated().colab.plan("pro+"))), paper=p
    ),
    "check-tpu": lambda p=ENGLISH: say(judged(T4_RUNTIME, TPU), paper=p),
    "catalog": lambda p=ENGLISH: catalogue_screen(offers(None), p),
    "catalog-balance": lambda p=ENGLISH: catalogue_screen(offers(87.0), p, retired=True),
    "probe-cpu": lambda p=ENGLISH: probe_screen(CPU_RUNTIME, rate_of(CPU_RUNTIME, dated()), paper=p),
    "probe-t4": lambda p=ENGLISH: probe_screen(T4_RUNTIME, rate_of(T4_RUNTIME, dated()), paper=p),
    "probe-no-driver": lambda p=ENGLISH: probe_screen(NO_DRIVER, rate_of(NO_DRIVER, dated()), paper=p),
    "problems": lambda p=ENGLISH: problems(BAD, paper=p),
    "launching": launching,
    "announced-stay": lambda p=ENGLISH: say(events.Announced(7200.0, "stay", RATE), paper=p),
    "announced-release": lambda p=ENGLISH: say(events.Announced(7200.0, "release", RATE), paper=p),
    "ended-succeeded": lambda p=ENGLISH: ended(ends.Succeeded(), paper=p),
    "ended-failed": lambda p=ENGLISH: ended(ends.Failed(3), when=When.SUCCESS, leftovers_stopped=2, paper=p),
    "ended-setup-failed": lambda p=ENGLISH: ended(ends.SetupFailed(1), saved=(), paper=p),
    "ended-could-not-start": lambda p=ENGLISH: ended(
        ends.CouldNotStart(127, words("{name}: command not found", name="pyhton")), saved=(), paper=p
    ),
    "ended-killed": lambda p=ENGLISH: ended(
        ends.Signalled(9),
        out_of_memory=counted(
            "{file} counted {count} out-of-memory kill",
            "{file} counted {count} out-of-memory kills",
            1,
            file="memory.events",
        ),
        paper=p,
    ),
    "ended-over-limit": lambda p=ENGLISH: ended(ends.OverLimit(21600.0), paper=p),
    "ended-stalled": lambda p=ENGLISH: ended(ends.Stalled(1260.0), paper=p),
    "ended-by-person": lambda p=ENGLISH: ended(ends.Interrupted(2), paper=p),
    "ended-not-saved": lambda p=ENGLISH: ended(
        ends.Succeeded(), saved=(LOST,), exit_code=74, release=NOT_SAVED, paper=p
    ),
    "ended-held-for-a-while": lambda p=ENGLISH: ended(
        ends.Succeeded(), saved=(), unsaved=A_FILE, release=HELD, after_hold="release", paper=p
    ),
    "ended-held": lambda p=ENGLISH: ended(
        ends.Succeeded(),
        saved=(),
        unsaved=Unsaved(
            (
                ("checkpoints/last.pt", 8_300_000_000),
                ("out.csv", 98_000_000),
                *((f"logs/part-{number}", 400_000) for number in range(5)),
            )
        ),
        release=HELD,
        paper=p,
    ),
    "ended-not-managed": lambda p=ENGLISH: ended(ends.Succeeded(), facts=PLAIN, paper=p),
    "ended-without-release": lambda p=ENGLISH: ended(ends.Succeeded(), when=When.NEVER, paper=p),
    "ended-idle-policy": lambda p=ENGLISH: ended(ends.Succeeded(), when=None, paper=p),
    "ended-idle-unsaved": lambda p=ENGLISH: ended(
        ends.Succeeded(), when=None, saved=(), unsaved=A_FILE, paper=p
    ),
    **RUN_SCENES,
    **WATCH_SCENES,
    **DOCTOR_SCENES,
    "explain-problem": lambda p=ENGLISH: explained("CR231", p),
    "explain-exit-code": lambda p=ENGLISH: explained("75", p),
    "usage": lambda p=ENGLISH: error_lines(
        UsageError(
            words("there is no job file {path}", path="jub.yaml"), words("use {path}", path="job.yaml")
        ),
        paper=p,
    ),
    "handing-back": handing_back,
    "release-held": lambda p=ENGLISH: release_said(
        ReleaseStatus.HELD,
        "unsaved-files",
        counted(
            "{count} file of the run {name} may exist only here, under {folder}",
            "{count} files of the run {name} may exist only here, under {folder}",
            7,
            name="20261122-114501-3fa2",
            folder="/content",
        ),
        paper=p,
    ),
    "release-failed": lambda p=ENGLISH: release_said(
        ReleaseStatus.FAILED, "connection-refused", words("the release was not accepted"), paper=p
    ),
    "release-kept": lambda p=ENGLISH: release_said(
        ReleaseStatus.KEPT,
        "hold-file",
        words("{path} exists; remove it to allow it", path="/content/HOLD"),
        paper=p,
    ),
    "release-not-managed": lambda p=ENGLISH: release_said(
        ReleaseStatus.NOT_MANAGED,
        "not-managed",
        words("this machine is not a managed Colab runtime"),
        paper=p,
    ),
}


LANGUAGES = ("en", "zh-TW", "zh-CN")


def scene(name: str, language: str = "en") -> list[Line]:
    """One screen in one language."""
    return SCENES[name](Paper(speaker(language)))


def asset(name: str, language: str) -> str:
    """The name of its file in tests/assets/screens."""
    return f"{name}.txt" if language == "en" else f"{name}.{language}.txt"


def plain(lines: list[Line]) -> str:
    """As it is printed without colour."""
    return "".join(f"{line.plain}\n" for line in lines)
