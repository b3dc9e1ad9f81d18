"""A draft as the text of a job file, with a line in a person's language for each key. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.converting.model import PLACEHOLDER, Draft, Left
from launcher.converting.scalars import flow, scalar, script
from launcher.errors import JobFileError
from launcher.spec.problems import Problem  # noqa: TC001
from launcher.spec.schema import read_job
from launcher.words import render, words

if TYPE_CHECKING:
    from collections.abc import Collection

    from launcher.words import Text, Translate

INDENT = "  "
# In the order of the file.
SAID: dict[str, Text] = {
    "name": words("Shown by `colab-run ps` and `colab-run history`."),
    "resources": words(
        "What the machine must have, at least. With less nothing is started, and you are told why."
    ),
    "workdir": words("Where it runs, as seen from this file."),
    "env": words("Environment variables of the job."),
    "secrets": words("Names only: the values come from your environment, and are written nowhere."),
    "setup": words("Runs once, before the job; if it fails, the job is not started."),
    "run": words("The job itself, in bash; the first line that fails ends it."),
    "matrix": words("One run for each combination of these values."),
    "outputs": words("Results: `path` is copied to `to`, and verified, before the machine is handed back."),
    "max_duration": words("The longest that it may take, set-up included."),
    "stop_grace": words("Time between the polite signal and SIGKILL."),
    "budget": words("What a run may cost at most."),
    "retry": words("After which ends it is started again, and how often."),
    "idle": words("What happens to a job that lives and does nothing: warn or stop."),
    "release": words(
        "When the machine is handed back: always, success, failure, idle (nothing has shown life for"
        " `after`), never."
    ),
}
# Shown as comments where a job has none.
EXAMPLES = {
    "resources": "resources: {gpu: T4, ram: 12GB}",
    "outputs": "outputs: [{path: results, to: /content/drive/MyDrive/results, every: 10m}]",
    "max_duration": "max_duration: 6h",
}
DEFAULT_RELEASE = {"when": "idle", "after": "30m"}
_SCRIPTS = ("run", "setup")
_BLOCKS = ("resources", "env", "matrix")


def write_job(
    draft: Draft, *, source: str, schema: str, again: str, examples: bool, translate: Translate
) -> str:
    """The whole file. `source`: what it was made from, or nothing; `again`: the command for a look."""

    def told(text: Text) -> str:
        return "# " + render(text, translate).replace("\n", " ")

    lines = [
        f"# yaml-language-server: $schema={schema}",
        told(words("Written by `colab-run init` from {source}.", source=source))
        if source
        else told(words("Written by `colab-run init`. Change what you like.")),
        told(words("Would this machine do? `{command}`. All keys: `colab-run schema`.", command=again)),
    ]
    for key, said in SAID.items():
        if key in draft.keys:
            remarks = [told(text) for text in draft.remarks.get(key, [])]
            lines += ["", told(said), *remarks, _entry(key, draft.keys[key])]
        elif examples and key in EXAMPLES:
            lines += ["", told(said), f"# {EXAMPLES[key]}"]
    if draft.left:
        lines += ["", told(words("Without an equivalent, or with another meaning here:"))]
        lines += [f"#   {render(_one(left.line, left.what, left.why), translate)}" for left in ordered(draft)]
    return "\n".join(lines) + "\n"


def ordered(draft: Draft) -> list[Left]:
    """What was left, in the order of its lines."""
    return sorted(draft.left, key=lambda left: left.line)


def _one(line: int, what: str, why: Text) -> Text:
    if not line:
        return words("{what}: {why}", what=what, why=why)
    return words("line {line}, {what}: {why}", line=line, what=what, why=why)


def left_line(left: Left) -> Text:
    """`line 4, --partition: there are no partitions here`."""
    return _one(left.line, left.what, left.why)


def _entry(key: str, value: object) -> str:
    if key in _SCRIPTS and isinstance(value, str):
        return f"{key}: {script(value, INDENT)}"
    if key in _BLOCKS and isinstance(value, dict):
        return "\n".join(
            [f"{key}:", *(f"{INDENT}{scalar(name)}: {_inner(one)}" for name, one in value.items())]
        )
    if key == "outputs" and isinstance(value, list):
        return "\n".join([f"{key}:", *(f"{INDENT}- {flow(one)}" for one in value)])
    return f"{key}: {_inner(value)}"


def _inner(value: object) -> str:
    return flow(value) if isinstance(value, dict | list) else scalar(str(value))


# --- what is written loads ------------------------------------------------------------------------


def settle(draft: Draft, *, source: str, folder: str, classes: Collection[str], plain: Translate) -> None:
    """Take out of the draft whatever would be a problem of the job file, and list it as left.

    A job always remains: `run` is replaced, not removed.
    """
    if not draft.keys.get("run"):
        draft.keys["run"] = PLACEHOLDER
    draft.keys.setdefault("release", dict(DEFAULT_RELEASE))
    for _ in range(len(draft.keys) * 50):
        text = write_job(draft, source=source, schema="-", again="-", examples=False, translate=plain)
        try:
            read_job(text.encode(), source="job.yaml", folder=folder, classes=classes)
        except JobFileError as error:
            _take_out(draft, error.problems[0])
        else:
            return


def _take_out(draft: Draft, problem: Problem) -> None:
    """The smallest part that the problem is about."""
    path = problem.path.replace("[", ".").split(".")
    # What is about the whole file is about its size.
    key = path[0] if path[0] in draft.keys else max(draft.keys, key=lambda name: len(str(draft.keys[name])))
    value = draft.keys[key]
    draft.leave(0, problem.path or key, problem.said)
    inner = path[1] if len(path) > 1 else ""
    if key == "run":
        draft.keys[key] = PLACEHOLDER
    elif isinstance(value, dict) and inner in value and len(value) > 1:
        del value[inner]
    elif isinstance(value, list) and inner.rstrip("]").isdigit() and len(value) > 1:
        del value[int(inner.rstrip("]"))]
    else:
        del draft.keys[key]
