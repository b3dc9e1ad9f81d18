"""Lines onto a terminal, documents onto stdout. The only file that imports rich."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, TextIO

from launcher.masking import mask_json, mask_text
from launcher.report.lines import ENGLISH, Line, Paper, Tone
from launcher.report.story import say

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from launcher.events import Event

STYLES = {
    Tone.PLAIN: "",
    Tone.GOOD: "bold green",
    Tone.BAD: "bold red",
    Tone.CAREFUL: "bold yellow",
    Tone.QUIET: "dim",
}


def wants_colour(stream: TextIO, *, no_color: bool) -> bool:
    """Colour only on a terminal that can, and only if nobody said no."""
    if no_color or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream.isatty()


class Screen:
    """Our own words on one stream, in one language, with the values of secrets masked.

    `last_line()` is said once, below what is printed first; it may be empty.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        no_color: bool,
        paper: Paper = ENGLISH,
        secrets: Collection[str] = (),
        last_line: Callable[[], str] = str,
    ) -> None:
        self._stream, self._secrets, self._paper, self._last_line = stream, secrets, paper, last_line
        self._colour = wants_colour(stream, no_color=no_color)

    def tell(self, event: Event) -> None:
        """One event of a use case, as `events.Audience`."""
        self.print(say(event, self._paper))

    def print(self, lines: Iterable[Line]) -> None:
        """A reader that is gone is no reason to end a run: what cannot be written is dropped."""
        lines = list(lines)
        if lines and (last := self._last_line()):
            lines.append(Line(last))
        try:
            if self._colour:
                self._print_coloured(lines)
            else:
                for line in lines:
                    self._stream.write(mask_text(line.plain, self._secrets) + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            pass

    def _print_coloured(self, lines: Iterable[Line]) -> None:
        from rich.console import Console
        from rich.text import Text

        console = Console(file=self._stream, force_terminal=True, highlight=False, soft_wrap=True)
        for line in lines:
            text = Text.assemble((mask_text(line.mark, self._secrets), STYLES[line.tone]))
            text.append(mask_text(line.text, self._secrets), style="dim" if _all_quiet(line) else "")
            console.print(text)


def _all_quiet(line: Line) -> bool:
    return line.tone is Tone.QUIET and not line.mark


def print_document(document: Mapping[str, object], secrets: Collection[str] = ()) -> None:
    """One JSON document on stdout."""
    try:
        sys.stdout.write(json.dumps(mask_json(document, secrets), indent=2) + "\n")
        sys.stdout.flush()
    except (OSError, ValueError):
        pass  # Nobody reads it; the exit code and --result say the same.
