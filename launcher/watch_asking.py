"""What `watch --status`, `--why` and `--stop` ask: the guards that wait for idleness, or the machine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from launcher import runs
from launcher.backing import target_of, what_goes
from launcher.errors import NotReached
from launcher.guard.control import PATIENCE_S
from launcher.handback import COLAB_HOLD_FILE
from launcher.idle.model import Policy
from launcher.idling import Idling
from launcher.life import runtime_life
from launcher.probes.platform import read_platform
from launcher.watch_place import ask, end, own_watches, watches
from launcher.watch_plan import NAME
from launcher.watch_table import wait_json
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from launcher.clock import Clock

# Where no guard watches, a look takes so many samples, so far apart.
LOOK_PERIOD_S = 1.0
LOOKS = 3
# A driver that hangs is given up on by then.
LOOK_DEADLINE_S = 20.0
WAIT_S = 0.05
DEFAULT_IDLE_S = 1800.0


class Waits(NamedTuple):
    """What was found: `own` are the guards' documents, `silent` the runs that do not answer.

    `others` counts the watches of other users.
    """

    own: list[dict[str, Any]]
    silent: list[str]
    others: int

    @property
    def watch(self) -> dict[str, Any] | None:
        """The document of our watch, the newest; None where there is none that answers."""
        return next((one for one in reversed(self.own) if isinstance(one.get(NAME), dict)), None)


def waiting(*, with_runs: bool, patience_s: float = PATIENCE_S) -> Waits:
    """Our watches, and `with_runs` every run of ours that waits until this runtime is idle.

    A guard that has not answered after `patience_s` is silent.
    """
    mine = own_watches()
    wanted = [note.run_id for note in mine]
    if with_runs:
        known = set(wanted)
        wanted += [row.run_id for row in runs.living() if row.run_id not in known and _waits(row.get("idle"))]
    told = ask(wanted, patience_s)
    documents = [one.document for one in told if one.document is not None and "signs" in one.document]
    silent = [one.run_id for one in told if one.document is None]
    return Waits(documents, silent, len(watches()) - len(mine))


def _waits(idle: object) -> bool:
    return isinstance(idle, dict)


def stop() -> list[str]:
    """End our watches; their ids, which may be none. Raises NotReached."""
    ended = []
    for note in own_watches():
        if not end(note):
            raise NotReached(
                words("the guard of the watch {run_id} does not answer, or does not end", run_id=note.run_id),
                words("look at it: {command}", command="colab-run ps"),
            )
        ended.append(note.run_id)
    return ended


def look(environ: Mapping[str, str], clock: Clock, idle_s: float, stop: Callable[[], bool]) -> dict[str, Any]:
    """Look at this machine ourselves for two short periods, as a guard would: a document as theirs."""
    target = what_goes(target_of(read_platform(environ), environ))
    policy = Policy(idle_s, LOOK_PERIOD_S)
    seen: list[object] = []
    sources = runtime_life(environ, target, policy.period_s, hold_files=(COLAB_HOLD_FILE,))
    idling = Idling(sources, policy, clock, seen.append)
    deadline = clock.monotonic() + LOOK_DEADLINE_S
    try:
        while len(seen) < LOOKS and clock.monotonic() < deadline and not stop():
            time.sleep(WAIT_S)
            idling.hear()
        return {
            "run_id": None,
            "job": None,
            "looked_s": round((LOOKS - 1) * LOOK_PERIOD_S, 3),
            **wait_json(idling, 0.0),
        }
    finally:
        idling.close()
