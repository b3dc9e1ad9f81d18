"""Lines of a shell script: bodies of here-documents, continuations, commands in one line. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

# The same as `set -e`, in all the ways in which it is written.
STOPS = re.compile(r"(?m)^\s*set\s+(?:[^#\n]*\s)?(?:-[a-zA-Z]*e|-[a-zA-Z]*o\s+errexit\b)")
_HERE = re.compile(r"(?<!<)<<(-?)[ \t]*(?:'([^'\n]+)'|\"([^\"\n]+)\"|\\?([A-Za-z_]\w*))")
_SLURM = re.compile(r"(?<![\w.$-])(?:srun|module|ml)(?![\w.-])")
_MODULE = re.compile(r"(\s*(?:(?:then|do|else|elif|if|while|until|!|[{(])\s*)*)(?:module|ml)(?=\s|$)")
_PART = re.compile(
    r"""(?P<comment>(?:(?<=\s)|^)\#.*)|(?P<between>&&|\|\||;;|;|\||(?<![<>])&(?!>))"""
    r"""|\\.|"(?:[^"\\]|\\.)*"|'[^']*'|\$\([^()]*\)|[^\s"'\\$;&|]+|.""",
    re.DOTALL,
)


def here_lines(lines: list[str]) -> set[int]:
    """The numbers, from 1, of the lines that are text for a command: bodies of here-documents."""
    found: set[int] = set()
    at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        if line.lstrip().startswith("#"):
            continue
        for dash, *tags in _HERE.findall(line):
            tag = next(one for one in tags if one)
            end = next(
                (n for n in range(at, len(lines)) if (lines[n].lstrip("\t") if dash else lines[n]) == tag),
                None,
            )
            if end is not None:  # else it was no such thing, as in `$((1 << n))`
                found |= set(range(at + 1, end + 2))
                at = end + 1
    return found


def joined(lines: list[tuple[int, str]], here: Collection[int]) -> Iterator[tuple[int, str]]:
    """Lines with `srun` or `module` that go on in the next one, as one; all others as they are."""
    waiting: list[tuple[int, str]] = []
    for number, line in lines:
        if number in here:
            yield from _together(waiting)
            waiting = []
            yield number, line
            continue
        if _goes_on(line) and (waiting or not line.lstrip().startswith("#")):
            waiting.append((number, line))
            continue
        yield from _together([*waiting, (number, line)])
        waiting = []
    if waiting:
        yield from _together(waiting)


def _goes_on(line: str) -> bool:
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def _together(lines: list[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    if len(lines) < 2 or not any(_SLURM.search(line) for _, line in lines):
        if len(lines) == 1 and _goes_on(lines[0][1]) and _SLURM.search(lines[0][1]):
            yield lines[0][0], lines[0][1][:-1].rstrip()  # nothing follows
        else:
            yield from lines
        return
    parts = [line[:-1].rstrip() if _goes_on(line) else line for _, line in lines]
    yield lines[0][0], " ".join([parts[0], *(part.strip() for part in parts[1:])]).rstrip()


def without_modules(line: str) -> tuple[list[str], str]:
    """The module commands in a line, and the line without them: `module load x && python a` keeps python.

    A line of nothing else becomes a comment; where something hangs on how they end, `true` stands for them.
    """
    removed: list[str] = []
    kept = ""
    for command, between in _commands(line):
        found = _MODULE.match(command)
        if found is None:
            kept += command + between
            continue
        removed.append(command[len(found.group(1)) :].strip())
        before, after_all = found.group(1), kept.rstrip().endswith((";", "&&"))
        if before.strip() or between not in ("", ";", "&&") or (kept.strip() and not (after_all and between)):
            kept += f"{before}true{'' if between == ';' else ' '}{between}".rstrip()
        elif not kept.strip():
            kept = before
    if not removed:
        return [], line
    indent = line[: len(line) - len(line.lstrip())]
    if not kept.strip() or kept.lstrip().startswith("#"):
        # What is indented may be all of a branch, which must not be empty.
        return removed, f"{indent}true  # {line.strip()}" if indent else f"# {line.strip()}"
    return removed, indent + kept.lstrip()


def _commands(line: str) -> Iterator[tuple[str, str]]:
    """Each command with the operator behind it; a comment belongs to nothing."""
    command = ""
    for match in _PART.finditer(line):
        if match.group("between"):
            yield command, match.group("between")
            command = ""
        elif match.group("comment"):
            yield command, ""
            yield match.group(), ""
            return
        else:
            command += match.group()
    yield command, ""
