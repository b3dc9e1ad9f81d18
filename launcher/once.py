"""`--once KEY`: the same key never runs twice. And what the runs of a queue claim.

A run takes its claim in its guard, when it has a folder, a lease and a note, and before anything of it is
started. A key is used up by a run that has started something; one that was refused, or could not start, gives
it back by having started nothing.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from launcher import claims, runs
from launcher.children import call_in_child
from launcher.errors import AlreadyStarted, StateFolderError, UsageError
from launcher.guard.folder import RunFolder, state_folder
from launcher.ledger.mirror import NotARow, mirror_of, names_in, read_row
from launcher.ledger.model import State
from launcher.queue_plan import parse_ticket
from launcher.release import marks
from launcher.values import Unknown
from launcher.words import reason, words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from launcher.plan import Plan
    from launcher.spec.model import JobSpec

# A key becomes the name of a file, two characters a byte.
LONGEST_KEY = 100
LOOK_S = 10.0


def check_key(key: str) -> str:
    """A key as it was typed. Raises UsageError."""
    if not key or len(key.encode()) > LONGEST_KEY or not key.isprintable():
        raise UsageError(
            words("--once needs a key of 1 to {most} bytes without control characters", most=LONGEST_KEY),
            words("write, for example, {example}", example="--once experiment-7"),
        )
    return key


def look(key: str, spec: JobSpec, environ: Mapping[str, str]) -> None:
    """Before anything else is done for a run. Raises AlreadyStarted, StateFolderError.

    Also where another machine that writes into the same mirror has started it.
    """
    home = state_folder(environ)
    with suppress(FileNotFoundError):
        if (run_id := _holder(home, key)) is not None:
            raise _already(key, run_id)
    mirror = mirror_of(spec)
    if mirror is None:
        return
    answer = call_in_child(lambda: _look_there(mirror, key), deadline_s=LOOK_S)
    if isinstance(answer, Unknown):
        raise StateFolderError(
            words(
                "{mirror} cannot be read: nobody knows whether {key} was used there", mirror=mirror, key=key
            ),
            words("look at that folder, or start it without --once"),
        )
    if answer.value is not None:
        told: dict[str, Any] = answer.value
        raise _already(key, str(told["run_id"]), told)


def claim(plan: Plan, run_id: str) -> None:
    """In the guard: take what this run needs to be the only one. Raises AlreadyStarted, StateFolderError."""
    options = plan.options
    try:
        if options.queue:
            path = parse_ticket(options.queue).claim(plan.home)
            if (holder := claims.take(path, run_id)) != run_id:
                raise AlreadyStarted(words("this run of the queue was started already"), "", holder)
        if options.once:
            _claim_key(plan.home, options.once, run_id)
    except OSError as error:
        raise StateFolderError(
            words(
                "the state folder {folder} cannot be used: {why}",
                folder=plan.home,
                why=reason(error.strerror),
            ),
            words("set COLAB_RUN_HOME to a folder that you can write to"),
        ) from error


def _claim_key(home: str, key: str, run_id: str) -> None:
    os.makedirs(_folder(home), mode=0o700, exist_ok=True)
    with _alone(home):
        holder = _holder(home, key)
        if holder == run_id:
            return  # A guard before us took it for the same run.
        if holder is not None:
            raise _already(key, holder)
        path = _path(home, key)
        with suppress(FileNotFoundError):
            os.unlink(path)  # Of a run that has started nothing.
        claims.take(path, run_id, key=key)


def _already(key: str, run_id: str, told: dict[str, Any] | None = None) -> AlreadyStarted:
    return AlreadyStarted(
        words("the key {key} was used by the run {run_id}; nothing was started", key=key, run_id=run_id),
        words("to run it again: another key"),
        run_id,
        told,
    )


def _holder(home: str, key: str) -> str | None:
    """The run that has used this key up, or is about to; None where it is free."""
    run_id = claims.read(_path(home, key))
    if run_id is None:
        return None
    folder = RunFolder(os.path.join(home, "runs", run_id)).path
    told = runs.read_record(folder)
    # A guard that has written down the end is there for a moment more.
    if told is None or told.get("state") != "done":
        if any(note.run_id == run_id for note, _ in marks.runs()):
            return run_id
        told = runs.read_record(folder)
    return run_id if told is not None and started_something(told) else None


def started_something(told: Mapping[str, Any]) -> bool:
    """By the document of a run that nobody guards. A command that could not be started is nothing."""
    attempts, log = told.get("attempts"), told.get("attempt_log")
    rows = log if isinstance(log, list) else []
    outcomes = {told.get("outcome"), *(row.get("outcome") for row in rows if isinstance(row, dict))}
    return isinstance(attempts, int) and attempts > 0 and outcomes != {"could_not_start"}


def _folder(home: str) -> str:
    return os.path.join(home, "once")


def _path(home: str, key: str) -> str:
    return os.path.join(_folder(home), key.encode().hex())


@contextmanager
def _alone(home: str) -> Iterator[None]:
    """Who looks whether a key is free and takes it does so alone."""
    path = os.path.join(_folder(home), ".lock")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


# --- mirrors --------------------------------------------------------------------------------------


def _look_there(mirror: str, key: str) -> dict[str, Any] | None:
    """In a child: what a mirror tells of the run that has used this key up. Raises OSError."""
    try:
        found, _ = names_in(mirror)
    except FileNotFoundError:
        return None  # The first run makes it.
    for run_id, names in found.items():
        rows = []
        for name in names:
            if name.kind in ("planned", "started", "ended"):
                with suppress(NotARow):
                    rows.append(read_row(mirror, name))
        planned = next((row.facts for row in rows if row.state is State.PLANNED), {})
        if planned.get("once") != key or not any(row.state is State.STARTED for row in rows):
            continue
        ended = next((row.facts for row in reversed(rows) if row.state is State.ENDED), None)
        if ended is None or ended.get("outcome") != "could_not_start":
            return _document(run_id, planned, ended)
    return None


def _document(run_id: str, planned: Mapping[str, Any], ended: Mapping[str, Any] | None) -> dict[str, Any]:
    """As much of a run's document as its rows in a mirror tell."""
    kept = ("outcome", "exit_code", "decided_by", "duration_s")
    told = {name: (ended or {}).get(name) for name in kept}
    state = "started" if ended is None else "done"
    return {"run_id": run_id, "job": str(planned.get("name") or ""), "state": state, **told}
