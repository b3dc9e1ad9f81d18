"""Finding, Verdict and Advice: what the comparison of a job with a runtime says. Pure data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launcher.catalog.model import Runtime
    from launcher.words import Words


class Status(str, Enum):
    """Is one requirement met?"""

    MET = "met"
    SHORT = "short"
    UNKNOWN = "unknown"


class FindingCode(str, Enum):
    """What a finding is about; stable, never translated."""

    NEEDS_OTHER_RUNTIME = "CR101"
    COULD_NOT_TELL = "CR102"
    GPU_CLASS = "CR110"
    GPU_COUNT = "CR111"
    GPU_PROPERTIES = "CR112"
    NO_GPU = "CR113"
    GPU_IN_MIG_MODE = "CR114"
    GPU_UNREADABLE = "CR115"
    TPU = "CR116"
    GPU_TAKEN = "CR117"
    GPU_IN_USE = "CR118"
    RAM = "CR120"
    DISK = "CR130"
    CPUS = "CR140"
    SECRET = "CR150"  # noqa: S105 - a code, not a secret
    OUTPUT_TARGET = "CR160"
    DRIVE_NOT_MOUNTED = "CR161"
    PACKAGE = "CR170"
    FILE = "CR171"
    HOST = "CR172"
    INPUT = "CR173"
    ROOM = "CR174"
    WHEEL = "CR175"
    BUDGET = "CR180"


@dataclass(frozen=True, slots=True)
class Finding:
    """One requirement beside what was found.

    `wanted` and `found` are JSON values: bytes as integers, names as strings; a found value that is
    unknown is `{"unknown": "reason"}`. `wanted_text` and `found_text` are the same for a person,
    `note` is one more sentence where the two columns do not say enough. `run_ids` are the runs that have
    what is missing, as far as somebody knows them.
    """

    requirement: str
    wanted: object
    found: object
    status: Status
    code: FindingCode
    wanted_text: Words | str
    found_text: Words | str
    note: Words | str = ""
    run_ids: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        """The row of `findings` in JSON; `run_ids` only where there are some."""
        row: dict[str, object] = {
            "requirement": self.requirement,
            "wanted": self.wanted,
            "found": self.found,
            "status": self.status.value,
            "code": self.code.value,
        }
        return {**row, "run_ids": list(self.run_ids)} if self.run_ids else row


@dataclass(frozen=True, slots=True)
class Verdict:
    """All findings of one job on one runtime."""

    findings: tuple[Finding, ...]

    @property
    def status(self) -> Status:
        """SHORT if anything is short, else UNKNOWN if anything is unknown, else MET."""
        states = {finding.status for finding in self.findings}
        for status in (Status.SHORT, Status.UNKNOWN):
            if status in states:
                return status
        return Status.MET


@dataclass(frozen=True, slots=True)
class CostsMost:
    """The requirement that makes the job dear: with `value` instead, `runtime` would do at less."""

    requirement: str
    value: str
    runtime: str
    units_per_hour: float
    text: Words

    def as_json(self) -> dict[str, object]:
        """The `costs_most` object of the advice in JSON."""
        return {
            "requirement": self.requirement,
            "value": self.value,
            "runtime": self.runtime,
            "units_per_hour": self.units_per_hour,
        }


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another row that would do, or may; `units_per_hour` is None where no source gives a rate."""

    runtime: str
    units_per_hour: float | None
    text: Words

    def as_json(self) -> dict[str, object]:
        """One of the `alternatives` of the advice in JSON."""
        return {"runtime": self.runtime, "units_per_hour": self.units_per_hour, "text": str(self.text)}


# More would bury the answer; `check --all` has them all.
ALTERNATIVES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Advice:
    """How to get a runtime that meets every requirement.

    `units_per_hour` is in Colab compute units and None where no source gives a rate; `checked` is
    the date of that figure (ISO) or None; `steps` are the clicks, `argv` the next command, `plan` who
    gets the runtime (a level of catalog.model), `notes` what else to know before switching.
    """

    runtime: str
    units_per_hour: float | None
    usd_per_hour: float | None
    checked: str | None
    summary: Words | str
    steps: tuple[Words | str, ...]
    argv: tuple[str, ...]
    others: tuple[Alternative, ...] = ()
    plan: str | None = None
    notes: tuple[Words | str, ...] = ()
    costs_most: CostsMost | None = None

    @property
    def alternatives(self) -> tuple[Words, ...]:
        """The other rows, as a person reads them."""
        return tuple(one.text for one in self.others)

    def few(self) -> Advice:
        """The same with no more alternatives than a person reads."""
        return replace(self, others=self.others[:ALTERNATIVES_SHOWN])

    def as_json(self) -> dict[str, object]:
        """The `advice` object in JSON."""
        return {
            "runtime": self.runtime,
            "units_per_hour": self.units_per_hour,
            "usd_per_hour": self.usd_per_hour,
            "checked": self.checked,
            "plan": self.plan,
            "summary": str(self.summary),
            "steps": [str(step) for step in self.steps],
            "argv": list(self.argv),
            "notes": [str(note) for note in self.notes],
            "costs_most": None if self.costs_most is None else self.costs_most.as_json(),
            "alternatives": [one.as_json() for one in self.others],
        }


@dataclass(frozen=True, slots=True)
class Fix:
    """The smallest change of a job file that a runtime meets (verdict/fix.py).

    `patch` are ops of RFC 6902; the rest is the runtime that they were made for: its row, rate and the
    date of that, if known.
    """

    patch: tuple[dict[str, object], ...]
    runtime: str | None
    units_per_hour: float | None
    checked: str | None

    @property
    def text(self) -> str:
        """The new values as a job file has them: `gpu: [A100, T4], ram: 13.6GB`."""
        changes = ((str(op["path"]).rpartition("/")[2], op["value"]) for op in self.patch)
        return ", ".join(f"{key}: {_as_written(value)}" for key, value in changes)

    def as_json(self) -> dict[str, object]:
        """`fix` of `check --json`."""
        return {
            "patch": list(self.patch),
            "runtime": self.runtime,
            "units_per_hour": self.units_per_hour,
            "checked": self.checked,
        }


def _as_written(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(str, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {one}' for key, one in value.items())}}}"
    return str(value)


@dataclass(frozen=True, slots=True)
class Fit:
    """How a job fits on a row. `uncounted` are requirements that the catalogue has no figure for:

    the reason where the status is UNKNOWN, what was left out of account where it is MET.
    """

    row: Runtime
    status: Status
    uncounted: tuple[str, ...] = ()

    @property
    def units(self) -> float:
        """Units an hour; a rate that is not known is dearer than any."""
        return float("inf") if self.row.units_per_hour is None else self.row.units_per_hour


@dataclass(frozen=True, slots=True)
class WheelRow:
    """A released wheel as somebody looked at it: `version` is a prefix of versions (`2.9`).

    `architectures` are what it carries code for, such as `sm_80` (that code itself) and `compute_90` (PTX,
    which the driver compiles at the start); `fails_on` compute capabilities on which it is known to fail
    in spite of its PTX. `cuda` is empty where the row holds whatever the wheel was built for.
    """

    package: str
    version: str
    cuda: str
    architectures: tuple[str, ...]
    fails_on: tuple[tuple[int, int], ...]
    source: str
    checked: str


@dataclass(frozen=True, slots=True)
class WheelTable:
    """configs/wheels.yaml: released wheels, and the oldest driver by the first figure of CUDA's version."""

    rows: tuple[WheelRow, ...] = ()
    drivers: tuple[tuple[int, str], ...] = ()
