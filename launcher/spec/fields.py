"""What is run, with which environment and where; and how the smaller kinds of values are read. Pure."""

from __future__ import annotations

import posixpath
import re
from enum import Enum
from typing import TYPE_CHECKING, TypeVar

from launcher.spec import quantities
from launcher.spec.messages import Refused, shown
from launcher.spec.model import Argv, IdleAction, IdlePolicy, Script
from launcher.spec.targets import parse_folder, parse_mirror
from launcher.spec.unknown import close
from launcher.words import counted, words

if TYPE_CHECKING:
    from launcher.spec.reader import Field
    from launcher.words import Text

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MIRROR = "/content/drive/MyDrive/colab-run"

EnumT = TypeVar("EnumT", bound=Enum)


def read_workdir(field: Field | None, folder: str) -> str:
    """Absolute, unless it begins with `~`, which the app expands."""
    text = field.read(parse_folder, example="src", blank="path-empty") if field is not None else None
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
        name = item.read(parse_env_name, example="HF_TOKEN", blank="env-name")
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


def read_mirror(field: Field | None) -> str | None:
    """`ledger: {mirror: FOLDER}`, as it is written: the app finds out where that is."""
    ledger = field.mapping(example=f"{{mirror: {_MIRROR}}}") if field is not None else None
    if ledger is None:
        return None
    mirror = ledger.take("mirror")
    close(ledger)
    return mirror.read(parse_mirror, example=_MIRROR, blank="path-empty") if mirror is not None else None


def read_idle(field: Field | None) -> IdlePolicy:
    """`idle: {after: 20m, action: warn}`, with the defaults for what is not said."""
    default = IdlePolicy()
    idle = field.mapping(example="{after: 20m, action: warn}") if field is not None else None
    if idle is None:
        return default
    after = read_duration(idle.take("after"), example="20m")
    action = read_choice(idle.take("action"), IdleAction)
    close(idle)
    return IdlePolicy(default.after_s if after is None else after, action or default.action)


def read_duration(field: Field | None, *, example: str, zero: bool = False) -> float | None:
    """Seconds; more than 0 unless `zero` is allowed."""
    if field is None:
        return None
    return field.read(lambda text: quantities.duration(text, zero=zero), example=example)


def read_choice(field: Field | None, choices: type[EnumT]) -> EnumT | None:
    """One of the values of an enum."""
    if field is None:
        return None
    word = field.choice([str(choice.value) for choice in choices])
    return choices(word) if word is not None else None


def parse_env_name(text: str) -> str:
    """A name of an environment variable. Raises Refused."""
    if _ENV_NAME.fullmatch(text) is None:
        raise Refused("env-name")
    return text
