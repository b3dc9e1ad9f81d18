"""Release of our own Slurm allocation: `scancel` of it, and of nothing else.

An element of an array is named by its array and index: the number of one of them is also that of the whole
array. What it is called, and whether it is there, and ours, `squeue` says each time; its text is not read
beyond the columns that we ask for, and what it says of a job that it has forgotten.
"""

from __future__ import annotations

import os
import re
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from launcher.release.interface import Answer
from launcher.release.program import run, which
from launcher.values import Known, Unknown
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from launcher.values import Reading
    from launcher.words import Text

_LOOK_S = 5.0
# Of the time of one attempt, for a question to `squeue`: one before `scancel`, and one after it has failed.
_SHARE_OF_LOOK = 0.25
_JOB = re.compile(r"\A[0-9]{1,20}\Z")
_ELEMENT = re.compile(r"\A[0-9]{1,20}(_[0-9]{1,20})?\Z")
# Number, what `scancel` has to be told, state, user.
_COLUMNS = "--format=%A %i %T %U"
_OVER = frozenset(
    {
        *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED"),
        *("NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "TIMEOUT"),
    }
)
# What squeue says of a job that ended a while ago, with the same exit code as any other failure.
_FORGOTTEN = "Invalid job id"
# Options of a person's that would hide our job from squeue, or from scancel, which then has nothing to do.
_OPTIONS = ("SQUEUE_", "SCANCEL_", "SLURM_CLUSTERS")


class Row(NamedTuple):
    """What `squeue` says of an allocation: `element` is its name for `scancel`."""

    element: str
    state: str
    uid: str


GONE = Row("", "", "")


def job_of(environ: Mapping[str, str]) -> str:
    """The number of the allocation that this environment stands in; empty if in none."""
    job = environ.get("SLURM_JOB_ID", "").strip()
    return job if _JOB.match(job) else ""


@dataclass(frozen=True, slots=True)
class Slurm:
    """The allocation with the number `job`."""

    job: str
    environ: Mapping[str, str] = field(repr=False)
    name: str = "slurm"
    patience: float = 3.0
    ends_the_bill: bool = True
    brings: tuple[int, ...] = (signal.SIGTERM,)

    @property
    def way(self) -> str:
        """One allocation is not another."""
        return f"slurm:{self.job}"

    def describe(self) -> Text:
        """The command."""
        row = self._row(_LOOK_S) if self.job else Unknown("no-allocation")
        ours = isinstance(row, Known) and row.value.element
        return f"scancel {ours or self.job}"

    def hopeless(self) -> tuple[str, Text] | None:
        """Outside of an allocation there is nothing to give back."""
        if self.job:
            return None
        return "no-allocation", words("SLURM_JOB_ID is not set: this is not inside a Slurm allocation")

    def permission(self) -> Text:
        """Are we in an allocation, is it ours, and does it run?"""
        problem = self.hopeless()
        if problem is not None:
            return problem[1]
        for program in ("scancel", "squeue"):
            if which(program, self.environ) is None:
                return words("{program} is not on the PATH", program=program)
        row = self._row(_LOOK_S)
        if isinstance(row, Unknown):
            return words("{program} does not answer: {why}", program="squeue", why=row.reason)
        if row.value.state in _OVER or row.value.uid != str(os.geteuid()):
            return words("the Slurm allocation {job} is not there, or belongs to another user", job=self.job)
        return ""

    def ask(self, nonce: str, deadline_s: float, meanwhile: Callable[[], None]) -> Answer:
        """`scancel`; exit code 0 is success. What is gone already was handed back before."""
        look_s = deadline_s * _SHARE_OF_LOOK
        row = self._row(look_s, meanwhile)
        if isinstance(row, Unknown):
            return Answer(None, row.reason)
        if row.value is GONE or row.value.state in _OVER:
            return Answer(None, "gone", accepted=True)
        if row.value.uid != str(os.geteuid()):
            return Answer(None, "not-ours", firm=True)
        argv = ["scancel", row.value.element]
        ran = run(argv, self._environ, deadline_s - 2 * look_s, meanwhile=meanwhile)
        if ran.code == 0:
            return Answer(None, ran.reason, accepted=True)
        # It may have gone, and taken a guard with it that had asked before us.
        gone = self.gone(look_s, meanwhile)
        return Answer(None, ran.reason, accepted=gone == Known(True), said=ran.said)

    def gone(self, deadline_s: float, meanwhile: Callable[[], None]) -> Reading[bool]:
        """Has it come to its end, or has Slurm forgotten it? A list that lacks it says nothing."""
        row = self._row(deadline_s, meanwhile)
        return row if isinstance(row, Unknown) else Known(row.value is GONE or row.value.state in _OVER)

    @property
    def _environ(self) -> dict[str, str]:
        return {name: value for name, value in self.environ.items() if not name.startswith(_OPTIONS)}

    def _row(self, deadline_s: float, meanwhile: Callable[[], None] = lambda: None) -> Reading[Row]:
        """What `squeue` says of it; GONE when it knows of no such job any more.

        What the environment says of arrays is not asked: a job that an element of an array has submitted
        inherits it.
        """
        argv = ["squeue", "--noheader", f"--jobs={self.job}", "--states=all", _COLUMNS]
        ran = run(argv, self._environ, deadline_s, meanwhile=meanwhile)
        if ran.code != 0:
            return Known(GONE) if ran.code is not None and _FORGOTTEN in ran.output else Unknown(ran.reason)
        # The number of one element of an array is that of the whole array, too: then all of them are listed.
        rows = [columns for line in ran.output.splitlines() if len(columns := line.split()) == 4]
        ours = [Row(*columns[1:]) for columns in rows if columns[0] == self.job]
        if len(ours) != 1:
            return Unknown("not-listed")
        # Of what is named in another way, such as a part of a heterogeneous job, the whole is ours.
        element = ours[0].element if _ELEMENT.match(ours[0].element) else self.job
        return Known(ours[0]._replace(element=element))

    def as_json(self) -> dict[str, Any]:
        """Which allocation, and where Slurm is: a shell outside of it may not know."""
        program = which("scancel", self.environ)
        return {
            "name": self.name,
            "job": self.job,
            "folder": None if program is None else os.path.dirname(program),
            "conf": self.environ.get("SLURM_CONF"),
        }


def knowing(environ: Mapping[str, str], noted: Mapping[str, Any]) -> dict[str, str]:
    """An environment that finds the Slurm which was noted."""
    found = dict(environ)
    if noted.get("folder"):
        found["PATH"] = os.pathsep.join(filter(None, (environ.get("PATH"), str(noted["folder"]))))
    if noted.get("conf"):
        found["SLURM_CONF"] = str(noted["conf"])
    return found
