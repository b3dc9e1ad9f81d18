"""What became of every run: from the ledger here, from result.json, and from mirrors of other machines.

Who looks also says what only the next machine can say: that one which was asked to go has been silent
since (`confirmed`).
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from launcher import runs
from launcher.children import call_in_child
from launcher.errors import StateFolderError, UsageError
from launcher.guard.folder import RunFolder, state_folder
from launcher.ledger.confirming import LOOK_S, confirm, note_gone
from launcher.ledger.mirror import RECEIPT, NotARow, mirror_of, names_in, read_row, row_from_json
from launcher.ledger.model import FINAL, LedgerUnusable, PastRun, Row
from launcher.ledger.past import past_run
from launcher.ledger.place import check_place
from launcher.ledger.store import Ledger
from launcher.release import lease
from launcher.values import Unknown
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.spec.model import JobSpec

# A folder on Drive takes its time; one that does not answer by then is said not to.
DEADLINE_S = 2 * LOOK_S + 10.0
LOCAL = "local"
# Where the kernel tells no boot id, every machine looks like this one.
NO_BOOT_ID = "no-boot-id"


class Problem(NamedTuple):
    """Something in a mirror, or all of it, that could not be read. `why`: a code, or the system's own."""

    path: str
    why: str


class Past(NamedTuple):
    """Every run that is known, the newest first; which mirrors were asked, and what was odd there."""

    runs: list[PastRun]
    mirrors: list[str]
    problems: list[Problem]


def history(
    environ: Mapping[str, str], now: float, *, job: JobSpec | None = None, mirror: str | None = None
) -> Past:
    """The runs of this state folder and of every mirror that it, `job` or `mirror` names.

    With `job` only those of that name. Raises UsageError where `mirror` is no folder.
    """
    found = _Found()
    home = _home(environ)
    if home is not None:
        found.add_home(home, now)
    named = [None if job is None else mirror_of(job), mirror and os.path.abspath(mirror)]
    mirrors = list(dict.fromkeys(one for one in (*named, *found.mirrors) if one))
    for folder in mirrors:
        there = found.add_mirror(folder, now)
        if not there and mirror is not None and folder == os.path.abspath(mirror):
            raise UsageError(
                words("there is no folder {path}", path=mirror),
                words("name the one of `ledger: {{mirror: …}}`, or `.colab-run/ledger` beside an output"),
            )
    past = found.runs()
    if job is not None:
        past = [run for run in past if run.name == job.name]
    return Past(past, mirrors, found.problems)


def _home(environ: Mapping[str, str]) -> str | None:
    try:
        return state_folder(environ)
    except StateFolderError:
        return None


class _Found:
    """What is known of each run, gathered from one place after the other."""

    def __init__(self) -> None:
        self.mirrors: list[str] = []
        self.problems: list[Problem] = []
        self._rows: dict[str, list[Row]] = {}
        self._documents: dict[str, Mapping[str, Any]] = {}
        self._receipts: dict[str, str] = {}
        self._places: dict[str, list[str]] = {}

    def runs(self) -> list[PastRun]:
        """The newest first."""
        guarded = {row.run_id for row in runs.living()}
        past = [
            past_run(
                run_id,
                self._rows.get(run_id, []),
                self._documents.get(run_id, {}),
                places=tuple(places),
                receipt=self._receipts.get(run_id),
                guarded=run_id in guarded,
            )
            for run_id, places in self._places.items()
        ]
        return sorted(past, key=lambda run: run.run_id, reverse=True)

    def _add(self, run_id: str, place: str, rows: list[Row]) -> None:
        places = self._places.setdefault(run_id, [])
        if place not in places:
            places.append(place)
        self._rows.setdefault(run_id, []).extend(rows)

    # --- this state folder ------------------------------------------------------------------------

    def add_home(self, home: str, now: float) -> None:
        """The ledger, and what is in the folders of the runs."""
        _confirm_here(home, now)
        for run_id, rows in _ledger_rows(home).items():
            self._add(run_id, LOCAL, rows)
        with suppress(OSError):
            for run_id in sorted(os.listdir(os.path.join(home, "runs")), reverse=True):
                self._add_folder(RunFolder(os.path.join(home, "runs", run_id)))

    def _add_folder(self, folder: RunFolder) -> None:
        document = runs.read_record(folder.path)
        if document is not None:
            self._documents[folder.run_id] = document
            self._add(folder.run_id, LOCAL, [])
        if os.path.exists(folder.receipt):
            self._receipts[folder.run_id] = folder.receipt
        with suppress(OSError, ValueError, AttributeError, RecursionError):
            with open(folder.plan, encoding="utf-8") as file:
                mirror = json.load(file).get("mirror")
            if isinstance(mirror, str) and mirror not in self.mirrors:
                self.mirrors.append(mirror)

    # --- mirrors ----------------------------------------------------------------------------------

    def add_mirror(self, folder: str, now: float) -> bool:
        """What lies there, once what can be known of other machines has been said; False if there is none."""
        own, host = lease.boot_id(), os.uname().nodename
        answer = call_in_child(lambda: _look_there(folder, own, host, now), deadline_s=DEADLINE_S)
        if isinstance(answer, Unknown):
            self.problems.append(Problem(folder, getattr(answer, "detail", "") or answer.reason))
            return True
        if answer.value is None:
            return False
        rows: dict[str, list[Row]] = {}
        for told in answer.value["rows"]:
            row = row_from_json(told)
            rows.setdefault(row.run_id, []).append(row)
        for run_id, found in rows.items():
            self._add(run_id, folder, found)
        for run_id, path in answer.value["receipts"].items():
            self._receipts.setdefault(run_id, path)
        self.problems += [Problem(*problem) for problem in answer.value["problems"]]
        return True


def _look_there(folder: str, boot_id: str, host: str, now: float) -> dict[str, Any] | None:
    """In a child: everything that a mirror has, as JSON; None if there is none."""
    if boot_id != NO_BOOT_ID:
        confirm(folder, boot_id, host, now)
    rows, problems, receipts = [], [], {}
    try:
        found, foreign = names_in(folder)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return {"rows": [], "receipts": {}, "problems": [(folder, error.strerror or str(error))]}
    problems += [(os.path.join(folder, name), "name") for name in foreign]
    deadline = time.monotonic() + LOOK_S
    left_out = 0
    for run_id, names in found.items():
        if time.monotonic() > deadline:
            left_out += 1
            continue
        for name in names:
            path = os.path.join(folder, str(name))
            if name.kind == RECEIPT:
                receipts[run_id] = path
                continue
            try:
                rows.append(read_row(folder, name)._asdict())
            except NotARow as error:
                problems.append((path, error.why))
    if left_out:
        problems.append((folder, "too-slow"))
    return {"rows": rows, "receipts": receipts, "problems": problems}


def _ledger_rows(home: str) -> dict[str, list[Row]]:
    try:
        ledger = Ledger.open(home, lease.boot_id(), read_only=True)
    except LedgerUnusable:
        return {}
    try:
        return {run.run_id: ledger.rows(run.run_id) for run in ledger.runs(runs.ALL)}
    except LedgerUnusable:
        return {}
    finally:
        ledger.close()


def _confirm_here(home: str, now: float) -> None:
    """Runs of an earlier boot of this disk: their machine is gone, or was started anew."""
    own = lease.boot_id()
    try:
        check_place(home, writing=True)
        if own == NO_BOOT_ID or not os.path.exists(os.path.join(home, "ledger.sqlite3")):
            return
        ledger = Ledger.open(home, own)
    except LedgerUnusable:
        return
    try:
        for run in ledger.unfinished():
            if run.last.state not in FINAL:
                note_gone(ledger, run, own, now)
    except LedgerUnusable:
        return
    finally:
        ledger.close()
