"""The pictures in docs/ show what the renderer writes today."""

from __future__ import annotations

import html
import re
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.screens import LANGUAGES, plain, scene

PICTURES = Path(__file__).with_name("pictures.py")
FOLDER = Path(__file__).resolve().parents[2] / "docs" / "pictures"
LOOKS = ("dark.svg", "light.svg", "no-colour.svg", "notebook.html")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All pictures, drawn by a program of their own, on a terminal with colours."""
    folder = tmp_path_factory.mktemp("pictures")
    terminal = {"PATH": "/usr/bin:/bin", "TERM": "xterm-256color"}
    subprocess.run([sys.executable, PICTURES, "--write", folder], check=True, env=terminal)
    return folder


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_picture_is_what_is_written(drawn: Path, language: str, look: str) -> None:
    """Each committed picture is, byte for byte, what drawing gives."""
    name = f"refusal-{language}-{look}"
    assert (FOLDER / name).read_bytes() == (drawn / name).read_bytes(), "on purpose? then: make screens"


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_picture_shows_the_whole_screen(language: str, look: str) -> None:
    """Not a character of the screen is missing, with colour or without."""
    text = (FOLDER / f"refusal-{language}-{look}").read_text(encoding="utf-8")
    body = re.search(r"<(?:pre|rect[^>]*/)>(.*)</(?:pre|svg)>", text, re.DOTALL)
    assert body is not None
    shown = html.unescape(re.sub(r"<[^>]*>", "", body.group(1)))
    assert "".join(shown.split()) == "".join(plain(scene("refused-t4", language)).split())


def test_colour_only_repeats_the_words() -> None:
    """The picture without colour has no other colour than that of text."""
    for language in LANGUAGES:
        text = (FOLDER / f"refusal-{language}-no-colour.svg").read_text(encoding="utf-8")
        assert len(set(re.findall(r'<text[^>]* fill="(#[0-9a-f]+)"', text))) == 1
