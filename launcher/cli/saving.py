"""`colab-run save`: results to safety now."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from launcher.cli.machine import Json  # noqa: TC001 - typer reads it from here
from launcher.words import message

SAVE = message("Copy what a run made to safety now, while it runs or after it.")


def save(
    ctx: typer.Context,
    run: Annotated[
        str, typer.Argument(metavar="ID", help=message("A run's id or how it begins, its name, or last."))
    ] = "last",
    to: Annotated[
        str | None,
        typer.Option(metavar="TARGET", help=message("Everything of the run, to this folder or bucket.")),
    ] = None,
    json: Json = False,
) -> int:
    """`colab-run save`."""
    from launcher.cli.render import documented, print_document
    from launcher.clock import SystemClock
    from launcher.errors import ExitCode
    from launcher.guard.inbox import Inbox
    from launcher.report.saved import saved_document, saved_screen
    from launcher.save_now import Saver

    shared = ctx.obj
    with documented(json=json), Inbox() as inbox:
        pressed: list[int] = []

        def stop() -> bool:
            if (number := inbox.take_stop()) is not None:
                pressed.append(number)
            return bool(pressed)

        done = Saver(dict(os.environ), SystemClock(), shared.screen(), stop).save(run, to)
    if json:
        print_document(saved_document(done.run_id, done.rows, complete=done.complete, lifted=done.lifted))
    else:
        shared.screen("stdout").print(saved_screen(done.rows, shared.paper, lifted=done.lifted))
    if pressed:
        return int(ExitCode.INTERRUPTED)
    return int(ExitCode.OK if done.complete else ExitCode.NOT_SAVED)
