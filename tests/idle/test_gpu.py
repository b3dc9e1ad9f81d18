"""What shows that a GPU is alive, what shows that it is not, and what shows neither."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from launcher.idle.model import Life, Moment
from launcher.idle.signals.gpu import GpuSignal
from launcher.values import Known, Reading, Unknown

if TYPE_CHECKING:
    from launcher.idle.interface import Signal

PERIOD = 15.0
MIB = 1 << 20
GONE = {"unknown": "not-supported"}


def entries(busy: int = 0, *, seen: int = 90, percent: int = 30, at: int | None = None) -> dict[str, Any]:
    """A buffer's totals; the last busy entry is another one for each count of them."""
    busy_at = at if at is not None else 1000 + busy if busy else None
    figures = {"seen": seen, "busy": busy, "percent": busy * percent, "highest": percent if busy else 0}
    return {"known": figures | {"busy_at": busy_at}}


def row(index: int = 0, **fields: Any) -> dict[str, Any]:
    """A quiet T4 that draws 10 W, but for `fields`; a plain value is a known one."""
    quiet: dict[str, Any] = {
        "reader": {"plain": 7},
        "uuid": f"GPU-{index}",
        "mig": False,
        "energy_mj": GONE,
        "samples": entries(),
        "uses": entries(),
        "polled": {"now": 0, "busy": 0},
        "memory": {"used": 300 * MIB, "moved": 0},
        "processes": {"list": [[42, {"known": 300 * MIB}]], "changes": 0},
        "power_w": 10.0,
    }
    filled = quiet | fields
    named = {
        name: value if isinstance(value, dict) and value.keys() & {"known", "unknown"} else {"known": value}
        for name, value in filled.items()
        if name != "reader"
    }
    reader = filled["reader"]
    return {"index": index, "reader": reader["plain"] if isinstance(reader, dict) else reader, **named}


def taken(*readings: Reading[Any] | list[dict[str, Any]]) -> list[Reading[Life] | None]:
    """What the signal says of these readings, one a period from 100 s on; a list is a known one."""
    signal: Signal = GpuSignal(PERIOD)
    said = []
    for number, reading in enumerate(readings):
        at = 100 + number * PERIOD
        known = Known(reading) if isinstance(reading, list) else reading
        said.append(signal.take(known, Moment(at, at, at)))
    return said


def life_of(said: Reading[Life] | None) -> Life:
    assert isinstance(said, Known), said
    return said.value


# (row before, row after, what is said)
ALIVE = {
    "a sample of the driver's": (row(), row(samples=entries(1)), "GPU 0: 30 % for a moment, 10 W"),
    "most samples": (row(), row(samples=entries(90, seen=180, percent=97)), "GPU 0: 97 %, 10 W"),
    "a process": (row(samples=GONE), row(samples=GONE, uses=entries(1)), "GPU 0: 30 % by a process, 10 W"),
    "the poll": (row(), row(polled={"now": 4, "busy": 1}), "GPU 0: 4 %, 10 W"),
    "a poll in a sample that was lost": (row(), row(polled={"now": 0, "busy": 1}), "GPU 0: 0 %, 10 W"),
    "more memory": (
        row(),
        row(memory={"used": 301 * MIB, "moved": MIB}),
        "GPU 0: memory in use now 315.6 MB, 10 W",
    ),
    "memory that came and went": (
        row(),
        row(memory={"used": 300 * MIB, "moved": 2 * MIB}),
        "GPU 0: memory in use now 314.6 MB, 10 W",
    ),
    "another process": (
        row(),
        row(processes={"list": [[43, GONE]], "changes": 1}),
        "GPU 0: other processes on it, 10 W",
    ),
    "a process that came and went": (
        row(),
        row(processes={"list": [[42, GONE]], "changes": 2}),
        "GPU 0: other processes on it, 10 W",
    ),
    "another GPU in its place": (row(), row(uuid="GPU-X"), "GPU 0: another GPU, 10 W"),
    "an energy counter that runs backwards": (
        row(energy_mj=5000),
        row(energy_mj=4999),
        "GPU 0: its counters began anew",
    ),
    "totals that run backwards": (
        row(samples=entries(9, at=5)),
        row(samples=entries(3, at=5)),
        "GPU 0: 30 % for a moment, 10 W",
    ),
    "a sample that another reader found": (
        row(samples=entries(9)),
        row(reader=8, samples=entries(1, at=2000)),
        "GPU 0: 30 % for a moment, 10 W",
    ),
    "memory of another size for another reader": (
        row(memory={"used": 300 * MIB, "moved": 0}),
        row(reader=8, memory={"used": 200 * MIB, "moved": 0}),
        "GPU 0: memory in use now 209.7 MB, 10 W",
    ),
    "most samples of another reader": (
        row(samples=entries(900, seen=900)),
        row(reader=8, samples=entries(80, seen=99, percent=50)),
        "GPU 0: 40 %, 10 W",
    ),
    "other processes for another reader": (
        row(),
        row(reader=8, processes={"list": [], "changes": 0}),
        "GPU 0: other processes on it, 10 W",
    ),
    "memory that moved less than before": (
        row(memory={"used": 300 * MIB, "moved": 9}),
        row(memory={"used": 300 * MIB, "moved": 8}),
        "GPU 0: memory in use now 314.6 MB, 10 W",
    ),
    "a buffer that can be read again": (
        row(samples=GONE),
        row(samples=entries(1)),
        "GPU 0: 30 % for a moment, 10 W",
    ),
    "memory in MIG mode": (
        row(samples=entries(), uses=GONE, polled=GONE),
        row(samples=GONE, uses=GONE, polled=GONE, memory={"used": 900 * MIB, "moved": 600 * MIB}),
        "GPU 0: memory in use now 943.7 MB, 10 W",
    ),
}


@pytest.mark.parametrize("name", ALIVE)
def test_what_shows_life(name: str) -> None:
    """Each of them is life at the moment of the reading, and says which GPU and what was seen."""
    before, after, detail = ALIVE[name]
    first, then = taken([before], [after])
    assert life_of(first).last_alive == 100
    assert life_of(then).last_alive == 115
    assert str(life_of(then).detail) == detail


QUIET = {
    "nothing new": (row(), row()),
    "an old load": (
        row(samples=entries(9), uses=entries(3), polled={"now": 0, "busy": 4}),
        row(samples=entries(9, seen=180), uses=entries(3), polled={"now": 0, "busy": 4}),
    ),
    "memory of a few KiB": (row(), row(memory={"used": 300 * MIB + 4096, "moved": 4096})),
    "another reader that finds the last samples again": (
        row(
            samples=entries(9, at=1000), memory={"used": 5, "moved": 900 * MIB}, polled={"now": 0, "busy": 4}
        ),
        row(reader=8, samples=entries(2, at=1000), memory={"used": 5, "moved": 0}),
    ),
    "another reader that finds none": (row(samples=entries(9)), row(reader=8)),
    "the poll alone": (row(samples=GONE, uses=GONE), row(samples=GONE, uses=GONE)),
    "processes alone": (row(samples=GONE, polled=GONE), row(samples=GONE, polled=GONE)),
    "nothing but the samples": (
        row(uses=GONE, polled=GONE, memory=GONE, processes=GONE, power_w=GONE, uuid=GONE),
        row(uses=GONE, polled=GONE, memory=GONE, processes=GONE, power_w=GONE, uuid=GONE),
    ),
}


@pytest.mark.parametrize("name", QUIET)
def test_what_shows_none(name: str) -> None:
    """Quiet by what can be read; the last life is still the first reading's."""
    first, then = taken([QUIET[name][0]], [QUIET[name][1]])
    assert life_of(first).last_alive == life_of(then).last_alive == 100


def test_a_quiet_gpu_says_what_it_does() -> None:
    """Percent and watts, of each GPU."""
    said = taken([row(), row(1, power_w=61.4)], [row(), row(1, power_w=61.4)])
    assert str(life_of(said[-1]).detail) == "GPU 0: 0 %, 10 W; GPU 1: 0 %, 61 W"


def test_a_field_that_was_unreadable_for_a_while() -> None:
    """It is a total: what it shows is compared with what it showed before."""
    said = taken([row()], [row(memory=GONE)], [row(memory={"used": 0, "moved": 300 * MIB})])
    assert [life_of(one).last_alive for one in said] == [100, 100, 130]


def energies(*watts: float, begin: float = 5e6) -> list[list[dict[str, Any]]]:
    """Readings of a GPU that drew so many watts on average between them."""
    total, readings = begin, [[row(energy_mj=round(begin))]]
    for one in watts:
        total += one * PERIOD * 1000
        readings.append([row(energy_mj=round(total))])
    return readings


@pytest.mark.parametrize(
    ("watts", "alive"),
    [
        ((10, 10, 10), False),
        ((10, 10, 24), False),
        ((10, 10, 26), True),
        ((200, 200, 220), False),
        ((200, 200, 235), True),
        ((70, 70, 70), False),
        ((70, 10, 10), False),
        # A context has been opened, and is kept open: after a while this is what quiet looks like.
        ((10, 10, *[28] * 9), False),
        # There is nothing to compare with yet.
        ((300,), False),
    ],
)
def test_power_above_the_quiet_level(watts: tuple[float, ...], alive: bool) -> None:
    """The mean of an interval counts when it is 15 W and 15 % above what the GPU draws when it is quiet."""
    said = taken(*energies(*watts))
    now = 100 + len(watts) * PERIOD
    assert (life_of(said[-1]).last_alive == now) == alive
    if alive:
        figures = f"{watts[-1]} W, when quiet {watts[0]} W"
        assert str(life_of(said[-1]).detail) == f"GPU 0: {figures}"


def test_power_after_work_is_compared_with_a_new_level() -> None:
    """A GPU that stays in a higher state after work is quiet in it; only the work was life."""
    work = [row(energy_mj=5_000_000 + 450_000 + 900_000, samples=entries(1))]
    after = [
        [row(energy_mj=6_350_000 + 420_000 * number, samples=entries(1))] for number in range(1, 4)
    ]  # 28 W
    said = taken(*energies(10, 10, 10), work, *after)
    assert life_of(said[-1]).last_alive == 160


def test_energy_of_a_sample_that_was_lost() -> None:
    """Two intervals in one show as much as the one with the load did, however it is thinned out."""
    whole = energies(10, 10, 26, 10)
    assert life_of(taken(*whole)[3]).last_alive == 145
    signal = GpuSignal(PERIOD)
    for number in (0, 1, 2, 4):
        at = 100 + number * PERIOD
        said = signal.take(Known(whole[number]), Moment(at, at, at))
    assert life_of(said).last_alive == 160


def test_energy_alone_does_not_show_quiet() -> None:
    """As in MIG mode: power, memory and processes show life, and never that there is none."""
    blind = {"samples": GONE, "uses": GONE, "polled": GONE}
    rows = [one[0] | blind for one in energies(10, 10, 10, 90)]
    said = taken(*([one] for one in rows))
    assert said[:4] == [Unknown("not-supported")] * 4
    assert life_of(said[4]).last_alive == 160


def test_one_gpu_that_is_alive_is_enough() -> None:
    """Another one may be quiet, or unreadable."""
    lost = {name: {"unknown": "gpu-lost"} for name in row() if name not in ("index", "reader")}
    quiet, busy = row(), row(1, samples=entries(1))
    assert str(life_of(taken([quiet, row(1)], [quiet, busy])[1]).detail) == "GPU 1: 30 % for a moment, 10 W"
    said = taken([row() | lost, row(1)], [row() | lost, busy], [row() | lost, busy], [row(), busy])
    assert said[0] == said[2] == Unknown("gpu-lost")
    assert life_of(said[1]).last_alive == 115
    assert life_of(said[3]).last_alive == 145


def test_no_gpu() -> None:
    """A machine that is known to have none has no row; one that had some has lost them."""
    assert taken([], []) == [None, None]
    assert taken([row()], [])[1] == Unknown("gpu-lost")
    assert life_of(taken([], [row()])[1]).last_alive == 115


def test_one_of_two_that_vanishes() -> None:
    """It may work where nobody sees it: unknown for as long as it lasts, whatever of the other is quiet."""
    both = [row(), row(1)]
    said = taken(both, both, [row()], [row()], [row(samples=entries(1))], [row(samples=entries(1))])
    assert said[2] == said[3] == said[5] == Unknown("gpu-lost")
    assert life_of(said[4]).last_alive == 160
    said = taken(both, [row()], both, both)
    assert said[1] == Unknown("gpu-lost")
    assert life_of(said[2]).last_alive == life_of(said[3]).last_alive == 130


def test_after_not_knowing() -> None:
    """The first reading after it is the end of that while: what went on meanwhile nobody saw."""
    said = taken([row()], [row()], Unknown("timeout"), Unknown("timeout"), [row()], [row()])
    assert said[2] == said[3] == Unknown("timeout")
    assert [life_of(said[number]).last_alive for number in (0, 1, 4, 5)] == [100, 100, 160, 160]


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        "x",
        {},
        [None],
        [[]],
        [{}],
        [{"index": 0}],
        [row() | {"index": "0"}],
        [row() | {"samples": None}],
        [row() | {"samples": {"known": {"seen": 1}}}],
        [row() | {"energy_mj": {"known": -1}}],
        [row() | {"energy_mj": {"known": 10**400}}],
        [row() | {"processes": {"known": {"list": [7], "changes": 0}}}],
        [row() | {"memory": {"known": [1, 2]}}],
        [row() | {"power_w": {"known": "x"}}],
    ],
)
def test_what_makes_no_sense(value: Any) -> None:
    """It is unknown, and leaves nothing behind in what is known."""
    said = taken([row(samples=entries(1))], Known(value), [row(samples=entries(1))])
    assert said[1] == Unknown("nonsense")
    assert life_of(said[2]).last_alive == 130


def some_day(seed: int) -> list[Reading[Any]]:
    """What a reader may say of one GPU in a day of forty readings; now and then another reader, or none."""
    chance = random.Random(seed)
    total = dict.fromkeys(("seen", "samples", "uses", "polled", "moved", "changes"), 0)
    reader, at, day = 1, 0, []
    for _ in range(40):
        total["seen"] += 90
        if chance.random() < 0.05:
            reader, total = reader + 1, dict.fromkeys(total, 0)
        now = 0
        for name in chance.sample(list(total), chance.choice([0, 0, 0, 1, 2])):
            total[name] += chance.randrange(3) * (MIB if name == "moved" else 1)
            at += name == "samples"
            now = 5 * (name == "polled")
        if chance.random() < 0.05:
            day.append(Unknown("timeout"))
            continue
        fields: dict[str, Any] = {
            "reader": reader,
            "samples": entries(total["samples"], seen=total["seen"], at=at or None),
            "uses": entries(total["uses"]),
            "polled": {"now": now, "busy": total["polled"] + (now > 0)},
            "memory": {"used": 0, "moved": total["moved"]},
            "processes": {"list": [], "changes": total["changes"]},
        }
        for name in ("samples", "uses", "polled"):
            if chance.random() < 0.05:
                fields[name] = GONE
        day.append(Known([row(**fields)]))
    return day


@pytest.mark.parametrize("seed", range(60))
def test_a_sample_that_is_lost_loses_no_life(seed: int) -> None:
    """Without any one that says something the last life is never earlier; and life never goes back."""
    day = [*some_day(seed), Known([row(reader=99)])]

    def answers(without: int = -1) -> list[Reading[Life] | None]:
        signal = GpuSignal(PERIOD)
        moments = [Moment(float(number), float(number), float(number)) for number in range(len(day))]
        pairs = [pair for number, pair in enumerate(zip(day, moments, strict=True)) if number != without]
        return [signal.take(reading, moment) for reading, moment in pairs]

    whole = answers()
    lives = [said.value.last_alive for said in whole if isinstance(said, Known)]
    assert lives == sorted(lives)
    for number, said in enumerate(whole[:-1]):
        if isinstance(said, Known):
            assert life_of(answers(number)[-1]).last_alive >= lives[-1], number


def test_what_counts() -> None:
    """One sentence with the figures."""
    assert str(GpuSignal(PERIOD).counts) == (
        "any work of a GPU, its memory changing by 1 MiB, other processes on it, "
        "or 15 W and 15 % more power than when it is quiet"
    )
