"""`checks:` and `inputs:` of the job file: what has to be there before anything is started. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from launcher.spec import quantities
from launcher.spec.messages import Refused, shown
from launcher.spec.model import Checks, Input
from launcher.spec.targets import parse_folder
from launcher.spec.tree import Mapping
from launcher.spec.unknown import close

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.spec.reader import Field, MappingReader

_INPUT = "{path: data/train.parquet, size: 12GB}"
# PEP 508 without markers and addresses: a name, extras, and what a version has to be.
_VERSION = r"(?:===?|~=|!=|<=?|>=?)\s*[A-Za-z0-9.*+!_-]+"
_PACKAGE = re.compile(
    r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\s*(?:\[[A-Za-z0-9._,\s-]*\])?\s*"
    rf"(?:{_VERSION}(?:\s*,\s*{_VERSION})*)?"
)
# A name and a password in an address are secrets: what is kept, and what is said of it, has none.
_SECRET = re.compile(r"^(https?://)?[^/\s]*@")
# A host name, an IPv4 address or an IPv6 one in brackets; `host:port`; an address whose host is meant.
_HOST = re.compile(
    r"(?:https?://)?(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:/\S*)?"
)


def read_checks(field: Field | None) -> Checks:
    """`{packages: [torch>=2.4], files: [data/train.csv], network: [huggingface.co]}`."""
    checks = field.mapping(example="{packages: [torch>=2.4]}") if field is not None else None
    if checks is None:
        return Checks()
    packages = _read_list(checks, "packages", _parse_package, "torch>=2.4")
    files = _read_list(checks, "files", parse_folder, "data/train.csv")
    network = _read_list(checks, "network", _parse_host, "huggingface.co")
    close(checks)
    return Checks(packages, files, network)


def read_inputs(field: Field | None) -> tuple[Input, ...]:
    """A path, or `{path, size, room}`, for each."""
    found: list[Input] = []
    for item in field.items(example=f"[{_INPUT}]") if field is not None else []:
        if not isinstance(item.node, Mapping):
            path = item.read(parse_folder, example="data/train.parquet", blank="path-empty")
            found += [Input(path)] if path is not None else []
            continue
        reader = item.mapping(example=_INPUT)
        if reader is None:
            continue
        where = reader.need("path", example="data/train.parquet")
        path = where.read(parse_folder, example="data/", blank="path-empty") if where is not None else None
        size, room = (_read_size(reader.take(name)) for name in ("size", "room"))
        close(reader)
        found += [Input(path, size, room)] if path is not None else []
    return tuple(found)


def _read_size(field: Field | None) -> int | None:
    return field.read(quantities.size, example="12GB") if field is not None else None


def _read_list(
    reader: MappingReader, name: str, parse: Callable[[str], str], example: str
) -> tuple[str, ...]:
    field = reader.take(name)
    items = field.items(example=f"[{example}]") if field is not None else []
    found = [item.read(parse, example=example) for item in items]
    return tuple(text for text in found if text is not None)


def _parse_package(text: str) -> str:
    name = text.strip()
    if _PACKAGE.fullmatch(name) is None:
        raise Refused("package", found=shown(name))
    return name


def _parse_host(text: str) -> str:
    host = _SECRET.sub(lambda found: found[1] or "", text.strip())
    if _HOST.fullmatch(host) is None:
        raise Refused("host", found=shown(host))
    return host
