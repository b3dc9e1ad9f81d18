"""`colab-run init` in six kinds of folder: what it wrote loads, is judged, and runs."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from helpers.catalogs import shipped
from helpers.lab import Lab, Terminal, until
from launcher.errors import UsageError
from launcher.jobs import load_job
from launcher.spec.model import Script
from launcher.starting import write_new

if TYPE_CHECKING:
    from collections.abc import Iterator

ARGPARSE = """
open("it-was-run", "w").close()  # at import: `init` must never do that
import argparse, pathlib
import torch

def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("checkpoints"))
    options = parser.parse_args()
    torch.save({}, options.out / "last.pt")

if __name__ == "__main__":
    main()
"""
TYPER = """
import typer
from transformers import Trainer, TrainingArguments

app = typer.Typer()

@app.command()
def main(lr: float = 0.1, seed: int = typer.Option(7), model_name: str = "tiny"):
    Trainer(args=TrainingArguments(output_dir="runs/sft", bf16=True)).train()

if __name__ == "__main__":
    app()
"""
CLICK = """
import click

@click.command()
@click.option("--steps", default=5)
def main(steps):
    import os
    os.makedirs("results", exist_ok=True)
    open("results/a.txt", "w").write(str(steps))

if __name__ == "__main__":
    main()
"""
FIRE = "import fire\ndef go(size, depth=2): pass\nif __name__ == '__main__':\n    fire.Fire(go)\n"
NOTEBOOK = {
    "cells": [
        {"cell_type": "markdown", "source": ["# Title"]},
        {"cell_type": "code", "source": ["!pip install jax\n", "%matplotlib inline\n", "import jax\n"]},
        {"cell_type": "code", "source": "model.save('model.keras')"},
    ]
}

# Files of a folder; the command, the GPU, set-up, first output; words of a comment.
FOLDERS: dict[str, tuple[dict[str, str], str, str, str | None, str | None, list[str]]] = {
    "argparse": (
        {"train.py": ARGPARSE, "requirements.txt": "torch\n", "utils.py": "import torch\n"},
        "python train.py --data DATA",
        "T4",
        "pip install -q -r requirements.txt",
        "checkpoints/",
        ["--epochs (3)", "To be filled in: --data"],
    ),
    "typer": (
        {"src/finetune.py": TYPER, "pyproject.toml": '[project]\nname = "x"\n'},
        "python src/finetune.py",
        "L4",
        "pip install -q -e .",
        "runs/",
        ["--lr (0.1)", "--seed (7)", "--model-name (tiny)"],
    ),
    "click, several programs": (
        {
            "main.py": CLICK,
            "evaluate.py": FIRE,
            "broken.py": "def (",
            "test_main.py": ARGPARSE,
            "environment.yml": "name: x\n",
            "pyproject.toml": "[tool.ruff]\n",
        },
        "python main.py",
        "",
        None,
        "results/",
        ["--steps (5)", "Also there: evaluate.py", "environment.yml is conda's"],
    ),
    "notebook": (
        {"my study.ipynb": json.dumps(NOTEBOOK)},
        "jupyter nbconvert --to notebook --execute --inplace 'my study.ipynb'",
        "T4",
        None,
        "model.keras",
        ["jax was seen"],
    ),
    "shell script": ({"run.sh": "echo hello\n", "notes.md": "# x\n"}, "bash run.sh", "", None, None, []),
    "nothing": ({}, "", "", None, None, ["no program to be seen"]),
}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path / "lab")
    yield lab
    lab.close()


def fill(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


def read(path: Path) -> Any:
    return load_job(str(path), (), shipped().accepted_names()).spec


@pytest.mark.parametrize("name", FOLDERS)
def test_what_it_wrote_fits_the_folder_loads_and_is_judged(lab: Lab, name: str) -> None:
    """Nothing is asked without a terminal, nothing is run, and `check` has a verdict."""
    files, command, gpu, setup, output, said = FOLDERS[name]
    fill(lab.work, files)
    before = sorted(os.listdir(lab.work))
    ended = lab.run("init")
    assert (ended.code, ended.err) == (0, b"")
    assert ended.out.decode().splitlines()[-1].strip() == "next: colab-run check job.yaml"
    assert sorted(os.listdir(lab.work)) == sorted([*before, "job.yaml"])
    text = (lab.work / "job.yaml").read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=")
    assert "\nrelease: {when: idle, after: 30m}\n" in text
    job = read(lab.work / "job.yaml")
    assert isinstance(job.run, Script)
    assert job.run.text == command or (not command and "no command yet" in job.run.text)
    assert job.resources.gpu_text == gpu
    assert (job.setup.text if job.setup else None) == setup
    assert (job.outputs[0].path if job.outputs else None) == output
    comments = "\n".join(line for line in text.splitlines() if line.startswith("#"))
    assert [words for words in said if words not in comments] == []
    judged = lab.run("check", "job.yaml", "--on", "a100-40", "--json")
    assert judged.code == 0, judged.err
    assert judged.document["verdict"] == "met"


def test_every_key_has_its_line(lab: Lab) -> None:
    """A comment above each, also above those that are only proposed."""
    lab.run("init")
    lines = (lab.work / "job.yaml").read_text(encoding="utf-8").splitlines()
    starts = [at for at, line in enumerate(lines) if line and line[0].isalpha()]
    assert len(starts) >= 3
    assert [lines[at] for at in starts if not lines[at - 1].startswith("# ")] == []
    assert "# max_duration: 6h" in lines


def test_what_it_wrote_runs(lab: Lab) -> None:
    """A program of a few lines, from nothing to its results."""
    fill(lab.work, {"train.py": CLICK.replace("import click", "").partition("@click")[0] + SIMPLE})
    os.makedirs(lab.folder / "bin")
    os.symlink(sys.executable, lab.folder / "bin" / "python")
    env = {"PATH": f"{lab.folder / 'bin'}:{os.environ['PATH']}"}
    assert lab.run("init", env=env).code == 0
    ended = lab.run("job.yaml", env=env)
    assert ended.code == 0, ended.err.decode()
    assert (lab.work / "saved" / "results" / "a.txt").read_text() == "trained"


SIMPLE = """
import os
if __name__ == "__main__":
    os.makedirs("results", exist_ok=True)
    open("results/a.txt", "w").write("trained")
"""


def test_the_placeholder_says_what_to_do(lab: Lab) -> None:
    """A job that was not filled in fails, with a sentence."""
    lab.run("init")
    ended = lab.run("job.yaml", "--no-release")
    assert ended.code == 1
    assert b"no command yet" in ended.err + ended.out


# --- where it is written --------------------------------------------------------------------------


def test_it_never_writes_over_a_file_unless_told_to(lab: Lab) -> None:
    """Neither over a file nor over a link that leads nowhere."""
    (lab.work / "job.yaml").write_text("mine")
    os.symlink("nowhere", lab.work / "link.yaml")
    for words in ((), ("--output", "link.yaml")):
        ended = lab.run("init", *words)
        assert ended.code == 64
        assert b"--force" in ended.err
    assert (lab.work / "job.yaml").read_text() == "mine"
    assert not (lab.work / "nowhere").exists()
    assert lab.run("init", "--force").code == 0
    assert "release:" in (lab.work / "job.yaml").read_text(encoding="utf-8")
    assert sorted(os.listdir(lab.work)) == ["job.yaml", "link.yaml"]


def test_a_file_that_came_meanwhile_is_not_written_over(tmp_path: Path) -> None:
    """Between the look and the writing somebody else was quicker."""
    path = tmp_path / "job.yaml"
    path.write_text("theirs")
    with pytest.raises(UsageError, match="is there already"):
        write_new(str(path), "ours", force=False)
    assert (path.read_text(), os.listdir(tmp_path)) == ("theirs", ["job.yaml"])


def test_another_folder_and_another_file(lab: Lab) -> None:
    """The file lies beside the program; elsewhere it says where the program is."""
    fill(lab.work, {"project/train.py": ARGPARSE})
    assert lab.run("init", "project").code == 0
    assert read(lab.work / "project" / "job.yaml").workdir == str(lab.work / "project")
    assert lab.run("init", "project", "--output", "other.yaml").code == 0
    assert read(lab.work / "other.yaml").workdir == str(lab.work / "project")


def test_to_stdout_and_as_json(lab: Lab) -> None:
    """`-` writes no file; the document has the text and where it is."""
    shown = lab.run("init", "--output", "-").out.decode()
    assert shown.startswith("# yaml-language-server") and not (lab.work / "job.yaml").exists()
    document = lab.run("init", "--json").document
    assert document["text"] == (lab.work / "job.yaml").read_text(encoding="utf-8")
    assert (document["path"], document["next"]) == ("job.yaml", "colab-run check job.yaml")
    assert (document["left"], document["schema_version"]) == ([], 1)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "there is no folder nowhere"),
        (["train.py"], "colab-run init ."),
        (["sky.yaml"], "colab-run init --from sky.yaml"),
        (["--from", "nosuch.yaml"], "there is no job file nosuch.yaml"),
        (["--from", "notes.yaml"], "no file of SkyPilot, dstack or sbatch"),
        (["--output", "no/such/folder.yaml"], "cannot be written"),
    ],
)
def test_bad_usage_writes_nothing(lab: Lab, words: list[str], said: str) -> None:
    """What is wrong, and what to type."""
    fill(lab.work, {"train.py": "", "sky.yaml": "run: ls\n", "notes.yaml": "a: b\n"})
    before = sorted(os.listdir(lab.work))
    ended = lab.run("init", *words)
    assert ended.code == 64
    assert said in " ".join(ended.err.decode().split())
    assert sorted(os.listdir(lab.work)) == before


# --- conversion -----------------------------------------------------------------------------------


def test_a_conversion_lists_on_stderr_what_it_left_out(lab: Lab) -> None:
    """And in the document for scripts."""
    fill(lab.work, {"train.sbatch": "#!/bin/bash\n#SBATCH -p gpu\n#SBATCH --mem=4G\nsleep 1\n"})
    ended = lab.run("init", "--from", "train.sbatch")
    assert ended.code == 0
    assert b"line 2, -p gpu:" in ended.err
    assert read(lab.work / "job.yaml").name == "train"
    left = lab.run("init", "--from", "train.sbatch", "--force", "--json").document["left"]
    assert [(row["line"], row["what"]) for row in left] == [(2, "-p gpu")]


def test_bad_yaml_is_a_problem_with_its_place(lab: Lab) -> None:
    """As for a job file: 65, line and column."""
    fill(lab.work, {"sky.yaml": "run: ls\nname: [x\n"})
    ended = lab.run("init", "--from", "sky.yaml")
    assert ended.code == 65
    assert b"sky.yaml:2:" in ended.err
    assert not (lab.work / "job.yaml").exists()


# --- schema ---------------------------------------------------------------------------------------


def test_the_schema_is_that_of_the_installation(lab: Lab) -> None:
    """Whole, valid, and where the header of a new file says; COLAB_RUN_CONFIGS does not move it."""
    (lab.work / "mine").mkdir()
    printed = lab.run("schema", env={"COLAB_RUN_CONFIGS": str(lab.work / "mine")})
    path = lab.run("schema", "--path").out.decode().strip()
    assert printed.code == 0
    assert printed.out == Path(path).read_bytes()
    assert "run" in json.loads(printed.out)["properties"]
    lab.run("init")
    header = (lab.work / "job.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert header == f"# yaml-language-server: $schema={path}"


# --- questions ------------------------------------------------------------------------------------


def asked(lab: Lab, *words: str) -> tuple[Any, Terminal]:
    terminal = Terminal(translate=True)
    lab.terminals.append(terminal)
    ends = dict.fromkeys(("stdin", "stdout", "stderr"), terminal.slave)
    process = lab.start("init", *words, **ends, before=os.setsid, env={"TERM": "dumb"})
    return process, terminal


def test_enter_takes_what_is_proposed(lab: Lab) -> None:
    """Four questions; the file is that of no questions."""
    fill(lab.work, {"train.py": ARGPARSE})
    proposed = lab.run("init", "--output", "-").out
    process, terminal = asked(lab)
    for question in (b"Name of the job [", b"Command [python train.py", b"[T4]: ", b"[checkpoints/]: "):
        terminal.reader.wait_for(question)
        terminal.type(b"\n")
    assert process.wait(30) == 0
    assert (lab.work / "job.yaml").read_bytes() == proposed


def test_answers_are_taken_and_bad_ones_asked_again(lab: Lab) -> None:
    """A name with a slash, a GPU that there is not."""
    fill(lab.work, {"train.py": ARGPARSE})
    process, terminal = asked(lab)
    for question, answer in (
        (b"Name of the job [", b"a/b"),
        (b"\nName of the job [", b"trial"),
        (b"Command [", b"python train.py --data x: y"),
        (b"GPU: ", b"A1000"),
        (b"\nGPU: ", b"A100:2"),
        (b"with the results", b"-"),
    ):
        before = len(terminal.reader.seen)
        terminal.reader.wait_for(question)
        terminal.type(answer + b"\n")
        until(lambda before=before: len(terminal.reader.seen) > before, "an echo")
    assert process.wait(30) == 0, bytes(terminal.reader.seen)
    job = read(lab.work / "job.yaml")
    assert (job.name, job.run.text) == ("trial", "python train.py --data x: y")
    assert (job.resources.gpu_text, job.outputs) == ("A100:2", ())


def test_nobody_is_asked_for_a_file_that_cannot_be_written(lab: Lab) -> None:
    """The refusal comes before the first question."""
    (lab.work / "job.yaml").write_text("mine")
    process, terminal = asked(lab)
    assert process.wait(30) == 64
    assert b"Name of the job" not in terminal.seen()


@pytest.mark.parametrize("key", [b"\x03", b"\x04"])
def test_who_breaks_off_gets_no_file(lab: Lab, key: bytes) -> None:
    """Ctrl-C and Ctrl-D: 130, and nothing is written."""
    process, terminal = asked(lab)
    terminal.reader.wait_for(b"Name of the job [")
    if key == b"\x03":
        process.send_signal(signal.SIGINT)
    else:
        terminal.type(key)
    assert process.wait(30) == 130
    assert os.listdir(lab.work) == []
