"""Run, Outcome and what the supervisor reports. Pure data; one type for each way to end."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.clock import iso_utc
from launcher.errors import ExitCode

if TYPE_CHECKING:
    from launcher.spec.model import Leftovers
    from launcher.values import Reading
    from launcher.words import Text


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The job ended with 0."""

    name = "succeeded"
    decided_by = "job"
    exit_code = int(ExitCode.OK)


@dataclass(frozen=True, slots=True)
class Failed:
    """The job ended with `exit_code`, which is not 0."""

    exit_code: int
    name = "failed"
    decided_by = "job"


@dataclass(frozen=True, slots=True)
class Signalled:
    """A signal that nobody asked colab-run to send ended the job."""

    signal: int
    name = "signalled"
    decided_by = "job"

    @property
    def exit_code(self) -> int:
        """128 + the signal's number."""
        return 128 + self.signal


@dataclass(frozen=True, slots=True)
class SetupFailed:
    """`setup` ended with `exit_code` (128+n for a signal); `run` was not started."""

    exit_code: int
    name = "setup_failed"
    decided_by = "job"


@dataclass(frozen=True, slots=True)
class OverLimit:
    """`max_duration` passed, or the budget is used up (`limit`, by its key); `limit_s` in seconds."""

    limit_s: float
    limit: str = "max_duration"
    name = "over_limit"
    decided_by = "colab-run"
    exit_code = int(ExitCode.OVER_LIMIT)


@dataclass(frozen=True, slots=True)
class Stalled:
    """The job showed no sign of life for `silent_s` seconds, and was to be stopped then."""

    silent_s: float
    name = "stalled"
    decided_by = "colab-run"
    exit_code = int(ExitCode.OVER_LIMIT)


@dataclass(frozen=True, slots=True)
class CouldNotStart:
    """The command could not be started: `exit_code` is 126 or 127, `why` is a sentence."""

    exit_code: int
    why: Text
    name = "could_not_start"
    decided_by = "colab-run"


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A person ended the run: stop button or Ctrl-C (SIGINT), or SIGTERM to colab-run."""

    signal: int
    name = "interrupted"
    decided_by = "colab-run"

    @property
    def exit_code(self) -> int:
        """143 after SIGTERM, else 130, whatever the job's own code was."""
        return int(ExitCode.TERMINATED if self.signal == signal.SIGTERM else ExitCode.INTERRUPTED)


@dataclass(frozen=True, slots=True)
class Refused:
    """The runtime does not meet the job's requirements; nothing was started."""

    name = "refused"
    decided_by = "colab-run"
    exit_code = int(ExitCode.NOT_MET)


@dataclass(frozen=True, slots=True)
class Lost:
    """Watcher and guard were both gone; what was left of the job was ended by a later call.

    Nobody knows how the job itself would have ended: it counts as killed.
    """

    name = "lost"
    decided_by = "colab-run"
    exit_code = 128 + signal.SIGKILL


Outcome = (
    Succeeded
    | Failed
    | Signalled
    | SetupFailed
    | OverLimit
    | Stalled
    | CouldNotStart
    | Interrupted
    | Refused
    | Lost
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One start of the job, from there to the end of its last process.

    `kind` is the class of its end (a value of RetryOn), None for one after which nothing is started again.
    Another one was to begin `next_in_s` after it; None: none was. `duration_s` None: nobody saw its end.
    """

    number: int
    outcome: str
    exit_code: int
    kind: str | None
    started_wall: float
    duration_s: float | None
    next_in_s: float | None = None

    def as_json(self) -> dict[str, object]:
        """One row of `attempt_log`, and the facts of a `retrying` row of the ledger."""
        return {
            "attempt": self.number,
            "outcome": self.outcome,
            "exit_code": self.exit_code,
            "class": self.kind,
            "started": iso_utc(self.started_wall),
            "duration_s": {"unknown": "lost"} if self.duration_s is None else round(self.duration_s, 3),
            "next_in_s": None if self.next_in_s is None else round(self.next_in_s, 3),
        }


@dataclass(frozen=True, slots=True)
class RunPlan:
    """Everything that the supervisor needs; nothing in it has to be looked up again.

    `setup` and `run` are argv lists, `env` is the whole environment of the job, `log_path` an
    existing file that is appended to. Durations in seconds.
    """

    run_id: str
    run: tuple[str, ...]
    setup: tuple[str, ...] | None
    env: dict[str, str]
    workdir: str
    log_path: str
    max_duration_s: float | None
    stop_grace_s: float
    leftovers: Leftovers
    budget_s: float | None = None


@dataclass(frozen=True, slots=True)
class RunReport:
    """What happened, once no process of the job is left (or `survivors` could not be killed).

    `out_of_memory` is the evidence that memory ran out, of a GPU if `of_gpu`, else of the machine.
    `ended_by_person` is also true when a person pressed stop after the main process had ended, while
    what it left behind was being stopped. Files that changed at or after `files_since_ns` (their clock,
    nanoseconds) were changed by `run`, not by `setup`.
    """

    outcome: Outcome
    started_wall: float
    files_since_ns: int
    duration_s: float
    peak_ram_bytes: Reading[int]
    peak_gpu_bytes: Reading[int]
    out_of_memory: Text | None = None
    of_gpu: bool = False
    ended_by_person: bool = False
    leftovers_stopped: int = 0
    survivors: tuple[int, ...] = ()
    log_bytes_lost: int = 0
