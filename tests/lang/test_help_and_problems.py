"""`--help`, usage errors and the problems of job files, in each language."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from helpers.catalogs import shipped
from helpers.cli import command
from launcher.cli.line import COMMANDS
from launcher.errors import JobFileError
from launcher.i18n import LANGUAGES, speaker
from launcher.report.lines import Paper, columns
from launcher.report.problems import problems_screen
from launcher.spec.messages import WORDINGS
from launcher.spec.schema import read_job
from launcher.words import Words, render

CHINESE = re.compile("[\u4e00-\u9fff]")
TRANSLATED = LANGUAGES[1:]
BAD = sorted((Path(__file__).resolve().parents[1] / "assets" / "spec" / "bad").glob("*.yaml"))


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command(), *words],
        env={**os.environ, "COLUMNS": "80", "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("language", TRANSLATED)
@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_is_in_the_language(name: str, language: str) -> None:
    """Headings, commands and options: every explanation has a Chinese character, no line is too wide."""
    ended = run(*([name] if name else []), "--help", "--lang", language)
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert lines[0].startswith("用法：")
    assert [line for line in lines if columns(line) > 80] == []
    assert not re.search("(?m)^[^ ]+:$", ended.stdout), "a half-width colon"
    assert not re.search("(?m)^(Usage|Options|Commands|Arguments):", ended.stdout)
    english = run(*([name] if name else []), "--help", "--lang", "en").stdout
    options = re.compile(r"(?m)^  (--?[a-z][^ ]*(?: --[a-z-]+)?)")
    assert options.findall(ended.stdout) == options.findall(english)
    for line in lines:
        told = re.match(r"  (?:-\S+(?:, --\S+)?(?: [A-Z=<>\[\]]+)?|[a-z]+|[A-Z]+)  +(\S.*)", line)
        assert told is None or CHINESE.search(told.group(1)), line


@pytest.mark.parametrize("language", TRANSLATED)
@pytest.mark.parametrize(
    "typed",
    [
        "run",
        "check",
        "run job.yaml --nonsense",
        "exec",
        "check a b",
        "nosuch.yaml",
        "run job.yaml --set",
        "exec --cpus x -- true",
        "explain CR999",
        "watch",
        "probe -- x",
        "a.yaml b.yaml",
        "train.py",
        "exec --ram 50 -- true",
    ],
)
def test_usage_errors_are_in_the_language(typed: str, language: str) -> None:
    """What is wrong, and what to type."""
    ended = run("--lang", language, *typed.split())
    assert ended.returncode == 64, ended.stderr
    assert ended.stderr.startswith("colab-run: ")
    assert CHINESE.search(ended.stderr.splitlines()[0]), ended.stderr
    assert "Traceback" not in ended.stderr and "Usage" not in ended.stderr


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_wording_is_in_the_language(language: str) -> None:
    """Message and hint of each kind of problem."""
    translate = speaker(language)
    for wording in WORDINGS.values():
        for text in (wording.message, wording.hint):
            if isinstance(text, Words) and text.template != "{hint}":
                assert CHINESE.search(translate(text.template, text.several, text.count)), text.template


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_bad_files_are_answered_in_each_language(path: Path, language: str) -> None:
    """Every problem: its place, its code, what was found and what to do, with all blanks filled."""
    with pytest.raises(JobFileError) as caught:
        read_job(
            path.read_bytes(),
            source="job.yaml",
            folder="/work",
            overrides=(),
            classes=shipped().accepted_names(),
        )
    paper = Paper(speaker(language))
    for problem in caught.value.problems:
        said, advised = (render(text, paper.translate) for text in (problem.said, problem.advised))
        assert said and advised
        if language != "en":
            assert CHINESE.search(said), said
            assert CHINESE.search(advised), advised
        # What is to be typed is the same in every language, to the character.
        typed = re.findall("`[^`]+`", problem.hint)
        assert all(one in advised for one in typed if one != "`\\\\`"), (problem.hint, advised)
    shown = [line.plain for line in problems_screen(caught.value.problems, caught.value.source_lines, paper)]
    assert sum("[CR" in line for line in shown) >= 1
    assert not [
        line for line in shown if columns(line) > 96 and " | " not in line[:5] and CHINESE.search(line)
    ]
