"""The commands: parse, call app, render, exit code. typer lives in this folder only."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from launcher.cli.later import COMMANDS as LATER
from launcher.cli.later import not_yet
from launcher.cli.line import COMMANDS, read_line
from launcher.errors import ColabRunError, ExitCode, UsageError

if TYPE_CHECKING:
    from launcher.cli.render import Words

# Plain help: rich's takes 100 ms more, and a Colab cell shows it no better.
app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""Check what a training job needs, run it under guard, save its results, and hand the GPU
    runtime back.

    `colab-run job.yaml` is short for `colab-run run job.yaml`.

    Exit codes: the job's own; 128+n ended by a signal; 124 over max_duration; 126/127 could not
    start; 130/143 stopped by a person; 64 usage; 65 problems in the job file; 69 requirements not
    met; 70 a bug of ours; 73 state folder; 74 output not saved; 75 not released.""",
)


@dataclass(slots=True)
class Shared:
    """What the commands share: the words after `--`, and how to print."""

    extra: tuple[str, ...] | None
    no_color: bool = False

    def words(self, stream: str = "stderr", secrets: tuple[str, ...] = ()) -> Words:
        """Our own words on stdout or stderr."""
        from launcher.cli.render import Words

        return Words(getattr(sys, stream), no_color=self.no_color, secrets=secrets)


@app.callback()
def _global(
    ctx: typer.Context,
    lang: Annotated[str | None, typer.Option(help="Language of messages: en.")] = None,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colour, as with NO_COLOR.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    if version:
        from launcher import __version__

        print(f"colab-run {__version__}")
        raise typer.Exit
    if lang not in (None, "en"):
        later = lang in ("zh-TW", "zh-CN")
        raise UsageError(
            f"--lang {lang} is {'not available yet' if later else 'no language of ours'}", "use en"
        )
    ctx.obj.no_color = no_color


JobFile = Annotated[list[str], typer.Argument(metavar="JOB", help="A job file, such as job.yaml.")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change a key of the job file: --set resources.ram=20GB."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Result = Annotated[
    str | None, typer.Option(metavar="FILE", help="Keep the run's JSON document in FILE, always up to date.")
]
AcceptUnknown = Annotated[
    bool, typer.Option("--accept-unknown", help="Start although a requirement could not be checked.")
]
Tty = Annotated[bool, typer.Option("--tty", help="Give the job a terminal, whatever our own output is.")]


@app.command()
def run(
    ctx: typer.Context,
    job: JobFile,
    set_: Set = None,
    accept_unknown: AcceptUnknown = False,
    no_release: Annotated[bool, typer.Option("--no-release", help="Keep the runtime afterwards.")] = False,
    json: Json = False,
    result: Result = None,
    tty: Tty = False,
) -> int:
    """Check a job, run it under guard, save its outputs, release the runtime.

    Arguments after -- go to the job: colab-run job.yaml -- --epochs 3
    """
    from launcher.cli.run import Invocation, run_job_file

    if len(job) > 1:
        import difflib

        near = difflib.get_close_matches(job[0], COMMANDS, 1)
        if near and not os.path.exists(job[0]):
            raise UsageError(f"there is no command {job[0]}", f"colab-run {near[0]} {job[1]}")
        raise UsageError("several jobs at once are not available yet", f"colab-run {job[0]}")
    flags = Invocation(ctx.obj, json, result, tty, accept_unknown, no_release)
    return run_job_file(job[0], _overrides(set_ or []), flags)


@app.command("exec")
def exec_(
    ctx: typer.Context,
    gpu: Annotated[str | None, typer.Option(metavar="CLASS", help="A100, =A100, A100:2, any, none.")] = None,
    ram: Annotated[str | None, typer.Option(metavar="SIZE", help="At least, such as 50GB.")] = None,
    disk: Annotated[str | None, typer.Option(metavar="SIZE", help="At least, free here.")] = None,
    cpus: Annotated[float | None, typer.Option(metavar="N", min=0, help="At least.")] = None,
    max_duration: Annotated[
        str | None, typer.Option(metavar="TIME", help="Stop it after, such as 6h.")
    ] = None,
    stop_grace: Annotated[
        str | None, typer.Option(metavar="TIME", help="Between the polite signal and SIGKILL (30s).")
    ] = None,
    release: Annotated[bool, typer.Option("--release", help="Release the runtime afterwards.")] = False,
    accept_unknown: AcceptUnknown = False,
    json: Json = False,
    result: Result = None,
    tty: Tty = False,
) -> int:
    """Run a command under guard, without a job file: colab-run exec --gpu T4 -- python train.py

    Never releases the runtime unless --release is given.
    """
    from launcher.cli.run import Invocation, Needs, run_words

    words = ctx.obj.extra
    if not words:
        raise UsageError("exec needs a command after --", "colab-run exec --gpu T4 -- python train.py")
    needs = Needs(gpu, ram, disk, cpus, max_duration, stop_grace, release)
    return run_words(words, needs, Invocation(ctx.obj, json, result, tty, accept_unknown, False))


@app.command()
def check(
    ctx: typer.Context,
    job: Annotated[str, typer.Argument(metavar="JOB", help="A job file, such as job.yaml.")],
    set_: Set = None,
    json: Json = False,
) -> int:
    """Would this runtime do for a job? Starts nothing."""
    from launcher.cli.look import check_job_file

    return check_job_file(ctx.obj, job, _overrides(set_ or []), json=json)


@app.command()
def probe(ctx: typer.Context, json: Json = False) -> int:
    """Show what this runtime is: GPU, RAM, CPUs, disk, platform, cost."""
    from launcher.cli.look import show_runtime

    return show_runtime(ctx.obj, json=json)


@app.command()
def release(
    ctx: typer.Context,
    discard: Annotated[
        bool, typer.Option("--discard", help="Although files of a held run may exist only here.")
    ] = False,
    json: Json = False,
) -> int:
    """Hand this runtime back now, if no run is at work on it."""
    from launcher.cli.look import release_now

    return release_now(ctx.obj, discard=discard, json=json)


def _overrides(words: list[str]) -> list[tuple[str, str]]:
    pairs = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"--set {word} is not KEY=VALUE", "write, for example, --set resources.ram=20GB")
        pairs.append((key.strip(), value))
    return pairs


def dispatch(argv: list[str]) -> int:
    """Parse and run one command line; the exit code."""
    line = read_line(argv, LATER)
    shared = Shared(line.extra)
    try:
        missing = not_yet(line.command, list(line.words))
        if missing:
            raise UsageError(f"{missing} is not available yet", "colab-run --help shows what is")
        if line.extra is not None and line.command not in ("run", "exec"):
            raise UsageError("arguments after -- belong to a job", "use run or exec")
        words = list(line.words) or ["--help"]
        value = typer.main.get_command(app).main(
            words, prog_name="colab-run", standalone_mode=False, obj=shared
        )
        return int(value or 0) if line.words else int(ExitCode.USAGE)
    except ColabRunError as error:
        return _print_error(shared, error)
    except KeyboardInterrupt:
        return int(ExitCode.INTERRUPTED)
    except Exception as error:
        return _other_error(error)


def _print_error(shared: Shared, error: ColabRunError) -> int:
    from launcher.cli.look import error_lines

    shared.words().print(error_lines(error))
    return int(error.exit_code)


def _other_error(error: Exception) -> int:
    """A usage error of typer's (its classes move between versions, their two methods do not), or a bug."""
    show = getattr(error, "show", None)
    if callable(show) and hasattr(error, "exit_code"):
        show(file=sys.stderr)
        return int(ExitCode.USAGE)
    import traceback

    traceback.print_exc()
    words = f"colab-run: a bug of ours ({type(error).__name__}), sorry. Please report the lines above."
    print(words, f"colab-run {os.environ.get('COLAB_RUN_ID', '')}".strip(), file=sys.stderr)
    return int(ExitCode.BUG)
