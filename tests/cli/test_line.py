"""The command line before typer sees it."""

from __future__ import annotations

import pytest

from launcher.cli.later import COMMANDS as LATER
from launcher.cli.later import not_yet
from launcher.cli.line import COMMANDS, read_line

CASES = [
    # typed, command, words for typer, what follows --
    ("job.yaml", "run", "run job.yaml", None),
    ("job.yaml --json", "run", "run job.yaml --json", None),
    ("--json job.yaml", "run", "run --json job.yaml", None),
    ("run job.yaml -- --lr 3", "run", "run job.yaml", ("--lr", "3")),
    ("job.yaml -- -- x", "run", "run job.yaml", ("--", "x")),
    ("job.yaml --", "run", "run job.yaml", ()),
    ("exec --gpu T4 -- python -c check", "exec", "exec --gpu T4", ("python", "-c", "check")),
    ("check job.yaml", "check", "check job.yaml", None),
    ("--json check job.yaml", "check", "check --json job.yaml", None),
    ("check job.yaml --no-color", "check", "--no-color check job.yaml", None),
    ("job.yaml --lang en", "run", "--lang en run job.yaml", None),
    ("--lang=en probe", "probe", "--lang=en probe", None),
    ("probe", "probe", "probe", None),
    ("", "", "", None),
    ("--help", "", "--help", None),
    ("-h", "", "-h", None),
    ("run --help", "run", "run --help", None),
    ("ps", "ps", "ps", None),
    ("last.yaml --detach", "run", "run last.yaml --detach", None),
    ("--json logs last -f", "logs", "logs --json last -f", None),
    ("./check", "run", "run ./check", None),
]


@pytest.mark.parametrize(("typed", "command", "words", "extra"), CASES)
def test_lines(typed: str, command: str, words: str, extra: tuple[str, ...] | None) -> None:
    """A job file needs no `run`; global options may stand anywhere; the first -- begins the job's words."""
    line = read_line(typed.split(), LATER)
    assert (line.command, " ".join(line.words), line.extra) == (command, words, extra)


def test_what_comes_later_is_named() -> None:
    """A command of the contract that is not there yet is refused by its name."""
    assert not_yet("submit") == "`colab-run submit`"
    assert not_yet("run") is None


def test_no_command_is_both_there_and_later() -> None:
    """The two tables do not contradict each other."""
    assert not LATER.intersection(COMMANDS)
