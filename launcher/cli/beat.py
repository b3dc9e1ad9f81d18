"""`colab-run beat`: the heartbeat of a job that is no Python program. The front door does it without us."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import typer  # noqa: TC002 - it reads the type from here

from launcher import beats
from launcher.cli.machine import Json  # noqa: TC001 - typer reads it from here
from launcher.errors import ExitCode, StateFolderError
from launcher.words import message, reason, words

if TYPE_CHECKING:
    from launcher.cli.shared import Shared

BEAT = message("Say that this job or runtime is at work, from its loop: it is not idle now.")


def beat(ctx: typer.Context, json: Json = False) -> int:
    """`colab-run beat`."""
    return note_beat(ctx.obj, json=json)


def note_beat(shared: Shared, *, json: bool) -> int:
    """One beat; says nothing unless asked, as it stands in loops. Raises StateFolderError."""
    from launcher.cli.render import documented, print_document
    from launcher.clock import iso_utc

    path = beats.own_path()
    with documented(json=json):
        try:
            path = beats.touch(path)
        except OSError as error:
            raise StateFolderError(
                words("the heartbeat {path} cannot be written: {why}", path=path, why=reason(error.strerror))
            ) from error
    if json:
        run_id = os.environ.get("COLAB_RUN_ID") or None
        document = {"schema_version": 1, "run_id": run_id, "beat": path, "at": iso_utc(time.time())}
        print_document(document)
    return int(ExitCode.OK)
