"""What people read, compared line by line with plain files. `make screens` writes them anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.screens import LANGUAGES, SCENES, T4_RUNTIME, asset, plain, refused, scene
from launcher.report.lines import WIDTH, columns

EXPECTED = Path(__file__).resolve().parents[1] / "assets" / "screens"
LONGEST_REFUSAL = 20
REFUSALS = [name for name in SCENES if name.startswith(("refused", "unknown"))]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", SCENES)
def test_screen_is_what_is_expected(name: str, language: str) -> None:
    """Every screen reads as its file says, to the character, in each language."""
    expected = (EXPECTED / asset(name, language)).read_text(encoding="utf-8")
    assert plain(scene(name, language)) == expected, "on purpose? then: make screens"


def test_no_expectation_is_left_over() -> None:
    """Each file belongs to a screen."""
    names = {asset(name, language) for name in SCENES for language in LANGUAGES}
    assert {path.name for path in EXPECTED.glob("*")} == names


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", SCENES)
def test_screen_fits_into_80_columns(name: str, language: str) -> None:
    """A terminal, and Colab's `!`, have 80 columns; a Chinese character takes two."""
    assert not [line.plain for line in scene(name, language) if columns(line.plain) > WIDTH]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", REFUSALS)
def test_refusal_fits_on_a_screen(name: str, language: str) -> None:
    """What is missing, the way on and what it costs, in 20 lines."""
    assert len(scene(name, language)) <= LONGEST_REFUSAL


@pytest.mark.parametrize("name", SCENES)
def test_marks_are_words(name: str) -> None:
    """Without colour nothing is lost: every coloured part is printed as a word or a sign."""
    assert all(line.plain.startswith(line.mark.rstrip()) for line in SCENES[name]())
    assert "\x1b" not in plain(SCENES[name]())


def test_cell_is_told_once_how_to_stop_run_all() -> None:
    """Behind `!` one line more, and only there: it ends with what would have stopped the next cells."""
    alone, in_cell = refused(T4_RUNTIME), refused(T4_RUNTIME, in_cell=True)
    assert in_cell[:-1] == alone
    assert "%shell" in in_cell[-1].plain
