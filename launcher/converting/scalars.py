"""Texts, lists and mappings as YAML that reads back as exactly them. Pure."""

from __future__ import annotations

import re

_NULLS = ("", "~", "null", "Null", "NULL")
_FULL_WIDTH = re.compile("[\u3000-\u303f\uff01-\uff5e\u2018-\u201d]")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_FIRST = re.compile(r"[\w./]")
_NOT_PLAIN = re.compile(r":(?:\s|\Z)|\s#|\s\Z|\A\.\.\.|\t|\n")
_IN_FLOW = re.compile(r"[,\[\]{}:#?\"'&*!|>@`]")


def scalar(text: str, *, flow: bool = False) -> str:
    """One value, quoted where it has to be; `flow`: between brackets."""
    plain = (
        text not in _NULLS
        and _FIRST.match(text) is not None
        and _NOT_PLAIN.search(text) is None
        and text.isprintable()
        and _FULL_WIDTH.search(text) is None
        and not (flow and _IN_FLOW.search(text))
    )
    return text if plain else quoted(text)


def quoted(text: str) -> str:
    """In double quotes, with everything escaped that nobody sees."""
    return '"' + "".join(_ESCAPES.get(char) or _escaped(char) for char in text) + '"'


def _escaped(char: str) -> str:
    if char.isprintable() or char == "\u3000":
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def flow(value: object) -> str:
    """On one line: `[A100, L4]`, `{when: idle, after: 30m}`."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(name, flow=True)}: {flow(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(flow(one) for one in value) + "]"
    return scalar(str(value), flow=True)


def script(text: str, indent: str) -> str:
    """A text of several lines as `|`; one line, and what cannot stand there, as a scalar."""
    body = text.strip("\n")
    lines = body.split("\n")
    readable = all(line.replace("\t", " ").isprintable() for line in lines)
    if len(lines) == 1 or not readable or not body.strip():
        return scalar(body)
    # Lines that begin with a blank would move the whole.
    header = f"|{len(indent)}" if lines[0][:1].isspace() else "|"
    return "\n".join(
        [header, *(f"{indent}{line}".rstrip() if not line.strip() else indent + line for line in lines)]
    )
