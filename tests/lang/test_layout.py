"""Columns and lines: Chinese takes two columns, and no line begins or ends where none may."""

from __future__ import annotations

import random

import pytest

from launcher.report.lines import WIDTH, columns, folded, padded

SENTENCE = (
    "這台 T4 每小時仍約用 1.07 個運算單元 (US$0.11，費率查於 2026-09-27)。立即釋放：colab-run release，"
    "或「執行階段」>「中斷連線並刪除執行階段」；檔案在 /content/drive/MyDrive/finetune/checkpoints。"
)


@pytest.mark.parametrize(
    ("text", "width"),
    [("RAM", 3), ("記憶體", 6), ("：", 2), ("e\u0301", 1), ("“高 RAM”", 8), ("ｒａｍ", 6), ("", 0), ("…", 1)],
)
def test_columns(text: str, width: int) -> None:
    """Wide and full-width characters take two, a combining accent none."""
    assert columns(text) == width


def test_padding_counts_columns() -> None:
    """Three rows of one column end at one place."""
    assert {columns(padded(text, 12)) for text in ("disk", "磁碟", "可用 66 GB")} == {12}


@pytest.mark.parametrize("width", range(24, 100))
def test_folding_keeps_the_text_and_the_rules(width: int) -> None:
    """Nothing is lost, nothing but one word is wider than a line, and punctuation stays where it may."""
    lines = folded(SENTENCE, width, "  ", "    ")
    assert "".join("".join(lines).split()) == "".join(SENTENCE.split())
    for line in lines:
        whole = line.strip()
        assert columns(line) <= width or whole.isascii() or columns(whole) > width - 4
        assert whole[0] not in "，。；：、）」？！"
        assert whole[-1] not in "（「“"


@pytest.mark.parametrize(
    "whole", ["colab-run release", "/content/drive/MyDrive/finetune/checkpoints", "2026-09-27"]
)
def test_what_is_typed_is_never_broken(whole: str) -> None:
    """Commands, paths and figures stand on one line at any width that has room for them."""
    for width in range(50, 100):
        assert any(whole in line for line in folded(SENTENCE, width))


def test_commands_with_options_stay_whole() -> None:
    """As they are copied: the command, its options, the file."""
    text = "Nothing else to do: " + "x" * 38 + " colab-run run --accept-unknown job.yaml"
    assert folded(text, WIDTH)[1] == "colab-run run --accept-unknown job.yaml"


def test_english_folds_as_textwrap_does() -> None:
    """Between words, as far as the line goes."""
    import textwrap

    random.seed(3)
    for _ in range(300):
        text = " ".join("x" * random.randint(1, 12) for _ in range(40))
        width = random.randint(13, 90)
        assert folded(text, width, "  ", "    ") == textwrap.wrap(
            text,
            width,
            initial_indent="  ",
            subsequent_indent="    ",
            break_long_words=False,
            break_on_hyphens=False,
        )


def test_empty_text_has_no_line() -> None:
    """Nothing to say, nothing printed."""
    assert folded("", 80) == []
