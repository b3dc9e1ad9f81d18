"""A log as text for a page or a file: progress as it stood last, nothing that commands a terminal. Pure."""

from __future__ import annotations

import codecs
import re

# A line that does not end (a progress bar, a gigabyte without a newline) is given out in pieces.
LONGEST_LINE = 1 << 16
# Whole sequences first: the text of a title or of a clipboard is part of the sequence.
_ESCAPE = re.compile(
    "(?:\x1b\\]|\x9d)[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\\\|\x9c)?"
    "|(?:\x1b[PX^_]|[\x90\x98\x9e\x9f])[^\x1b\x9c\n]*(?:\x1b\\\\|\x9c)?"
    "|(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]?"
    "|\x1b[ -/]*[0-~]?"
)
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_BACKSPACE = re.compile("[^\x08]\x08")


class Plain:
    """Bytes in, text out; of a line that is not over yet nothing is given out unless it is too long."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def feed(self, data: bytes) -> str:
        """The lines that are over now."""
        text = self._rest + self._decoder.decode(data)
        whole, newline, self._rest = text.rpartition("\n")
        told = _told(whole) + newline
        if len(self._rest) > LONGEST_LINE:
            # What a carriage return has wiped out is not needed any more.
            self._rest = self._rest[max(0, self._rest.rstrip("\r").rfind("\r")) :]
        if len(self._rest) > LONGEST_LINE:
            told, self._rest = told + _told(self._rest), ""
        return told

    def end(self) -> str:
        """What the log ends with, if that is no newline."""
        text, self._rest = self._rest + self._decoder.decode(b"", final=True), ""
        return _told(text)


def _told(text: str) -> str:
    if not _CONTROL.search(text):
        return text
    return "\n".join(map(_line, text.split("\n")))


def _line(line: str) -> str:
    line = _ESCAPE.sub("", line)
    *_, last = [state for state in line.split("\r") if state.strip()] or [""]
    while "\x08" in last:
        last, count = _BACKSPACE.subn("", last)
        if not count:
            break
    return _CONTROL.sub("", last)
