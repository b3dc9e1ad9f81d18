"""What must hold after an injection. Pure: evidence in, problems out, each under a short heading."""

from __future__ import annotations

import signal
from itertools import pairwise
from typing import TYPE_CHECKING

from chaos.program import FAILED, LINES
from chaos.shots import BOTH
from launcher.errors import ExitCode
from launcher.ledger.model import State, problems

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chaos.world import Evidence

HEADINGS = ("early", "missed", "twice", "late", "log", "code", "ledger", "retry", "left")
# From the end of the job (or the injection, if that was later) to the request: the leftovers' settling,
# their grace, the end of the unkillable, two refusals; and a machine that does other things too.
LATE_S = 8.0
LOST = 128 + signal.SIGKILL
# What a killed guard had read and not yet written.
IN_FLIGHT = 1 << 16


def judge(seen: Evidence) -> list[tuple[str, str]]:
    """(heading, what is wrong) for everything that is wrong."""
    found = [*_release(seen), *_ledger(seen), *_attempts(seen), *_log(seen), *_code(seen)]
    found += [("left", what) for what in seen.left]
    if "Traceback" in seen.said:
        found.append(("code", f"a traceback: {seen.said[-600:]}"))
    return found


def lateness(seen: Evidence) -> float:
    """Seconds from the last moment that could delay the release to the first request that was taken."""
    taken = [at for at, _, _, taken in seen.requests if taken]
    return max(0.0, taken[0] - max(seen.ended or 0.0, seen.hit_at, seen.began)) if taken else 0.0


def in_flight(seen: Evidence) -> int:
    """Lines that were written and are neither in the log nor said to be lost; less than 0: none twice."""
    return sum(seen.counts.values()) - len(_numbers(seen))


def _release(seen: Evidence) -> Iterator[tuple[str, str]]:
    for _, _, alive, _ in seen.requests:
        if alive:
            yield "early", f"processes {alive} lived at a request"
    asked = [at for at, _, _, _ in seen.requests]
    if asked and (later := [number for number, at in seen.marks if at > min(asked)]):
        yield "early", f"attempts {later} began after a request"
    taken = [nonce for _, nonce, _, taken in seen.requests if taken]
    if len({nonce for _, nonce, _, _ in seen.requests}) > 1:
        yield "twice", f"nonces {[nonce for _, nonce, _, _ in seen.requests]}"
    if not taken and _due(seen):
        status = [one["release"] for one in seen.results]
        yield "missed", f"no release; planned: {seen.planned}, {status}"
    if taken and lateness(seen) > LATE_S:
        yield "late", f"{lateness(seen):.1f} s"
    if not taken and seen.results and not _due(seen):
        status = seen.results[-1]["release"]["status"]
        if status not in ("kept", "held", "not-asked"):
            yield "missed", f"not asked, but {status}"


def _due(seen: Evidence) -> bool:
    """`always`, and nobody has stopped it: whenever a run has begun. It has to, if its client may live."""
    shot = seen.shot
    if shot.person and seen.hit:
        return False
    if seen.planned:
        return True
    return not (seen.hit and ("client" in shot.victim or seen.both) and shot.action != "STOP")


def _ledger(seen: Evidence) -> Iterator[tuple[str, str]]:
    if seen.integrity != "ok":
        yield "ledger", seen.integrity
    if len(seen.results) > 1:
        yield "ledger", f"{len(seen.results)} runs"
    for document in seen.results:
        rows = seen.rows.get(document["run_id"], [])
        shown = [row.state.value for row in rows]
        for problem in problems(rows):
            yield "ledger", f"{problem}: {shown}"
        for state in _told(document, seen):
            if state not in shown:
                yield "ledger", f"no row {state}: {shown}"


def _told(document: dict, seen: Evidence) -> Iterator[str]:
    """The rows that must be there by what was shown elsewhere."""
    yield State.PLANNED.value
    if any(row["outcome"] not in ("could_not_start", "lost") for row in document.get("attempt_log", ())):
        yield State.STARTED.value
    if document["outcome"] is not None:
        yield State.ENDED.value
    if seen.requests:
        yield State.REQUESTED.value
    if document["release"]["status"] == "accepted":
        yield State.ACCEPTED.value


def _attempts(seen: Evidence) -> Iterator[tuple[str, str]]:
    """None lost, none doubled: what the job itself has marked, the document, and the ledger's decisions."""
    shot = seen.shot
    marked = [number for number, _ in seen.marks]
    if not all(one < other for one, other in pairwise(marked)):
        yield "retry", f"attempts twice or out of order: {marked}"
    for document in seen.results:
        log = document.get("attempt_log", [])
        numbers = [row["attempt"] for row in log]
        if document["outcome"] is None:
            continue
        if numbers != list(range(1, document["attempts"] + 1)):
            yield "retry", f"{document['attempts']} attempts, and rows {numbers}"
        if not set(marked) <= set(numbers):
            yield "retry", f"attempts {marked} began, and rows {numbers}"
        rows = [row.facts for row in seen.rows.get(document["run_id"], []) if row.state is State.RETRYING]
        told = [{name: facts[name] for name in row} for facts, row in zip(rows, log, strict=False)]
        if told != [row for row in log if row["next_in_s"] is not None] or len(told) != len(rows):
            yield "retry", f"decisions {rows}, and rows {log}"
        if len(numbers) > shot.fails + 1:
            yield "retry", f"{len(numbers)} attempts of {shot.fails + 1}"
        if not _may_end_early(seen) and marked != list(range(1, shot.fails + 2)):
            yield "retry", f"attempts {marked}, not {shot.fails + 1} of them"


def _may_end_early(seen: Evidence) -> bool:
    """Is there a reason for less attempts than it takes, or for one that did not come to its first line?"""
    shot = seen.shot
    jobs = shot.victim in ("job", "any of the job", "helper") and shot.action != "STOP"
    return bool(seen.hit) and (shot.person or seen.both or jobs)


def _numbers(seen: Evidence) -> list[int]:
    whole = seen.log[: seen.log.rfind(b"\n") + 1]
    return [int(line) for line in whole.splitlines() if line.strip(b"\r").isdigit()]


def _log(seen: Evidence) -> Iterator[tuple[str, str]]:
    numbers = _numbers(seen)
    killed = seen.shot.action == "KILL" and "guard" in seen.shot.victim and seen.hit
    orderly = all(one < other for one, other in pairwise(numbers))
    lines = {
        number: [line % LINES for line in numbers if line // LINES == number - 1] for number in seen.counts
    }
    whole = all(found == list(range(1, len(found) + 1)) for found in lines.values())
    if not orderly or sum(map(len, lines.values())) != len(numbers):
        yield "log", "lines twice or out of order"
    elif not whole and not killed:
        yield "log", f"holes before line {numbers[-1]}"
    # A job that is lost with its guards writes into a pipe that nobody reads.
    if seen.both and seen.hit:
        return
    missing = sum(count - (lines[number] or [0])[-1] for number, count in seen.counts.items())
    if missing > (IN_FLIGHT // 9 if killed else 0):
        yield "log", f"{missing} lines of {seen.counts} are missing"
    shot = seen.shot
    if shot.job.detached or ("client" in shot.victim and shot.action != "STOP" and seen.hit):
        return
    if seen.shown != seen.log:
        yield "log", f"the client showed {len(seen.shown)} bytes of {len(seen.log)}"


def _code(seen: Evidence) -> Iterator[tuple[str, str]]:
    allowed = _codes(seen)
    if seen.code not in allowed:
        yield "code", f"{seen.code}, not one of {sorted(allowed)}: {seen.said[-400:]}"
    wrong = [one for one in seen.results if one["exit_code"] not in allowed | {None, LOST}]
    if wrong and not seen.shot.job.detached:
        yield "code", f"result.json says {wrong[0]['exit_code']}, not one of {sorted(allowed)}"


def _codes(seen: Evidence) -> set[int | None]:
    shot = seen.shot
    code = shot.job.code
    if not seen.hit or shot.action == "STOP":
        return {code}
    detached = {0} if shot.job.detached else set()
    number = getattr(signal, f"SIG{shot.action}")
    victim = "watcher and guard" if seen.both else shot.victim
    # Between an attempt that has failed by itself and the next one, a person stops the run, not the job.
    stopped = {FAILED} if shot.person and shot.fails else set()
    return {code, *detached, *stopped, *_explained(victim, number, tty=shot.job.tty)}


def _explained(victim: str, number: int, *, tty: bool) -> set[int]:
    """What an injection may change about the code."""
    if victim in ("client", "client and guard"):
        return {-number, 128 + number}
    if victim == "guard":
        return {143} if number == signal.SIGTERM else set()
    if victim in ("job", "any of the job"):
        return {128 + number}
    if victim in BOTH:
        # Nothing was started, and the client says so; or it was, and nobody saw how it ended.
        return {LOST, int(ExitCode.NOT_EXECUTABLE)}
    if victim != "helper":
        return set()
    # A command is one until its exec; and the keeper of a session is its leader: its terminal goes with it.
    return {128 + number, *([128 + signal.SIGHUP, int(ExitCode.NOT_EXECUTABLE)] if tty else [])}
