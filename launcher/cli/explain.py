"""The command `explain`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.cli.render import print_document
from launcher.errors import ExitCode, UsageError
from launcher.record import SCHEMA_VERSION
from launcher.report.explained import (
    MEANINGS,
    explained_object,
    explained_screen,
    list_screen,
    meaning_of,
    nearest,
    understood,
)
from launcher.words import words

if TYPE_CHECKING:
    from launcher.cli.shared import Shared


def explain_code(shared: Shared, typed: str | None, *, json: bool) -> int:
    """`colab-run explain CODE`; all codes without one. Raises UsageError for a code that there is not."""
    if typed is None:
        if json:
            rows = [explained_object(code, meaning) for code, meaning in MEANINGS.items()]
            print_document({"schema_version": SCHEMA_VERSION, "codes": rows})
        else:
            shared.screen("stdout").print(list_screen(shared.paper))
        return int(ExitCode.OK)
    code = understood(typed)
    meaning = meaning_of(code) if code is not None else None
    if code is None or meaning is None:
        near = nearest(typed)
        raise UsageError(
            words("there is no code {code}", code=typed),
            words("use {path}", path=f"colab-run explain {near}")
            if near
            else words("{command} shows what there is", command="colab-run explain"),
        )
    if json:
        print_document({"schema_version": SCHEMA_VERSION, **explained_object(code, meaning)})
    else:
        shared.screen("stdout").print(explained_screen(code, meaning, shared.paper))
    return int(ExitCode.OK)
