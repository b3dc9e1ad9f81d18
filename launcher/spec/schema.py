"""The keys of a job file, each with its type: text → JobSpec, or every problem at once. Pure.

docs/job-file.md says what the keys mean, configs/job.schema.json is the same for editors.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from launcher.errors import JobFileError
from launcher.spec import nodes
from launcher.spec.aliases import rename
from launcher.spec.attempts import read_budget, read_retry
from launcher.spec.conditions import read_checks, read_inputs
from launcher.spec.fields import (
    read_choice,
    read_duration,
    read_env,
    read_idle,
    read_mirror,
    read_run,
    read_secrets,
    read_setup,
    read_workdir,
)
from launcher.spec.gpu import parse_gpu
from launcher.spec.handback import read_release
from launcher.spec.idle_aliases import read_idle_aliases
from launcher.spec.later import read_later
from launcher.spec.matrix import read_matrix
from launcher.spec.messages import Refused, shown
from launcher.spec.model import DEFAULT_STOP_GRACE_S, JobSpec, Leftovers
from launcher.spec.outputs import read_outputs
from launcher.spec.overrides import apply
from launcher.spec.reader import Field, MappingReader
from launcher.spec.report import Report
from launcher.spec.resources import read_resources
from launcher.spec.tree import Mapping, Node, Place, Scalar, Source
from launcher.spec.unknown import close
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from launcher.words import Text

__all__ = ["parse_gpu", "read_job"]  # parse_gpu: the grammar of `exec --gpu` is that of the key

LONGEST_NAME = 100
RESERVED_NAMES = (".", "..", "last")
LANGUAGES = ["en", "zh-TW", "zh-CN"]


def read_job(
    data: bytes,
    *,
    source: str,
    folder: str,
    overrides: Sequence[tuple[str, str]] = (),
    classes: Collection[str],
    pure_python: bool = False,
) -> JobSpec:
    """The job that `data` describes.

    `source` is the file's name as the user gave it, `folder` its absolute folder, `overrides` the pairs
    of `--set`, `classes` the names of configs/accelerators.yaml. `pure_python` does without libyaml.
    Raises JobFileError with all problems.
    """
    report = Report()
    text = nodes.decode(data, source, report)
    root = nodes.scan(text, report, pure_python=pure_python) if text is not None else None
    top = _top_level(text, root, report) if text is not None else None
    spec = None
    if top is not None:
        rename(top, "", report)
        resources = top.entries.get("resources")
        if resources is not None and isinstance(resources.value, Mapping):
            rename(resources.value, "resources", report)
        for order, (key, value) in enumerate(overrides, 1):
            apply(top, key, value, order, report, pure_python=pure_python)
        spec = _read(MappingReader(top, "", report), source, folder, classes)
    problems = report.problems()
    if problems or spec is None:
        lines = text.lines() if text is not None else nodes.printable_lines(data)
        raise JobFileError(problems, lines, _asked_lang(top))
    return spec


def _top_level(source: Source, root: Node | None, report: Report) -> Mapping | None:
    if isinstance(root, Mapping):
        return root
    if root is None or (isinstance(root, Scalar) and root.is_null):
        if not report.problems():  # otherwise something is there, and could not be read
            report.add("empty-file", Place(source, 0), "")
    else:
        Field(root, "", report).mapping(example="run: python train.py")
    return None


def _read(top: MappingReader, source: str, folder: str, classes: Collection[str]) -> JobSpec | None:
    """All keys, in the order of the documentation; None when a required one has no value."""
    read_as: list[Text] = []
    name, lang = top.take("name"), top.take("lang")
    job_name = (
        name.read(parse_name, example="finetune", blank="name-empty")
        if name is not None
        else default_name(source)
    )
    language = lang.choice(LANGUAGES) if lang is not None else None
    resources = read_resources(top.take("resources"), classes, read_as)
    workdir = read_workdir(top.take("workdir"), folder)
    env = read_env(top.take("env"), read_as)
    secrets = read_secrets(top.take("secrets"), env)
    setup = read_setup(top.take("setup"))
    run = read_run(top.need("run", example="python train.py"), read_as)
    outputs = read_outputs(top.take("outputs"), workdir)
    max_duration = read_duration(top.take("max_duration"), example="6h")
    stop_grace = read_duration(top.take("stop_grace"), example="30s", zero=True)
    budget, retry = read_budget(top.take("budget")), read_retry(top.take("retry"))
    idle = read_idle(top.take("idle"))
    leftovers = read_choice(top.take("leftovers"), Leftovers)
    release = top.take("release")
    policy = read_idle_aliases(top, release, read_release(release), read_as)
    mirror = read_mirror(top.take("ledger"))
    checks, inputs = read_checks(top.take("checks")), read_inputs(top.take("inputs"))
    matrix = read_matrix(top.take("matrix"))
    read_later(top, "top")
    close(top)
    if job_name is None or run is None:
        return None
    return JobSpec(
        name=job_name,
        workdir=workdir,
        run=run,
        resources=resources,
        env=tuple(env.items()),
        secrets=secrets,
        setup=setup,
        outputs=outputs,
        max_duration_s=max_duration,
        stop_grace_s=DEFAULT_STOP_GRACE_S if stop_grace is None else stop_grace,
        leftovers=leftovers or Leftovers.KILL,
        idle=idle,
        retry=retry,
        budget=budget,
        checks=checks,
        inputs=inputs,
        matrix=matrix,
        release=policy,
        mirror=mirror,
        lang=language,
        read_as=tuple(read_as),
    )


def default_name(source: str) -> str:
    """A name for a job whose file is called `source`; any file name is fine."""
    name = re.sub(r"\.ya?ml\Z", "", source.rsplit("/", 1)[-1], flags=re.IGNORECASE)
    name = "".join("_" if _bad_in_name(char) else char for char in name).strip()[:LONGEST_NAME]
    return "job" if name in ("", *RESERVED_NAMES) else name


def _bad_in_name(char: str) -> bool:
    return char == "/" or unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")


def parse_name(text: str) -> str:
    """A job's name. Raises messages.Refused."""
    bad = next((char for char in text if _bad_in_name(char)), None)
    if bad is not None:
        raise Refused(
            "name-character",
            found=words("a `/`")
            if bad == "/"
            else words("the control character {character}", character=shown(bad)),
        )
    if text in RESERVED_NAMES:
        raise Refused("name-reserved", found=text)
    if len(text) > LONGEST_NAME:
        raise Refused("name-long", found=str(len(text)))
    return text


def _asked_lang(top: Mapping | None) -> str | None:
    """The language of a file that has problems, for the words about them."""
    entry = top.entries.get("lang") if top is not None else None
    text = entry.value.text if entry is not None and isinstance(entry.value, Scalar) else None
    return text if text in LANGUAGES else None
