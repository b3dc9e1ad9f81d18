"""Which of the GPUs that would do a job gets: the freest that nobody has. Pure and small, for guards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection


@dataclass(frozen=True, slots=True)
class Chosen:
    """The GPUs of the job by UUID, in the driver's order.

    `visible` is for CUDA_VISIBLE_DEVICES; None: it stays as it was.
    """

    uuids: tuple[str, ...]
    visible: str | None


@dataclass(frozen=True, slots=True)
class TooFew:
    """`free` GPUs would do and are nobody's, of `wanted`; `taken` would do too, but somebody has them.

    No `taken`: the job may see only `free` that would do, and no time changes that.
    """

    wanted: int
    free: int
    taken: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AsItIs:
    """It is not certain which GPUs the job would see: nothing is chosen, nothing changed."""

    reason: str


@dataclass(frozen=True, slots=True)
class Wish:
    """What a job asks for: `ways` to meet it, each as (how many, which would do, the freest first).

    `seen` are all GPUs that the job may see, by UUID in the driver's order.
    """

    ways: tuple[tuple[int, tuple[str, ...]], ...]
    seen: tuple[str, ...]


def pick(wish: Wish, taken: Collection[str]) -> Chosen | TooFew:
    """The GPUs that meet the wish without those that are `taken`: by the first way that can be had.

    Where none can, TooFew is of the way that lacks the fewest; of one that nobody's end would open only
    where there is no other.
    """
    short: TooFew | None = None
    hopeless: TooFew | None = None
    for wanted, able in wish.ways:
        free = [uuid for uuid in able if uuid not in taken]
        if len(free) >= wanted:
            uuids = tuple(sorted(free[:wanted], key=wish.seen.index))
            # Some libraries read the variable as numbers: it is changed only where it has to be.
            return Chosen(uuids, None if len(uuids) == len(wish.seen) else ",".join(uuids))
        few = TooFew(wanted, len(free), tuple(uuid for uuid in wish.seen if uuid in able and uuid in taken))
        if len(able) < wanted:
            hopeless = hopeless or TooFew(wanted, len(able), ())
        elif short is None or wanted - len(free) < short.wanted - short.free:
            short = few
    return short or hopeless or TooFew(1, 0, ())
