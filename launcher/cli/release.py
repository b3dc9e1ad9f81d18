"""`colab-run release [JOB]`, and its rehearsal."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from launcher.cli.machine import Json  # noqa: TC001 - typer reads it from here
from launcher.words import message

if TYPE_CHECKING:
    from launcher.cli.shared import Shared
    from launcher.releasing import Releasing

RELEASE = message("Hand this runtime back now, if no run is at work on it.")


def release(
    ctx: typer.Context,
    job: Annotated[
        str | None,
        typer.Argument(
            metavar="JOB", help=message("A job file that says how (release: with), and its outputs.")
        ),
    ] = None,
    discard: Annotated[
        bool,
        typer.Option("--discard", help=message("Although files of a held run may exist only here.")),
    ] = False,
    rehearse: Annotated[
        bool,
        typer.Option(
            "--rehearse", help=message("All but the last step; a small file goes through each output.")
        ),
    ] = False,
    json: Json = False,
) -> int:
    """`colab-run release`."""
    from launcher import jobs, preflight
    from launcher.cli.render import documented
    from launcher.judging import Here
    from launcher.releasing import Releasing

    shared = ctx.obj
    here = Here(dict(os.environ))
    with documented(json=json):
        named = None if job is None else jobs.load_job(job, (), here.catalog.accepted_names())
    if named is not None:
        shared.job_lang = named.spec.lang
        shared.secrets = preflight.secret_values(named.spec, here.environ)
    releasing = Releasing.look(here, named)
    if rehearse:
        return _rehearse(shared, releasing, json=json)
    return _release(shared, releasing, discard=discard, json=json)


def _release(shared: Shared, releasing: Releasing, *, discard: bool, json: bool) -> int:
    from launcher.cli.render import print_document
    from launcher.errors import ExitCode
    from launcher.release.interface import ReleaseStatus
    from launcher.report.documents import release_document

    result = releasing.go(shared.screen(), discard=discard)
    # 75 says "it still costs money"; a machine that nobody manages costs nothing that we could stop.
    fine = (ReleaseStatus.ACCEPTED, ReleaseStatus.NOT_MANAGED, ReleaseStatus.CONFIRMED)
    code = ExitCode.OK if result.status in fine else ExitCode.NOT_RELEASED
    if json:
        document = release_document(result, releasing.costs_money(result), int(code))
        print_document(document, shared.secrets)
    return int(code)


def _rehearse(shared: Shared, releasing: Releasing, *, json: bool) -> int:
    from launcher.cli.render import print_document
    from launcher.errors import ExitCode
    from launcher.report.rehearsal import rehearsal_document, rehearsal_screen

    steps = releasing.rehearse()
    failed = [step for step in steps if not step.ok]
    # What a run would end with: an output that cannot be saved counts before a release that cannot work.
    saved = all(step.ok for step in steps if step.output)
    code = ExitCode.OK if not failed else ExitCode.NOT_RELEASED if saved else ExitCode.NOT_SAVED
    if json:
        print_document(rehearsal_document([step.as_json() for step in steps], int(code)), shared.secrets)
    else:
        shown = [(step.ok, step.said) for step in steps]
        shared.screen("stdout").print(rehearsal_screen(shown, shared.paper))
    return int(code)
