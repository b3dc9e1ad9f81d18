"""`colab-run init` where something is odd: overlaps, tokens, folders that are gone, names, slow folders."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from helpers.catalogs import shipped
from helpers.cli import command
from helpers.lab import Lab
from launcher.first_look import LONGEST_S, look_at
from launcher.jobs import load_job

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAIN = "if __name__ == '__main__':\n    pass\n"
TOKEN = "hf_" + "a1B2c3D4" * 4


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path / "lab")
    yield lab
    lab.close()


@pytest.mark.parametrize("folder", ["saved", "saved/run1"])
def test_results_in_a_folder_named_saved_are_saved_elsewhere(lab: Lab, folder: str) -> None:
    """An output is not copied into itself."""
    (lab.work / "train.py").write_text(f"import os\nos.makedirs('{folder}', exist_ok=True)\n{MAIN}")
    assert lab.run("init").code == 0
    output = load_job(str(lab.work / "job.yaml"), (), shipped().accepted_names()).spec.outputs[0]
    assert (output.path, os.path.basename(output.to)) == ("saved/", "saved-copy")
    assert lab.run("check", "job.yaml", "--on", "a100-40").code == 0


def test_a_default_that_looks_like_a_token_is_not_shown(lab: Lab) -> None:
    """The option is named all the same."""
    (lab.work / "train.py").write_text(
        "import argparse\np = argparse.ArgumentParser()\n"
        f"p.add_argument('--hub', default='{TOKEN}')\np.add_argument('--api-key', default='abc123')\n"
        f"p.add_argument('--max-tokens', default=512)\n{MAIN}"
    )
    text = lab.run("init", "--output", "-").out.decode()
    assert "--hub, --api-key, --max-tokens (512)" in text
    assert TOKEN not in text


def in_a_folder_that_is_gone(lab: Lab, *words: str) -> subprocess.CompletedProcess[str]:
    """As a shell does whose folder another one removed."""
    folder = lab.work / "gone"
    folder.mkdir()
    script = 'rmdir "$PWD" && exec "$@"'
    return subprocess.run(
        ["bash", "-c", script, "-", *command(), *words],
        cwd=folder,
        env=lab.env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("words", [(), ("--output", "-"), ("--from", "x.sbatch")])
def test_a_folder_that_is_gone_is_said(lab: Lab, words: tuple[str, ...]) -> None:
    """64 and a sentence."""
    ended = in_a_folder_that_is_gone(lab, "init", *words)
    assert ended.returncode == 64, ended.stderr
    assert "no longer there" in ended.stderr


def test_doctor_in_a_folder_that_is_gone_has_a_row_for_it(lab: Lab) -> None:
    """69, and all the other rows."""
    ended = in_a_folder_that_is_gone(lab, "doctor")
    assert ended.returncode == 69, ended.stderr
    assert any("FAIL" in line and "no longer there" in line for line in ended.stdout.splitlines())
    assert "Python" in ended.stdout


def test_an_empty_output_is_no_file(lab: Lab) -> None:
    """As from a variable that nobody set."""
    ended = lab.run("init", "--output", "")
    assert (ended.code, b"--output" in ended.err) == (64, True)
    assert os.listdir(lab.work) == []


def test_a_name_that_looks_like_an_option_is_a_path(lab: Lab) -> None:
    """Python would take it for one."""
    (lab.work / "-x.py").write_text(MAIN)
    assert b"\nrun: python ./-x.py\n" in lab.run("init", "--output", "-").out


def test_a_name_that_no_job_file_can_hold_is_passed_over(lab: Lab) -> None:
    """Another program is taken, and the screen says so."""
    with open(os.fsencode(lab.work) + b"/main\xff.py", "w", encoding="utf-8") as file:
        file.write(MAIN)
    (lab.work / "other.py").write_text(MAIN)
    ended = lab.run("init")
    assert ended.code == 0
    assert b"not UTF-8" in ended.err
    assert b"\nrun: python other.py\n" in (lab.work / "job.yaml").read_bytes()


def test_a_slow_folder_is_left_in_time(tmp_path: Path) -> None:
    """The likeliest programs are read first; that others were not is said."""
    for name in ("a.py", "b.py", "train.py"):
        (tmp_path / name).write_text(MAIN)
    seconds = itertools.chain([0.0, 0.0], itertools.repeat(LONGEST_S + 1.0))
    found = look_at(str(tmp_path), lambda: next(seconds))
    assert (found.entry, found.others) == ("train.py", [])
    assert len(found.passed_over) == 1
    assert (look_at(str(tmp_path)).others, look_at(str(tmp_path)).passed_over) == (["a.py", "b.py"], [])


@pytest.mark.parametrize("name", ["train.py", "zzz.ipynb"])
def test_one_large_program_is_left_in_time_too(tmp_path: Path, name: str) -> None:
    """Also while it is read; a name that says enough is taken all the same."""
    lines = "x = f(1)\n" * 2000
    cells = {"cells": [{"cell_type": "code", "source": [lines]}]}
    (tmp_path / name).write_text(json.dumps(cells) if name.endswith("b") else lines + MAIN)
    ticks = itertools.count(0, LONGEST_S / 1000)
    found = look_at(str(tmp_path), lambda: next(ticks))
    assert (found.entry, len(found.passed_over)) == (name, 1)
    assert next(ticks) < LONGEST_S * 1.1
