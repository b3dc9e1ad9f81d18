"""`explain CODE`: every code that a user can meet, in three languages; the page says the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from helpers.screens import LANGUAGES
from launcher.errors import ExitCode
from launcher.i18n import speaker
from launcher.report.explained import (
    MEANINGS,
    explained_screen,
    list_screen,
    meaning_of,
    nearest,
    page,
    understood,
)
from launcher.report.lines import WIDTH, Paper, columns
from launcher.spec.problems import ProblemCode
from launcher.verdict.model import FindingCode

if TYPE_CHECKING:
    from helpers.scene import Scene

ROOT = Path(__file__).resolve().parents[2]


def test_every_code_is_explained_and_no_other() -> None:
    """A new code is a new row; a row without a code goes."""
    codes = {code.value for code in (*FindingCode, *ProblemCode)} | {str(int(code)) for code in ExitCode}
    assert set(MEANINGS) == codes


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("code", [*MEANINGS, "1", "137", "139", "192", "200"])
def test_explanation_is_a_short_screen(code: str, language: str) -> None:
    """What it means, an example where there is one, what to do; 80 columns."""
    meaning = meaning_of(code)
    assert meaning is not None
    lines = [line.plain for line in explained_screen(code, meaning, Paper(speaker(language)))]
    assert 2 <= len(lines) <= 8
    assert code in lines[0]
    assert max(map(columns, lines)) <= WIDTH
    if meaning.example:
        assert f"    {meaning.example}" in lines


@pytest.mark.parametrize("language", LANGUAGES)
def test_list_has_every_code(language: str) -> None:
    """Without a code: all of them, in three groups."""
    lines = [line.plain for line in list_screen(Paper(speaker(language)))]
    assert [line.split()[0] for line in lines if line[:2] == "  " and line[2:3].strip()] == list(MEANINGS)
    assert max(map(columns, lines)) <= WIDTH


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("CR231", "CR231"),
        ("cr231", "CR231"),
        ("[CR231]", "CR231"),
        ("CR-231", "CR231"),
        ("231", "CR231"),
        ("69", "69"),
        ("exit 69", "69"),
        ("exit-code 75", "75"),
        ("137", "137"),
        ("1", "1"),
        ("200", "200"),
        ("exit 231", "231"),
        ("101", "CR101"),
        ("256", None),
        ("CR1", None),
        ("CR137", None),
        ("CR999", None),
        ("999", None),
        ("CRX", None),
        ("", None),
    ],
)
def test_codes_as_people_type_them(typed: str, code: str | None) -> None:
    """As a screen shows them, without brackets, in small letters, with a word before."""
    assert understood(typed) == code


@pytest.mark.parametrize(
    ("typed", "near"),
    [
        ("CR23", "CR230"),
        ("CR2310", "CR231"),
        ("CR2400", "CR240"),
        ("CR999", None),
        ("CRX", None),
        ("xyzzy", None),
    ],
)
def test_near_codes(typed: str, near: str | None) -> None:
    """What is near, and nothing where nothing is."""
    assert nearest(typed) == near


def test_page_is_of_the_same_table() -> None:
    """docs/errors.md is what the table says today."""
    assert (ROOT / "docs" / "errors.md").read_text(encoding="utf-8") == page(), "make errors"


def test_command(scene: Scene) -> None:
    """`explain` in a terminal, for a script, and for a code that there is not."""
    told = scene.run("explain", "CR231", "--lang", "zh-CN")
    assert (told.code, told.err) == (0, "")
    assert "请在数字之后补上单位。" in told.out
    document = json.loads(scene.run("explain", "69", "--json", "--lang", "zh-CN").out)
    assert (document["schema_version"], document["code"]) == (1, "69")
    assert document["means"].isascii()
    assert len(json.loads(scene.run("explain", "--json").out)["codes"]) == len(MEANINGS)
    wrong = scene.run("explain", "CR2310")
    assert wrong.code == 64
    assert "there is no code CR2310" in wrong.err
    assert "colab-run explain CR231" in wrong.err
    far = scene.run("explain", "CR999")
    assert (far.code, "colab-run explain shows what there is" in far.err) == (64, True)


@pytest.mark.parametrize("code", ["1", "2", "128", "200", "255"])
def test_other_codes_are_the_jobs_own(code: str) -> None:
    """Most jobs that fail end with 1: that is no riddle."""
    meaning = meaning_of(code)
    assert meaning is not None
    assert "the job's own" in str(meaning.means)


@pytest.mark.parametrize(
    ("code", "means", "do"),
    [
        ("137", "128 + 9, SIGKILL", "memory"),
        ("139", "128 + 11, SIGSEGV", "crashed"),
        ("134", "128 + 6, SIGABRT", "crashed"),
        ("129", "128 + 1, SIGHUP", "sent it this signal"),
        ("192", "128 + 64.", "sent it this signal"),
    ],
)
def test_each_signal_has_its_own_text(code: str, means: str, do: str) -> None:
    """What is said of SIGKILL is not said of the others."""
    meaning = meaning_of(code)
    assert meaning is not None
    assert means in str(meaning.means)
    assert do in str(meaning.do)
    assert ("137" in str(meaning.do)) is (code == "137")


def test_a_refusal_does_not_say_that_nothing_is_spent() -> None:
    """The runtime goes on using units, and the screen says so two lines below."""
    assert "spent" not in str(MEANINGS["CR101"].means)
