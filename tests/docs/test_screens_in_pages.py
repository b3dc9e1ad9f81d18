"""What the pages show is what running gives."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
# How typer writes usage and types differs between its versions; our own words do not.
TYPERS = set(
    re.findall(
        r"\w+",
        """
    usage options option command commands args arguments argument required default range list text float
    integer show this message exit true
""",
    )
)


def load() -> Any:
    """tests/docs/screens.py, which is a program and no package."""
    spec = importlib.util.spec_from_file_location("screens_program", HERE / "screens.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


screens = load()
SHOWN = list(screens.shown())


def words(text: str) -> set[str]:
    """Options, and words of ours of four letters and more; words that were cut off are left out."""
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
    whole = re.sub(r"\S*(?:\.\.\.|…)", "", text)
    return options | {word for word in re.findall(r"[a-z]{4,}", whole.lower()) if word not in TYPERS}


@pytest.mark.parametrize(
    ("page", "name", "text"), SHOWN, ids=[f"{page.name}:{name}" for page, name, _ in SHOWN]
)
def test_page_shows_what_running_gives(page: Path, name: str, text: str) -> None:
    """The screen in the page is the one that the command prints today."""
    now = screens.SCREENS[name]()
    if name.startswith("help"):
        assert text.strip(), "empty: make screens"
        assert words(now) == words(text), f"{page.name}: make screens"
    else:
        assert now == text, f"{page.name}: on purpose? then: make screens"


def test_every_mark_has_its_screen() -> None:
    """No mark stands without a fence, names an unknown screen, or was forgotten by the list."""
    for page in screens.PAGES:
        marks = re.findall(r"<!-- screen: (.*?) -->", page.read_text(encoding="utf-8"))
        assert marks == [name for other, name, _ in SHOWN if other == page]
    assert {"refusal", "run"} <= {name for page, name, _ in SHOWN if page.name == "README.md"}


def test_refusal_fits() -> None:
    """The screen that people judge us by: 20 lines, 80 columns."""
    lines = screens.SCREENS["refusal"]().splitlines()[1:]
    assert len(lines) <= 20
    assert max(map(len, lines)) <= 80
