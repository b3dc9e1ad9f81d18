"""Release of our own Slurm allocation: `scancel` of it, and of nothing else.

An element of an array is named by its array and index: the number of one of them is also that of the whole
array. Whether the allocation is there, and ours, `squeue` says; its text is not read beyond the columns
that we ask for.
"""

from __future__ import annotations

import os
import re
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from launcher.release.interface import Answer
from launcher.release.program import run, which
from launcher.values import Known, Unknown
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from launcher.values import Reading
    from launcher.words import Text

_LOOK_S = 5.0
# Of the time of one attempt, for the question whether it has gone.
_SHARE_OF_LOOK = 0.25
_JOB = re.compile(r"\A[0-9]{1,20}\Z")


def job_of(environ: Mapping[str, str]) -> str:
    """The number of the allocation that this environment stands in; empty if in none."""
    job = environ.get("SLURM_JOB_ID", "").strip()
    return job if _JOB.match(job) else ""


def element_of(environ: Mapping[str, str]) -> str:
    """The same as `scancel` has to be told it: `ARRAY_INDEX` for an element of an array."""
    array, index = (environ.get(f"SLURM_ARRAY_{name}", "").strip() for name in ("JOB_ID", "TASK_ID"))
    return f"{array}_{index}" if _JOB.match(array) and _JOB.match(index) else job_of(environ)


@dataclass(frozen=True, slots=True)
class Slurm:
    """The allocation `job`, which `scancel` knows as `element`."""

    job: str
    element: str
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
        return f"scancel {self.element}"

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
        states = self._states(_LOOK_S)
        if isinstance(states, Unknown):
            return words("{program} does not answer: {why}", program="squeue", why=states.reason)
        if self.job not in states.value:
            return words("the Slurm allocation {job} is not there, or belongs to another user", job=self.job)
        return ""

    def ask(self, nonce: str, deadline_s: float, meanwhile: Callable[[], None]) -> Answer:
        """`scancel`; exit code 0 is success. What is gone already was handed back before."""
        argv = ["scancel", self.element]
        ran = run(argv, self.environ, deadline_s * (1 - _SHARE_OF_LOOK), meanwhile=meanwhile)
        if ran.code == 0:
            return Answer(None, ran.reason, accepted=True)
        # It may have gone, and taken a guard with it that had asked before us.
        gone = self.gone(deadline_s * _SHARE_OF_LOOK, meanwhile)
        return Answer(None, ran.reason, accepted=gone == Known(True), said=ran.said)

    def gone(self, deadline_s: float, meanwhile: Callable[[], None]) -> Reading[bool]:
        """Is it no longer among our allocations?"""
        states = self._states(deadline_s, meanwhile)
        return states if isinstance(states, Unknown) else Known(self.job not in states.value)

    def _states(
        self, deadline_s: float, meanwhile: Callable[[], None] = lambda: None
    ) -> Reading[dict[str, str]]:
        """The state of each allocation that is ours, those that are coming to their end included."""
        argv = ["squeue", "--noheader", f"--user={os.geteuid()}", "--format=%A %T"]
        ran = run(argv, self.environ, deadline_s, meanwhile=meanwhile)
        if ran.code != 0:
            return Unknown(ran.reason)
        rows = (line.split() for line in ran.output.splitlines())
        return Known({row[0]: row[1] for row in rows if len(row) == 2})

    def as_json(self) -> dict[str, Any]:
        """Which allocation, and where Slurm is: a shell outside of it may not know."""
        program = which("scancel", self.environ)
        return {
            "name": self.name,
            "job": self.job,
            "element": self.element,
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
