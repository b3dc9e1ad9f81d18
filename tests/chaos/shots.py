"""What is done to a run, and to what kind of run: drawn from a seed and a number, to be repeated."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

# Whom: one process, or two. `successor`: the guard, and soon after it the watcher that takes over.
VICTIMS = {
    "client": 4,
    "watcher": 4,
    "guard": 8,
    "helper": 2,
    "job": 2,
    "any of the job": 2,
    "watcher and guard": 3,
    "guard and successor": 3,
    "client and guard": 3,
}
PAIRS = ("watcher and guard", "guard and successor", "client and guard")
# A TERM to one of these is a person's stop.
PERSONS = ("client", "guard", "client and guard")
BOTH = ("watcher and guard", "guard and successor")
ACTIONS = {"KILL": 5, "STOP": 2, "TERM": 2}
# `planned` to `done`: the state that result.json shows; `pause`: between two attempts; `request`: while the
# endpoint has not answered.
MOMENTS = {
    "time": 10,
    "planned": 2,
    "started": 2,
    "pause": 3,
    "exited": 2,
    "saving": 2,
    "releasing": 2,
    "request": 4,
    "answered": 3,
    "done": 1,
}
SHORTEST_S, LONGEST_S = 0.0001, 1.5


@dataclass(frozen=True)
class Job:
    """One kind of job. `daemon`: what it leaves behind is `polite` or `deaf`."""

    tty: bool = False
    setup: bool = False
    daemon: str = ""
    deaf: bool = False
    outputs: bool = False
    code: int = 0
    detached: bool = False


KINDS = {
    "pipes": Job(),
    "terminal": Job(tty=True),
    "setup": Job(setup=True),
    "terminal, setup": Job(tty=True, setup=True),
    "daemon": Job(daemon="polite"),
    "deaf daemon": Job(daemon="deaf"),
    "terminal, daemon": Job(tty=True, daemon="polite"),
    "deaf": Job(deaf=True, code=3),
    "failing": Job(code=3),
    "outputs": Job(outputs=True),
    "terminal, outputs": Job(tty=True, outputs=True, setup=True),
    "detached": Job(detached=True),
    "detached, daemon": Job(detached=True, daemon="polite"),
}
# How often the job fails before it ends as its kind does: a share of all runs are started again.
FAILS = {0: 2, 1: 6, 2: 2}
# What the endpoint does, one entry a request, the last one for ever. `lost`: done, but the answer is lost.
SCRIPTS = {"200": (200,), "503 503 200": (503, 503, 200), "lost 200": ("lost", 200), "slow": ("slow", 200)}


@dataclass(frozen=True)
class Shot:
    """One injection. `delay_s` runs from the start of the client, or from the moment when the state is seen.

    `pause_s` lies between the two of a pair, or between STOP and CONT. `whole`: the real command is started
    from nothing, instead of being forked from a process that has imported it. The job writes for `seconds`.
    It fails `fails` times first, and is started again after `backoff_s`; `takes_lost`: when it was lost, too.
    """

    number: int
    kind: str
    script: str
    victim: str
    action: str
    moment: str
    delay_s: float
    pause_s: float
    first: int
    whole: bool
    seconds: float
    fails: int = 0
    backoff_s: float = 0.0
    takes_lost: bool = False

    @property
    def job(self) -> Job:
        """What is run."""
        return KINDS[self.kind]

    @property
    def person(self) -> bool:
        """Is it what a person's stop looks like?"""
        return self.action == "TERM" and self.victim in PERSONS

    def __str__(self) -> str:
        at = f"{self.moment} + {self.delay_s * 1000:.1f} ms"
        again = f"; fails {self.fails}{' or is lost' if self.takes_lost else ''}" if self.fails else ""
        return f"#{self.number} {self.action} {self.victim} at {at}; {self.kind}; {self.script}{again}"


def draw(seed: str, number: int) -> Shot:
    """The shot of this number."""
    chance = random.Random(f"{seed}/{number}")
    victim = _one_of(chance, VICTIMS)
    # Of two that are stopped, both go on: nothing new. Two that are told to end: only the guard hears it.
    action = "KILL" if victim in PAIRS else _one_of(chance, ACTIONS)
    moment = _one_of(chance, MOMENTS)
    longest = LONGEST_S if moment == "time" else 0.05
    shot = Shot(
        number=number,
        kind=chance.choice(list(KINDS)),
        script=_one_of(chance, {"200": 5, "503 503 200": 2, "lost 200": 2, "slow": 1}),
        victim=victim,
        action=action,
        moment=moment,
        delay_s=_log_uniform(chance, SHORTEST_S, longest),
        pause_s=_log_uniform(chance, 0.0001, 0.3),
        first=chance.randrange(2),
        whole=chance.random() < 0.2,
        seconds=_log_uniform(chance, 0.01, 0.3),
    )
    fails = int(_one_of(chance, {str(count): weight for count, weight in FAILS.items()}))
    fails = max(1, fails) if moment == "pause" else fails
    pause = 0.2 if moment == "pause" else _log_uniform(chance, 0.001, 0.1)
    return replace(shot, fails=fails, backoff_s=pause, takes_lost=bool(fails) and chance.random() < 0.5)


def _one_of(chance: random.Random, weights: dict[str, int]) -> str:
    return chance.choices(list(weights), list(weights.values()))[0]


def _log_uniform(chance: random.Random, shortest: float, longest: float) -> float:
    return shortest * (longest / shortest) ** chance.random()
