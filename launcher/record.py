"""RunRecord: what is known about one run right now; the document of `run --json` and `--result`.

Pure data. Written after every change of state, so that a vanished machine leaves the last word.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from launcher.clock import iso_utc
from launcher.idle.model import SIGNS
from launcher.release.interface import ReleaseResult, ReleaseStatus
from launcher.values import Known, Reading, Unknown
from launcher.words import listed, spelled, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from launcher.events import Copying
    from launcher.guard.model import Attempt, RunReport
    from launcher.probes.model import GpuHolder
    from launcher.release.interface import DriveFlush
    from launcher.saving.interface import Checkpoint, Restored, Saved, Unsaved
    from launcher.spec.problems import Problem
    from launcher.verdict.model import Advice, Finding
    from launcher.words import Text

SCHEMA_VERSION = 1
NOT_ENDED = Unknown("not-ended")
UNDECIDED = ReleaseResult(ReleaseStatus.NOT_ASKED, "not-yet")


@dataclass(frozen=True, slots=True)
class HourlyRate:
    """What an hour of the runtime that we stand on costs; `checked` is the date of the figure.

    `stale`: that was long ago.
    """

    units: float
    usd: float
    checked: str | None
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Silence:
    """A job that is alive shows no sign of life since `since_wall`; noted after `seconds` of it.

    `seen` has each sign that could be read: when it was seen last (epoch; None: never while it was watched),
    and what with. `stacks` is the file with where its processes stood.
    """

    since_wall: float
    seconds: float
    seen: Mapping[str, tuple[float | None, Text]]
    stacks: str | None = None

    def as_json(self) -> dict[str, object]:
        """`stalled` of the document."""
        return {
            "since": iso_utc(self.since_wall),
            "seconds": round(self.seconds, 3),
            "last_seen": {
                sign: {"at": None if at is None else iso_utc(at), "detail": str(detail)}
                for sign, (at, detail) in self.seen.items()
            },
            "stacks": self.stacks,
        }

    @property
    def text(self) -> Text:
        """For how long, and what was seen last."""
        now = self.since_wall + self.seconds
        return silent_for(self.seconds, {sign: at for sign, (at, _) in self.seen.items()}, now)


def silent_for(seconds: float, seen: Mapping[str, float | None], now_wall: float) -> Text:
    """`no sign of life for 20 m; last seen: output 21 m ago, CPU 20 m ago`; `seen` are epoch seconds."""
    moments = sorted(((at, sign) for sign, at in seen.items() if at is not None), reverse=True)
    if not moments:
        return words("no sign of life for {time}", time=spelled(_whole(seconds)))
    told = listed(
        words("{sign} {time} ago", sign=SIGNS.get(sign, sign), time=spelled(_whole(now_wall - at)))
        for at, sign in moments
    )
    return words("no sign of life for {time}; last seen: {signs}", time=spelled(_whole(seconds)), signs=told)


def _whole(seconds: float) -> float:
    return round(seconds, 1) if 0 <= seconds < 10 else max(0.0, round(seconds))


def judged_object(findings: Iterable[Finding], advice: Advice | None) -> dict[str, object]:
    """`findings` and `advice` of a document; empty without findings."""
    rows = [finding.as_json() for finding in findings]
    return {"findings": rows, "advice": None if advice is None else advice.as_json()} if rows else {}


def reading_json(reading: Reading[object]) -> object:
    """A reading as JSON: its value, or `{"unknown": "reason-code"}`."""
    return reading.value if isinstance(reading, Known) else {"unknown": reading.reason}


@dataclass(slots=True)
class RunRecord:
    """One run. `state` is planned, started, exited, saving, releasing or done; ends are None until they are.

    `judged` is what the job was held against, as JSON: `findings` and `advice`. `ledger` is why the ledger
    cannot be used, if it cannot. `gpu_left` are processes that hold GPU memory after the job and did not
    before it. `restored` is what was copied back before the job, from the run `resumed_from`; `story` is the
    id of the first run of such a chain. `checkpoints` is the last save of each output while the job ran, by
    its path; `copying` what is being copied just now; `drive` what came of its flush before the release.
    A countdown to the release ends at `countdown_until` (ISO, UTC). `stalled` is the silence that the job is
    in, or was in when it ended; `stalls` counts all of them.
    `attempt_log` has every attempt that has ended; one that is waited for begins at `again_wall`.
    `ends_by` is when it ends at the latest and what for, as far as anybody knows (see budget.ends_by).
    `bill_goes_on`: what would be handed back is less than what is paid for.
    `gpus` are the UUIDs of those that this run has.
    `queue` is the id of the queue that started this run; `queue_runs` are the runs of a queue, as JSON.
    """

    job: str
    run_id: str | None = None
    state: str = "planned"
    attempts: int = 0
    started_wall: float | None = None
    report: RunReport | None = None
    exit_code: int | None = None
    decided_by: str | None = None
    outcome: str | None = None
    saved: tuple[Saved, ...] = ()
    log: str | None = None
    log_saved_to: str | None = None
    release: ReleaseResult | None = None
    managed: bool = False
    bill_goes_on: bool = False
    rate: HourlyRate | None = None
    judged: dict[str, object] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    error: str | None = None
    gpus: tuple[str, ...] = ()
    queue: str = ""
    queue_runs: tuple[dict[str, object], ...] | None = None
    ledger: str | None = None
    gpu_left: Reading[tuple[GpuHolder, ...]] = NOT_ENDED
    unsaved: Unsaved | None = None
    processes: dict[str, int] = field(default_factory=dict)
    story: str | None = None
    resumed_from: str | None = None
    restored: tuple[Restored, ...] = ()
    checkpoints: dict[str, Checkpoint] = field(default_factory=dict)
    copying: Copying | None = None
    drive: DriveFlush | None = None
    countdown_until: str | None = None
    stalled: Silence | None = None
    stalls: int = 0
    attempt_log: tuple[Attempt, ...] = ()
    again_wall: float | None = None
    ends_by: dict[str, str] | None = None

    @property
    def compute_units(self) -> Reading[float]:
        """Colab compute units that the run itself used, at the dated rate of this runtime."""
        if self.report is None:
            return NOT_ENDED
        if self.queue_runs is not None:
            return Unknown("of-its-runs")
        if self.rate is None:
            return Unknown("no-rate")
        return Known(round(self.rate.units * self.report.duration_s / 3600, 4))

    @property
    def money_still_running(self) -> Reading[bool]:
        """Does this runtime go on costing money? After an accepted request nobody inside can know."""
        if not self.managed:
            return Unknown("not-managed")
        if self.bill_goes_on:
            return Known(True)
        status = None if self.release is None else self.release.status
        if status is ReleaseStatus.ACCEPTED:
            return Unknown("not-confirmed")
        if status is ReleaseStatus.CONFIRMED:
            return Known(False)
        return Known(True)

    def as_json(self) -> dict[str, object]:
        """The document, by the contract's names."""
        report = self.report
        started = self.started_wall
        document: dict[str, object] = {
            "schema_version": SCHEMA_VERSION,
            "job": self.job,
            "run_id": self.run_id,
            "state": self.state,
            "outcome": self.outcome,
            "exit_code": self.exit_code,
            "decided_by": self.decided_by,
            "started": None if started is None else iso_utc(started),
            "attempts": self.attempts,
            "attempt_log": [row.as_json() for row in self.attempt_log],
            "duration_s": None if report is None else round(report.duration_s, 3),
            "compute_units": reading_json(self.compute_units),
            "peak_ram_bytes": _unless_ended(None if report is None else report.peak_ram_bytes),
            "peak_gpu_bytes": _unless_ended(None if report is None else report.peak_gpu_bytes),
            "gpu_processes_left": _holders(self.gpu_left),
            "out_of_memory": None
            if report is None or report.out_of_memory is None
            else str(report.out_of_memory),
            "out_of_memory_on": None
            if report is None or report.out_of_memory is None
            else ("gpu" if report.of_gpu else "machine"),
            "log": self.log,
            "log_saved_to": self.log_saved_to,
            "story": self.story,
            "resumed_from": self.resumed_from,
            "saved": [saved.as_json() for saved in self.saved],
            "release": (self.release or UNDECIDED).as_json(),
            "money_still_running": reading_json(self.money_still_running),
        }
        document.update(self.judged)
        if self.gpus:
            document["gpus"] = list(self.gpus)
        if self.queue:
            document["queue"] = self.queue
        if self.queue_runs is not None:
            document["queue_id"], document["runs"] = self.run_id, list(self.queue_runs)
        if report is not None and report.survivors:
            document["survivors"] = list(report.survivors)
        if self.problems:
            document["problems"] = [problem.as_json() for problem in self.problems]
        if self.error is not None:
            document["error"] = self.error
        if self.ledger is not None:
            document["ledger"] = {"unusable": self.ledger}
        if self.unsaved is not None:
            document["unsaved"] = self.unsaved.as_json()
        if self.restored:
            document["restored"] = [row.as_json() for row in self.restored]
        if self.checkpoints:
            document["checkpoints"] = [row.as_json() for row in self.checkpoints.values()]
        if self.drive is not None:
            document["drive"] = self.drive.as_json()
        if self.countdown_until is not None:
            document["countdown_until"] = self.countdown_until
        if self.stalled is not None:
            document["stalled"] = self.stalled.as_json()
        if self.ends_by is not None and report is None:
            document["ends_by"] = self.ends_by
        if report is not None and (limit := getattr(report.outcome, "limit", None)) is not None:
            document["limit"] = limit
        if self.stalls:
            document["stalls"] = self.stalls
        if self.again_wall is not None:
            document["next_attempt"] = {"attempt": self.attempts + 1, "at": iso_utc(self.again_wall)}
        if self.copying is not None:
            document["copying"] = self.copying.as_json()
        if self.processes:
            document["processes"] = dict(self.processes)
        return document


def _holders(reading: Reading[tuple[GpuHolder, ...]]) -> object:
    if not isinstance(reading, Known):
        return reading_json(reading)
    return [
        {
            "pid": row.pid,
            "memory_bytes": reading_json(row.memory_bytes),
            "command": reading_json(row.command),
        }
        for row in reading.value
    ]


def _unless_ended(reading: Reading[int] | None) -> object:
    return reading_json(NOT_ENDED if reading is None else reading)


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run among those of this machine, as `ps` shows it.

    `told` is the run's document as its guard gave it or its result.json has it, or why it is not known:
    `another-user`, `not-answering`, `no-record`. `guarded`: somebody still looks after the run. `place` is
    its folder; `uid` is who it belongs to.
    """

    run_id: str
    job: str
    guarded: bool
    told: Mapping[str, object] | Unknown
    place: str | None
    uid: int
    guard_pid: int | None = None

    def get(self, field_name: str) -> object:
        """A field of the document; Unknown where it is not known."""
        return self.told if isinstance(self.told, Unknown) else self.told.get(field_name)

    @property
    def over(self) -> bool:
        """Has it been said how the run ended?"""
        return self.get("state") == "done"

    def as_json(self) -> dict[str, object]:
        """One row of `ps --json`."""
        told = {
            name: reading_json(value) if isinstance(value := self.get(name), Unknown) else value
            for name in ROW_FIELDS
        }
        return {
            "run_id": self.run_id,
            "job": self.job,
            "guarded": self.guarded,
            **told,
            "folder": self.place,
            "guard_pid": self.guard_pid,
            "uid": self.uid,
        }


# What `ps` shows of a run's document.
ROW_FIELDS = (
    *("state", "outcome", "exit_code", "decided_by", "started", "duration_s", "log", "release"),
    *("gpus", "queue", "runs"),
    *("copying", "countdown_until", "stalled", "idle", "attempts", "attempt_log", "next_attempt"),
)
