"""The runs of this machine as a table and as JSON, and what is said when one of them is asked. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from launcher.clock import iso_utc, wall_of
from launcher.record import SCHEMA_VERSION, reading_json, silent_for
from launcher.release.interface import FALLS_TO_IDLE
from launcher.report.lines import ENGLISH, WIDTH, Line, Paper, columns, cut, padded
from launcher.report.queue import runs_of_queue
from launcher.values import Unknown, format_size
from launcher.words import spelled, within, words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from launcher.record import RunRecord, RunRow
    from launcher.words import Text

GAP = "  "
# The widest of each column but the first, which is as wide as a run's id.
WIDEST = {"name": 18, "state": 16, "time": 15}


class _Shown(NamedTuple):
    """What a person understands of a run's state, and why it is so."""

    state: Text
    why: Text = ""


# --- ps -------------------------------------------------------------------------------------------


def runs_screen(
    rows: Sequence[RunRow], now_wall: float, paper: Paper = ENGLISH, *, more: bool = False
) -> list[Line]:
    """A table, the newest first; below a run that waits stands for what. `more`: some may be left out."""
    if not rows:
        return paper.wrapped(words("no runs; start one: {command}", command="colab-run JOB"))
    heads: list[Text] = [
        "ID",
        words("NAME"),
        words("STATE"),
        within("how long a run took", "TIME"),
        within("exit code of a run", "CODE"),
    ]
    shown = [_shown(row, now_wall) for row in rows]
    table = [heads, *(_cells(row, how.state, now_wall) for row, how in zip(rows, shown, strict=True))]
    texts = [[paper.text(cell) for cell in cells] for cells in table]
    limits = [WIDTH, *WIDEST.values(), WIDTH]
    shown_cells = [[cut(cell, limit) for cell, limit in zip(cells, limits, strict=True)] for cells in texts]
    widths = [max(columns(cells[at]) for cells in shown_cells) for at in range(len(heads))]
    lines = [Line(GAP.join(map(padded, cells, widths)).rstrip()) for cells in shown_cells]
    below = [[], *(paper.wrapped(how.why, "  ", "    ") if how.why else [] for how in shown)]
    told = [one for line, more in zip(lines, below, strict=True) for one in (line, *more)]
    if not more:
        return told
    return [*told, *paper.wrapped(words("all that have ended: {command}", command="colab-run ps --all"))]


def _cells(row: RunRow, state: Text, now_wall: float) -> list[Text]:
    code = row.get("exit_code")
    return [
        row.run_id,
        row.job or "-",
        state,
        _how_long(row, now_wall),
        "-" if code is None else _known(code),
    ]


def _known(value: object) -> Text:
    return "?" if isinstance(value, Unknown) else str(value)


def _how_long(row: RunRow, now_wall: float) -> Text:
    took, began = row.get("duration_s"), wall_of(row.get("started"))
    if isinstance(took, int | float):
        return spelled(round(took))
    if began is None or not row.guarded:
        return "-"
    return spelled(round(max(0.0, now_wall - began)))


# --- states, as a person understands them ---------------------------------------------------------


def _shown(row: RunRow, now_wall: float) -> _Shown:
    state = row.get("state")
    if isinstance(row.told, Unknown) and row.told.reason == "another-user":
        return _Shown(within("state of a run", "other user's"), words("user number {uid}", uid=row.uid))
    if row.guarded and isinstance(row.told, Unknown):
        return _Shown(within("state of a run", "not answering"), _silent(row.guard_pid))
    if not row.guarded:
        if row.over:
            return _Shown(within("state of a run", "ended"))
        return _Shown(within("state of a run", "lost"), words("nobody knows how it ended"))
    if state == "done":
        return _waiting(row)
    if isinstance(row.get("watch"), dict):
        return _watched(row, now_wall)
    silence = row.get("stalled")
    if state == "started" and isinstance(silence, dict):
        return _Shown(within("state of a run", "stalled"), _silence(silence, now_wall))
    if state == "started" and isinstance(again := row.get("next_attempt"), dict):
        return _Shown(within("state of a run", "starting again"), _next_attempt(again, now_wall))
    return _Shown(_STATES.get(str(state), str(state)), _busy(row, now_wall))


def _next_attempt(told: dict[str, object], now_wall: float) -> Text:
    at = wall_of(told.get("at"))
    left = spelled(round(max(0.0, (now_wall if at is None else at) - now_wall)))
    return words("attempt {number} begins in {time}", number=told.get("attempt"), time=left)


def _silence(told: dict[str, object], now_wall: float) -> Text:
    """For how long now, what was seen last, and where it is written where the job stands."""
    since, rows, stacks = wall_of(told.get("since")), told.get("last_seen"), told.get("stacks")
    seen = {
        str(sign): wall_of(row.get("at"))
        for sign, row in (rows.items() if isinstance(rows, dict) else ())
        if isinstance(row, dict)
    }
    said = silent_for(max(0.0, now_wall - (now_wall if since is None else since)), seen, now_wall)
    return words("{said}; where it stands: {path}", said=said, path=stacks) if stacks else said


def _busy(row: RunRow, now_wall: float) -> Text:
    """What is being done or waited for just now."""
    copying, until = row.get("copying"), wall_of(row.get("countdown_until"))
    if isinstance(queued := row.get("runs"), list) and row.get("state") in ("planned", "started"):
        return runs_of_queue(queued)
    if isinstance(copying, dict):
        done, total = copying.get("bytes"), copying.get("of_bytes")
        told = {"path": str(copying.get("path")), "done": _size(done), "total": _size(total)}
        if copying.get("restoring"):
            return words("restoring {path}: {done} of {total}", **told)
        return words("saving {path}: {done} of {total}", **told)
    if until is not None and row.get("state") == "releasing":
        return words("released in {time}", time=spelled(round(max(0.0, until - now_wall))))
    if row.get("state") == "started" and isinstance(ends := row.get("ends_by"), dict):
        return words(
            "it ends by {at} at the latest ({because})", at=ends.get("at"), because=ends.get("because")
        )
    return ""


def _size(told: object) -> Text:
    return format_size(told) if isinstance(told, int) else "?"


_STATES: Mapping[str, Text] = {
    "planned": within("state of a run", "starting"),
    "started": within("state of a run", "running"),
    "exited": within("state of a run", "ending"),
    "saving": within("state of a run", "saving"),
    "watching": within("state of a run", "watching"),
    "releasing": within("state of a run", "releasing"),
}


def _silent(pid: int | None) -> Text:
    if pid is None:
        return words("its guard cannot be asked")
    return words("its guard does not answer (process {pid})", pid=pid)


def _waiting(row: RunRow) -> _Shown:
    """The run is over, and its guard is still there for the release."""
    release = row.get("release")
    told = release if isinstance(release, dict) else {}
    status, why = told.get("status"), str(told.get("reason"))
    if status not in ("held", "accepted", "failed", "requested"):
        return _Shown(within("state of a run", "ended"))
    said: Text = _WHY.get(why) or str(told.get("detail") or why)
    if status == "failed":
        said = words("the release was not accepted ({reason}), and is asked for again", reason=why)
    if why in FALLS_TO_IDLE and status == "held":
        said = _idle(row)
    if told.get("until") and told.get("then") == "release":
        said = words("{why}; at {time} it is released all the same", why=said, time=told["until"])
    return _Shown(within("state of a run", "waiting"), said)


def _watched(row: RunRow, now_wall: float) -> _Shown:
    """A watch, which has no job: it waits for idleness, saves, counts down, or waits for what holds it."""
    release, state = row.get("release"), str(row.get("state"))
    told = release if isinstance(release, dict) else {}
    holds = told.get("status") in ("held", "accepted", "failed") and told.get("reason") not in FALLS_TO_IDLE
    if holds and row.get("countdown_until") is None and state != "saving":
        return _waiting(row)
    why = _idle(row) if state == "watching" else _busy(row, now_wall)
    return _Shown(_STATES.get(state, state), why)


def _idle(row: RunRow) -> Text:
    """How the wait for idleness stands."""
    idle = row.get("idle")
    told = idle if isinstance(idle, dict) else {}
    quiet, left = told.get("quiet_s"), told.get("idle_in_s")
    why = words("it goes once nothing shows life; see {command}", command="colab-run watch --why")
    if isinstance(quiet, int | float) and isinstance(left, int | float):
        return words(
            "idle for {quiet}, it goes in {time}", quiet=spelled(round(quiet)), time=spelled(round(left))
        )
    return why


_WHY: Mapping[str, Text] = {
    "accepted": words("the release was accepted: this runtime goes away soon"),
    "still-here": words("the release was accepted, and this runtime is still here: it is asked for again"),
    "unsaved-files": words("files exist only on this machine"),
    "not-saved": words("outputs could not be saved and verified"),
    "unsaved-files-of-an-earlier-run": words("files of an earlier run exist only on this machine"),
    "keep": words("somebody wants to keep this runtime"),
    "hold-file": words("a file HOLD keeps this runtime"),
    "another-run": words("another run of colab-run on this machine is still at work, or is releasing it"),
    "lost-run": words("another run on this machine has lost its guard"),
    "kernel-busy": words("another notebook kernel is at work"),
    "countdown": words("nothing holds the release any more: the countdown runs"),
}


# --- documents ------------------------------------------------------------------------------------


def runs_document(rows: Sequence[RunRow]) -> dict[str, object]:
    """`ps --json`."""
    return {"schema_version": SCHEMA_VERSION, "runs": [row.as_json() for row in rows]}


def stop_document(row: RunRow, *, taken: bool) -> dict[str, object]:
    """`stop --json`: `taken` is False where the run had ended already."""
    return {"schema_version": SCHEMA_VERSION, **row.as_json(), "taken": taken}


def log_document(row: RunRow, path: str, size: int) -> dict[str, object]:
    """`logs --json`: where the log lies, and how long it is now."""
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": row.run_id,
        "job": row.job,
        "log": path,
        "bytes": size,
    }


def waited_document(
    row: RunRow, told: Mapping[str, object], code: int, *, timed_out: bool
) -> dict[str, object]:
    """`wait --json`: the document of the run; where time was over first, with our own code."""
    known = {
        name: reading_json(value) if isinstance(value, Unknown) else value for name, value in told.items()
    }
    document = {"schema_version": SCHEMA_VERSION, "run_id": row.run_id, "job": row.job, **known}
    if timed_out:
        document.update(exit_code=code, decided_by="colab-run")
    return {**document, "timed_out": timed_out}


def attached_document(row: RunRow, told: Mapping[str, object], code: int, left: str) -> dict[str, object]:
    """`attach --json`: the document of the run; `left` is how we left it, null where it has ended."""
    document = waited_document(row, told, code, timed_out=bool(left))
    del document["timed_out"]
    return {**document, "left": left or None}


def keep_document(seconds: float | None, now_wall: float, *, managed: bool) -> dict[str, object]:
    """`keep --json`."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kept_s": None if seconds is None else round(seconds, 3),
        "kept_until": None if seconds is None else iso_utc(now_wall + seconds),
        "releasable": managed,
    }


# --- what is said ---------------------------------------------------------------------------------


def detached_lines(record: RunRecord, paper: Paper = ENGLISH) -> list[Line]:
    """The job runs, and its client ends."""
    run_id = record.run_id
    return [
        *paper.ours(words("{name} goes on without this command", name=record.job)),
        *paper.ours(words("to see it: {command}", command=f"colab-run logs -f {run_id}")),
        *paper.ours(words("to stop it: {command}", command=f"colab-run stop {run_id}")),
    ]


def stop_said(row: RunRow, paper: Paper = ENGLISH, *, taken: bool, kill: bool) -> list[Line]:
    """What `stop` did."""
    name = _name(row)
    if not taken:
        return paper.wrapped(words("{name} has ended already: there is nothing to stop", name=name))
    if isinstance(row.get("watch"), dict):
        said = words("{name} ends: nothing releases this runtime when it is idle", name=name)
    elif row.get("state") in ("releasing", "done"):
        said = words("{name} has ended already; its release is stopped, and this runtime stays", name=name)
    elif row.get("state") in ("exited", "saving"):
        said = words(
            "{name} has ended already; its results are still saved, and this runtime stays", name=name
        )
    elif kill:
        said = words("{name} is being killed; its results are still saved", name=name)
    else:
        said = words(
            "{name} is being stopped: SIGINT, then SIGTERM, and SIGKILL when its stop_grace is over",
            name=name,
        )
    return paper.wrapped(said, later="  ")


def waited_lines(row: RunRow, code: int, paper: Paper = ENGLISH, *, timed_out: float | None) -> list[Line]:
    """How a `wait` ended; `timed_out` is after how many seconds it gave up."""
    if timed_out is not None:
        said = words("{name} has not ended after {time}", name=_name(row), time=spelled(timed_out))
    else:
        said = words("{name} has ended (exit code {code})", name=_name(row), code=code)
    return paper.ours(said)


def attaching_lines(row: RunRow, key: str, paper: Paper = ENGLISH) -> list[Line]:
    """What is said before the output of a run that goes on; `key` is the one to leave with."""
    if not key:
        return paper.ours(words("attached to {name}", name=_name(row)))
    return paper.ours(words("attached to {name}; {key} leaves, and it goes on", name=_name(row), key=key))


def press_lines(row: RunRow, press: int, paper: Paper = ENGLISH) -> list[Line]:
    """A press of stop was handed on."""
    if press == 0:
        return paper.ours(
            words("the guard of {name} does not answer, so this press has reached nobody", name=_name(row))
        )
    if press == 1:
        return paper.ours(words("{name} is told to stop; press again to kill it now", name=_name(row)))
    return paper.ours(words("{name} is killed now; press again to leave", name=_name(row)))


def left_lines(row: RunRow, paper: Paper = ENGLISH) -> list[Line]:
    """We are gone, and the run is not."""
    command = f"colab-run attach {row.run_id}"
    return paper.ours(
        words(
            "{name} goes on without this command; to come back: {command}", name=_name(row), command=command
        )
    )


def keep_said(
    seconds: float | None, until: str, paper: Paper = ENGLISH, *, managed: bool, dropped: bool
) -> list[Line]:
    """Until when, by the clock of this machine, nobody releases it."""
    said: Text
    if seconds is None:
        said = words("nothing keeps this runtime any more")
    elif dropped:
        said = words("another user keeps this runtime for {time}", time=spelled(seconds))
    else:
        said = words(
            "no run of colab-run releases this runtime before {until} (in {time}); "
            "to take that back: {command}",
            until=until,
            time=spelled(seconds),
            command="colab-run keep --drop",
        )
    lines = paper.wrapped(said, later="  ")
    if not managed and not dropped:
        lines += paper.wrapped(words("as far as this shell knows, nothing would release this machine anyway"))
    return lines


def _name(row: RunRow) -> Text:
    return words("{name} (run {run_id})", name=row.job, run_id=row.run_id) if row.job else row.run_id
