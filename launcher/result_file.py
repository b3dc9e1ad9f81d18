"""`--result FILE`: the record of a run, replaced atomically at every change of state."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from launcher.errors import UsageError
from launcher.guard.folder import write_json
from launcher.masking import mask_json
from launcher.words import reason, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.record import RunRecord
    from launcher.words import Text


class ResultFile:
    """The file that a user named.

    A place that cannot be written is a usage error at the first write, before anything has started;
    later it must not stop the run.
    """

    def __init__(self, path: str | None, secrets: Sequence[str] = (), *, job_file: str = "") -> None:
        # A link is written through: what is replaced is the file that it leads to.
        self._path, self._secrets = None if path is None else os.path.realpath(path), tuple(secrets)
        self._job_file = job_file
        self._written = False

    def no_matter_what(self) -> ResultFile:
        """The same for a run that has been started: nothing about this file stops it any more."""
        self._written = True
        return self

    @property
    def path(self) -> str | None:
        """Where it lies, links followed."""
        return self._path

    def write(self, record: RunRecord) -> None:
        """Write the record as it stands. Raises UsageError the first time only."""
        if self._path is None:
            return
        if not self._written and (problem := self._problem(self._path)):
            raise UsageError(problem, words("name a file of its own"))
        try:
            write_json(self._path, mask_json(record.as_json(), self._secrets))
            self._written = True
        except OSError as error:
            if not self._written:
                raise UsageError(
                    words(
                        "--result {path} cannot be written: {why}",
                        path=self._path,
                        why=reason(error.strerror),
                    ),
                    words("name a file in a folder of yours"),
                ) from error

    def _problem(self, path: str) -> Text:
        """Why the file must not be replaced; empty if it may."""
        if os.path.exists(path) and not os.path.isfile(path):
            return words("--result {path} is not a regular file", path=path)
        if self._job_file and os.path.exists(path) and os.path.exists(self._job_file):
            same = os.path.samefile(path, self._job_file)
            return words("--result {path} is the job file", path=path) if same else ""
        return ""
