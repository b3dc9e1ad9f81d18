"""What lies in a folder, for a first job file: programs, notebooks, what to install. Nothing is run."""

from __future__ import annotations

import json
import os
import re
import stat
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from launcher.converting.programs import Program, read_program
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.words import Text

LARGEST = 1024 * 1024
MOST_FILES = 200
LONGEST_S = 5
# Where programs lie; nobody's virtual environment is read.
FOLDERS = ("", "src", "scripts", "code", "training")
_FIRST_NAMES = ("train.py", "main.py", "run.py", "finetune.py", "fine_tune.py", "training.py", "app.py")
_NOT_A_JOB = re.compile(r"(?:test_.*|.*_test|setup|conftest|__init__|noxfile|utils?|config|model|models)\.py")
_SHELL = ("train.sh", "run.sh", "main.sh")


@dataclass(slots=True)
class Found:
    """What was seen. `entry` is what to run, relative to the folder; empty where there is nothing."""

    entry: str = ""
    program: Program = field(default_factory=Program)
    others: list[str] = field(default_factory=list)
    setup: str = ""
    conda: str = ""
    passed_over: list[Text] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """`python`, `notebook`, `shell` or nothing."""
        return {".py": "python", ".ipynb": "notebook", ".sh": "shell"}.get(
            os.path.splitext(self.entry)[1], ""
        )


def look_at(folder: str, clock: Callable[[], float] = time.monotonic) -> Found:
    """Read the folder, for little more than LONGEST_S. Raises OSError where it cannot be listed."""
    names = sorted(os.listdir(folder))
    found = Found()
    _choose(folder, found, clock)
    _what_to_install(folder, names, found)
    return found


def _choose(folder: str, found: Found, clock: Callable[[], float]) -> None:
    until = clock() + LONGEST_S

    def late() -> bool:
        return clock() > until

    programs = _programs(folder, found, late)
    notebooks = [path for path in _files(folder, ".ipynb", found) if os.sep not in path]
    shells = [name for name in _SHELL if os.path.isfile(os.path.join(folder, name))]
    if programs:
        ranked = sorted(programs, key=lambda path: _rank(path, programs[path]))
        found.entry, found.program = ranked[0], programs[ranked[0]]
        found.others = [path for path in ranked[1:] if programs[path].has_main]
    elif shells:
        found.entry, found.others = shells[0], shells[1:]
    elif notebooks:
        found.entry, found.others = notebooks[0], notebooks[1:]
        try:
            code = _notebook_code(os.path.join(folder, notebooks[0]))
            found.program = read_program(code, late) or Program()
        except TimeoutError:
            found.passed_over.append(_not_all())


def _rank(path: str, program: Program) -> tuple[int, int, int, str]:
    """The likeliest first: well-known names, what trains, what is a program, what lies at the top."""
    name = os.path.basename(path)
    known = _FIRST_NAMES.index(name) if name in _FIRST_NAMES else len(_FIRST_NAMES)
    trains = 0 if "train" in name and program.has_main else 1
    return (known if program.has_main else known + 1, trains, 0 if program.has_main else 1, path)


def _programs(folder: str, seen: Found, late: Callable[[], bool]) -> dict[str, Program]:
    """The likeliest names first: there may be more in the files than there is time."""
    found: dict[str, Program] = {}
    for path in sorted(
        _files(folder, ".py", seen), key=lambda path: os.path.basename(path) not in _FIRST_NAMES
    ):
        name = os.path.basename(path)
        if _NOT_A_JOB.fullmatch(name):
            continue
        try:
            program = _read(os.path.join(folder, path), late)
        except TimeoutError:
            seen.passed_over.append(_not_all())
            # A name that says enough, whatever is in it.
            return found | ({path: Program()} if name in _FIRST_NAMES else {})
        if program is not None and (program.has_main or program.framework or name in _FIRST_NAMES):
            found[path] = program
    return found


def _read(path: str, late: Callable[[], bool]) -> Program | None:
    if late():
        raise TimeoutError
    return read_program(_text(path), late)


def _not_all() -> Text:
    return words("not every program here was read in {seconds} s: look at `run`", seconds=LONGEST_S)


def _files(folder: str, ending: str, seen: Found) -> list[str]:
    found: list[str] = []
    for inner in FOLDERS:
        try:
            names = sorted(os.listdir(os.path.join(folder, inner)))
        except OSError:
            continue
        for name in names:
            if not name.endswith(ending) or name.startswith("."):
                continue
            path = os.path.join(inner, name)
            if _can_be_written(path):
                found.append(path)
            else:
                shown = path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
                seen.passed_over.append(
                    words(
                        "{path} was passed over: its name is not UTF-8, so no job file can hold it",
                        path=shown,
                    )
                )
    return found[:MOST_FILES]


def _can_be_written(name: str) -> bool:
    """A job file is UTF-8; names of files need not be."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _what_to_install(folder: str, names: list[str], found: Found) -> None:
    if "requirements.txt" in names:
        found.setup = "pip install -q -r requirements.txt"
    elif "pyproject.toml" in names:
        project = re.search(
            r"(?m)^\[(?:project|tool\.poetry|build-system)\]", _text(os.path.join(folder, "pyproject.toml"))
        )
        found.setup = "pip install -q -e ." if project else ""
    elif "setup.py" in names:
        found.setup = "pip install -q -e ."
    found.conda = next((name for name in ("environment.yml", "environment.yaml") if name in names), "")


def _notebook_code(path: str) -> str:
    """The code of a notebook without what is not Python in it."""
    try:
        cells = json.loads(_text(path) or "{}").get("cells", [])
        sources = ["".join(cell["source"]) for cell in cells if cell.get("cell_type") == "code"]
    except (ValueError, AttributeError, TypeError, KeyError):
        return ""
    lines = "\n".join(sources).splitlines()
    return "\n".join(
        "pass" if line.lstrip().startswith(("!", "%")) and line[:1] in "!%" else line for line in lines
    )


def _text(path: str) -> str:
    """A regular file as text; nothing where it is none, or is too large."""
    try:
        with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return ""
            data = file.read(LARGEST + 1)
    except OSError:
        return ""
    return data.decode("utf-8", "replace") if len(data) <= LARGEST else ""
