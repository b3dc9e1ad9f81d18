"""Lines onto a terminal, documents onto stdout. The only file that imports rich."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from typing import TYPE_CHECKING, TextIO

from launcher.errors import AnswerLost, ColabRunError
from launcher.events import Waiting
from launcher.masking import mask_json
from launcher.report.documents import error_document
from launcher.report.lines import ENGLISH, Line, Paper, Tone
from launcher.report.story import say
from launcher.words import reason, words

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from launcher.events import Event
    from launcher.guard.outlet import Outlet

# How long a reader of our words may take nothing, in all, before we go on without it.
PATIENCE_S = 5.0
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
    """Our own words on one stream, in one language.

    A reader that takes nothing must not keep a release waiting, so nothing here blocks for longer than
    PATIENCE_S, and only once. `last_line()` is said once, below what is printed first; it may be empty.
    `answer`: it is what was asked for, so a write that fails while somebody reads raises AnswerLost.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        no_color: bool,
        paper: Paper = ENGLISH,
        last_line: Callable[[], str] = str,
        answer: bool = False,
    ) -> None:
        self._answer = answer
        self._stream, self._paper, self._last_line = stream, paper, last_line
        self._colour = wants_colour(stream, no_color=no_color)
        self._outlet: Outlet | None = None
        self._patience_s = PATIENCE_S
        self._next_line_s = 0.0
        # How many lines above this one are written over by the next one of their kind.
        self._rewritten = 0

    def tell(self, event: Event) -> None:
        """One event of a use case, as `events.Audience`."""
        if isinstance(event, Waiting):
            self._tell_waiting(event)
        else:
            self.print(say(event, self._paper))

    def _tell_waiting(self, event: Waiting) -> None:
        """One line that is written over on a terminal; elsewhere a new one each minute."""
        if self._stream.isatty():
            self._rewrite(say(event, self._paper))
        elif event.seconds >= self._next_line_s:
            self._next_line_s = event.seconds - event.seconds % 60 + 60
            self.print(say(event, self._paper))

    def _rewrite(self, lines: list[Line]) -> None:
        up = f"\x1b[{self._rewritten}A" if self._rewritten else ""
        self._rewritten = 0
        text = "".join(f"\r\x1b[2K{line.plain}\n" for line in lines)
        self._put(f"{up}{text}\x1b[J" if up else text)
        self._rewritten = len(lines)

    def print(self, lines: Iterable[Line]) -> None:
        """A reader that is gone is no reason to end a run: what cannot be written is dropped."""
        lines = list(lines)
        if lines and (last := self._last_line()):
            lines.append(Line(last))
        text = _coloured(lines) if self._colour else "".join(line.plain + "\n" for line in lines)
        self._put(text)

    def _put(self, text: str) -> None:
        self._rewritten = 0
        try:
            self._stream.flush()
            self._write(text)
        except ValueError:
            pass
        except OSError as error:
            self._lose(error)
        if self._outlet is not None and self._outlet.error is not None:
            self._lose(self._outlet.error)

    def _lose(self, error: OSError) -> None:
        if self._answer and not isinstance(error, BrokenPipeError):
            raise lost_answer(error) from error

    def _write(self, text: str) -> None:
        try:
            descriptor = self._stream.fileno()
        except OSError:
            self._stream.write(text)  # No file of the system: a notebook's or a test's.
            return
        if self._outlet is None:
            self._outlet = open_outlet(descriptor)
        if self._outlet is None:
            self._stream.write(text)
            self._stream.flush()
            return
        self._outlet.feed(text.encode(self._stream.encoding or "utf-8", "replace"))
        if not self._outlet.wait_until_taken(self._patience_s):
            self._patience_s = 0.0


def open_outlet(descriptor: int) -> Outlet | None:
    """A way to write that does not block; None on systems that have none."""
    if not hasattr(os, "O_NONBLOCK"):
        return None
    from launcher.guard.outlet import Outlet

    return Outlet(descriptor)


def _coloured(lines: Iterable[Line]) -> str:
    from rich.console import Console
    from rich.text import Text

    told = io.StringIO()
    console = Console(file=told, force_terminal=True, highlight=False, soft_wrap=True)
    for line in lines:
        text = Text.assemble((line.mark, STYLES[line.tone]))
        text.append(line.text, style="dim" if _all_quiet(line) else "")
        console.print(text)
    return told.getvalue()


def _all_quiet(line: Line) -> bool:
    return line.tone is Tone.QUIET and not line.mark


def print_document(document: Mapping[str, object], secrets: Collection[str] = ()) -> None:
    """One JSON document on stdout."""
    print_answer(json.dumps(mask_json(document, secrets), indent=2) + "\n")


def print_answer(text: str) -> None:
    """The answer of a command on stdout. Raises AnswerLost where it cannot be written, as on a full disk."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except (BrokenPipeError, ValueError):
        pass  # Nobody reads it; the exit code and --result say the same.
    except OSError as error:
        raise lost_answer(error) from error


def lost_answer(error: OSError) -> AnswerLost:
    """What was asked for could not be written."""
    return AnswerLost(
        words("the answer could not be written to stdout: {why}", why=reason(error.strerror)),
        words("write it to a place that has room"),
    )


@contextlib.contextmanager
def documented(*, json: bool) -> Iterator[None]:
    """An error as a document for who asked for one; it is raised all the same."""
    try:
        yield
    except ColabRunError as error:
        if json:
            document = error_document(error)
            del document["verdict"]  # there was none to give
            print_document(document)
        raise
