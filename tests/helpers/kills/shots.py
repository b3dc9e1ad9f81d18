"""Who is killed, in which run, at which moment of a save: drawn from a seed and a number."""

from __future__ import annotations

import random
from dataclasses import dataclass

# `copier`: the child that copies. `ours`: everything of ours, so that only the job lives on.
VICTIMS = {"copier": 4, "guard": 4, "watcher": 2, "client": 2, "both": 4, "ours": 5}
# After these nobody of the run is left who could go on.
LOST = ("both", "ours")
# From the first sight of a save on, in parts of the time that one takes; or when something has appeared.
MOMENTS = {"part": 6, "commit": 3, "saved": 2}
# What the job file says of the release; `held`: one output cannot be saved.
POLICIES = {"always": 7, "held, then released": 2, "held for good": 1}
WHILE_IT_RUNS, LAST_SAVE = "while it runs", "last save"


@dataclass(frozen=True)
class Shot:
    """One of them. `part` of a save's usual time, or `late_s` seconds after `commit` or `saved` was seen.

    `output` is looked at; `earlier`: something was saved by a run before.
    """

    number: int
    victim: str
    phase: str
    moment: str
    part: float
    late_s: float
    output: str
    policy: str
    earlier: bool

    @property
    def lost(self) -> bool:
        """Will it take another call to bring the run to its end?"""
        return self.victim in LOST

    def __str__(self) -> str:
        at = f"{self.part:.2f}" if self.moment == "part" else f"{self.moment} + {self.late_s * 1000:.1f} ms"
        earlier = "; saved before" if self.earlier else ""
        return f"#{self.number} {self.victim} at {at} of {self.output}, {self.phase}; {self.policy}{earlier}"


def draw(seed: str, number: int) -> Shot:
    """The shot of this number."""
    dice = random.Random(f"{seed}/{number}")
    # Every fourth: these take longest, so that workers share them.
    phase = WHILE_IT_RUNS if number % 4 == 0 else LAST_SAVE
    return Shot(
        number=number,
        victim=_one_of(dice, VICTIMS),
        phase=phase,
        moment=_one_of(dice, MOMENTS),
        part=dice.uniform(0.0, 1.4),
        late_s=0.0001 * (1000.0 ** dice.random()),
        output="out" if phase == WHILE_IT_RUNS or dice.random() < 0.7 else "model",
        policy=_one_of(dice, POLICIES),
        earlier=dice.random() < 0.5,
    )


def _one_of(dice: random.Random, weights: dict[str, int]) -> str:
    return dice.choices(list(weights), list(weights.values()))[0]
