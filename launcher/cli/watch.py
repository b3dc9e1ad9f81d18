"""`colab-run watch`: release this runtime once nothing shows life, and say what does."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from launcher.cli.machine import Json  # noqa: TC001 - typer reads it from here
from launcher.words import message

if TYPE_CHECKING:
    from launcher.cli.shared import Shared

WATCH = message(
    "Release this runtime once nothing on it shows life: colab-run watch --idle 30m\n\n"
    "For notebooks without job files. It goes on by itself, whatever becomes of the kernel; a second watch "
    "takes the place of the first. --why says what keeps the runtime up, also while no watch runs."
)


def watch(
    ctx: typer.Context,
    idle: Annotated[
        str | None,
        typer.Option(metavar="TIME", help=message("Released when nothing has shown life for, such as 30m.")),
    ] = None,
    longest: Annotated[
        str | None,
        typer.Option(
            "--max",
            metavar="TIME",
            help=message(
                "After that, busy or not; only a run, `keep`, a HOLD file or a busy kernel holds it."
            ),
        ),
    ] = None,
    grace: Annotated[
        str | None, typer.Option(metavar="TIME", help=message("The countdown before it (2m)."))
    ] = None,
    how: Annotated[
        str | None,
        typer.Option(
            "--with",
            metavar="BACKEND",
            help=message("How it is handed back, as release.with; on Colab not needed."),
        ),
    ] = None,
    output: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH=TARGET", help=message("Saved and verified before the release.")),
    ] = None,
    folder: Annotated[
        list[str] | None,
        typer.Option(
            "--dir", metavar="PATH", help=message("Files that change in this folder are life, too.")
        ),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(metavar="SIGN,…", help=message("Signs that do not count, such as cpu,network.")),
    ] = None,
    record: Annotated[
        str | None, typer.Option(metavar="FILE", help=message("Append every look to FILE, for --replay."))
    ] = None,
    why: Annotated[
        bool, typer.Option("--why", help=message("What keeps this runtime up, sign by sign."))
    ] = False,
    status: Annotated[
        bool, typer.Option("--status", help=message("How long idle, what that cost, when it would go."))
    ] = False,
    short: Annotated[
        bool, typer.Option("--short", help=message("With --status: one line, or nothing."))
    ] = False,
    stop: Annotated[bool, typer.Option("--stop", help=message("End the watch; the runtime stays."))] = False,
    replay: Annotated[
        str | None,
        typer.Option(metavar="FILE", help=message("When would it have been released? From a recording.")),
    ] = None,
    policy: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help=message("With --replay: only this policy."))
    ] = None,
    picture: Annotated[
        str | None, typer.Option(metavar="FILE.svg", help=message("With --replay: the series as a picture."))
    ] = None,
    json: Json = False,
) -> int:
    """`colab-run watch`."""
    from launcher.cli import watching
    from launcher.cli.render import documented
    from launcher.watch_start import Typed

    shared: Shared = ctx.obj
    typed = Typed(
        idle,
        longest,
        grace,
        how,
        tuple(output or ()),
        tuple(folder or ()),
        tuple(ignore or ()),
        record,
    )
    with documented(json=json):
        asks = watching.Asks(
            why=why,
            status=status,
            short=short,
            stop=stop,
            replay=replay,
            policies=policy or [],
            picture=picture,
        )
        asks.check(typed)
        return watching.do(shared, dict(os.environ), typed, asks, json=json)
