"""The catalogue as typed rows, and the questions asked of it. Pure: load.py does the reading.

Sizes are bytes, bandwidth is GB/s (10^9), rates are Colab compute units an hour, dates are ISO
texts. None is "no figure that we trust"; 0 is a known nothing.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from launcher.probes.model import PlatformKind
from launcher.values import Known, Reading, Unknown
from launcher.words import Words, words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from launcher.probes.model import RuntimeFacts
    from launcher.release.interface import ReleaseTiming

# A card whose name fits but which has less memory than this share of the row is another product (an
# 8 GB RTX 3060, a vGPU profile of an A100), not a member of the class.
_LEAST_MEMORY_SHARE = 0.9
# How far the RAM of a machine may lie from a row for the row to be recognised by its RAM alone.
_RAM_TOLERANCE = 0.05
# Rates move by 10 to 60 % within a year.
STALE_AFTER_DAYS = 180
# Who gets a runtime, from anybody to subscribers; what a plan allows, those before it allow too.
PLAN_LEVELS = ("free", "paid", "subscription")


@dataclass(frozen=True, slots=True)
class Cover:
    """`name` may be used where the row that lists it stands; `reason` defends what is worse on paper."""

    name: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Accelerator:
    """One class of GPU.

    `patterns` are regular expressions for the whole NVML name, `memory_bytes` is the total that the
    driver reports, `bf16_tflops` the dense tensor rate (0: no such hardware).
    """

    name: str
    family: str | None
    aliases: tuple[str, ...]
    patterns: tuple[re.Pattern[str], ...]
    memory_bytes: int
    compute_capability: tuple[int, int]
    bandwidth_gb_s: float | None
    bf16_tflops: float | None
    covers: tuple[Cover, ...]
    source: str
    checked: str


@dataclass(frozen=True, slots=True)
class Runtime:
    """One runtime that a person can choose on a platform.

    `gpu` is a class of accelerators.yaml (None: no GPU), `tpu` the TPU's name or None,
    `menu_accelerator` the caption in the menu, `checked` the date of `units_per_hour`, `plan` one of
    PLAN_LEVELS, `disk_free_bytes` what a new one has free. `own_rate`: the user's figure, not
    ours; `stale`: an old one (see Platform.as_of).
    """

    key: str
    title: str
    gpu: str | None
    tpu: str | None
    ram_bytes: int | None
    gpu_memory_bytes: int | None
    units_per_hour: float | None
    checked: str | None
    confidence: str
    high_ram: bool
    menu_accelerator: str
    plan: str = "paid"
    tpu_memory_bytes: int | None = None
    disk_bytes: int | None = None
    disk_free_bytes: int | None = None
    cpus: float | None = None
    shape_source: str = ""
    units_source: str = ""
    own_rate: bool = False
    stale: bool = False

    @property
    def label(self) -> Words | str:
        """`T4`, `T4 with High-RAM`."""
        return words("{runtime} with High-RAM", runtime=self.title) if self.high_ram else self.title


@dataclass(frozen=True, slots=True)
class Retired:
    """Hardware that is gone from the menu; `instead` is the key of the row to choose today."""

    key: str
    title: str
    gpu: str | None
    tpu: str | None
    instead: str
    source: str


@dataclass(frozen=True, slots=True)
class UnitPrice:
    """What one compute unit costs in US dollars, when bought without a subscription."""

    usd: float
    source: str
    checked: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A way to pay. `allows` is one of PLAN_LEVELS; `longest_s` how old a runtime may get, None where no

    figure is published; `background`: the notebook goes on when its tab is closed.
    """

    key: str
    name: str
    usd: float
    units: float
    per: str
    allows: str
    longest_s: float | None
    background: bool

    def gets(self, runtime: Runtime) -> bool:
        """Whether this plan may choose `runtime`, as far as there are any."""
        return PLAN_LEVELS.index(runtime.plan) <= PLAN_LEVELS.index(self.allows)


@dataclass(frozen=True, slots=True)
class Label:
    """A caption of the platform's menu, in English and in the languages in which somebody saw it.

    A translation chooses by the format: `{label:zh-TW}` is the caption there, with the English one in
    brackets, because a browser and a terminal may speak different languages. `seen` is the day of the
    material that shows it; `unsure` names the languages in which it was inferred.
    """

    english: str
    local: tuple[tuple[str, str], ...]
    seen: str
    unsure: tuple[str, ...] = ()

    def __format__(self, language: str) -> str:
        there = dict(self.local).get(language)
        return self.english if there is None else f"{there} ({self.english})"

    @property
    def words(self) -> Words:
        """As a sentence says it."""
        return words("{label:en}", label=self)


@dataclass(frozen=True, slots=True)
class MenuLabels:
    """Where to click. Paths are written with `>`."""

    change_runtime: Label
    accelerator: Label
    shape: Label
    high_ram: Label
    disconnect: Label
    sessions: Label
    resources: Label
    restart: Label
    interrupt: Label
    feedback: Label


@dataclass(frozen=True, slots=True)
class Links:
    """Where to go for what this program cannot do; `billing` is an address for mail."""

    plans: str
    more: str
    limits: str
    billing: str


@dataclass(frozen=True, slots=True)
class Platform:
    """A platform that rents out runtimes."""

    key: str
    title: str
    unit_price: UnitPrice
    plans: tuple[Plan, ...]
    units_expire_s: float
    links: Links
    menu: MenuLabels
    release: ReleaseTiming
    runtimes: tuple[Runtime, ...]
    retired: tuple[Retired, ...] = ()
    engines: tuple[str, ...] = ()

    def usd_per_hour(self, runtime: Runtime) -> float | None:
        """What an hour of `runtime` costs in US dollars; None where no rate is known."""
        if runtime.units_per_hour is None:
            return None
        return runtime.units_per_hour * self.unit_price.usd

    def runtime(self, key: str) -> Runtime | None:
        """The row of this key; letter case does not count."""
        return next((row for row in self.runtimes if row.key == key.strip().lower()), None)

    def plan(self, key: str) -> Plan | None:
        """The plan of this key; letter case does not count."""
        return next((plan for plan in self.plans if plan.key == key.strip().lower()), None)

    def has_two_shapes(self, runtime: Runtime) -> bool:
        """Does the menu offer the same accelerator with High-RAM and without?"""
        same = [row for row in self.runtimes if row.menu_accelerator == runtime.menu_accelerator]
        return len({row.high_ram for row in same}) == 2

    def as_of(self, today: datetime.date) -> Platform:
        """The same, with rates that are older than 180 days marked as stale."""
        rows = tuple(replace(row, stale=_is_stale(row.checked, today)) for row in self.runtimes)
        return replace(self, runtimes=rows)

    def with_rates(self, rates: Mapping[str, tuple[float, str]]) -> Platform:
        """The same with a user's figures: units an hour and the day they were read, by the row's key."""
        rows = tuple(
            replace(
                row,
                units_per_hour=rates[row.key][0],
                checked=rates[row.key][1],
                confidence="high",
                units_source="recorded with `colab-run rates set`",
                own_rate=True,
            )
            if row.key in rates
            else row
            for row in self.runtimes
        )
        return replace(self, runtimes=rows)


@dataclass(frozen=True, slots=True)
class Place:
    """Somewhere without a menu that we know: nothing there is priced or offered.

    `engines` are others to give a job to.
    """

    key: str
    title: str
    engines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Catalog:
    """Everything that `configs/` says."""

    accelerators: tuple[Accelerator, ...]
    colab: Platform
    places: tuple[Place, ...] = ()

    def place(self, kind: PlatformKind) -> Place | None:
        """Where advice comes from without a menu: Kaggle's own file, or that of any other machine."""
        key = kind.value if kind is PlatformKind.KAGGLE else "generic"
        return next((place for place in self.places if place.key == key), None)

    def as_of(self, today: datetime.date) -> Catalog:
        """The same, with old rates marked."""
        return replace(self, colab=self.colab.as_of(today))

    def accelerator(self, name: str) -> Accelerator:
        """The row of the class `name`. Raises KeyError."""
        for row in self.accelerators:
            if row.name == name:
                return row
        raise KeyError(name)

    def class_names(self) -> tuple[str, ...]:
        """Every name that `gpu:` accepts, in canonical spelling: classes and families."""
        names: dict[str, None] = {}
        for row in self.accelerators:
            if row.family is not None:
                names[row.family] = None
            names[row.name] = None
        return tuple(names)

    def canonical(self, text: str) -> str | None:
        """The canonical spelling of a class, family or alias; letter case and `- _` do not count."""
        wanted = _plain(text)
        spellings = {_plain(alias): row.name for row in self.accelerators for alias in row.aliases}
        spellings.update({_plain(name): name for name in self.class_names()})
        return spellings.get(wanted)

    def accepted_names(self) -> tuple[str, ...]:
        """What a job file may call a class: `class_names` and other names that people use."""
        return (*self.class_names(), *(alias for row in self.accelerators for alias in row.aliases))

    def members(self, name: str) -> tuple[str, ...]:
        """The classes that a name stands for: those of a family, or the class itself. Raises KeyError."""
        family = tuple(row.name for row in self.accelerators if row.family == name)
        return family or (self.accelerator(self.canonical(name) or name).name,)

    def covering(self, name: str, *, exact: bool = False) -> frozenset[str]:
        """The classes that may stand where `name` is asked for, itself included.

        `exact` allows the members of `name` only. Raises KeyError for a name that is not listed.
        """
        accepted = set(self.members(name))
        grows = not exact
        while grows:
            better = {
                row.name
                for row in self.accelerators
                if row.name not in accepted and any(cover.name in accepted for cover in row.covers)
            }
            accepted |= better
            grows = bool(better)
        return frozenset(accepted)

    def classify(self, nvml_name: str, memory_bytes: int | None) -> Reading[str]:
        """The class of a GPU by the name that NVML gives and, where names are shared, by memory.

        `Unknown("unlisted-gpu")` when no row fits, `Unknown("memory-unknown")` when only the memory
        could tell which of several rows it is.
        """
        rows = [row for row in self.accelerators if any(p.fullmatch(nvml_name) for p in row.patterns)]
        if memory_bytes is not None:
            rows = [row for row in rows if memory_bytes >= row.memory_bytes * _LEAST_MEMORY_SHARE]
        if not rows:
            return Unknown("unlisted-gpu")
        if len(rows) > 1 and memory_bytes is None:
            return Unknown("memory-unknown")
        return Known(max(rows, key=lambda row: row.memory_bytes).name)

    def runtime_for(self, facts: RuntimeFacts) -> Runtime | None:
        """The Colab runtime that a managed machine is: by its TPU, or its GPU's class and the nearest RAM."""
        if not facts.platform.managed or facts.platform.kind is not PlatformKind.COLAB:
            return None
        if isinstance(facts.tpu, Unknown):
            return None
        if facts.tpu.value is not None:
            return next((row for row in self.colab.runtimes if row.tpu == facts.tpu.value), None)
        gpus = facts.gpu.gpus
        if isinstance(gpus, Unknown) or len(gpus.value) > 1:
            return None
        gpu_class = None
        if gpus.value:
            reading = gpus.value[0].class_name
            if isinstance(reading, Unknown):
                return None
            gpu_class = reading.value
        candidates = [row for row in self.colab.runtimes if row.gpu == gpu_class and row.tpu is None]
        if gpu_class is not None and len(candidates) == 1:
            return candidates[0]
        ram = facts.host.ram_total_bytes
        return None if isinstance(ram, Unknown) else _nearest_by_ram(candidates, ram.value)

    def tpu_memory_bytes(self, name: str) -> int | None:
        """The memory of a TPU, which no driver reports here."""
        return next((row.tpu_memory_bytes for row in self.colab.runtimes if row.tpu == name), None)


def _is_stale(checked: str | None, today: datetime.date) -> bool:
    return checked is not None and (today - datetime.date.fromisoformat(checked)).days > STALE_AFTER_DAYS


def _nearest_by_ram(rows: Sequence[Runtime], ram_bytes: int) -> Runtime | None:
    def distance(row: Runtime) -> float:
        return abs((row.ram_bytes or 0) - ram_bytes)

    nearest = min(rows, key=distance, default=None)
    if nearest is None or nearest.ram_bytes is None:
        return None
    return nearest if distance(nearest) <= nearest.ram_bytes * _RAM_TOLERANCE else None


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).casefold()
