"""The commands that only look, `release`, and how an error is shown."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from launcher import judging, preflight
from launcher.cli.render import print_document
from launcher.errors import AnswerLost, ColabRunError, ExitCode, JobFileError
from launcher.jobs import load_job
from launcher.report.documents import check_document, error_document, probe_document
from launcher.report.lines import ENGLISH, Line, Paper, Tone
from launcher.report.problems import problems_screen
from launcher.report.runtime import probe_screen
from launcher.verdict.model import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.cli.shared import Shared


def check_job_file(
    shared: Shared,
    path: str,
    overrides: Sequence[tuple[str, str]],
    *,
    json: bool,
    everything: bool = False,
    balance: str | None = None,
) -> int:
    """`colab-run check JOB`."""
    try:
        here = judging.Here(dict(os.environ), balance=judging.parse_balance(balance))
        job = load_job(path, overrides, here.catalog.accepted_names())
        shared.job_lang = job.spec.lang
        judged = judging.check(job, here, everything=everything)
    except ColabRunError as error:
        if json:
            with contextlib.suppress(AnswerLost):  # The first error counts.
                print_document(error_document(error))
        raise
    shared.secrets = preflight.secret_values(job.spec, here.environ)
    if json:
        print_document(check_document(judged), shared.secrets)
    else:
        shared.screen("stdout").tell(judged)
    return int(ExitCode.OK if judged.verdict.status is Status.MET else ExitCode.NOT_MET)


def show_runtime(shared: Shared, *, json: bool) -> int:
    """`colab-run probe`."""
    facts, rate = judging.probe(judging.Here(dict(os.environ)), os.getcwd())
    if json:
        print_document(probe_document(facts, rate))
    else:
        shared.screen("stdout").print(probe_screen(facts, rate, shared.paper))
    return int(ExitCode.OK)


def error_lines(error: ColabRunError, paper: Paper = ENGLISH) -> list[Line]:
    """What, where, and what to do next."""
    if isinstance(error, JobFileError):
        return problems_screen(error.problems, error.source_lines, paper)
    first, *rest = paper.wrapped(error.said, " " * 11) or [Line("")]
    lines = [Line(f" {first.text.strip()}", "colab-run:", Tone.BAD), *rest]
    return lines + (paper.wrapped(f"= {paper.text(error.advised)}", "  ", "    ") if error.advised else [])
