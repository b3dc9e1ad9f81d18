"""Where a job comes from: a job file, or the words of `exec`."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from launcher.errors import JobFileError, UsageError
from launcher.spec import quantities
from launcher.spec.messages import Refused
from launcher.spec.model import DEFAULT_STOP_GRACE_S, Argv, JobSpec, ReleasePolicy, Resources, When
from launcher.spec.overrides import canonical_key
from launcher.spec.problems import Problem, ProblemCode
from launcher.spec.schema import parse_gpu, read_job
from launcher.words import reason, words

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from launcher.words import Text

T = TypeVar("T")
LARGEST_JOB_FILE = 64 * 1024
# Windows has neither of the latter two, and needs to be told that bytes are bytes.
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
NOTEBOOK_HINT = "jupyter nbconvert --to notebook --execute {}"


@dataclass(frozen=True, slots=True)
class Job:
    """A job that was read.

    `source` is the file as the user named it, `data` what was read, `again` the command that looks
    once more without running. `typed` are the keys that were not read from the file but typed, dotted.
    """

    source: Text
    data: bytes
    spec: JobSpec
    again: tuple[str, ...]
    typed: frozenset[str] = frozenset()


def load_job(path: str, overrides: Sequence[tuple[str, str]], classes: Collection[str]) -> Job:
    """Read a job file. Raises UsageError when there is none, JobFileError when it has problems."""
    _refuse_program(path)
    data = read_file(path)
    folder = os.path.dirname(os.path.abspath(path))
    spec = read_job(data, source=path, folder=folder, overrides=overrides, classes=classes)
    workdir = os.path.abspath(os.path.expanduser(spec.workdir))
    if not os.path.isdir(workdir):
        raise _no_workdir(path, data, workdir, overrides, spec.lang)
    typed = frozenset(canonical_key(key) for key, _ in overrides)
    return Job(path, data, replace(spec, workdir=workdir), ("colab-run", "check", path), typed)


def _refuse_program(path: str) -> None:
    """A program is not a job file: answer with the line to type instead."""
    if path.endswith(".py"):
        raise UsageError(
            words("{path} is a program, not a job file", path=path), f"colab-run exec -- python {path}"
        )
    if path.endswith(".ipynb"):
        raise UsageError(
            words("{path} is a notebook, not a job file", path=path),
            f"colab-run exec -- {NOTEBOOK_HINT.format(path)}",
        )


def read_file(path: str) -> bytes:
    """The file's bytes, one more than allowed at most; a pipe or a device might never end.

    Raises UsageError.
    """
    try:
        with open(os.open(path, _READ), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UsageError(
                    words("{path} is not a regular file", path=path),
                    words("name a job file, such as job.yaml"),
                )
            return file.read(LARGEST_JOB_FILE + 1)
    except FileNotFoundError as error:
        raise UsageError(words("there is no job file {path}", path=path), _missing_hint(path)) from error
    except (OSError, ValueError) as error:
        raise UsageError(
            words(
                "{path} cannot be read: {why}",
                path=path,
                why=reason(getattr(error, "strerror", None) or str(error)),
            )
        ) from error


def _missing_hint(path: str) -> Text:
    import difflib

    folder = os.path.dirname(path)
    try:
        names = sorted(name for name in os.listdir(folder or ".") if name.endswith((".yaml", ".yml")))
    except OSError:
        return words("there is no folder {folder} either", folder=folder)
    near = difflib.get_close_matches(os.path.basename(path), names, 1) or names[:1]
    if not near:
        return words("name a job file, such as job.yaml")
    return words("use {path}", path=os.path.join(folder, near[0]))


def _no_workdir(
    path: str, data: bytes, workdir: str, overrides: Sequence[tuple[str, str]], lang: str | None
) -> JobFileError:
    lines = data.decode("utf-8", "replace").splitlines()
    source, line, column = path, 1, 1
    if any(key == "workdir" for key, _ in overrides):
        source = "--set workdir"
    else:
        for number, text in enumerate(lines, 1):
            if text.startswith("workdir"):
                value = text.partition(":")[2]
                line, column = number, len(text) - len(value.lstrip()) + 1
    problem = Problem(
        source,
        line,
        column,
        "workdir",
        ProblemCode.NO_SUCH_FOLDER,
        words("there is no folder {folder}", folder=workdir),
        words("create it, or correct the path"),
    )
    return JobFileError([problem], lines, lang)


def job_from_words(
    typed: Sequence[str],
    *,
    gpu: str | None,
    ram: str | None,
    disk: str | None,
    cpus: float | None,
    max_duration: str | None,
    stop_grace: str | None,
    release: bool,
    gpu_sharing: bool = False,
    classes: Collection[str],
) -> Job:
    """The job of `exec`: a command, and what it needs as options. Raises UsageError."""
    wanted = {"gpu": gpu, "ram": ram, "disk": disk, "cpus": cpus, "gpu_sharing": gpu_sharing or None}
    wanted |= {"max_duration": max_duration, "stop_grace": stop_grace}
    limit = parse_option("--max-duration", max_duration, quantities.duration)
    grace = parse_option("--stop-grace", stop_grace, lambda text: quantities.duration(text, zero=True))
    spec = JobSpec(
        name=os.path.basename(typed[0]) or "exec",
        workdir=os.getcwd(),
        run=Argv(tuple(typed)),
        resources=Resources(
            gpu=parse_option("--gpu", gpu, lambda text: parse_gpu(text, classes)),
            gpu_text=gpu or "",
            ram_bytes=parse_option("--ram", ram, quantities.size),
            disk_bytes=parse_option("--disk", disk, quantities.size),
            cpus=cpus,
            gpu_sharing=gpu_sharing,
        ),
        max_duration_s=limit,
        stop_grace_s=DEFAULT_STOP_GRACE_S if grace is None else grace,
        release=ReleasePolicy(when=When.ALWAYS if release else When.NEVER, silent=not release),
    )
    data = _as_job_file(typed, wanted)
    return Job(words("this command"), data, spec, ("colab-run", "probe"), frozenset({"resources"}))


def _as_job_file(typed: Sequence[str], wanted: Mapping[str, object]) -> bytes:
    """What is kept of this run can be run again as a job file: JSON is YAML."""
    asked = {key: value for key, value in wanted.items() if value is not None}
    resources = {key: asked.pop(key) for key in ("gpu", "ram", "disk", "cpus", "gpu_sharing") if key in asked}
    document = {**({"resources": resources} if resources else {}), **asked, "run": list(typed)}
    return json.dumps(document, ensure_ascii=False).encode() + b"\n"


def parse_option(option: str, text: str | None, parse: Callable[[str], T]) -> T | None:
    """The value of an option, read as the key of that meaning is. Raises UsageError."""
    if text is None:
        return None
    try:
        return parse(text)
    except Refused as error:
        raise UsageError(words("{name}: {why}", name=option, why=error.message), error.advised) from error
