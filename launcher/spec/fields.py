"""What is run, with which environment, where, and which results are saved. Pure."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from launcher.spec.later import read_later
from launcher.spec.messages import Refused, shown
from launcher.spec.model import Argv, Output, Script
from launcher.spec.tree import Mapping
from launcher.spec.unknown import close
from launcher.words import counted, words

if TYPE_CHECKING:
    from launcher.spec.reader import Field
    from launcher.words import Text

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")


def read_workdir(field: Field | None, folder: str) -> str:
    """Absolute, unless it begins with `~`, which the app expands."""
    text = field.read(_parse_path, example="src", blank="path-empty") if field is not None else None
    if text is None:
        return folder
    return text if text.startswith("~") else posixpath.normpath(posixpath.join(folder, text))


def read_env(field: Field | None, read_as: list[Text]) -> dict[str, str]:
    """Names and texts; a text is what stands in the file, character by character.

    No length is checked: the limit of the file is below the kernel's for one variable (128 KiB).
    """
    reader = field.mapping(example="{WANDB_MODE: offline}") if field is not None else None
    if field is None or reader is None:
        return {}
    if field.alias:
        read_as.append(f"{field.path} -> env")
    env = {}
    for entry, value in reader.every():
        if _ENV_NAME.fullmatch(entry.name) is None:
            reader.report.add("env-name", entry.key, value.path, end=entry.end)
        text = value.text(example="offline", empty="env-empty", blank=None)
        env[entry.name] = text or ""
    return env


def read_secrets(field: Field | None, env: dict[str, str]) -> tuple[str, ...]:
    """Names only. What stands there instead is not repeated: it may be the secret."""
    hint = words("list the names only, as in `[HF_TOKEN]`; their values come from the environment")
    names: list[str] = []
    for item in field.items(example="[HF_TOKEN]", hint=hint) if field is not None else []:
        name = item.read(_parse_env_name, example="HF_TOKEN", blank="env-name")
        if name is None:
            continue
        if name in names:
            item.problem("duplicate-secret", name=shown(name))
        elif name in env:
            item.problem("conflict-secret", name=shown(name))
        names.append(name)
    return tuple(names)


def read_setup(field: Field | None) -> Script | None:
    """A bash script of its own."""
    text = field.text(example="pip install -q -r requirements.txt") if field is not None else None
    return Script(text) if text is not None else None


def read_run(field: Field | None, read_as: list[Text]) -> Script | Argv | None:
    """A string is a bash script, a list is a command without a shell; dstack's `commands` are lines."""
    if field is None:
        return None
    if not field.alias and not field.is_list:
        text = field.text(example="python train.py")
        return Script(text) if text is not None else None
    items = field.items(example="[python train.py]" if field.alias else "[python, train.py]")
    found = [item.text(example="python train.py" if field.alias else "train.py") for item in items]
    known = tuple(word for word in found if word is not None)
    if not items or len(known) < len(items):
        return None
    if not field.alias:
        return Argv(known)
    read_as.append(
        counted("{key}: {count} line -> run", "{key}: {count} lines -> run", len(known), key=field.path)
    )
    return Script("\n".join(line.rstrip("\n") for line in known))


def read_outputs(field: Field | None, workdir: str) -> tuple[Output, ...]:
    """Where results are, and the folders that they are copied into."""
    outputs: list[Output] = []
    places: dict[str, int] = {}
    for item in (
        field.items(example="[{path: out/, to: /content/drive/MyDrive/out}]") if field is not None else []
    ):
        reader = item.mapping(example="{path: out/, to: /content/drive/MyDrive/out}")
        if reader is None:
            continue
        path_field = reader.need("path", example="checkpoints/")
        to_field = reader.need("to", example="/content/drive/MyDrive/out")
        path = (
            path_field.read(_parse_path, example="checkpoints/", blank="path-empty")
            if path_field is not None
            else None
        )
        to = _read_target(to_field) if to_field is not None else None
        read_later(reader, "output")
        close(reader)
        if path is None or to is None or path_field is None:
            continue
        name = posixpath.basename(posixpath.normpath(posixpath.join(workdir, path)))
        target = posixpath.join(posixpath.normpath(to), name)
        line = path_field.node.place.line
        if target in places:
            path_field.problem("conflict-output", line=places[target], target=shown(target))
        places.setdefault(target, line)
        outputs.append(Output(path, to))
    return tuple(outputs)


def _read_target(field: Field) -> str | None:
    if isinstance(field.node, Mapping) and list(field.node.entries) == ["command"]:
        field.problem_at_key("later-value", found="command", instead=words("a folder"))
        return None
    to = field.read(_parse_path, example="/content/drive/MyDrive/out", blank="path-empty")
    scheme = _SCHEME.match(to) if to is not None else None
    if scheme is not None:
        field.problem("later-value", found=scheme.group(), instead=words("a folder"))
        return None
    return to


def _parse_path(text: str) -> str:
    if "$" in text:
        raise Refused("path-variable")
    return text


def _parse_env_name(text: str) -> str:
    if _ENV_NAME.fullmatch(text) is None:
        raise Refused("env-name")
    return text
