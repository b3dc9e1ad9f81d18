"""How the commands about runs of this machine are typed, from `ps` to `keep`."""

from __future__ import annotations

from typing import Annotated

import typer

from launcher.words import message

PS = message("The runs of this machine: what they do, and for what they wait.")
LOGS = message("The output of a run, byte for byte.")
ATTACH = message("A run shown here as it goes on, with your keys if it has a terminal.")
STOP = message("Stop a run as the stop button does; its results are still saved.")
WAIT = message("Wait until a run has ended; end with its exit code.")
HISTORY = message("The runs of the past, also of machines that are gone, and what became of these.")
KEEP = message("Let no run release this runtime for a while (30m).")

Json = Annotated[bool, typer.Option("--json", help=message("One JSON document on stdout."))]
Run = Annotated[
    str, typer.Argument(metavar="ID", help=message("A run's id or how it begins, its name, or last."))
]


def ps(
    ctx: typer.Context,
    everything: Annotated[
        bool, typer.Option("--all", help=message("All that have ended, not only the last few."))
    ] = False,
    json: Json = False,
) -> int:
    """`colab-run ps`."""
    from launcher.cli.runs import show_runs

    return show_runs(ctx.obj, everything=everything, json=json)


def logs(
    ctx: typer.Context,
    run: Run,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help=message("And what comes, until the run ends."))
    ] = False,
    plain: Annotated[
        bool,
        typer.Option("--plain", help=message("To read: progress bars as they stood last, no colours.")),
    ] = False,
    json: Json = False,
) -> int:
    """`colab-run logs`."""
    from launcher.cli.runs import show_log

    return show_log(ctx.obj, run, follow=follow, plain=plain, json=json)


def attach(
    ctx: typer.Context,
    run: Run,
    tail: Annotated[
        str, typer.Option(metavar="LINES", help=message("First the last lines of its output: 20, all."))
    ] = "20",
    detach_key: Annotated[
        str, typer.Option(metavar="KEY", help=message("The key that leaves: ctrl-a, none."))
    ] = "ctrl-\\",
    json: Json = False,
) -> int:
    """`colab-run attach`."""
    from launcher.cli.attach import attach_to_run

    return attach_to_run(ctx.obj, run, tail, detach_key, json=json)


def stop(
    ctx: typer.Context,
    run: Run,
    kill: Annotated[bool, typer.Option("--kill", help=message("With SIGKILL, at once."))] = False,
    json: Json = False,
) -> int:
    """`colab-run stop`."""
    from launcher.cli.runs import stop_run

    return stop_run(ctx.obj, run, kill=kill, json=json)


def wait(
    ctx: typer.Context,
    run: Run,
    timeout: Annotated[
        str | None, typer.Option(metavar="TIME", help=message("Give up after, such as 30m, with 124."))
    ] = None,
    json: Json = False,
) -> int:
    """`colab-run wait`."""
    from launcher.cli.runs import wait_for_run

    return wait_for_run(ctx.obj, run, timeout, json=json)


def history(
    ctx: typer.Context,
    job: Annotated[
        str | None,
        typer.Argument(metavar="[JOB]", help=message("Only the runs of this job file, with its mirror.")),
    ] = None,
    mirror: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help=message("What runs left in this folder, too.")),
    ] = None,
    json: Json = False,
) -> int:
    """`colab-run history`."""
    from launcher.cli.history import show_history

    return show_history(ctx.obj, job, mirror, json=json)


def keep(
    ctx: typer.Context,
    typed: Annotated[
        str | None, typer.Argument(metavar="[TIME]", help=message("For how long, such as 30m or 2h."))
    ] = None,
    drop: Annotated[bool, typer.Option("--drop", help=message("Take that back."))] = False,
    json: Json = False,
) -> int:
    """`colab-run keep`."""
    from launcher.cli.runs import keep_runtime

    return keep_runtime(ctx.obj, typed, drop=drop, json=json)
