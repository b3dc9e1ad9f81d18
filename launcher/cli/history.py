"""The command `history`: what became of every run, also on machines that are gone."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from launcher import judging
from launcher.cli.render import documented, print_document
from launcher.errors import ExitCode, UsageError
from launcher.history import history
from launcher.jobs import load_job
from launcher.report.history import history_document, history_screen
from launcher.words import words

if TYPE_CHECKING:
    from launcher.cli.shared import Shared
    from launcher.spec.model import JobSpec


def show_history(shared: Shared, path: str | None, mirror: str | None, *, json: bool) -> int:
    """`colab-run history [JOB | --mirror FOLDER]`."""
    with documented(json=json):
        if path is not None and mirror is not None:
            raise UsageError(
                words("a job file names its own mirror: give JOB or --mirror"), "colab-run history JOB"
            )
        job = None if path is None else _job(shared, path)
        past = history(os.environ, time.time(), job=job, mirror=mirror)
    if json:
        print_document(history_document(past.runs, past.mirrors, past.problems))
    else:
        shared.screen("stdout").print(history_screen(past.runs, past.problems, shared.paper))
    return int(ExitCode.OK)


def _job(shared: Shared, path: str) -> JobSpec:
    spec = load_job(path, (), judging.Here(dict(os.environ)).catalog.accepted_names()).spec
    shared.job_lang = spec.lang
    return spec
