"""The commands: parse, call app, render, exit code. typer lives in this folder only.

Help is written as `message(...)`, and put into the user's language by help.py before typer shows it.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from launcher.cli import beat, doctor, machine, release, saving, starting, watch
from launcher.cli.later import COMMANDS as LATER
from launcher.cli.later import not_yet
from launcher.cli.line import COMMANDS, read_line
from launcher.cli.machine import Json  # noqa: TC001 - typer reads it from here
from launcher.cli.overrides import read_overrides
from launcher.cli.shared import Shared
from launcher.errors import ColabRunError, ExitCode, JobFileError, UsageError
from launcher.release.place import has_runs
from launcher.words import message, words

if TYPE_CHECKING:
    from launcher.guard.watcher import Egg
    from launcher.i18n import Choice

# Whoever does something with this machine first brings runs to their end that nobody guards any more.
LOOKS_AFTER_OTHERS = frozenset(
    ("run", "exec", "check", "probe", "ps", "logs", "stop", "wait", "history", "keep", "watch", "release")
)

# Plain help: rich's takes 100 ms more, and a Colab cell shows it no better.
app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=message(
        "Check what a training job needs, run it under guard, save its results, and hand the GPU runtime "
        "back.\n\n"
        "`colab-run job.yaml` is short for `colab-run run job.yaml`.\n\n"
        "Exit codes: the job's own; 128+n ended by a signal; 124 over max_duration, or stalled; "
        "126/127 could not start; 130/143 stopped by a person; 64 usage; 65 problems in the job file; 69 "
        "requirements not met; 70 a bug of ours; 73 state folder; 74 output not saved; 75 not released."
    ),
)


@app.callback()
def _global(
    ctx: typer.Context,
    lang: Annotated[
        str | None, typer.Option(metavar="LANG", help=message("Language of messages: en, zh-TW or zh-CN."))
    ] = None,
    no_color: Annotated[
        bool, typer.Option("--no-color", help=message("No colour, as with NO_COLOR."))
    ] = False,
    version: Annotated[bool, typer.Option("--version", help=message("Show the version and exit."))] = False,
) -> None:
    if version:
        from launcher import __version__

        print(f"colab-run {__version__}")
        raise typer.Exit
    ctx.obj.lang, ctx.obj.no_color = lang, no_color


JobFile = Annotated[list[str], typer.Argument(metavar="JOB", help=message("A job file, such as job.yaml."))]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help=message("Change a key of the job file: --set resources.ram=20GB."),
    ),
]
Result = Annotated[
    str | None,
    typer.Option(metavar="FILE", help=message("Keep the run's JSON document in FILE, always up to date.")),
]
AcceptUnknown = Annotated[
    bool,
    typer.Option("--accept-unknown", help=message("Start although a requirement could not be checked.")),
]
Tty = Annotated[
    bool, typer.Option("--tty", help=message("Give the job a terminal, whatever our own output is."))
]

Detach = Annotated[
    bool,
    typer.Option("--detach", help=message("Return when the job has started; it goes on by itself.")),
]
Once = Annotated[
    str | None,
    typer.Option(
        "--once", metavar="KEY", help=message("Start nothing if a run with this key was started before.")
    ),
]
Wait = Annotated[
    str | None,
    typer.Option(
        "--wait",
        metavar="DURATION",
        help=message("Wait so long at most (30m) for GPUs that others use, before anything is started."),
    ),
]
Balance = Annotated[
    str | None,
    typer.Option(
        metavar="UNITS", help=message("Compute units that you have left, to see how long they last.")
    ),
]


@app.command(
    "run",
    help=message(
        "Check a job, run it under guard, save its outputs, release the runtime.\n\n"
        "Arguments after -- go to the job: colab-run job.yaml -- --epochs 3"
    ),
)
def _run(
    ctx: typer.Context,
    job: JobFile,
    set_: Set = None,
    accept_unknown: AcceptUnknown = False,
    no_release: Annotated[
        bool, typer.Option("--no-release", help=message("Keep the runtime afterwards."))
    ] = False,
    json: Json = False,
    result: Result = None,
    tty: Tty = False,
    detach: Detach = False,
    balance: Balance = None,
    once: Once = None,
    wait: Wait = None,
    keep_going: Annotated[
        bool,
        typer.Option("--keep-going", help=message("Of several jobs: start the next whatever came before.")),
    ] = False,
    queue: Annotated[str, typer.Option(hidden=True)] = "",
    combination: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> int:
    from launcher.cli.run import Invocation, run_job_file

    flags = Invocation(
        ctx.obj,
        json,
        result,
        tty,
        accept_unknown,
        no_release,
        balance,
        detach,
        once=once,
        wait=wait,
        queue=queue,
        keep_going=keep_going,
    )
    if len(job) > 1:
        import difflib

        near = difflib.get_close_matches(job[0], COMMANDS, 1)
        if near and not os.path.exists(job[0]):
            raise UsageError(
                words("there is no command {name}", name=job[0]), f"colab-run {near[0]} {job[1]}"
            )
        from launcher.cli.queue import run_queue

        return run_queue(job, read_overrides(set_ or []), flags, keep_going=keep_going)
    return run_job_file(job[0], read_overrides(set_ or []), flags, combination)


@app.command(
    "exec",
    help=message(
        "Run a command under guard, without a job file: colab-run exec --gpu T4 -- python train.py\n\n"
        "Never releases the runtime unless --release is given."
    ),
)
def _exec(
    ctx: typer.Context,
    gpu: Annotated[
        str | None, typer.Option(metavar="CLASS", help=message("A100, =A100, A100:2, any, none."))
    ] = None,
    ram: Annotated[str | None, typer.Option(metavar="SIZE", help=message("At least, such as 50GB."))] = None,
    disk: Annotated[str | None, typer.Option(metavar="SIZE", help=message("At least, free here."))] = None,
    cpus: Annotated[float | None, typer.Option(metavar="N", min=0, help=message("At least."))] = None,
    max_duration: Annotated[
        str | None, typer.Option(metavar="TIME", help=message("Stop it after, such as 6h."))
    ] = None,
    stop_grace: Annotated[
        str | None,
        typer.Option(metavar="TIME", help=message("Between the polite signal and SIGKILL (30s).")),
    ] = None,
    gpu_sharing: Annotated[
        bool, typer.Option("--gpu-sharing", help=message("GPUs that another run works on will do too."))
    ] = False,
    release: Annotated[
        bool, typer.Option("--release", help=message("Release the runtime afterwards."))
    ] = False,
    accept_unknown: AcceptUnknown = False,
    json: Json = False,
    result: Result = None,
    tty: Tty = False,
    detach: Detach = False,
    once: Once = None,
    wait: Wait = None,
) -> int:
    from launcher.cli.run import Invocation, Needs, run_words

    typed = ctx.obj.extra
    if not typed:
        raise UsageError(words("exec needs a command after --"), "colab-run exec --gpu T4 -- python train.py")
    needs = Needs(gpu, ram, disk, cpus, max_duration, stop_grace, release, gpu_sharing)
    flags = Invocation(ctx.obj, json, result, tty, accept_unknown, False, detach=detach, once=once, wait=wait)
    return run_words(typed, needs, flags)


@app.command("check", help=message("Would this runtime do for a job? Starts nothing."))
def _check(
    ctx: typer.Context,
    job: Annotated[str, typer.Argument(metavar="JOB", help=message("A job file, such as job.yaml."))],
    set_: Set = None,
    on: Annotated[
        str | None,
        typer.Option(metavar="RUNTIME", help=message("Judge a runtime of the catalogue, such as a100-40.")),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help=message("All alternatives, not only a few."))
    ] = False,
    balance: Balance = None,
    json: Json = False,
) -> int:
    overrides = read_overrides(set_ or [])
    if on is not None:
        from launcher.cli.catalogue import check_on_row

        return check_on_row(ctx.obj, job, overrides, on, json=json, everything=everything, balance=balance)
    from launcher.cli.look import check_job_file

    return check_job_file(ctx.obj, job, overrides, json=json, everything=everything, balance=balance)


app.command("ps", help=machine.PS)(machine.ps)
app.command("logs", help=machine.LOGS)(machine.logs)
app.command("attach", help=machine.ATTACH)(machine.attach)
app.command("stop", help=machine.STOP)(machine.stop)
app.command("wait", help=machine.WAIT)(machine.wait)
app.command("history", help=machine.HISTORY)(machine.history)
app.command("save", help=saving.SAVE)(saving.save)


@app.command("probe", help=message("Show what this runtime is: GPU, RAM, CPUs, disk, platform, cost."))
def _probe(ctx: typer.Context, json: Json = False) -> int:
    from launcher.cli.look import show_runtime

    return show_runtime(ctx.obj, json=json)


app.command("keep", help=machine.KEEP)(machine.keep)
app.command("beat", help=beat.BEAT)(beat.beat)
app.command("watch", help=watch.WATCH)(watch.watch)


app.command("release", help=release.RELEASE)(release.release)


@app.command("catalog", help=message("What Colab rents out, with what it costs and the date of the figure."))
def _catalog(
    ctx: typer.Context,
    fits: Annotated[
        str | None, typer.Option(metavar="JOB", help=message("Only what this job file would fit on."))
    ] = None,
    balance: Balance = None,
    retired: Annotated[bool, typer.Option("--all", help=message("With what is gone from the menu."))] = False,
    json: Json = False,
    csv: Annotated[bool, typer.Option("--csv", help=message("The same as CSV, for a spreadsheet."))] = False,
) -> int:
    from launcher.cli.catalogue import show_catalogue

    return show_catalogue(ctx.obj, fits, balance=balance, json=json, csv=csv, retired=retired)


@app.command(
    "rates",
    help=message(
        "The rates that you recorded; record one that Colab shows you: colab-run rates set a100-40 5.40"
    ),
)
def _rates(
    ctx: typer.Context,
    typed: Annotated[
        list[str] | None,
        typer.Argument(metavar="[set RUNTIME UNITS]", help=message("A runtime and its units an hour.")),
    ] = None,
    json: Json = False,
) -> int:
    from launcher.cli.catalogue import show_or_set_rates

    return show_or_set_rates(ctx.obj, typed or [], json=json)


@app.command("explain", help=message("What a code means and what to do: CR101, CR231, 69, 75."))
def _explain(
    ctx: typer.Context,
    code: Annotated[
        str | None, typer.Argument(metavar="CODE", help=message("As it is shown; all of them without it."))
    ] = None,
    json: Json = False,
) -> int:
    from launcher.cli.explain import explain_code

    return explain_code(ctx.obj, code, json=json)


app.command("doctor", help=doctor.DOCTOR)(doctor.doctor)

app.command("init", help=starting.INIT)(starting.init)
app.command("schema", help=starting.SCHEMA)(starting.schema)


def dispatch(argv: list[str], egg: Egg | None = None) -> int:
    """Parse and run one command line; the exit code. `egg` is the guard that was started for it."""
    line = read_line(argv, LATER)
    shared = Shared(line.extra, line.lang, egg=egg)
    try:
        return _dispatch(line.command, list(line.words), shared)
    except ColabRunError as error:
        return _print_error(shared, error)
    except KeyboardInterrupt:
        return int(ExitCode.INTERRUPTED)
    except Exception as error:
        return _other_error(shared, error, line.command)


def _dispatch(command: str, typed: list[str], shared: Shared) -> int:
    choice = _choice(shared)
    missing = not_yet(command)
    if missing:
        raise UsageError(
            words("{what} is not available yet", what=missing),
            words("{command} shows what there is", command="colab-run --help"),
        )
    if shared.extra is not None and command not in ("run", "exec"):
        raise UsageError(words("arguments after -- belong to a job"), words("use run or exec"))
    commands = typer.main.get_command(app)
    if choice.language != "en":
        from launcher.cli.help import localise

        localise(commands, choice.translate)
    asks_for_help = bool({"-h", "--help"}.intersection(typed))
    if command in LOOKS_AFTER_OTHERS and not asks_for_help and has_runs():
        from launcher.lost import look_after

        look_after(os.environ, shared.screen())
    value = commands.main(typed or ["--help"], prog_name="colab-run", standalone_mode=False, obj=shared)
    return int(value or 0) if typed else int(ExitCode.USAGE)


def _choice(shared: Shared) -> Choice:
    try:
        return shared.choice
    except UsageError:
        shared.by_locale = True
        raise


def _print_error(shared: Shared, error: ColabRunError) -> int:
    from launcher.cli.look import error_lines

    if isinstance(error, JobFileError):
        shared.job_lang = error.lang
    shared.screen().print(error_lines(error, shared.paper))
    return int(error.exit_code)


def _other_error(shared: Shared, error: Exception, command: str) -> int:
    """A usage error of typer's (its classes move between versions, their two methods do not), or a bug."""
    if callable(getattr(error, "show", None)) and hasattr(error, "exit_code"):
        from launcher.cli.help import usage_error

        return _print_error(shared, usage_error(error, command))
    import traceback

    traceback.print_exc()
    from launcher.words import render

    told = words("a bug of ours ({kind}), sorry. Please report the lines above.", kind=type(error).__name__)
    text = f"colab-run: {render(told, shared.choice.translate)}"
    print(text, f"colab-run {os.environ.get('COLAB_RUN_ID', '')}".strip(), file=sys.stderr)
    return int(ExitCode.BUG)
