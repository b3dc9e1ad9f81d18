"""Exit codes and errors of colab-run.

    ColabRunError                 says what, where and what to do next
    ├── UsageError                64  the command line cannot be understood, or the job file is missing
    ├── JobFileError              65  the job file has problems (all of them, with their places)
    ├── StateFolderError          73  COLAB_RUN_HOME cannot be used
    └── BeingReleased             69  a release of this runtime is in flight: nothing may start

A verdict that is not met is not an error: `app.run` returns it as a refused run (exit code 69).
Anything else that escapes is a bug of ours and ends with 70.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.spec.problems import Problem


class ExitCode(IntEnum):
    """What `colab-run` itself decides; every other code is the job's own (128+n for a signal)."""

    OK = 0
    USAGE = 64
    JOB_FILE = 65
    NOT_MET = 69
    BUG = 70
    STATE_FOLDER = 73
    NOT_SAVED = 74
    NOT_RELEASED = 75
    OVER_LIMIT = 124
    NOT_EXECUTABLE = 126
    NOT_FOUND = 127
    INTERRUPTED = 130
    TERMINATED = 143


class ColabRunError(Exception):
    """Base of all errors that a user can act on.

    `what` is one sentence, `hint` is an instruction (or empty).
    """

    exit_code: ExitCode = ExitCode.BUG

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


class UsageError(ColabRunError):
    """The command line is wrong, or the job file that it names cannot be read."""

    exit_code = ExitCode.USAGE


class JobFileError(ColabRunError):
    """The job file has problems; nothing was started."""

    exit_code = ExitCode.JOB_FILE

    def __init__(self, problems: Sequence[Problem], source_lines: Sequence[str]) -> None:
        count = len(problems)
        super().__init__(f"{count} problem{'s' if count != 1 else ''} in the job file")
        self.problems = tuple(problems)
        self.source_lines = tuple(source_lines)


class StateFolderError(ColabRunError):
    """The folder that holds runs, logs and results cannot be used."""

    exit_code = ExitCode.STATE_FOLDER


class BeingReleased(ColabRunError):
    """Another colab-run is handing this runtime back right now; a job that started would be lost."""

    exit_code = ExitCode.NOT_MET
