"""Python, our own dependencies, what jobs find on the PATH, and the language."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

from launcher.catalog.overlay import overlay_path, read_overlay
from launcher.doctoring.model import Row, absent, bad, good, unsure
from launcher.errors import UsageError
from launcher.words import joined, listed, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from launcher.doctoring.around import Around
    from launcher.words import Text

OLDEST_PYTHON = (3, 10)
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*>=\s*([0-9.]+)\s*\Z")
_ANSWER_S = 3.0


# --- Python and what we need of it ----------------------------------------------------------------


class Needed(NamedTuple):
    """A dependency of ours: from which version on, and which one is installed (None: none)."""

    name: str
    least: str
    version: str | None


def python_rows() -> list[Row]:
    """Our own Python and the packages that this program needs."""
    return [judge_python(sys.version_info[:3], _needed())]


def _needed() -> list[Needed]:
    from importlib import metadata

    try:
        declared = metadata.requires("colab-run") or []
    except metadata.PackageNotFoundError:
        return []
    found = []
    for requirement in declared:
        match = _REQUIREMENT.match(requirement)
        if match is None:
            continue  # Of an extra, such as those of developers.
        try:
            version: str | None = metadata.version(match.group(1))
        except metadata.PackageNotFoundError:
            version = None
        found.append(Needed(match.group(1), match.group(2), version))
    return found


def judge_python(version: Sequence[int], needed: Sequence[Needed]) -> Row:
    """Too old, or a package missing or too old, is not in order."""
    shown = ".".join(map(str, version))
    if tuple(version[:2]) < OLDEST_PYTHON:
        fix = words("use Python {least} or newer", least="3.10")
        return bad("python", words("Python {version}", version=shown), fix)
    amiss = [one for one in needed if one.version is None or _older(one.version, one.least)]
    if amiss:
        told = listed(
            words("{name} is not installed", name=one.name)
            if one.version is None
            else words(
                "{name} is {version}, {least} is needed", name=one.name, version=one.version, least=one.least
            )
            for one in amiss
        )
        wanted = " ".join(f"'{one.name}>={one.least}'" for one in amiss)
        return bad("python", told, words("install them: {command}", command=f"pip install {wanted}"))
    if not needed:
        return unsure(
            "python",
            words("Python {version}; colab-run is not installed as a package", version=shown),
            words("install it: {command}", command="pip install colab-run"),
        )
    packages = listed(f"{one.name} {one.version}" for one in needed)
    return good("python", words("Python {version}; {packages}", version=shown, packages=packages))


def _older(version: str, least: str) -> bool:
    return _numbers(version) < _numbers(least)


def _numbers(version: str) -> tuple[int, ...]:
    """`13.7.1` as (13, 7, 1); what follows the numbers (`rc1`, `+cu126`) does not count."""
    match = re.match(r"[0-9]+(?:\.[0-9]+)*", version)
    numbers = [int(part) for part in match.group().split(".")] if match else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


# --- what a job finds on the PATH -----------------------------------------------------------------


def program_rows(around: Around) -> list[Row]:
    """bash, which runs every script of a job file, and the Python that a job would get."""
    path = around.environ.get("PATH", os.defpath)
    found = {name: _version_of(name, path, around.environ) for name in ("bash", "python", "python3")}
    return [judge_programs(found, ".".join(map(str, sys.version_info[:2])))]


def _version_of(name: str, path: str, environ: Mapping[str, str]) -> str | None:
    """What it says of itself, such as `Python 3.11.2`; empty if it says nothing; None if it is not there."""
    program = shutil.which(name, path=path)
    if program is None:
        return None
    try:
        ran = subprocess.run(
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(environ),
            timeout=_ANSWER_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    match = re.search(rb"[0-9]+\.[0-9]+(?:\.[0-9]+)?", ran.stdout)
    return match.group().decode() if ran.returncode == 0 and match else ""


def judge_programs(found: Mapping[str, str | None], ours: str) -> Row:
    """A job file's scripts need bash; a `python` that is missing or another than ours is said."""
    if found["bash"] is None:
        fix = words("install bash, or put its folder on the PATH")
        return bad("programs", words("there is no bash on the PATH, and jobs need it"), fix)
    dead = [name for name, version in found.items() if version == ""]
    if dead:
        fix = words("repair it, or put another one first on the PATH")
        return bad("programs", words("{name} is on the PATH, and does not work", name=dead[0]), fix)
    said: Text = listed(f"{name} {version}" for name, version in found.items() if version is not None)
    if found["python"] is None and found["python3"] is None:
        fix = words("put the folder of a Python on the PATH, or name it in full in `run`")
        return bad("programs", words("{programs}; no Python for jobs", programs=said), fix)
    if found["python"] is None:
        note = words("there is no `python`: write `python3` in `run`.")
        return good("programs", joined(words("{programs};", programs=said), note))
    if not f"{found['python']}.".startswith(f"{ours}."):
        note = words("a job's `python` is another one than that of colab-run.")
        return good("programs", joined(words("{programs};", programs=said), note))
    return good("programs", said)


# --- language ---------------------------------------------------------------------------------------


def locale_rows(language: str) -> list[Row]:
    """Can names of files and sentences in any language be written?"""
    return [judge_locale(sys.getfilesystemencoding(), language)]


def judge_locale(encoding: str, language: str) -> Row:
    """Everything but UTF-8 garbles what is not English."""
    said = words("{encoding}, messages in {language}", encoding=encoding.upper(), language=language)
    if encoding.lower().replace("-", "") != "utf8":
        return bad("locale", said, words("set it: {command}", command="export LC_ALL=C.UTF-8"))
    return good("locale", said)


# --- rates ------------------------------------------------------------------------------------------


class Rate(NamedTuple):
    """A rate that the user recorded, and the day of it."""

    row: str
    checked: str | None
    stale: bool


def rate_rows(around: Around) -> list[Row]:
    """The rates that the user recorded, read here: their folder may be on a network."""
    path = overlay_path(around.environ)
    try:
        colab = around.catalog.colab.with_rates(read_overlay(path)).as_of(around.today)
    except UsageError as error:
        fix = error.advised or words("repair it, or delete it: {path}", path=path)
        return [bad("rates", error.said, fix)]
    return judge_rates([Rate(row.key, row.checked, row.stale) for row in colab.runtimes if row.own_rate])


def judge_rates(rates: Iterable[Rate]) -> list[Row]:
    """Rates move: an old one is to be read again."""
    rates = list(rates)
    if not rates:
        return [absent("rates", words("none recorded: the dated ones that come with colab-run count"))]
    old = sorted((rate for rate in rates if rate.stale), key=lambda rate: rate.checked or "")
    if not old:
        return [good("rates", words("recorded: {rows}", rows=listed(rate.row for rate in rates)))]
    told = listed(words("{row} ({day})", row=rate.row, day=rate.checked) for rate in old)
    fix = words("record what Colab shows: {command}", command=f"colab-run rates set {old[0].row} UNITS")
    return [unsure("rates", words("older than 180 days: {rows}", rows=told), fix)]
