"""Calls supervise() itself, many times in one process: `python supervised.py JSON`, one JSON document back.

Runs in a process of its own, because a supervisor becomes a subreaper and reaps every child.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import tempfile
import time

from launcher.clock import SystemClock
from launcher.guard.channel import pair
from launcher.guard.connect import connect
from launcher.guard.desk import Desk
from launcher.guard.emergency import end_everything
from launcher.guard.model import RunPlan, RunReport
from launcher.guard.notes import Notes
from launcher.guard.progress import Progress
from launcher.guard.streams import StreamMode
from launcher.guard.supervise import Watchers, supervise
from launcher.guard.watcher import Seat
from launcher.spec.model import Leftovers
from launcher.values import Known


class FastClock(SystemClock):
    """Hours in seconds: durations pass `speed` times as fast."""

    def __init__(self, speed: float) -> None:
        self._speed = speed

    def monotonic(self) -> float:
        """The machine's, multiplied."""
        return time.monotonic() * self._speed


class LonelySeat(Seat):
    """A guard without watcher and client, which keeps its own streams for the next command."""

    def __init__(self) -> None:
        self._other, mine = pair()
        super().__init__(mine, -1, Notes())

    def take_streams(self) -> None:
        """They are nobody else's."""


def complain(text: str) -> None:
    """A watcher with a bug."""
    raise RuntimeError(text)


def ended_at_its_gate(seat: Seat) -> Progress:
    """As a guard leaves it that was killed when it had noted its child, and before it let that through."""
    seat.notes.close_gate()
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    now = time.monotonic()
    return Progress(now, time.time(), 0, {}, step="run", main=child, main_status=0)


def once(argv: list[str], log: str, **changes: object) -> RunReport:
    """Supervise one command; `say`, `started` ("raise"), `at_gate` and `speed` stand for its surroundings."""
    quiet = {"raise": complain}
    say, started = quiet.get(str(changes.pop("say", ""))), quiet.get(str(changes.pop("started", "")))
    speed, at_gate = float(str(changes.pop("speed", 1.0))), bool(changes.pop("at_gate", False))
    plan = RunPlan(
        run_id="test",
        run=tuple(argv),
        setup=None,
        env=dict(os.environ),
        workdir=os.getcwd(),
        log_path=log,
        max_duration_s=None,
        stop_grace_s=5.0,
        leftovers=Leftovers.KILL,
    )
    watchers = Watchers(
        note=(lambda progress: complain(progress.step)) if started else (lambda progress: None),
        begun=lambda step, pid: None,
        say=say or (lambda text: None),
        warn=lambda text: None,
    )
    desk, clock, seat = Desk(None), FastClock(speed), LonelySeat()
    streams = connect(log, StreamMode(), desk, seat, watchers.warn)
    try:
        return supervise(
            dataclasses.replace(plan, **changes),
            clock=clock,
            desk=desk,
            seat=seat,
            progress=ended_at_its_gate(seat) if at_gate else None,
            streams=streams,
            watchers=watchers,
        )
    finally:
        streams.close()
        end_everything(grace_s=float(str(changes.get("stop_grace_s", 5.0))), clock=clock, desk=desk)


def main(document: str) -> None:
    """One row for every command: outcome, exit code, the log's content, or the error's name."""
    asked = json.loads(document)
    rows = []
    for argv in asked["commands"]:
        handle, log = tempfile.mkstemp(dir=".")
        os.close(handle)
        row: dict[str, object] = {}
        try:
            report = once(argv, log, **asked.get("changes", {}))
            row["outcome"], row["code"] = report.outcome.name, int(report.outcome.exit_code)
            ram = report.peak_ram_bytes
            row["peak"] = ram.value if isinstance(ram, Known) else None
        except RuntimeError as error:
            row["error"] = str(error)
        with open(log, "rb") as file:
            content = file.read()
        row["bytes"] = len(content)
        row["log"] = content[-100:].decode("ascii", "replace")
        os.unlink(log)
        rows.append(row)
    with open("answer.json", "w", encoding="utf-8") as file:
        json.dump(rows, file)


if __name__ == "__main__":
    main(sys.argv[1])
