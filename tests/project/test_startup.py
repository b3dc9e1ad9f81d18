"""What a start loads: help needs no library but typer, and the supervising processes none at all.

No stopwatch: the modules that a child process has loaded when it ends are the measure.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import launcher

COMMANDS = ("run", "exec", "check", "probe", "release")
HEAVY = {"yaml", "psutil", "pynvml", "tenacity", "sqlite3", "rich"}

# At exit, so that it does not matter how `main` ends. The list goes to a file: stdout is the command's own.
RUNNER = """\
import atexit, sys
before = set(sys.modules)
note = sys.argv.pop(1)
def write_note():
    with open(note, "w") as file:
        file.write("\\n".join(sorted(set(sys.modules) - before)))
atexit.register(write_note)
sys.argv[0] = "colab-run"
from launcher.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def start(arguments: list[str], tmp_path: Path) -> tuple[subprocess.CompletedProcess[str], set[str]]:
    """One `colab-run` in a child of its own; what it printed, and the modules it had loaded."""
    note = tmp_path / "loaded"
    done = subprocess.run(
        [sys.executable, "-I", "-c", RUNNER, note, *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert note.is_file(), f"colab-run {' '.join(arguments)} ended without atexit:\n{done.stderr}"
    return done, set(note.read_text(encoding="utf-8").split())


def top(modules: set[str]) -> set[str]:
    return {name.split(".")[0] for name in modules}


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)], ids=lambda words: " ".join(words))
def test_help_loads_nothing_heavy(command: tuple[str, ...], tmp_path: Path) -> None:
    done, loaded = start([*command, "--help"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.lower().lstrip().startswith("usage:"), done.stdout
    assert done.stderr == ""
    assert "launcher" in top(loaded), "the list of modules is not what it should be"
    assert not HEAVY & top(loaded)


@pytest.mark.parametrize("language", ["zh-TW", "zh-CN"])
def test_help_in_another_language_loads_its_catalogue_and_nothing_else(language: str, tmp_path: Path) -> None:
    done, loaded = start(["--help", "--lang", language], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "gettext" in loaded
    assert not HEAVY & top(loaded)


def test_help_names_every_command(tmp_path: Path) -> None:
    done, _ = start(["--help"], tmp_path)
    words = done.stdout.split()
    assert [name for name in COMMANDS if name not in words] == []


def test_version_loads_no_library_at_all(tmp_path: Path) -> None:
    """The cheapest question is answered before typer is imported."""
    done, loaded = start(["--version"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert launcher.__version__ in done.stdout
    assert not (HEAVY | {"typer", "click"}) & top(loaded)


def test_the_guard_needs_the_standard_library_only(tmp_path: Path) -> None:
    """Watcher and guard live for hours, and must work when an upgrade of a package is half done."""
    folder = Path(launcher.__file__).parent / "guard"
    modules = [
        f"launcher.guard.{path.stem}" for path in sorted(folder.glob("*.py")) if path.stem != "__init__"
    ]
    assert modules, f"{folder} holds no module"
    source = (
        "import importlib, json, sys\n"
        "before = set(sys.modules)\n"
        "for name in json.loads(sys.argv[1]): importlib.import_module(name)\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", source, json.dumps(modules)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loaded = top(set(json.loads(done.stdout)))
    assert loaded - set(sys.stdlib_module_names) == {"launcher"}
