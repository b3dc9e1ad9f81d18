"""What is read out of a program: options, results, framework; odd programs are no danger."""

from __future__ import annotations

import warnings

import pytest

from launcher.converting.programs import ProgramOption, read_program


@pytest.mark.parametrize(
    ("line", "outputs"),
    [
        ('torch.save(model, "model.pt")', ["model.pt"]),
        ('torch.save(model, "ckpt/model.pt")', ["ckpt/"]),
        ('torch.save(model, f"runs/{epoch}.pt")', ["runs/"]),
        ('torch.save(model, os.path.join("runs", name))', ["runs/"]),
        ('torch.save(model, Path("runs") / name)', ["runs/"]),
        ('OUT = "results"\nos.makedirs(OUT)', ["results/"]),
        ('Path("./results/a").mkdir()', ["results/"]),
        ('Trainer(default_root_dir="logs")', ["logs/"]),
        ('parser.add_argument("--output-dir", default="out")', ["out/"]),
        ('parser.add_argument("--data", default="in")', []),
        ('torch.save(model, "/tmp/x.pt")', []),
        ('torch.save(model, "/content/drive/MyDrive/x.pt")', []),
        ('torch.save(model, "../x.pt")', []),
        ("torch.save(model, path)", []),
        ('print("results/x")', []),
    ],
)
def test_results(line: str, outputs: list[str]) -> None:
    """Literal paths that something is written to, up to their first folder."""
    program = read_program(line)
    assert program is not None
    assert program.outputs == outputs


@pytest.mark.parametrize(
    ("text", "framework", "ampere"),
    [
        ("import torch.nn as nn", "torch", False),
        ("from transformers import AutoModel\nx = dict(attn='flash_attention_2')", "transformers", True),
        ("def f():\n    import jax", "jax", False),
        ("from .torch import x", "", False),
        ("import sklearn", "", False),
    ],
)
def test_framework(text: str, framework: str, ampere: bool) -> None:
    """Wherever the import stands; a module of one's own is none."""
    program = read_program(text)
    assert program is not None
    assert (program.framework, program.ampere) == (framework, ampere)


def test_options() -> None:
    """The long name, the default as written, and whether it must be given."""
    text = (
        "p.add_argument('-e', '--epochs', default=3)\np.add_argument('source')\n"
        "p.add_argument('--lr', required=True)\n"
        "p.add_argument('rest', nargs='*')\n"
    )
    program = read_program(text)
    assert program is not None
    assert program.options == [
        ProgramOption("--epochs", "3"),
        ProgramOption("source", "", True),
        ProgramOption("--lr", "", True),
        ProgramOption("rest"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "def (",
        "\0",
        "x = " + "(" * 5000 + ")" * 5000,
        "x = " + "-" * 50_000 + "1",
        "x = " + "a+" * 20_000 + "a",
    ],
)
def test_no_program_is_too_odd(text: str) -> None:
    """None, or nothing seen; never an error."""
    program = read_program(text + "\nos.makedirs(" + "a+" * 3000 + "'b')")
    assert program is None or program.outputs in ([], ["b/"])


def test_nobody_hears_of_a_strangers_escapes() -> None:
    """Python warns of them when it reads a program."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_program("x = '\\d'") is not None
