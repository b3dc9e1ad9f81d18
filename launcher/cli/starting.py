"""The commands `init` and `schema`, and the questions that `init` asks on a terminal."""

from __future__ import annotations

import os
import shlex
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from launcher.cli.machine import Json  # noqa: TC001 - typer reads it from here
from launcher.words import message, words

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from launcher.cli.shared import Shared
    from launcher.converting.model import Draft
    from launcher.words import Text

INIT = message(
    "Write a first job file: from what lies in the folder, or from a file of SkyPilot, dstack or sbatch.\n\n"
    "On a terminal it asks a few questions; Enter takes what is proposed. It starts nothing."
)
SCHEMA = message("Print the JSON schema of the job file, for editors.")
SCHEMA_FILE = "job.schema.json"
NOTHING = "-"


def init(
    ctx: typer.Context,
    folder: Annotated[
        str, typer.Argument(metavar="FOLDER", help=message("Where the program lies; by default here."))
    ] = ".",
    source: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="FILE", help=message("Convert it: sky.yaml, .dstack.yml, job.sbatch.")
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(metavar="FILE", help=message("The file to write (job.yaml in FOLDER); - for stdout.")),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help=message("Write over a file that is there."))] = False,
    json: Json = False,
) -> int:
    """`colab-run init`."""
    from launcher.cli.render import documented, print_answer, print_document
    from launcher.report.started import left_screen, started_document, started_screen
    from launcher.starting import exists, finish, write_new

    shared: Shared = ctx.obj
    with documented(json=json):
        _refuse_gone(output)
        _refuse_file(folder, source)
        path = output or os.path.normpath(os.path.join(folder, "job.yaml"))
        to_stdout = path == NOTHING
        if not to_stdout and not force and os.path.lexists(path):
            raise exists(path)
        target = "job.yaml" if to_stdout else path
        classes = _classes()
        draft = _draft(shared, folder, source, target, classes, asks=not json)
        schema = _address()
        started = finish(
            draft,
            output=target,
            source=source or "",
            schema=schema,
            classes=classes,
            translate=shared.choice.translate,
        )
        if not to_stdout:
            write_new(path, started.text, force=force)
    command = shlex.join(["colab-run", "check", target])
    if json:
        written, following = (None, None) if to_stdout else (path, command)
        print_document(started_document(written, following, started.text, started.left))
        return 0
    if source is not None:
        shared.screen().print(left_screen(source, started.left, shared.paper))
    if to_stdout:
        print_answer(started.text)
    else:
        shared.screen("stdout").print(started_screen(path, command, shared.paper))
    return 0


def schema(
    ctx: typer.Context,
    path: Annotated[
        bool, typer.Option("--path", help=message("Where the file lies, for an editor, instead of its text."))
    ] = False,
) -> int:
    """`colab-run schema`."""
    from launcher.cli.render import print_answer

    file = _schema_path()
    if path:
        print_answer(file + "\n")
        return 0
    with open(file, encoding="utf-8") as opened:
        print_answer(opened.read())
    return 0


def _schema_path() -> str:
    """That of this installation, whatever COLAB_RUN_CONFIGS says: it belongs to the code."""
    from launcher.catalog.files import find_configs

    return str(find_configs({}) / SCHEMA_FILE)


def _address() -> str:
    """As the editor's header wants it: without a blank."""
    from pathlib import Path

    path = _schema_path()
    return Path(path).as_uri() if not path.isascii() or " " in path or os.name == "nt" else path


def _classes() -> tuple[str, ...]:
    from launcher.judging import Here

    return tuple(Here(dict(os.environ)).catalog.accepted_names())


def _refuse_gone(output: str | None) -> None:
    """Paths are seen from the folder that we are in: it may have been deleted meanwhile."""
    from launcher.errors import UsageError

    try:
        os.getcwd()
    except OSError as error:
        raise UsageError(
            words("the folder that you are in is no longer there"),
            words("go to a folder that exists, and try again"),
        ) from error
    if output == "":
        raise UsageError(
            words("--output names no file"), words("name one, or leave --output out for job.yaml in FOLDER")
        )


def _refuse_file(folder: str, source: str | None) -> None:
    from launcher.errors import UsageError

    if os.path.isdir(folder):
        return
    if not os.path.exists(folder):
        raise UsageError(
            words("there is no folder {folder}", folder=folder), words("create it, or correct the path")
        )
    near = os.path.dirname(folder) or "."
    advised = (
        f"colab-run init {near}"
        if folder.endswith((".py", ".ipynb")) or source
        else f"colab-run init --from {folder}"
    )
    raise UsageError(words("{path} is a file, and FOLDER is a folder", path=folder), advised)


def _draft(
    shared: Shared, folder: str, source: str | None, target: str, classes: Collection[str], *, asks: bool
) -> Draft:
    from launcher.starting import draft_from_file, draft_from_folder

    beside = os.path.dirname(os.path.abspath(target))
    if source is not None:
        return draft_from_file(source, beside, classes)
    draft, found = draft_from_folder(folder, os.environ)
    for said in found.passed_over:
        shared.screen().print(shared.paper.ours(said))
    if os.path.realpath(folder) != os.path.realpath(beside):
        draft.keys["workdir"] = os.path.relpath(folder, beside)
    if asks and sys.stdin.isatty() and sys.stderr.isatty():
        Questions(shared, draft, classes).ask()
    return draft


class Questions:
    """Asked one after another; nothing is written before the last is answered."""

    def __init__(self, shared: Shared, draft: Draft, classes: Collection[str]) -> None:
        self.shared, self.draft, self.classes = shared, draft, classes

    def ask(self) -> None:
        """Change the draft as the person says. Raises KeyboardInterrupt at Ctrl-C, and at Ctrl-D."""
        from launcher.starting import put_output

        keys = self.draft.keys
        keys["name"] = self._answer(words("Name of the job"), str(keys["name"]), self._name)
        keys["run"] = self._answer(words("Command"), str(keys["run"] or "python train.py"), str)
        resources = keys.get("resources")
        proposed = str(resources.get("gpu")) if isinstance(resources, dict) else "none"
        gpu = self._answer(words("GPU: T4, L4, A100, …; none; any"), proposed, self._gpu)
        if gpu != proposed:
            self.draft.remarks.pop("resources", None)
            keys.pop("resources", None)
            if gpu.lower() != "none":
                keys["resources"] = {"gpu": gpu}
        outputs = keys.get("outputs")
        path = outputs[0]["path"] if isinstance(outputs, list) else NOTHING
        results = self._answer(words("Folder or file with the results; - for none"), path, str)
        keys.pop("outputs", None)
        self.draft.remarks.pop("outputs", None)
        if results != NOTHING:
            put_output(self.draft, results, os.environ)

    def _answer(self, question: Text, proposed: str, check: Callable[[str], str]) -> str:
        from launcher.spec.messages import Refused

        while True:
            sys.stderr.write(f"{self.shared.paper.text(question)} [{proposed}]: ")
            sys.stderr.flush()
            line = sys.stdin.readline()
            if not line:
                raise KeyboardInterrupt
            typed = line.strip() or proposed
            try:
                return check(typed)
            except Refused as refused:
                self.shared.screen().print(self.shared.paper.wrapped(refused.message, "  "))

    def _gpu(self, text: str) -> str:
        from launcher.spec.gpu import parse_gpu

        parse_gpu(text, self.classes)
        return text

    def _name(self, text: str) -> str:
        from launcher.spec.schema import parse_name

        return parse_name(text)
