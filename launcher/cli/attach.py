"""The command `attach`: a run of this machine shown here, from any shell."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from launcher import attaching, runs
from launcher.cli.render import documented, print_document
from launcher.errors import UsageError
from launcher.guard.inbox import Inbox
from launcher.report.runs import (
    attached_document,
    attaching_lines,
    left_lines,
    press_lines,
    waited_lines,
)
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.cli.shared import Shared

# How we end where the run goes on: as a shell would say it of any program; by the key, nothing is wrong.
LEFT = {"detached": 0, "pressed": 130, "hung-up": 129, "terminated": 143}


def attach_to_run(shared: Shared, typed: str, tail: str, detach_key: str, *, json: bool) -> int:
    """`colab-run attach ID`: the run's exit code, or why we left."""
    with documented(json=json):
        key, lines = _key(detach_key), _tail(tail)
        row = runs.find(typed, os.environ)
        if not row.over:
            shared.screen().print(attaching_lines(row, _spelled(key), shared.paper))
        manner = attaching.Manner(
            _look_after(shared),
            tail=lines,
            streams=(2, 2) if json else (1, 2),
            detach_key=key,
            said=lambda press: shared.screen().print(press_lines(row, press, shared.paper)),
        )
        with Inbox() as inbox:
            attached = attaching.attach(row, inbox, manner)
    code = LEFT[attached.left] if attached.exit_code is None else attached.exit_code
    if json:
        told = attached.told if attached.told is not None else runs.read_record(row.place) or {}
        print_document(attached_document(row, told, code, attached.left))
    else:
        said = (
            waited_lines(row, code, shared.paper, timed_out=None)
            if attached.told is not None
            else left_lines(row, shared.paper)
        )
        shared.screen().print(said)
    return code


def _look_after(shared: Shared) -> Callable[[], None]:
    def look_after() -> None:
        from launcher.lost import look_after

        look_after(os.environ, shared.screen())

    return look_after


def _tail(typed: str) -> int | None:
    if typed == "all":
        return None
    if not (typed.isascii() and typed.isdecimal() and len(typed) < 10):
        raise UsageError(
            words("--tail {text} is no number of lines", text=typed),
            words("write, for example, {example}", example="--tail 100, --tail all"),
        )
    return int(typed)


def _key(typed: str) -> bytes:
    r"""The byte of `ctrl-a` … `ctrl-z`, `ctrl-\\`, `ctrl-]`, `ctrl-^`, `ctrl-_`; nothing for `none`."""
    if typed == "none":
        return b""
    letter = typed.lower().removeprefix("ctrl-").removeprefix("^").upper()
    # What a terminal makes a signal of, an end of line or of input is no key to leave with.
    if len(letter) != 1 or letter == typed.upper() or not "A" <= letter <= "_" or letter in "[CDJMQSZ":
        raise UsageError(
            words("--detach-key {text} is no key to leave with", text=typed),
            words("write, for example, {example}", example="--detach-key ctrl-a, --detach-key none"),
        )
    return bytes((ord(letter) - 0x40,))


def _spelled(key: bytes) -> str:
    return f"Ctrl-{chr(key[0] + 0x40)}" if key else ""
