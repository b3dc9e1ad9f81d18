"""Imports point down only, and each library is known to one part: held by reading every import with `ast`."""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Where each file of launcher/ belongs; the first row that matches holds. `*` also matches `/`.
# A file may import its own part and the layers below it. Other parts of its own layer are sideways, and not
# allowed from SIDEWAYS_FROM on: app is the one part where probes meet the ledger meet release.
LAYERS: tuple[tuple[int, str, str], ...] = (
    # layer, part, files
    (0, "base", "__init__.py errors.py values.py clock.py children.py masking.py words.py units.py i18n.py"),
    (0, "for jobs", "beats.py dumps.py"),
    (6, "front door", "__main__.py"),
    (1, "models", "*/model.py */interface.py spec/problems.py record.py events.py"),
    (2, "spec", "spec/*"),
    (2, "converting", "converting/*"),
    (2, "verdict", "verdict/*"),
    (2, "pure guard", "guard/command.py guard/limits.py guard/retry.py guard/queueing.py"),
    (2, "pure release", "release/decide.py release/protocol.py"),
    (2, "pure idle", "idle/decide.py idle/vigil.py idle/recording.py idle/replay*.py idle/signals/*"),
    (2, "pure ledger", "ledger/cost.py ledger/recover.py"),
    (3, "catalog", "catalog/*"),
    (3, "probes", "probes/*"),
    (3, "guard", "guard/*"),
    (3, "saving", "saving/*"),
    (3, "release", "release/*"),
    (3, "idle", "idle/*"),
    (3, "ledger", "ledger/*"),
    (4, "plugins", "plugins.py"),
    (5, "app", "app.py jobs.py judging.py preflight.py course.py results.py handback.py holds.py launch.py"),
    (5, "app", "guarding.py bookkeeping.py noted.py after_job.py plan.py result_file.py unsaved_files.py"),
    (5, "app", "lost.py runs.py gpu_check.py gpu_*.py places.py orders.py checkpoints.py"),
    (5, "app", "restoring.py history.py"),
    (5, "app", "save_now.py archive.py flushing.py backing.py releasing.py busy.py budget.py"),
    (5, "app", "life.py idling.py when_idle.py release_rows.py stalling.py stacks.py watching.py watch_*.py"),
    (5, "app", "replaying.py readiness.py attempting.py retry_words.py lost_attempts.py again.py"),
    (5, "app", "first_look.py starting.py attaching.py waiting.py"),
    (5, "app", "claims.py once.py queueing.py queue_*.py"),
    (5, "app", "doctoring/*"),
    (6, "report", "report/*"),
    (6, "notebook", "notebook/*"),
    (6, "cli", "cli/*"),
)
SIDEWAYS_FROM = 3

# What the layers alone would get wrong. (importing part, imported part): is it allowed?
EXCEPTIONS: dict[tuple[str, str], bool] = {
    ("cli", "report"): True,  # printing is what both are for
    ("notebook", "report"): True,
    ("front door", "cli"): True,
    ("app", "report"): False,  # app returns values; who called it decides how they look
    # report formats values that it is handed, and fetches nothing.
    **{
        ("report", part): False
        for part in ("spec", "verdict", "catalog", "probes", "guard", "saving", "release", "idle", "ledger")
    },
    ("report", "plugins"): False,
    ("report", "app"): False,
}

# Libraries outside the standard library, and sqlite3: the only files that may import each.
LIBRARIES: dict[str, str] = {
    "pynvml": "probes/nvml.py",
    "psutil": "probes/host.py",
    "sqlite3": "ledger/store.py",
    "rich": "cli/render.py",
    "typer": "cli/*",
    "yaml": "spec/nodes.py catalog/load.py",
    "tenacity": "guard/control.py",
    # Not dependencies: these exist where a notebook's kernel is.
    "google": "release/* saving/* notebook/*",
    "IPython": "notebook/*",
}


@dataclass(frozen=True)
class Import:
    """One import statement's target. `file` is relative to launcher/, `name` as dotted."""

    file: str
    line: int
    name: str
    for_types: bool

    def __str__(self) -> str:
        return f"launcher/{self.file}:{self.line} imports {self.name}"


def matches(file: str, patterns: str) -> bool:
    return any(fnmatch(file, pattern) for pattern in patterns.split())


def place(file: str) -> tuple[int, str] | None:
    """Layer and part of a file, or None if the table has no row for it."""
    return next(((layer, part) for layer, part, files in LAYERS if matches(file, files)), None)


def is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def statements(node: ast.AST, for_types: bool = False) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Every import at any depth, and whether it is under `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, for_types
        elif isinstance(child, ast.If) and is_type_checking(child.test):
            for inner in child.body:
                yield from statements(ast.Module([inner], []), for_types=True)
            for inner in child.orelse:
                yield from statements(ast.Module([inner], []), for_types)
        else:
            yield from statements(child, for_types)


def imports(file: str, source: str) -> Iterator[Import]:
    """What a file imports, relative names resolved; `from a import b` is given as `a.b`."""
    package = ["launcher", *file.split("/")[:-1]]
    for node, for_types in statements(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            base = package[: len(package) - node.level + 1] if node.level else []
            start = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{start}.{alias.name}" for alias in node.names]
        for name in names:
            yield Import(file, node.lineno, name, for_types)


def target(name: str, files: set[str]) -> str | None:
    """The file of launcher/ that a dotted name is in: the module itself, or the one that holds the name."""
    parts = name.split(".")[1:]
    for candidate in (parts, parts[:-1]):
        path = "/".join(candidate)
        for file in (f"{path}.py", f"{path}/__init__.py" if path else "__init__.py"):
            if file in files:
                return file
    return None


def direction_problem(found: Import, files: set[str]) -> str | None:
    """Why this import of our own code is not allowed, or None."""
    file = target(found.name, files)
    if file is None:
        return f"{found}: there is no such module"
    importing, imported = place(found.file), place(file)
    if importing is None or imported is None or importing[1] == imported[1]:
        return None  # a file without a place is reported by a test of its own
    (layer, part), (other_layer, other) = importing, imported
    allowed = EXCEPTIONS.get((part, other))
    if allowed is not None:
        return None if allowed else f"{found}: {part} must not know {other}"
    if other_layer < layer or (other_layer == layer < SIDEWAYS_FROM):
        return None
    if found.for_types and other_layer <= 1:
        return None  # a model as a type costs nothing and binds nothing
    way = "sideways" if other_layer == layer else "up"
    return f"{found}: {way}, from {part} (layer {layer}) to {other} (layer {other_layer})"


def library_problem(found: Import) -> str | None:
    """Why this import of somebody else's code is not allowed, or None."""
    top = found.name.split(".")[0]
    if top in LIBRARIES:
        return None if matches(found.file, LIBRARIES[top]) else f"{found}: only {LIBRARIES[top]} may"
    if top in sys.stdlib_module_names:
        return None
    return (
        f"{found}: not a library that this project knows; a new one belongs into pyproject.toml and LIBRARIES"
    )


@pytest.fixture(scope="module")
def files(root: Path) -> set[str]:
    folder = root / "launcher"
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*.py")}
    assert len(found) > 10, f"{folder} holds {len(found)} Python files: this test would prove nothing"
    return found


@pytest.fixture(scope="module")
def all_imports(root: Path, files: set[str]) -> list[Import]:
    found = [
        one
        for file in sorted(files)
        for one in imports(file, (root / "launcher" / file).read_text(encoding="utf-8"))
    ]
    assert any(one.name.startswith("launcher.") for one in found), "no import of our own was found"
    return found


def report(problems: list[str]) -> str:
    return "\n  ".join([f"{len(problems)} problem(s):", *problems])


def test_every_file_has_a_place_in_the_table(files: set[str]) -> None:
    problems = [f"launcher/{file} has no row in LAYERS" for file in sorted(files) if place(file) is None]
    assert not problems, report(problems)


def test_imports_point_down_only(all_imports: list[Import], files: set[str]) -> None:
    ours = [one for one in all_imports if one.name.split(".")[0] == "launcher"]
    problems = [problem for one in ours if (problem := direction_problem(one, files))]
    assert not problems, report(problems)


def test_each_library_is_known_to_one_part(all_imports: list[Import]) -> None:
    others = [one for one in all_imports if one.name.split(".")[0] != "launcher"]
    problems = [problem for one in others if (problem := library_problem(one))]
    assert not problems, report(problems)


def test_package_files_import_nothing(root: Path, files: set[str]) -> None:
    """`import launcher.spec.model` runs two package files first: they must cost nothing."""
    problems = []
    for file in sorted(file for file in files if file.endswith("__init__.py")):
        tree = ast.parse((root / "launcher" / file).read_text(encoding="utf-8"))
        for node in tree.body:
            is_future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
            if isinstance(node, ast.Import | ast.ImportFrom) and not is_future:
                problems.append(f"launcher/{file}:{node.lineno} imports at the top level")
    assert not problems, report(problems)


SOME_FILES = {
    "__init__.py",
    "__main__.py",
    "app.py",
    "clock.py",
    "errors.py",
    "cli/__init__.py",
    "cli/main.py",
    "guard/supervise.py",
    "ledger/store.py",
    "probes/__init__.py",
    "probes/host.py",
    "probes/model.py",
    "report/table.py",
    "spec/nodes.py",
    "verdict/compare.py",
}


@pytest.mark.parametrize(
    ("file", "source", "said"),
    [
        ("probes/host.py", "from launcher.ledger import store", "sideways, from probes"),
        ("probes/host.py", "from launcher.ledger.store import Store", "sideways, from probes"),
        ("probes/host.py", "def f():\n    import launcher.app", "up, from probes (layer 3) to app (layer 5)"),
        ("probes/host.py", "from ..ledger import store", "sideways"),
        ("probes/host.py", "from .model import Facts", None),
        ("probes/host.py", "from . import model", None),
        ("guard/supervise.py", "from launcher.probes.model import RuntimeFacts", None),
        ("guard/supervise.py", "from launcher.probes import host", "sideways, from guard"),
        ("verdict/compare.py", "from launcher.spec import nodes", None),
        ("verdict/compare.py", "from launcher.probes import host", "up, from verdict"),
        ("errors.py", "from launcher.probes.model import RuntimeFacts", "up, from base"),
        (
            "errors.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import launcher.probes.model",
            None,
        ),
        (
            "errors.py",
            "import typing\nif typing.TYPE_CHECKING:\n    from launcher.probes.host import Host",
            "up, from base",
        ),
        ("app.py", "from launcher.report import table", "app must not know report"),
        ("app.py", "from launcher.cli import main", "up, from app"),
        ("app.py", "from launcher import __version__", None),
        ("report/table.py", "from launcher.ledger import store", "report must not know ledger"),
        ("report/table.py", "from launcher.probes.model import RuntimeFacts", None),
        ("cli/main.py", "from launcher.report import table\nfrom launcher import app", None),
        ("cli/main.py", "from launcher.nowhere import x", "no such module"),
    ],
)
def test_the_rule_sees(file: str, source: str, said: str | None) -> None:
    """The rule itself refuses what it should and allows what it should."""
    ours = [one for one in imports(file, source) if one.name.startswith("launcher")]
    problems = [problem for one in ours if (problem := direction_problem(one, SOME_FILES))]
    if said is None:
        assert not problems
    else:
        assert len(problems) == 1
        assert said in problems[0]


@pytest.mark.parametrize(
    ("file", "source", "allowed"),
    [
        ("probes/nvml.py", "import pynvml", True),
        ("probes/host.py", "import pynvml", False),
        ("cli/main.py", "import typer", True),
        ("app.py", "import typer", False),
        ("cli/main.py", "def f():\n    from rich.table import Table", False),
        ("guard/supervise.py", "import selectors, os.path", True),
        ("guard/supervise.py", "import tenacity", False),
        ("spec/load.py", "try:\n    import yaml\nexcept ImportError:\n    pass", False),
        ("app.py", "import requests", False),
    ],
)
def test_the_library_rule_sees(file: str, source: str, allowed: bool) -> None:
    """Imports are found wherever they hide: in functions, in `try`, behind another name."""
    problems = [problem for one in imports(file, source) if (problem := library_problem(one))]
    assert (not problems) == allowed
