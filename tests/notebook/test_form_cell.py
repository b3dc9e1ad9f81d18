"""The form cell for Colab, in a real kernel: it writes a job file that loads, and runs it."""

from __future__ import annotations

import ast
import os
import re
import shlex
import tokenize
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from helpers.catalogs import shipped
from helpers.cli import command
from helpers.kernel import Kernel
from launcher.jobs import load_job
from launcher.spec.model import When

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = Path(__file__).parents[2] / "examples" / "colab"
CELLS = {"en": "form_cell.py", "zh-TW": "form_cell.zh-TW.py", "zh-CN": "form_cell.zh-CN.py"}
CHINESE = re.compile("[\u4e00-\u9fff]")


def text_of(language: str) -> str:
    return (EXAMPLES / CELLS[language]).read_text(encoding="utf-8")


def fields(text: str) -> list[tuple[str, str]]:
    """(label, what stands behind it) of each field of the form, in order."""
    return re.findall(r"(?m)^(\w+) = (.*# @param .*)$", text)


def filled(text: str, *values: object) -> str:
    """As a person fills the form: each field's value, None for what is proposed."""
    for (label, behind), value in zip(fields(text), values, strict=True):
        if value is not None:
            proposed, _, param = behind.partition("  # ")
            assert f"{label} = {proposed}  # {param}" in text
            text = text.replace(f"{label} = {behind}", f"{label} = {value!r}  # {param}")
    return text


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("form")
    (folder / "bin").mkdir()
    script = folder / "bin" / "colab-run"
    root = Path(__file__).parents[2]
    script.write_text(
        f'#!/bin/bash\nexport PYTHONPATH={shlex.quote(str(root))}\nexec {shlex.join(command())} "$@"\n'
    )
    script.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def kernel(home: Path) -> Iterator[Kernel]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COLAB_", "TBE_"))}
    env = {**kept, "PATH": f"{home / 'bin'}:{os.environ['PATH']}", "COLAB_RUN_HOME": str(home / "state")}
    with Kernel(env=env, cwd=home) as kernel:
        yield kernel


def test_the_three_are_one_program() -> None:
    """They differ in labels and in words for people; the code is the same, name by name."""
    programs = {}
    for language in CELLS:
        text = text_of(language)
        names = {label: f"field{at}" for at, (label, _) in enumerate(fields(text))}
        tokens = [
            names.get(token.string, token.string)
            for token in tokenize.generate_tokens(StringIO(text).readline)
            if token.type not in (tokenize.COMMENT, tokenize.NL)
        ]
        without_words = [re.sub(r'f".*exit_code.*"|"job\.yaml .*"', "f", token) for token in tokens]
        programs[language] = " ".join(without_words[: without_words.index("RuntimeError")])
        assert [behind for _, behind in fields(text)] == [behind for _, behind in fields(text_of("en"))]
        ast.parse(text)
    assert len(set(programs.values())) == 1


@pytest.mark.parametrize("language", ["zh-TW", "zh-CN"])
def test_labels_are_in_the_language(language: str) -> None:
    """Colab shows the names of the variables beside the fields; some are the same everywhere."""
    labels = [label for label, _ in fields(text_of(language))]
    assert [label for label in labels if not CHINESE.search(label)] == ["GPU"]
    notes = re.findall(r"(?m)^# @(?:title|markdown) (.*)$", text_of(language))
    assert len(notes) == 3
    assert all(CHINESE.search(note) for note in notes)


@pytest.mark.parametrize("language", CELLS)
def test_the_cell_writes_the_job_and_runs_it(kernel: Kernel, home: Path, language: str) -> None:
    """Every field arrives as it was typed; the job runs, and its results are where the form says."""
    saved = home / f"saved-{language}"
    run = f'echo "a: b # 學習" && mkdir -p out && echo done > out/{language}.txt'
    values = (f"試驗 {language}", run, "true", "none", "1MB", "out", str(saved), "10m", "never", False)
    cell = kernel.start(filled(text_of(language), *values))
    text = cell.wait()
    assert cell.state == "ok", text
    assert "a: b # 學習" in text
    assert (saved / "out" / f"{language}.txt").read_text() == "done\n"
    job = load_job(str(home / "job.yaml"), (), shipped().accepted_names()).spec
    assert (job.name, job.run.text, job.setup.text) == (f"試驗 {language}", run, "true")
    assert (job.resources.ram_bytes, job.max_duration_s) == (10**6, 600)
    assert job.release.when is When.NEVER
    assert [(one.path, one.to) for one in job.outputs] == [("out", str(saved))]


@pytest.mark.parametrize("language", CELLS)
def test_run_all_stops_at_a_failure(kernel: Kernel, language: str) -> None:
    """The cell raises when colab-run does not end with 0, here at a check; what follows is not run."""
    values = ("x", "true", "", "none", "900TB", "", "", "", "never", True)
    cell = kernel.start(filled(text_of(language), *values))
    following = kernel.start("print('never')")
    text = cell.wait()
    assert cell.error == "RuntimeError"
    assert "69" in text.splitlines()[-1]
    following.wait()
    assert following.state == "aborted"


@pytest.mark.parametrize("language", CELLS)
def test_a_file_of_somebody_else_stays(kernel: Kernel, home: Path, language: str) -> None:
    """The cell writes over what it wrote itself, and over nothing else; it says what to do."""
    file = home / "job.yaml"
    file.write_text("name: mine\nrun: 'true'\n")
    values = ("x", "true", "", "none", "", "", "", "", "never", True)
    cell = kernel.start(filled(text_of(language), *values))
    text = cell.wait()
    assert cell.error == "FileExistsError"
    assert "`colab-run job.yaml`" in text.splitlines()[-1]
    assert file.read_text() == "name: mine\nrun: 'true'\n"
    file.unlink()
    for _ in range(2):
        cell = kernel.start(filled(text_of(language), *values))
        cell.wait()
        assert cell.state == "ok"


def test_what_is_proposed_loads(kernel: Kernel, home: Path) -> None:
    """The form as it is: only the check is changed, and nothing is to be mounted."""
    (home / "job.yaml").unlink(missing_ok=True)
    values = [None] * 5 + ["", None, None, None, True]
    kernel.start(filled(text_of("en"), *values)).wait()
    job = load_job(str(home / "job.yaml"), (), shipped().accepted_names()).spec
    assert (job.run.text, job.resources.gpu_text, job.max_duration_s) == ("python train.py", "T4", 21600)
