"""A log as text: progress as it stood last, nothing that commands a terminal."""

from __future__ import annotations

import pytest

from launcher.report.plain import LONGEST_LINE, Plain

CASES = {
    "text stays": ("a\tb  c\n\n  d\n", "a\tb  c\n\n  d\n"),
    "no newline at the end": ("a\nb", "a\nb"),
    "Windows' ends of lines": ("a\r\nb\r\n", "a\nb\n"),
    "a progress bar": ("0%\r50%\r100%\ndone\n", "100%\ndone\n"),
    "one that is not over": ("0%\r50%", "50%"),
    "one that wipes itself out": ("50%\r    \rdone\n", "done\n"),
    "one that ends with a return": ("50%\r100%\r\n", "100%\n"),
    "Keras' backspaces": ("1/9\b\b\b2/9\b\b\b9/9\n", "9/9\n"),
    "colours": ("\x1b[1;31mred\x1b[0m\x1b[K\n", "red\n"),
    "a title and a clipboard": ("\x1b]0;title\x07a\x1b]52;c;aGk=\x1b\\b\n", "ab\n"),
    "8-bit forms of them": ("\x9b31mred\x9b0m\x9d0;t\x9c\n", "red\n"),
    "what terminals answer to": ("\x1bPq#0\x1b\\a\x1b_x\x1b\\b\x1b(B\x1b7\x1bc\n", "ab\n"),
    "a sequence without an end": ("a\x1b]0;title\nb\n", "a\nb\n"),
    "bells and zeros": ("a\x00\x07b\x7f\n", "ab\n"),
    "中文": ("下載 10%\r下載 100%\n完成\n", "下載 100%\n完成\n"),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1 << 16])
def test_plain(name: str, size: int) -> None:
    """The same, in whatever pieces it comes."""
    text, expected = CASES[name]
    data, plain = text.encode(), Plain()
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    assert "".join([*map(plain.feed, pieces), plain.end()]) == expected


def test_bytes_that_are_no_text() -> None:
    """Shown as what they are: odd. A character that is cut at the end too."""
    plain = Plain()
    assert plain.feed(b"a\xff\xfeb\n\xe4\xb8") + plain.end() == "a\ufffd\ufffdb\n\ufffd"


def test_a_line_without_an_end_is_not_kept() -> None:
    """A gigabyte without a newline goes through in pieces; progress without one takes no memory."""
    plain = Plain()
    told = sum(len(plain.feed(b"x" * 10_000)) for _ in range(100))
    assert 10**6 - told <= LONGEST_LINE
    assert len(plain.end()) == 10**6 - told
    progress = Plain()
    assert "".join(progress.feed(f"{n:09d}\r".encode()) for n in range(100_000)) == ""
    assert progress.end() == "000099999"
