"""The command `doctor`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import typer  # noqa: TC002 - typer reads the context's type from here

from launcher.cli.machine import Json  # noqa: TC001 - typer reads it from here
from launcher.words import message

if TYPE_CHECKING:
    from launcher.cli.shared import Shared

DOCTOR = message("Is everything in order here? Changes nothing; safe to paste in a bug report.")


def doctor(ctx: typer.Context, json: Json = False) -> int:
    """`colab-run doctor`."""
    return show_diagnosis(ctx.obj, json=json)


def show_diagnosis(shared: Shared, *, json: bool) -> int:
    """0, or 69 where something is not in order."""
    from launcher.cli.render import print_document
    from launcher.doctoring.examine import diagnose
    from launcher.errors import ExitCode
    from launcher.report.doctor import doctor_document, doctor_screen

    found = diagnose(os.environ, shared.choice.language)
    code = int(ExitCode.NOT_MET if found.fails else ExitCode.OK)
    if json:
        print_document(doctor_document(found, code))
    else:
        shared.screen("stdout").print(doctor_screen(found, shared.paper))
    return code
