"""Pictures of screens in docs/pictures, drawn from the bytes that the renderer really writes.

A terminal on dark and on light ground, one without colour, and what a notebook makes of the same
bytes: the colour codes as spans with classes. `python tests/docs/pictures.py --write` draws them anew.
"""

from __future__ import annotations

import html
import io
import itertools
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

TESTS = Path(__file__).resolve().parent.parent
if str(TESTS) not in sys.path:
    sys.path.insert(0, str(TESTS))

from helpers.screens import LANGUAGES, scene  # noqa: E402 - the tests' own folder first
from launcher.cli.render import Screen  # noqa: E402
from launcher.report.lines import columns  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = TESTS.parent / "docs" / "pictures"
SGR = re.compile(r"\x1b\[([0-9;]*)m")
CELL, ROW, MARGIN = 9.0, 20, 16
FONTS = "'DejaVu Sans Mono','Noto Sans Mono CJK TC','Noto Sans Mono CJK SC',Menlo,Consolas,monospace"
GROUNDS = {
    "dark": {"": "#d4d4d4", "ground": "#1e1e1e", "31": "#f14c4c", "32": "#23d18b", "33": "#e5e510"},
    "light": {"": "#24292f", "ground": "#ffffff", "31": "#b3261e", "32": "#116329", "33": "#7a5c00"},
}
NOTEBOOK_NAMES = {"31": "ansi-red-fg", "32": "ansi-green-fg", "33": "ansi-yellow-fg", "1": "ansi-bold"}


class _Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def written(language: str, *, no_color: bool) -> str:
    """The refusal screen in one language, byte for byte as the renderer writes it to a terminal."""
    stream = _Terminal()
    Screen(stream, no_color=no_color).print(scene("refused-t4", language))
    return stream.getvalue()


def parts(line: str) -> Iterator[tuple[frozenset[str], str]]:
    """(codes in force, text) for each stretch of a line."""
    codes: frozenset[str] = frozenset()
    position = 0
    for match in SGR.finditer(line):
        if match.start() > position:
            yield codes, line[position : match.start()]
        new = [code for code in match.group(1).split(";") if code not in ("", "0")]
        codes = codes.union(new) if new else frozenset()
        position = match.end()
    if position < len(line):
        yield codes, line[position:]


def svg(text: str, ground: str) -> str:
    """A terminal of 80 columns; every stretch is as wide as its cells, whatever font is there."""
    colours = GROUNDS[ground]
    lines = text.rstrip("\n").split("\n")
    width, height = 80 * CELL + 2 * MARGIN, len(lines) * ROW + 2 * MARGIN
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" font-family="{FONTS}" font-size="15">',
        f'<rect width="100%" height="100%" rx="8" fill="{colours["ground"]}"/>',
    ]
    for number, line in enumerate(lines):
        column = 0
        for codes, stretch in parts(line):
            colour = next((colours[code] for code in codes if code in colours), colours[""])
            looks = ' font-weight="bold"' if "1" in codes else ""
            looks += ' opacity="0.65"' if "2" in codes else ""
            for cells in _of_one_width(stretch):
                place = f'x="{MARGIN + column * CELL:g}" y="{MARGIN + number * ROW + 15:g}"'
                length = f'textLength="{columns(cells) * CELL:g}" xml:space="preserve"'
                out.append(f'<text {place} fill="{colour}"{looks} {length}>{html.escape(cells)}</text>')
                column += columns(cells)
    return "\n".join([*out, "</svg>"]) + "\n"


def _of_one_width(stretch: str) -> Iterator[str]:
    """Runs of characters that all take one column, or all two: fonts do not agree on the proportion."""
    for _, run in itertools.groupby(stretch, columns):
        yield "".join(run)


def notebook(text: str, language: str) -> str:
    """The same bytes as a notebook's front end shows them."""
    body = "\n".join(
        "".join(_span(codes, stretch) for codes, stretch in parts(line))
        for line in text.rstrip("\n").split("\n")
    )
    return (
        f'<!doctype html>\n<html lang="{language}">\n<meta charset="utf-8">\n'
        "<title>colab-run in a cell</title>\n"
        "<style>pre{font:14px/1.3 monospace}.ansi-red-fg{color:#b22b31}.ansi-green-fg{color:#007427}"
        ".ansi-yellow-fg{color:#b27d12}.ansi-bold{font-weight:bold}.dim{opacity:.65}</style>\n"
        f"<pre>{body}</pre>\n</html>\n"
    )


def _span(codes: frozenset[str], stretch: str) -> str:
    names = [NOTEBOOK_NAMES[code] for code in sorted(codes) if code in NOTEBOOK_NAMES]
    names += ["dim"] if "2" in codes else []
    text = html.escape(stretch)
    return f'<span class="{" ".join(names)}">{text}</span>' if names else text


def pictures() -> dict[str, str]:
    """Every picture by the name of its file."""
    made: dict[str, str] = {}
    for language in LANGUAGES:
        colour, plain = written(language, no_color=False), written(language, no_color=True)
        for ground in GROUNDS:
            made[f"refusal-{language}-{ground}.svg"] = svg(colour, ground)
        made[f"refusal-{language}-no-colour.svg"] = svg(plain, "light")
        made[f"refusal-{language}-notebook.html"] = notebook(colour, language)
    return made


def main(words: list[str]) -> None:
    """`--write [FOLDER]`."""
    if not 1 <= len(words) <= 2 or words[0] != "--write":
        sys.exit("usage: pictures.py --write [FOLDER]")
    folder = Path(words[1]) if len(words) == 2 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in pictures().items():
        (folder / name).write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
