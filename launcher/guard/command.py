"""JobSpec and our environment -> argv and environment of the job. Pure."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from launcher.errors import UsageError
from launcher.spec.model import Argv, JobSpec, Script
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BASH = ("bash", "-e", "-o", "pipefail", "-c")


def script_argv(script: Script, name: str) -> tuple[str, ...]:
    """A bash script as argv; `name` becomes $0, which bash puts before its own error messages."""
    return (*BASH, script.text, name)


def run_argv(spec: JobSpec, extra: Sequence[str]) -> tuple[str, ...]:
    """`run` with the words after `--`: appended to argv, or quoted onto a one-line script.

    Raises UsageError for a script of several lines: there is no line they could belong to.
    """
    if isinstance(spec.run, Argv):
        return (*spec.run.words, *extra)
    if not extra:
        return script_argv(spec.run, spec.name)
    line = spec.run.text.strip("\n")
    if "\n" in line:
        raise UsageError(
            words("arguments after -- need a one-line `run`, and this one is a script of several lines"),
            words("write `run` as one line or as a list, or set a variable: --set env.ARGS='…'"),
        )
    return script_argv(Script(f"{line} {shlex.join(extra)}"), spec.name)


def job_environment(
    spec: JobSpec,
    environ: Mapping[str, str],
    *,
    run_id: str,
    run_dir: str,
    attempt: int,
    more: Mapping[str, str],
) -> dict[str, str]:
    """The whole environment of the job: ours, the job file's, and what the contract adds, with `more`."""
    env = dict(environ)
    # A notebook's inline backend cannot work outside its kernel, and children inherit it.
    if env.get("MPLBACKEND", "").startswith("module://"):
        del env["MPLBACKEND"]
    env.setdefault("PYTHONUNBUFFERED", "1")
    env.update(spec.env)
    env["COLAB_RUN_ID"] = run_id
    env["COLAB_RUN_ATTEMPT"] = str(attempt)
    env["COLAB_RUN_DIR"] = run_dir
    env.update(more)
    return env
