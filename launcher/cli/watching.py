"""What `colab-run watch` does, by its options."""

from __future__ import annotations

import time
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from launcher.cli.render import print_answer, print_document
from launcher.clock import SystemClock
from launcher.errors import ExitCode, UsageError
from launcher.events import Said
from launcher.guard.inbox import Inbox
from launcher.jobs import parse_option
from launcher.judging import Here
from launcher.report import watch as report
from launcher.spec import quantities
from launcher.watch_asking import DEFAULT_IDLE_S, look, stop, waiting
from launcher.watch_plan import NAME
from launcher.watch_start import EXAMPLE, Typed, make_plan, start
from launcher.watch_table import in_english
from launcher.words import words

if TYPE_CHECKING:
    from launcher.cli.shared import Shared

# Who logs in does not wait for a guard that hangs.
LOGIN_S = 0.3


@dataclass(frozen=True, slots=True)
class Asks:
    """What is asked instead of starting a watch."""

    why: bool
    status: bool
    short: bool
    stop: bool
    replay: str | None
    policies: list[str]
    picture: str | None

    def check(self, typed: Typed) -> None:
        """Raises UsageError for options that do not go together."""
        modes = {
            "--why": self.why,
            "--status": self.status,
            "--stop": self.stop,
            "--replay": self.replay is not None,
        }
        asked = [option for option, there in modes.items() if there]
        if len(asked) > 1:
            raise UsageError(
                words("{first} and {second} are two questions", first=asked[0], second=asked[1]),
                f"colab-run watch {asked[0]}",
            )
        if self.replay == "":
            raise UsageError(words("{option} needs a file", option="--replay"), report.REPLAY)
        if self.short and not self.status:
            raise UsageError(words("--short belongs to {option}", option="--status"), report.STATUS)
        if (self.policies or self.picture) and self.replay is None:
            option = "--policy" if self.policies else "--picture"
            raise UsageError(words("{option} belongs to {other}", option=option, other="--replay FILE"))
        started = [one.name for one in fields(typed) if one.name != "idle" and getattr(typed, one.name)]
        takes_idle = not asked or asked[0] in ("--why", "--replay")
        if asked and (started or (typed.idle is not None and not takes_idle)):
            raise UsageError(
                words("{option} starts no watch: it takes no other options", option=asked[0]),
                words("to start one: {command}", command=EXAMPLE),
            )


def do(shared: Shared, environ: dict[str, str], typed: Typed, asks: Asks, *, json: bool) -> int:
    """The answer to what was asked, or a new watch."""
    if asks.stop:
        return _stop(shared, json=json)
    if asks.status:
        return _status(shared, short=asks.short, json=json)
    if asks.why:
        return _why(shared, environ, typed.idle, json=json)
    if asks.replay is not None:
        from launcher.cli.replaying import replay

        return replay(shared, asks.replay, typed.idle, asks.policies, asks.picture, json=json)
    return _start(shared, environ, typed, json=json)


def _start(shared: Shared, environ: dict[str, str], typed: Typed, *, json: bool) -> int:
    egg = shared.guard()
    plan, warnings = make_plan(typed, Here(environ))
    for warning in warnings:
        shared.screen().tell(Said(warning, warning=True))
    record = start(plan, egg, shared.screen())
    told: Any = record.judged[NAME]
    for run_id in told["not_replaced"]:
        text = words("the guard of the watch {run_id} does not answer, or does not end", run_id=run_id)
        shared.screen().tell(Said(text, warning=True))
    if json:
        print_document(report.started_document(record.run_id, in_english(told)))
    else:
        shared.screen("stdout").print(report.started_screen(record.run_id or "", told, shared.paper))
    return int(ExitCode.OK)


def _stop(shared: Shared, *, json: bool) -> int:
    ended = stop()
    if json:
        print_document(report.stopped_document(ended))
    else:
        shared.screen("stdout").print(report.stopped_screen(ended, shared.paper))
    return int(ExitCode.OK)


def _status(shared: Shared, *, short: bool, json: bool) -> int:
    found = waiting(with_runs=False, patience_s=LOGIN_S) if short else waiting(with_runs=False)
    if json:
        print_document(report.status_document(in_english(found.watch), found.silent, found.others))
    elif short:
        # A login: no line about languages.
        lines = report.short_line(found.watch, shared.paper, silent=found.silent)
        print_answer("".join(line.plain + "\n" for line in lines))
    else:
        screen = report.status_screen(
            found.watch, time.time(), shared.paper, silent=found.silent, others=found.others
        )
        shared.screen("stdout").print(screen)
    return int(ExitCode.OK)


def _why(shared: Shared, environ: dict[str, str], idle: str | None, *, json: bool) -> int:
    idle_s = parse_option("--idle", idle, quantities.duration) or DEFAULT_IDLE_S
    found = waiting(with_runs=True)
    waits, pressed = found.own, False
    if not waits and not found.silent:
        if not json:
            text = words("no watch runs here: looking for a few seconds")
            shared.screen().tell(Said(text))
        with Inbox() as inbox:
            said: list[int] = []

            def stopped() -> bool:
                if (number := inbox.take_stop()) is not None:
                    said.append(number)
                return bool(said)

            waits = [look(environ, SystemClock(), idle_s, stopped)]
        pressed = bool(said)
    if json:
        print_document(report.why_document(in_english(waits), found.silent))
    else:
        shared.screen("stdout").print(report.why_screen(waits, found.silent, shared.paper))
    return int(ExitCode.INTERRUPTED if pressed else ExitCode.OK)
