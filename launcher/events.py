"""What the use cases tell whoever called them, as it happens. Pure data; `report` puts it into words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from launcher.catalog.model import Catalog, Runtime
    from launcher.probes.model import RuntimeFacts
    from launcher.record import HourlyRate, RunRecord
    from launcher.release.interface import ReleaseResult
    from launcher.spec.model import JobSpec
    from launcher.verdict.model import Advice, Fit, Fix, Verdict
    from launcher.words import Text


@dataclass(frozen=True, slots=True)
class Judged:
    """A job was held against this runtime. `source` is the job file as the user named it.

    `on` is the catalogue's row that stood for the runtime, as people call it, and `on_row` its key; or both
    are empty. `costs_more`, `hints` and `balance` are sentences that block nothing: that a cheaper runtime
    would do, what else to know, how long the user's units last. `disconnect` is where the platform's own
    menu ends the runtime. `fix` is the smallest change of the job file that this runtime meets.
    """

    source: Text
    spec: JobSpec
    facts: RuntimeFacts
    verdict: Verdict
    advice: Advice | None
    rate: HourlyRate | None
    on: Text = ""
    costs_more: Text = ""
    hints: tuple[Text, ...] = ()
    balance: Text = ""
    disconnect: Text = ""
    on_row: str = ""
    fix: Fix | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The same, and for that reason nothing was started. `in_cell`: under `!` the next cells still run."""

    judged: Judged
    in_cell: bool


@dataclass(frozen=True, slots=True)
class Launching:
    """The job is about to start. `warnings` and `hints` are whole sentences."""

    name: str
    run_id: str
    warnings: tuple[Text, ...]
    hints: tuple[Text, ...] = ()


@dataclass(frozen=True, slots=True)
class Announced:
    """Before the launch: files that are not declared as outputs will hold the release.

    `after_hold` is what then happens after `hold_s` seconds.
    """

    hold_s: float
    after_hold: str
    rate: HourlyRate | None


@dataclass(frozen=True, slots=True)
class Said:
    """One sentence while the job runs."""

    text: Text
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing is started yet: `text` says for what we wait, since `seconds`. Told again and again."""

    text: Text
    seconds: float


@dataclass(frozen=True, slots=True)
class SavingBegan:
    """An output is being copied."""

    path: str
    to: str


@dataclass(frozen=True, slots=True)
class Copying:
    """An output is being copied since `seconds`: `done` bytes of `total` (0: not known yet)."""

    path: str
    to: str
    done: int
    total: int
    seconds: float
    restoring: bool = False

    def as_json(self) -> dict[str, object]:
        """`copying` in JSON."""
        return {
            "path": self.path,
            "to": self.to,
            "bytes": self.done,
            "of_bytes": self.total or None,
            "restoring": self.restoring,
        }


@dataclass(frozen=True, slots=True)
class Ended:
    """The job is over and its results are copied (or not); what happens next is in `next_release`.

    `next_release` is how the release already ended without having been asked, None when it comes now.
    A hold ends after `hold_s` with `after_hold` (`release` or `stay`); idle is a runtime on which nothing
    has shown life for `after_s`.
    """

    record: RunRecord
    next_release: ReleaseResult | None
    grace_s: float
    hold_s: float = 0.0
    after_hold: str = "stay"
    after_s: float = 1800.0


@dataclass(frozen=True, slots=True)
class RunOfQueue:
    """The run `number` of `count` of a queue has started, or has ended with `exit_code`.

    `run_id` is None where it could not be started, and `said` is what was said about that. `folder` is the
    run's own; `alone`: no other run of the queue goes on beside it.
    """

    number: int
    count: int
    name: str
    run_id: str | None
    folder: str
    alone: bool = True
    exit_code: int | None = None
    said: str = ""


@dataclass(frozen=True, slots=True)
class CountingDown:
    """The runtime goes in `seconds`."""

    seconds: float
    hold_file: str


@dataclass(frozen=True, slots=True)
class Retrying:
    """The request was not accepted; the next one follows in `seconds`."""

    reason: str
    seconds: float


@dataclass(frozen=True, slots=True)
class ReleaseEnded:
    """The last word on the runtime. `lasting`: a guard goes on waiting for what holds it.

    `after_s` as in `Ended`.
    """

    result: ReleaseResult
    rate: HourlyRate | None
    lasting: bool = True
    after_s: float = 1800.0


@dataclass(frozen=True, slots=True)
class Offer:
    """A runtime of the catalogue as a person chooses among them. `fit` is None where no job was named."""

    row: Runtime
    usd_per_hour: float | None
    hours: float | None
    fit: Fit | None


@dataclass(frozen=True, slots=True)
class Offers:
    """All of them, cheapest first, and what is said below; `job` is the job file, or empty."""

    offers: tuple[Offer, ...]
    catalog: Catalog
    units: float | None
    job: Text = ""


Event = (
    Judged
    | Refused
    | Launching
    | Announced
    | Said
    | Waiting
    | SavingBegan
    | Copying
    | Ended
    | RunOfQueue
    | CountingDown
    | Retrying
    | ReleaseEnded
)


class Audience(Protocol):
    """Whoever listens: a terminal, a JSON script, a notebook."""

    def tell(self, event: Event) -> None:
        """Show one event, or note it."""
