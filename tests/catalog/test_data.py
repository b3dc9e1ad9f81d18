"""The rows that ship: what one class may stand in for is a judgement, and these are its rules."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

import pytest

from helpers import catalogs
from launcher.values import Known
from launcher.verdict.texts import rate_text

if TYPE_CHECKING:
    from launcher.catalog.model import Accelerator, Cover, Runtime

CATALOG = catalogs.shipped()
ROWS = {row.name: row for row in CATALOG.accelerators}
EDGES = [(row, cover) for row in CATALOG.accelerators for cover in row.covers]
BLACKWELL = {name for name, row in ROWS.items() if row.compute_capability >= (10, 0)}

# The name that NVML gives, its memory in MiB, the class.
SEEN_NAMES = [
    ("Tesla T4", 15360, "T4"),
    ("NVIDIA L4", 23034, "L4"),
    ("NVIDIA A100-SXM4-40GB", 40960, "A100-40GB"),
    ("A100-PCIE-40GB", 40536, "A100-40GB"),
    ("NVIDIA A100-SXM4-80GB", 81920, "A100-80GB"),
    ("NVIDIA A100 80GB PCIe", 81920, "A100-80GB"),
    ("NVIDIA A100", 40960, "A100-40GB"),
    ("NVIDIA A100", 81920, "A100-80GB"),
    ("NVIDIA H100 80GB HBM3", 81559, "H100"),
    ("NVIDIA H100 NVL", 95830, "H100"),
    ("NVIDIA H100 PCIe", 81559, "H100"),
    ("NVIDIA H200", 143771, "H200"),
    ("NVIDIA B200", 183359, "B200"),
    ("NVIDIA RTX PRO 6000 Blackwell Server Edition", 97887, "G4"),
    ("Tesla P100-PCIE-16GB", 16280, "P100"),
    ("Tesla V100-SXM2-16GB", 16160, "V100"),
    ("Tesla V100-SXM2-32GB", 32510, "V100"),
    ("NVIDIA A10", 23028, "A10"),
    ("NVIDIA A10G", 22731, "A10G"),
    ("NVIDIA A40", 46068, "A40"),
    ("NVIDIA L40S", 46068, "L40S"),
    ("NVIDIA RTX A6000", 49140, "RTXA6000"),
    ("NVIDIA RTX 6000 Ada Generation", 49140, "RTX6000Ada"),
    ("NVIDIA GeForce RTX 3060", 12288, "RTX3060"),
    ("NVIDIA GeForce RTX 4090", 24564, "RTX4090"),
    ("GeForce RTX 2080 Ti", 11264, "RTX2080Ti"),
    ("NVIDIA GeForce RTX 5090", 32607, "RTX5090"),
]
OTHER_PRODUCTS = [
    ("NVIDIA GeForce RTX 4090 Laptop GPU", 16376),
    ("NVIDIA GeForce RTX 4090 D", 24564),
    ("NVIDIA GeForce RTX 3060", 8192),
    ("NVIDIA GeForce RTX 3080 Ti", 12288),
    ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", 4864),
    ("NVIDIA A1000", 8192),
    ("NVIDIA L40", 46068),
    ("Tesla T40", 24576),
    ("Tesla K80", 11441),
    ("", 15360),
]


def edge_id(edge: tuple[Accelerator, Cover]) -> str:
    return f"{edge[0].name}-covers-{edge[1].name}"


@pytest.mark.parametrize("edge", EDGES, ids=map(edge_id, EDGES))
def test_a_class_that_covers_another_has_its_memory(edge: tuple[Accelerator, Cover]) -> None:
    """Nothing covers a class that has over 3 % more memory: the job would not fit."""
    row, cover = edge
    assert row.memory_bytes >= ROWS[cover.name].memory_bytes * 0.97


@pytest.mark.parametrize("edge", EDGES, ids=map(edge_id, EDGES))
def test_what_is_worse_on_paper_is_defended(edge: tuple[Accelerator, Cover]) -> None:
    """A figure that is worse, or that cannot be compared, has a reason beside it; nothing else has."""
    row, cover = edge
    other = ROWS[cover.name]
    figures = [
        (row.bandwidth_gb_s, other.bandwidth_gb_s),
        (row.bf16_tflops, other.bf16_tflops),
        (row.compute_capability, other.compute_capability),
    ]
    # Any rate, even one that is not known, is at least nothing.
    doubtful = [(a, b) for a, b in figures if b != 0 and (a is None or b is None or a < b)]
    assert bool(doubtful) == bool(cover.reason), f"{doubtful}, reason: {cover.reason}"


def test_no_class_covers_itself_by_a_detour() -> None:
    """Covering is an order: going up never comes back."""
    for name in ROWS:
        for better in CATALOG.covering(name) - {name}:
            assert name not in CATALOG.covering(better), f"{name} and {better} cover each other"


def test_blackwell_covers_only_blackwell() -> None:
    """Wheels built before Blackwell do not run on it, so it must be asked for by name."""
    assert {"G4", "B200", "RTX5080", "RTX5090"} == BLACKWELL
    for row, cover in EDGES:
        assert (row.name in BLACKWELL) == (cover.name in BLACKWELL), edge_id((row, cover))


@pytest.mark.parametrize(
    ("wanted", "accepted", "refused"),
    [
        ("T4", "T4 L4 V100 A100-40GB A100-80GB H100 H200 A10", "P100 G4 B200"),
        ("L4", "L4 A100-40GB A100-80GB H100 L40S", "T4 V100 A10 G4"),
        ("A100", "A100-40GB A100-80GB H100 H200", "L4 V100 G4 B200 L40S"),
        ("A100-40GB", "A100-40GB A100-80GB H100 H200", "L4 G4"),
        ("A100-80GB", "A100-80GB H100 H200", "A100-40GB G4"),
        ("H100", "H100 H200", "A100-80GB G4 B200"),
        ("P100", "P100 V100 A100-40GB H100", "T4 L4"),
        ("V100", "V100 A100-40GB", "T4 L4 P100"),
        ("G4", "G4", "H200 B200 RTX5090"),
        ("B200", "B200", "G4 H200"),
        ("RTX3090", "RTX3090 RTX4090 RTX6000Ada", "RTX3080 RTX4080 RTX5090"),
    ],
)
def test_what_stands_in_for_what(wanted: str, accepted: str, refused: str) -> None:
    """The reviewed judgement, spelled out for the classes that people ask for."""
    covering = CATALOG.covering(wanted)
    assert set(accepted.split()) <= covering
    assert covering.isdisjoint(refused.split())


@pytest.mark.parametrize(("name", "mib", "expected"), SEEN_NAMES)
def test_names_that_drivers_give_are_recognised(name: str, mib: int, expected: str) -> None:
    """Each product is its class by name, and by memory where two share a name."""
    assert CATALOG.classify(name, mib << 20) == Known(expected)


@pytest.mark.parametrize(("name", "mib"), OTHER_PRODUCTS)
def test_other_products_are_not_taken_for_a_class(name: str, mib: int) -> None:
    """A laptop GPU, a smaller variant or a slice with a similar name is unlisted, never a guess."""
    assert CATALOG.classify(name, mib << 20).reason == "unlisted-gpu"


def test_every_class_can_be_recognised() -> None:
    """No class is without a name by which a driver would show it."""
    for row in ROWS.values():
        assert row.patterns, row.name


def test_every_figure_has_a_source_and_a_date() -> None:
    """Each row says where its figures come from, and when that was looked at."""
    for row in CATALOG.accelerators:
        assert row.source
        datetime.date.fromisoformat(row.checked)
    datetime.date.fromisoformat(CATALOG.colab.unit_price.checked)
    for runtime in CATALOG.colab.runtimes:
        assert runtime.checked is None or datetime.date.fromisoformat(runtime.checked)
        assert runtime.checked is None or runtime.units_per_hour is not None, "a date of no figure"
        assert runtime.confidence in ("high", "medium", "low")


def test_colab_panel_figures() -> None:
    """The sizes in bytes are those that Colab's panel shows in GiB."""
    shown = {
        row.key: (row.ram_bytes and round(row.ram_bytes / 2**30, 1), row.gpu_memory_bytes)
        for row in CATALOG.colab.runtimes
    }
    assert shown["cpu"] == (12.7, None)
    assert shown["t4"] == (12.7, 15 * 2**30)
    assert shown["t4-highram"] == (51.0, 15 * 2**30)
    assert shown["a100-40"] == (83.5, 40 * 2**30)
    assert shown["h100"] == (None, 80 * 2**30)


def test_runtimes_hold_the_gpu_that_they_say() -> None:
    """The panel's figure of GPU memory is that of the class, within 3 %."""
    for runtime in CATALOG.colab.runtimes:
        if runtime.gpu is None or runtime.gpu_memory_bytes is None:
            assert runtime.gpu is None and runtime.gpu_memory_bytes is None
            continue
        assert runtime.gpu_memory_bytes == pytest.approx(ROWS[runtime.gpu].memory_bytes, rel=0.03)


def test_a_release_may_take_five_minutes() -> None:
    """The figures that a release goes by, as the design has them."""
    timing = CATALOG.colab.release
    assert timing.give_up_after_s == 300
    assert 0 < timing.first_wait_s <= timing.longest_wait_s < timing.give_up_after_s
    assert 0 < timing.attempt_timeout_s < timing.give_up_after_s


# --- Colab's runtimes ---------------------------------------------------------------------------------


def test_every_runtime_is_there() -> None:
    """The eleven that a person can choose; what is gone is not among them."""
    keys = "cpu cpu-highram t4 t4-highram l4 a100-40 a100-80 g4 h100 v5e-1 v6e-1"
    assert [row.key for row in CATALOG.colab.runtimes] == keys.split()
    assert [row.key for row in CATALOG.colab.retired] == ["v100", "p100", "v2-8"]


@pytest.mark.parametrize("row", CATALOG.colab.runtimes, ids=lambda row: row.key)
def test_every_figure_of_a_runtime_has_its_source(row: Runtime) -> None:
    """A rate has a source; one without a date is called low; what has no source is null."""
    assert row.shape_source
    assert bool(row.units_source) == (row.units_per_hour is not None)
    if row.units_per_hour is None or row.checked is None:
        assert row.confidence == "low"
    assert row.high_ram is False or row.plan == "subscription"
    assert row.menu_accelerator
    for size in (row.ram_bytes, row.gpu_memory_bytes, row.tpu_memory_bytes, row.disk_bytes):
        assert size is None or 10**9 < size < 10**12


def test_who_gets_what() -> None:
    """Free of charge: CPU, T4 and the small TPU. High-RAM needs a subscription."""
    rows = CATALOG.colab.runtimes
    gets = {plan.key: {row.key for row in rows if plan.gets(row)} for plan in CATALOG.colab.plans}
    assert gets["free"] == {"cpu", "t4", "v5e-1"}
    assert gets["payg"] == gets["free"] | {"l4", "a100-40", "g4", "h100", "v6e-1"}
    assert gets["pro"] == gets["pro+"] == {row.key for row in rows}


def test_captions_in_three_languages() -> None:
    """What people see, with the English beside it; a caption that nobody saw is English alone."""
    menu = CATALOG.colab.menu
    label = menu.change_runtime
    assert str(label.words) == f"{label:en}" == "Runtime > Change runtime type"
    assert f"{label:zh-TW}" == "執行階段 > 變更執行階段類型 (Runtime > Change runtime type)"
    assert f"{label:zh-CN}" == "代码执行程序 > 更改运行时类型 (Runtime > Change runtime type)"
    assert f"{menu.interrupt:zh-TW}" == "Runtime > Interrupt execution"
    assert "zh-TW" in menu.resources.unsure
    for name in menu.__slots__:
        datetime.date.fromisoformat(getattr(menu, name).seen)


@pytest.mark.parametrize(
    ("day", "stale"),
    [
        ("2026-03-10", set()),
        ("2026-09-06", set()),
        ("2026-09-07", {"l4", "a100-40", "a100-80", "g4"}),
        ("2027-03-26", {"l4", "a100-40", "a100-80", "g4"}),
        ("2027-03-27", {"cpu", "t4", "l4", "a100-40", "a100-80", "g4", "v6e-1"}),
    ],
)
def test_a_rate_of_over_180_days_ago_is_stale(day: str, stale: set[str]) -> None:
    """By the day that is passed in; a rate of no date is undated, not stale."""
    colab = CATALOG.as_of(datetime.date.fromisoformat(day)).colab
    assert {row.key for row in colab.runtimes if row.stale} == stale
    for row in colab.runtimes:
        assert ("may have changed" in str(rate_text(row, colab))) is row.stale


def test_other_places_are_known() -> None:
    """Kaggle and a machine of one's own: no menu, no price."""
    assert [place.key for place in CATALOG.places] == ["kaggle", "generic"]
