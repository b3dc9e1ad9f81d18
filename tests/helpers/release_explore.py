"""Visit every world of the release protocol that can come of one, and hold both invariants in each."""

from __future__ import annotations

from collections import deque

from helpers.release_model import DONE, ENDED, LEASED, NEW, REFUSED, Broken, Rules, World, must, steps
from launcher.release.interface import ReleaseStatus


def explore(start: World, rules: Rules) -> int:
    """Visit every world that can come of `start`; how many there are. Raises Broken with the way there."""
    seen: dict[World, tuple[World | None, str]] = {start: (None, "")}
    before: dict[World, list[World]] = {}
    ends: list[World] = []
    waiting = deque([start])
    while waiting:
        world = waiting.popleft()
        quiet = True
        try:
            for what, after, will in steps(world, rules):
                if will:
                    quiet = False
                    before.setdefault(after, []).append(world)
                if after not in seen:
                    seen[after] = (world, what)
                    waiting.append(after)
            if quiet:
                ends.append(world)
                _check_end(world)
        except Broken as broken:
            raise Broken("\n  ".join([str(broken), *_way(seen, world)])) from None
    _check_that_all_end(seen, before, ends)
    return len(seen)


def _check_end(world: World) -> None:
    """I2: nothing has to happen any more, and what is due was accepted, or is left for the next call."""
    left_behind = any(run.lost for run in world.runs)
    for run in world.runs:
        if run.due and run.stage not in (NEW, REFUSED) and run.noted is not ReleaseStatus.KEPT:
            # What could not be prepared is told, and left to a person.
            told = run.noted is ReleaseStatus.HELD and run.stage in (ENDED, DONE)
            died_before_the_job = run.stage == LEASED and not run.acts
            must(world.accepted or left_behind or told or died_before_the_job, "I2: a release is forgotten")
        must(run.stage in (DONE, REFUSED) or left_behind or not run.acts, "I2: a guard waits for ever")
        must(run.stage != DONE or not run.due or run.noted is not None, "I2: a guard ends without a word")


def _check_that_all_end(
    seen: dict[World, tuple[World | None, str]], before: dict[World, list[World]], ends: list[World]
) -> None:
    """From every world an end can be reached by what will happen: nobody goes round in circles."""
    reached = set(ends)
    waiting = list(ends)
    while waiting:
        for world in before.get(waiting.pop(), ()):
            if world not in reached:
                reached.add(world)
                waiting.append(world)
    if len(reached) != len(seen):
        circling = next(world for world in seen if world not in reached)
        raise Broken("\n  ".join(["I2: it never ends", *_way(seen, circling)]))


def _way(seen: dict[World, tuple[World | None, str]], world: World) -> list[str]:
    way = []
    at: World | None = world
    while at is not None:
        at, what = seen[at]
        way.append(what)
    return [*way[::-1][1:], repr(world)]
