"""What lies in a folder, for a first job file: programs, notebooks, what to install. Nothing is run."""

from __future__ import annotations

import json
import os
import re
import stat
from dataclasses import dataclass, field

from launcher.converting.programs import Program, read_program

LARGEST = 1024 * 1024
MOST_FILES = 200
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

    @property
    def kind(self) -> str:
        """`python`, `notebook`, `shell` or nothing."""
        return {".py": "python", ".ipynb": "notebook", ".sh": "shell"}.get(
            os.path.splitext(self.entry)[1], ""
        )


def look_at(folder: str) -> Found:
    """Read the folder. Raises OSError where it cannot be listed."""
    names = sorted(os.listdir(folder))
    found = Found()
    _choose(folder, found)
    _what_to_install(folder, names, found)
    return found


def _choose(folder: str, found: Found) -> None:
    programs = _programs(folder)
    notebooks = [path for path in _files(folder, ".ipynb") if os.sep not in path]
    shells = [name for name in _SHELL if os.path.isfile(os.path.join(folder, name))]
    if programs:
        ranked = sorted(programs, key=lambda path: _rank(path, programs[path]))
        found.entry, found.program = ranked[0], programs[ranked[0]]
        found.others = [path for path in ranked[1:] if programs[path].has_main]
    elif shells:
        found.entry, found.others = shells[0], shells[1:]
    elif notebooks:
        found.entry, found.others = notebooks[0], notebooks[1:]
        found.program = read_program(_notebook_code(os.path.join(folder, notebooks[0]))) or Program()


def _rank(path: str, program: Program) -> tuple[int, int, int, str]:
    """The likeliest first: well-known names, what trains, what is a program, what lies at the top."""
    name = os.path.basename(path)
    known = _FIRST_NAMES.index(name) if name in _FIRST_NAMES else len(_FIRST_NAMES)
    trains = 0 if "train" in name and program.has_main else 1
    return (known if program.has_main else known + 1, trains, 0 if program.has_main else 1, path)


def _programs(folder: str) -> dict[str, Program]:
    found = {}
    for path in _files(folder, ".py"):
        if _NOT_A_JOB.fullmatch(os.path.basename(path)):
            continue
        program = read_program(_text(os.path.join(folder, path)))
        if program is None:
            continue
        if program.has_main or program.framework or os.path.basename(path) in _FIRST_NAMES:
            found[path] = program
    return found


def _files(folder: str, ending: str) -> list[str]:
    found = []
    for inner in FOLDERS:
        try:
            names = sorted(os.listdir(os.path.join(folder, inner)))
        except OSError:
            continue
        found += [
            os.path.join(inner, name) for name in names if name.endswith(ending) and not name.startswith(".")
        ]
    return found[:MOST_FILES]


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
