"""`init`: a first job file from what lies in a folder, or from another tool's file."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.converting.detect import convert
from launcher.converting.model import Draft, Left
from launcher.converting.quantities import cleaned
from launcher.converting.secret import is_secret
from launcher.converting.writing import ordered, settle, write_job
from launcher.errors import UsageError
from launcher.first_look import Found, look_at
from launcher.jobs import read_file
from launcher.spec.schema import default_name
from launcher.words import english, reason, words

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from launcher.words import Text, Translate

DRIVE = "/content/drive/MyDrive"
_ON_COLAB = ("TBE_RUNTIME_ADDR", "COLAB_RELEASE_TAG")
_MOST_OPTIONS = 12


@dataclass(frozen=True, slots=True)
class Started:
    """What was written, or would be: `path` as the user would name it."""

    path: str
    text: str
    left: tuple[Left, ...]


def draft_from_folder(folder: str, environ: Mapping[str, str]) -> tuple[Draft, Found]:
    """A job for what lies there. Raises UsageError where the folder cannot be read."""
    try:
        found = look_at(folder)
    except OSError as error:
        raise UsageError(
            words("{path} cannot be read: {why}", path=folder, why=reason(error.strerror)),
            words("name a folder with your program in it"),
        ) from error
    draft = Draft()
    draft.keys["name"] = _name(os.path.basename(os.path.abspath(folder)))
    gpu = likely_gpu(found)
    if gpu:
        draft.keys["resources"] = {"gpu": gpu}
        draft.remark(
            "resources",
            words(
                "{framework} was seen: a GPU of this class or a better one.",
                framework=found.program.framework,
            ),
        )
    if found.setup:
        draft.keys["setup"] = found.setup
    elif found.conda:
        draft.remark(
            "run", words("{file} is conda's: what it lists goes into `setup`, by pip.", file=found.conda)
        )
    draft.keys["run"] = command_for(found)
    _remark_options(draft, found)
    if not found.entry:
        draft.remark("run", words("There was no program to be seen: write your own command here."))
    if found.others:
        draft.remark("run", words("Also there: {files}", files=cleaned(", ".join(found.others))))
    path = next(iter(found.program.outputs), "")
    if path:
        put_output(draft, path, environ)
    return draft, found


def draft_from_file(path: str, folder: str, classes: Collection[str]) -> Draft:
    """Another tool's file. Raises UsageError and JobFileError."""
    data = read_file(path)

    def is_folder(name: str) -> bool:
        return os.path.isdir(os.path.join(folder, os.path.expanduser(name)))

    _, draft = convert(data, path, classes, is_folder)
    draft.keys.setdefault("name", _name(os.path.basename(path).split(".")[0]))
    return draft


def finish(
    draft: Draft, *, output: str, source: str, schema: str, classes: Collection[str], translate: Translate
) -> Started:
    """The text, which certainly loads, and what is not in it."""
    folder = os.path.dirname(os.path.abspath(output))
    settle(draft, source=source, folder=folder, classes=classes, plain=english)
    again = shlex.join(["colab-run", "check", output])
    text = write_job(
        draft, source=source, schema=schema, again=again, examples=not source, translate=translate
    )
    return Started(output, text, tuple(ordered(draft)))


def write_new(path: str, text: str, *, force: bool) -> None:
    """The whole file or nothing, and never over another one unless `force`. Raises UsageError."""
    if force:
        path = os.path.realpath(path)  # a link is written through
    folder = os.path.dirname(os.path.abspath(path))
    beside = os.path.join(folder, f".{os.path.basename(path)}.{os.getpid()}")
    try:
        with open(
            os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "w", encoding="utf-8"
        ) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        try:
            _into_place(beside, path, force=force)
        finally:
            if os.path.lexists(beside):
                os.unlink(beside)
    except FileExistsError as error:
        raise exists(path) from error
    except OSError as error:
        raise UsageError(
            words("{path} cannot be written: {why}", path=path, why=reason(error.strerror)),
            words("name another file with --output"),
        ) from error


def _into_place(beside: str, path: str, *, force: bool) -> None:
    if force:
        os.replace(beside, path)
        return
    try:
        os.link(beside, path)
    except FileExistsError:
        raise
    except OSError:  # Drive and FAT have no links; there the look before has to do.
        if os.path.lexists(path):
            raise FileExistsError from None
        os.rename(beside, path)


def exists(path: str) -> UsageError:
    """The refusal to write over a file."""
    return UsageError(
        words("{path} is there already", path=path),
        words("add --force to write over it, or name another file with --output"),
    )


# --- guesses --------------------------------------------------------------------------------------


def likely_gpu(found: Found) -> str:
    """The smallest class of Colab's that would probably do; nothing where no framework was seen."""
    if not found.program.framework:
        return ""
    return "L4" if found.program.ampere else "T4"


def command_for(found: Found) -> str:
    """What to type to run it; options without which it would end at once are there, to be filled in."""
    entry = shlex.quote(f"./{found.entry}" if found.entry.startswith("-") else found.entry)
    if found.kind == "python":
        needed = [one for one in found.program.options if one.required]
        typed = [
            f"{one.name} {one.name.lstrip('-').upper().replace('-', '_')}"
            if one.name.startswith("-")
            else one.name.upper()
            for one in needed
        ]
        return " ".join(["python", entry, *typed])
    if found.kind == "notebook":
        return f"jupyter nbconvert --to notebook --execute --inplace {entry}"
    return f"bash {entry}" if found.entry else ""


def put_output(draft: Draft, path: str, environ: Mapping[str, str]) -> None:
    """Results at `path`: to Drive, where there is one or could be, else to a folder beside the job file."""
    on_colab = os.path.isdir(DRIVE) or any(environ.get(name) for name in _ON_COLAB)
    wanted = f"{DRIVE}/{draft.keys.get('name', 'results')}" if on_colab else "saved"
    source = os.path.join(str(draft.keys.get("workdir", "")), path)
    to = next(
        one for one in (wanted, f"{wanted}-copy", "../saved") if one == "../saved" or _apart(source, one)
    )
    draft.keys["outputs"] = [{"path": path, "to": to}]
    if not on_colab:
        draft.remark(
            "outputs", words("On a rented machine name a place that outlives it, such as Drive or a bucket.")
        )


def _apart(path: str, other: str) -> bool:
    """Neither is the other, nor lies in it."""
    one, two = (f"{os.path.abspath(each)}{os.sep}" for each in (path, other))
    return not one.startswith(two) and not two.startswith(one)


def _remark_options(draft: Draft, found: Found) -> None:
    if found.kind != "python" or not found.program.options:
        return
    shown = [
        f"{one.name} ({one.default})"
        if one.default and not is_secret(one.name.lstrip("-"), one.default)
        else one.name
        for one in found.program.options[:_MOST_OPTIONS]
    ]
    text: Text = words(
        "Options of {file}: {options}", file=found.entry, options=", ".join(cleaned(one) for one in shown)
    )
    draft.remark("run", text)
    needed = [one.name for one in found.program.options if one.required]
    if needed:
        draft.remark("run", words("To be filled in: {options}", options=", ".join(map(cleaned, needed))))


def _name(text: str) -> str:
    return default_name(text) if text else "job"
