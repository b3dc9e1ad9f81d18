"""Exit codes and errors of colab-run.

    ColabRunError                 says what, where and what to do next
    ├── UsageError                64  the command line cannot be understood, or the job file is missing
    ├── JobFileError              65  the job file has problems (all of them, with their places)
    ├── StateFolderError          73  COLAB_RUN_HOME cannot be used
    ├── BeingReleased             69  a release of this runtime is in flight: nothing may start
    ├── AlreadyStarted            69  `--once`: a run before this one has used the key up
    ├── NotReleasable             69  nothing here hands this runtime back: there is nothing to watch for
    ├── NoProcess                126  the machine lets us create no process: nothing was started
    ├── NoSuchRun                 64  there is no run of that name or id
    ├── NotReached                70  a run is there, and its guard does not answer
    └── AnswerLost                70  the answer could not be written to stdout, such as to a full disk

A verdict that is not met is not an error: `app.run` returns it as a refused run (exit code 69).
Anything else that escapes is a bug of ours and ends with 70.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from launcher.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.spec.problems import Problem
    from launcher.words import Text


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

    `said` is one sentence, `advised` is an instruction (or empty); `what` and `hint` are their English.
    """

    exit_code: ExitCode = ExitCode.BUG

    def __init__(self, said: Text, advised: Text = "") -> None:
        super().__init__(str(said))
        self.said = said
        self.advised = advised

    def __reduce__(self) -> tuple[type[ColabRunError], tuple[object, ...]]:
        """Errors travel from the guard to its client."""
        return type(self), (self.said, self.advised)

    @property
    def what(self) -> str:
        """The sentence in English, for documents."""
        return str(self.said)

    @property
    def hint(self) -> str:
        """The instruction in English."""
        return str(self.advised)


class UsageError(ColabRunError):
    """The command line is wrong, or the job file that it names cannot be read."""

    exit_code = ExitCode.USAGE


class JobFileError(ColabRunError):
    """The job file has problems; nothing was started. `lang` is the language that it asks for, if it does."""

    exit_code = ExitCode.JOB_FILE

    def __init__(
        self, problems: Sequence[Problem], source_lines: Sequence[str], lang: str | None = None
    ) -> None:
        super().__init__(
            counted("{count} problem in the job file", "{count} problems in the job file", len(problems))
        )
        self.problems = tuple(problems)
        self.source_lines = tuple(source_lines)
        self.lang = lang


class StateFolderError(ColabRunError):
    """The folder that holds runs, logs and results cannot be used."""

    exit_code = ExitCode.STATE_FOLDER


class BeingReleased(ColabRunError):
    """Another colab-run is handing this runtime back right now; a job that started would be lost."""

    exit_code = ExitCode.NOT_MET


class GpusTaken(ColabRunError):
    """Other runs have the GPUs that the job asks for; nothing was started. `row` is the finding, as JSON."""

    exit_code = ExitCode.NOT_MET

    def __init__(self, said: Text, advised: Text = "", row: dict[str, object] | None = None) -> None:
        super().__init__(said, advised)
        self.row = row

    def __reduce__(self) -> tuple[type[ColabRunError], tuple[object, ...]]:
        return type(self), (self.said, self.advised, self.row)


class AlreadyStarted(ColabRunError):
    """Another run is what this one was to be. `told` is its document where it is not one of this machine."""

    exit_code = ExitCode.NOT_MET

    def __init__(
        self, said: Text, advised: Text = "", run_id: str = "", told: dict[str, object] | None = None
    ) -> None:
        super().__init__(said, advised)
        self.run_id, self.told = run_id, told

    def __reduce__(self) -> tuple[type[ColabRunError], tuple[object, ...]]:
        return type(self), (self.said, self.advised, self.run_id, self.told)


class NotReleasable(ColabRunError):
    """Nobody here hands this runtime back, or it cannot work: a watch would watch in vain."""

    exit_code = ExitCode.NOT_MET


class NoProcess(ColabRunError):
    """No watcher or guard could be started."""

    exit_code = ExitCode.NOT_EXECUTABLE


class NoSuchRun(ColabRunError):
    """What was typed names no run of this machine."""

    exit_code = ExitCode.USAGE


class NotReached(ColabRunError):
    """The guard of a run cannot be asked."""

    exit_code = ExitCode.BUG


class AnswerLost(ColabRunError):
    """What was asked for could not be written to stdout: a script must not take that for an empty answer."""

    exit_code = ExitCode.BUG
