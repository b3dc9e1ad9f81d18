"""The commands `catalog` and `rates`, and `check --on`: they look at tables, and work on any system."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from launcher import judging
from launcher.cli.render import documented, print_answer, print_document
from launcher.errors import ColabRunError, ExitCode, UsageError
from launcher.jobs import load_job
from launcher.report.catalogue import (
    catalogue_csv,
    catalogue_document,
    catalogue_screen,
    rate_recorded,
    rates_document,
    rates_screen,
)
from launcher.report.documents import check_document, error_document
from launcher.verdict.model import Status
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.cli.shared import Shared


def check_on_row(
    shared: Shared,
    path: str,
    overrides: Sequence[tuple[str, str]],
    row: str,
    *,
    json: bool,
    everything: bool,
    balance: str | None,
) -> int:
    """`colab-run check JOB --on ROW`."""
    try:
        here = judging.Here(dict(os.environ), balance=judging.parse_balance(balance))
        job = load_job(path, overrides, here.catalog.accepted_names())
        shared.job_lang = job.spec.lang
        judged = judging.check_on(job, here, row, everything=everything)
    except ColabRunError as error:
        if json:
            print_document(error_document(error))
        raise
    if json:
        print_document(check_document(judged))
    else:
        shared.screen("stdout").tell(judged)
    return int(ExitCode.OK if judged.verdict.status is Status.MET else ExitCode.NOT_MET)


def show_catalogue(
    shared: Shared, fits: str | None, *, balance: str | None, json: bool, csv: bool, retired: bool
) -> int:
    """`colab-run catalog`."""
    with documented(json=json):
        return _show_catalogue(shared, fits, balance=balance, json=json, csv=csv, retired=retired)


def _show_catalogue(
    shared: Shared, fits: str | None, *, balance: str | None, json: bool, csv: bool, retired: bool
) -> int:
    if json and csv:
        raise UsageError(words("--json and --csv are two forms of the same"), words("use one of them"))
    here = judging.Here(dict(os.environ), balance=judging.parse_balance(balance))
    job = None if fits is None else load_job(fits, (), here.catalog.accepted_names())
    if job is not None:
        shared.job_lang = job.spec.lang
    offers = judging.catalogue(here, job)
    if json:
        print_document(catalogue_document(offers, retired=retired))
    elif csv:
        print_answer(catalogue_csv(offers, retired=retired))
    else:
        shared.screen("stdout").print(catalogue_screen(offers, shared.paper, retired=retired))
    return int(ExitCode.OK)


def show_or_set_rates(shared: Shared, typed: Sequence[str], *, json: bool) -> int:
    """`colab-run rates`, `colab-run rates set ROW UNITS`."""
    with documented(json=json):
        return _show_or_set_rates(shared, typed, json=json)


def _show_or_set_rates(shared: Shared, typed: Sequence[str], *, json: bool) -> int:
    here = judging.Here(dict(os.environ))
    if not typed:
        rates = judging.own_rates(here)
        if json:
            print_document(rates_document(rates))
        else:
            shared.screen("stdout").print(rates_screen(rates, here.catalog, shared.paper))
        return int(ExitCode.OK)
    if typed[0] != "set" or len(typed) != 3:
        raise UsageError(
            words("rates lists what you recorded, and rates set takes a runtime and its units an hour"),
            "colab-run rates set a100-40 5.40",
        )
    row, path = judging.set_rate(here, typed[1], typed[2])
    if json:
        print_document(rates_document(judging.own_rates(here)))
    else:
        shared.screen("stdout").print(rate_recorded(row, path, here.catalog, shared.paper))
    return int(ExitCode.OK)
