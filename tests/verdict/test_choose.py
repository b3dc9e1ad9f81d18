"""Which GPUs a job gets, on machines of eight, against an oracle that tries every set there is."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from helpers import catalogs
from launcher.spec.model import GpuAny, GpuClasses, GpuClassOption, GpuProperties
from launcher.values import Known, Unknown
from launcher.verdict.choose import AsItIs, Chosen, TooFew, choose
from launcher.verdict.rows import gpu_of

if TYPE_CHECKING:
    from launcher.probes.model import Gpu

CATALOG = catalogs.shipped()
A100 = gpu_of(CATALOG.accelerator("A100-40GB"))
T4 = gpu_of(CATALOG.accelerator("T4"))
MIB = 1 << 20
TOTAL = 15_000 * MIB


def uuid(index: int) -> str:
    # The first letters tell them apart only in part: "GPU-0" is four of them.
    return f"GPU-{index // 4}{index}aaaa-0000"


def machine(rng: random.Random, *, mixed: bool = False) -> list[Gpu]:
    return [
        replace(
            A100 if mixed and index % 2 else T4,
            index=index,
            uuid=Known(uuid(index)),
            mig=Known(False),
            memory_total_bytes=Known(TOTAL),
            memory_free_bytes=Known(TOTAL - rng.choice((0, 0, 300, 4000)) * MIB),
            utilisation_percent=Known(rng.choice((0, 0, 50, 99))),
        )
        for index in range(8)
    ]


def inherited(rng: random.Random) -> tuple[str | None, list[int]]:
    """A value of CUDA_VISIBLE_DEVICES, made from the GPUs that a program then sees."""
    seen = rng.sample(range(8), rng.randrange(9))
    numbers = ",".join(map(str, seen))
    return rng.choice(
        (
            (None, list(range(8))),
            (numbers, seen),
            (", ".join(map(uuid, seen)), seen),
            (",".join(f"GPU-{index // 4}{index}" for index in seen), seen),
            (f"{numbers},-1,7" if seen else "-1,7", seen),
            (f"{numbers},8,0" if seen else "8,0", seen),
            (",".join([*map(uuid, seen), "GPU-1", uuid(0)]), seen),  # not one GPU's name only: the end
            ("", []),
            ("-1", []),
        )
    )


def oracle(
    gpus: list[Gpu], seen: list[int], able: list[int], taken: set[str], wanted: int
) -> list[str] | None:
    """Of all sets of free GPUs that would do the one that is least in use."""

    def use(group: tuple[int, ...]) -> list[tuple[int, int, int]]:
        return sorted(
            (TOTAL - gpus[index].memory_free_bytes.value, gpus[index].utilisation_percent.value, index)  # type: ignore[union-attr]
            for index in group
        )

    free = [index for index in seen if index in able and uuid(index) not in taken]
    groups = list(itertools.combinations(sorted(free), wanted))
    return [uuid(index) for index in min(groups, key=use)] if groups else None


@pytest.mark.parametrize("seed", range(200))
def test_the_freest_that_it_may_see_and_nobody_has(seed: int) -> None:
    rng = random.Random(seed)
    mixed = rng.random() < 0.4
    gpus, (visible, seen) = machine(rng, mixed=mixed), inherited(rng)
    taken = {uuid(index) for index in rng.sample(range(8), rng.choice((0, 0, 2, 5)))}
    wanted = rng.choice((1, 1, 2, 4, 8))
    able = [1, 3, 5, 7] if mixed else list(range(8))
    request = (
        GpuClasses((GpuClassOption("A100-40GB", exact=False, count=wanted),)) if mixed else GpuAny(wanted)
    )
    found = choose(
        request=request,
        gpus=gpus,
        catalog=CATALOG,
        visible=visible,
        device_order="PCI_BUS_ID",
        taken=taken,
    )
    expected = oracle(gpus, seen, able, taken, wanted)
    if expected is None:
        doing = [index for index in seen if index in able]
        there = {uuid(index) for index in doing} & taken
        if len(doing) < wanted:  # Nobody's end would change that.
            assert found == TooFew(wanted, len(doing), ())
        else:
            assert found == TooFew(wanted, len(doing) - len(there), tuple(sorted(there)))
    else:
        whole = len(expected) == len(seen)
        assert found == Chosen(tuple(expected), None if whole else ",".join(expected))


def chosen(gpus: list[Gpu], visible: str | None, *, order: str = "", taken: tuple[str, ...] = ()) -> object:
    return choose(
        request=GpuAny(1), gpus=gpus, catalog=CATALOG, visible=visible, device_order=order, taken=taken
    )


QUIET = [
    replace(gpu, memory_free_bytes=Known(TOTAL), utilisation_percent=Known(0))
    for gpu in machine(random.Random(1))
]
MIXED = [replace(gpu, memory_free_bytes=Known(TOTAL)) for gpu in machine(random.Random(1), mixed=True)]


@pytest.mark.parametrize(
    ("gpus", "visible", "order", "reason"),
    [
        (MIXED, "0,1", "", "device-order"),
        (MIXED, "0,1", "FASTEST_FIRST", "device-order"),
        (QUIET, "0,0", "", "named-twice"),
        (QUIET, f"{uuid(0)},1", "", "mixed"),
        (QUIET, f"0,{uuid(1)}", "", "mixed"),
        (QUIET, "MIG-1234", "", "mig"),
        ([replace(QUIET[0], mig=Known(True)), *QUIET[1:]], None, "", "mig"),
        ([replace(QUIET[0], uuid=Unknown("gpu-lost")), *QUIET[1:]], None, "", "no-uuid"),
    ],
)
def test_what_is_not_certain_stays_as_it_is(gpus: list[Gpu], visible: str, order: str, reason: str) -> None:
    assert chosen(gpus, visible, order=order) == AsItIs(reason)


def test_numbers_are_certain_where_all_are_of_one_model_or_by_bus() -> None:
    assert chosen(QUIET, "5,3") == Chosen((uuid(3),), uuid(3))
    assert chosen(MIXED, "5", order="PCI_BUS_ID") == Chosen((uuid(5),), None)


def test_two_runs_one_after_the_other_never_share() -> None:
    first = chosen(QUIET, None)
    assert isinstance(first, Chosen)
    second = chosen(QUIET, None, taken=first.uuids)
    assert isinstance(second, Chosen)
    assert not set(first.uuids) & set(second.uuids)


def test_what_cannot_be_read_comes_last() -> None:
    hidden = [replace(QUIET[0], memory_free_bytes=Unknown("no-permission")), *QUIET[1:]]
    assert chosen(hidden, "0,1") == Chosen((uuid(1),), uuid(1))
    silent = [replace(QUIET[0], utilisation_percent=Unknown("not-supported")), *QUIET[1:]]
    assert chosen(silent, "0,1") == Chosen((uuid(1),), uuid(1))


def test_the_second_class_where_the_first_is_taken() -> None:
    request = GpuClasses(
        (GpuClassOption("A100-40GB", exact=True, count=2), GpuClassOption("T4", exact=True, count=1))
    )
    taken = tuple(uuid(index) for index in (1, 3, 5))
    found = choose(request=request, gpus=MIXED, catalog=CATALOG, visible=None, device_order="", taken=taken)
    assert isinstance(found, Chosen)
    assert found.uuids[0] in {uuid(index) for index in (0, 2, 4, 6)}


def test_of_what_is_missing_the_way_is_told_that_somebody_elses_end_would_open() -> None:
    """One A100 too few for ever, all T4 in use: it is the T4 that are worth waiting for."""
    request = GpuClasses(
        (GpuClassOption("A100-40GB", exact=True, count=5), GpuClassOption("T4", exact=True, count=4))
    )
    taken = tuple(uuid(index) for index in (0, 2, 4, 6))
    found = choose(request=request, gpus=MIXED, catalog=CATALOG, visible=None, device_order="", taken=taken)
    assert found == TooFew(4, 0, taken)


def test_memory_and_capability_are_looked_at() -> None:
    request = GpuProperties(count=1, compute_capability=(8, 0))
    found = choose(request=request, gpus=MIXED, catalog=CATALOG, visible=None, device_order="", taken=())
    assert isinstance(found, Chosen)
    assert int(found.uuids[0][5]) % 2 == 1
