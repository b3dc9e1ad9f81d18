"""`outputs:` of the job file: which results are saved, where to, how often, and what comes back. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from launcher.spec import quantities
from launcher.spec.messages import Refused, shown
from launcher.spec.model import Output
from launcher.spec.syntax import describe_full_width
from launcher.spec.targets import (
    COMMAND,
    FOLDER_EXAMPLE,
    FULL_WIDTH_SCHEME,
    collision_key,
    parse_folder,
    parse_target,
)
from launcher.spec.tree import Mapping, Place, Scalar
from launcher.spec.unknown import close

if TYPE_CHECKING:
    from launcher.spec.reader import Field, MappingReader

# What is copied while the job runs has been quiet for some seconds; looking more often finds no more.
SHORTEST_EVERY_S = 10.0
EXAMPLE = f"{{path: out/, to: {FOLDER_EXAMPLE}}}"
COMMAND_EXAMPLE = "rsync -a {path} host:dir/"

# `*.{pt,bin}` is the shell's, and would match nothing.
_BRACES = re.compile(r"\{[^{}]*,[^{}]*\}")


def read_outputs(field: Field | None, workdir: str) -> tuple[Output, ...]:
    """One Output for each item that has no problem."""
    outputs: list[Output] = []
    lines: dict[str, int] = {}
    for item in field.items(example=f"[{EXAMPLE}]") if field is not None else []:
        reader = item.mapping(example=EXAMPLE)
        if reader is None:
            continue
        path_field = reader.need("path", example="checkpoints/")
        output = _read_output(reader, path_field)
        if output is None or path_field is None:
            continue
        key = collision_key(output.to, output.path, workdir)
        if key in lines:
            target = output.to if output.to.startswith(COMMAND) else key
            path_field.problem("conflict-output", line=lines[key], target=shown(target))
        lines.setdefault(key, path_field.node.place.line)
        outputs.append(output)
    return tuple(outputs)


def _read_output(reader: MappingReader, path_field: Field | None) -> Output | None:
    to_field = reader.need("to", example=FOLDER_EXAMPLE)
    path = (
        path_field.read(parse_folder, example="checkpoints/", blank="path-empty")
        if path_field is not None
        else None
    )
    to = _read_target(to_field) if to_field is not None else None
    include = _read_patterns(reader.take("include"))
    exclude = _read_patterns(reader.take("exclude"))
    every, restore = reader.take("every"), reader.take("restore")
    every_s = every.read(_parse_every, example="10m") if every is not None else None
    restored = restore.read(quantities.flag, example="true") if restore is not None else None
    if restore is not None and restored and to is not None and to.startswith(COMMAND):
        restore.problem_at_key("conflict-restore")
    close(reader)
    if path is None or to is None:
        return None
    return Output(path, to, include, exclude, every_s, restored or False)


def _read_target(field: Field) -> str | None:
    if isinstance(field.node, Mapping):
        target = field.mapping(example=f'{{command: "{COMMAND_EXAMPLE}"}}')
        if target is None:
            return None
        command = target.need("command", example=COMMAND_EXAMPLE)
        close(target)
        return command.read(_parse_command, example=COMMAND_EXAMPLE) if command is not None else None
    if isinstance(field.node, Scalar) and FULL_WIDTH_SCHEME.match(field.node.text):
        source = field.node.place.source
        colon = Place(source, source.text.index("：", field.node.place.offset))
        fields = {**describe_full_width("："), "ascii": ":"}
        field.report.add("full-width", colon, field.path, **fields)
        return None
    return field.read(parse_target, example=FOLDER_EXAMPLE, blank="path-empty")


def _parse_command(text: str) -> str:
    return parse_target(f"{COMMAND}{text}")


def _parse_every(text: str) -> float:
    seconds = quantities.duration(text)
    if seconds < SHORTEST_EVERY_S:
        raise Refused("too-often", found=shown(text.strip()))
    return seconds


def _read_patterns(field: Field | None) -> tuple[str, ...]:
    """One pattern or several."""
    if field is None:
        return ()
    items = field.items(example="['*.pt']") if field.is_list else [field]
    found = [item.read(_parse_pattern, example="*.pt", blank="pattern-empty") for item in items]
    return tuple(pattern for pattern in found if pattern is not None)


def _parse_pattern(text: str) -> str:
    """What could never match, or not what it says, is refused; saving/listing.py does the matching."""
    top_level = text.startswith("/") and "/" not in text[1:].removesuffix("/")  # `/*.pt`: not in folders
    if text.startswith(("/", "~/")) and not top_level:
        raise Refused("pattern-absolute")
    if text.startswith("!"):
        raise Refused("pattern-negated")
    if "$" in text:
        raise Refused("pattern-variable")
    if any(part in ("", ".", "..") for part in text.removeprefix("/").removesuffix("/").split("/")):
        raise Refused("pattern-dots")
    braces = _BRACES.search(text)
    if braces is not None:
        raise Refused("pattern-braces", found=shown(braces.group()))
    return text
