"""`--once KEY` where the key was used before: what became of the run that has used it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from launcher import runs
from launcher.cli.look import error_lines
from launcher.cli.render import print_document
from launcher.cli.runs import NEVER_S, awaited_run, code_of
from launcher.errors import ExitCode, NoSuchRun
from launcher.record import RunRow
from launcher.report.runs import waited_document, waited_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.cli.shared import Shared
    from launcher.errors import AlreadyStarted


def show_earlier(shared: Shared, error: AlreadyStarted, *, json: bool, detach: bool) -> int:
    """Nothing is started: the document and the exit code are those of the earlier run, waited for."""
    shared.screen().print(error_lines(error, shared.paper))
    if error.told is not None:
        return _show_elsewhere(shared, error.run_id, error.told, json=json)
    try:
        row = runs.find(error.run_id, os.environ)
    except NoSuchRun:
        return int(ExitCode.NOT_MET)
    awaited = awaited_run(shared, row)
    told = awaited.look(0.0 if detach else NEVER_S)
    awaited.close()
    known = (runs.read_record(row.place) or {}) if told is None else told
    code = int(ExitCode.OK) if told is None else code_of(told.get("exit_code"))
    if json:
        print_document(waited_document(row, known, code, timed_out=False))
    elif told is not None:
        shared.screen().print(waited_lines(row, code, shared.paper, timed_out=None))
    return code


def _show_elsewhere(shared: Shared, run_id: str, told: Mapping[str, object], *, json: bool) -> int:
    """A run on another machine, by the rows of a mirror: it is not waited for."""
    found = told.get("exit_code")
    # How one has ended that has not said so, nobody knows.
    code = found if isinstance(found, int) else int(ExitCode.NOT_MET)
    row = RunRow(run_id, str(told.get("job") or ""), guarded=False, told=told, place=None, uid=os.geteuid())
    if json:
        print_document(waited_document(row, told, code, timed_out=False))
    elif isinstance(found, int):
        shared.screen().print(waited_lines(row, code, shared.paper, timed_out=None))
    return code
