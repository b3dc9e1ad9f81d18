"""Which Python a job would use: the one that its command starts, wherever in it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from launcher.probes.inputs import look
from launcher.probes.packages import python_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder with an environment `.venv`, and another Python on the PATH."""
    for place in (".venv/bin", "path"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "python").write_text("#!/bin/sh\n")
        (tmp_path / place / "python").chmod(0o755)
    script = tmp_path / ".venv/bin/torchrun"
    script.write_text(f"#!{tmp_path}/.venv/bin/python\n")
    script.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(
    "script",
    [
        ".venv/bin/python t.py",
        "X=0 .venv/bin/python t.py",
        "cd . && .venv/bin/python t.py",
        "nohup .venv/bin/python t.py",
        "time exec .venv/bin/python t.py",
        "set -e; .venv/bin/python t.py",
        ".venv/bin/torchrun t.py",
        "cd . && source .venv/bin/activate && python t.py",
        "if true; then .venv/bin/python t.py; fi",
        "nice -n 5 .venv/bin/python t.py",
        "timeout 60 .venv/bin/python t.py",
        "env -u A .venv/bin/python t.py",
        "stdbuf -oL .venv/bin/python t.py",
        "mkdir -p sub; cd sub && ../.venv/bin/python t.py",
        "cd sub; cd ..\n.venv/bin/python t.py",
    ],
)
def test_it_is_found_in_the_script(work: Path, script: str) -> None:
    found = python_of((), script, {"PATH": f"{work}/path"}, str(work))
    assert found == (f"{work}/.venv/bin/python", True)


def test_of_a_command_without_a_shell(work: Path) -> None:
    found = python_of(("env", "A=1", ".venv/bin/python", "t.py"), "", {"PATH": f"{work}/path"}, str(work))
    assert found == (f"{work}/.venv/bin/python", True)


def test_of_a_shell_without_ours(work: Path) -> None:
    argv = ("bash", "-c", "cd x && .venv/bin/python t.py")
    assert python_of(argv, "", {"PATH": f"{work}/path"}, str(work)).sure is False


@pytest.mark.parametrize("script", ["python t.py", "true", "bash run.sh", "# a word\nmake"])
def test_otherwise_it_is_that_of_the_path(work: Path, script: str) -> None:
    assert python_of((), script, {"PATH": f"{work}/path"}, str(work)) == (f"{work}/path/python", True)


@pytest.mark.parametrize(
    "script",
    [
        '"$PWD/.venv/bin/python" t.py',
        "uv run python t.py",
        "$PYTHON t.py",
        'source "$PWD/.venv/bin/activate"; python t.py',
        "export PATH=$PWD/.venv/bin:$PATH; python t.py",
        "PATH=.venv/bin:$PATH python t.py",
        "bash -c '.venv/bin/python t.py'",
        "cd $DATA && ../.venv/bin/python t.py",
    ],
)
def test_who_cannot_tell_says_so(work: Path, script: str) -> None:
    assert python_of((), script, {"PATH": f"{work}/path"}, str(work)).sure is False


def test_a_linked_folder_is_as_large_as_what_it_names(tmp_path: Path) -> None:
    """Also where links lead around in circles."""
    (tmp_path / "big").mkdir()
    (tmp_path / "big/file").write_bytes(b"x" * 5000)
    (tmp_path / "data").mkdir()
    os.symlink("../big", tmp_path / "data/train")
    os.symlink("..", tmp_path / "big/up")
    assert look([str(tmp_path / "data")], [True])[0] == 5000
