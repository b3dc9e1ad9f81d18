"""The questions that the rest of colab-run asks the catalogue."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from helpers import catalogs
from launcher.probes.model import Platform, PlatformKind, RuntimeFacts
from launcher.values import Known, Unknown
from launcher.verdict.rows import facts_of

if TYPE_CHECKING:
    from launcher.catalog.model import Runtime

CATALOG = catalogs.shipped()
RUNTIMES = {row.key: row for row in CATALOG.colab.runtimes}
MANAGED = Platform(kind=PlatformKind.COLAB, release_target="172.28.0.1:8011")


def machine(runtime: Runtime, *, ram_bytes: int | None = None, platform: Platform = MANAGED) -> RuntimeFacts:
    """A machine of that runtime."""
    facts = replace(facts_of(runtime, CATALOG), platform=platform)
    if ram_bytes is None:
        return facts
    return replace(facts, host=replace(facts.host, ram_total_bytes=Known(ram_bytes)))


def test_a_family_is_a_name_that_stands_for_its_classes() -> None:
    """`A100` is both sizes, `A100-80GB` one of them, and both can be written."""
    assert CATALOG.members("A100") == ("A100-40GB", "A100-80GB")
    assert CATALOG.members("A100-80GB") == ("A100-80GB",)
    assert {"A100", "A100-40GB", "A100-80GB", "T4"} <= set(CATALOG.class_names())
    assert len(set(CATALOG.class_names())) == len(CATALOG.class_names())


def test_exact_means_no_other_class() -> None:
    """`=A100` accepts both sizes of an A100 and nothing better."""
    assert CATALOG.covering("A100", exact=True) == {"A100-40GB", "A100-80GB"}
    assert CATALOG.covering("T4", exact=True) == {"T4"}


def test_a_name_that_is_not_listed_is_an_error() -> None:
    """The job-file reader refuses unknown classes; asking for one is a bug, not an empty answer."""
    with pytest.raises(KeyError):
        CATALOG.covering("A1000")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a100", "A100"),
        ("A100_80gb", "A100-80GB"),
        ("RTX 4090", "RTX4090"),
        ("a6000", "RTXA6000"),
        ("RTXPRO6000", "G4"),
        ("A1000", None),
        ("", None),
    ],
)
def test_spelling_is_forgiven_where_it_is_clear(text: str, name: str | None) -> None:
    """Letter case, hyphens and the names that other tools use lead to the one canonical name."""
    assert CATALOG.canonical(text) == name


def test_an_a100_without_a_size_in_its_name_needs_its_memory() -> None:
    """Where only the memory could tell two classes apart, not knowing it is unknown, not a guess."""
    assert CATALOG.classify("NVIDIA A100", None) == Unknown("memory-unknown")
    assert CATALOG.classify("NVIDIA A100-SXM4-80GB", None) == Known("A100-80GB")
    assert CATALOG.classify("Tesla T4", None) == Known("T4")


@pytest.mark.parametrize("key", [key for key, row in RUNTIMES.items() if row.tpu is None])
def test_each_runtime_is_recognised_from_its_machine(key: str) -> None:
    """GPU class and RAM say which row of the menu a managed machine is."""
    assert CATALOG.runtime_for(machine(RUNTIMES[key])) is RUNTIMES[key]


def test_ram_need_not_match_to_the_byte() -> None:
    """MemTotal of a T4 machine differs a little from one kernel to the next."""
    assert CATALOG.runtime_for(machine(RUNTIMES["t4"], ram_bytes=13_609_431_040)) is RUNTIMES["t4"]
    assert CATALOG.runtime_for(machine(RUNTIMES["t4"], ram_bytes=54_753_378_304)) is RUNTIMES["t4-highram"]


def test_a_machine_that_is_no_row_of_the_menu_is_not_given_a_rate() -> None:
    """Another RAM, a TPU of no name, several GPUs, another platform: no row, so no price that is wrong."""
    assert CATALOG.runtime_for(machine(RUNTIMES["cpu"], ram_bytes=30 * 10**9)) is None
    tpu = machine(RUNTIMES["v5e-1"])
    assert CATALOG.runtime_for(tpu) is RUNTIMES["v5e-1"]
    assert CATALOG.runtime_for(replace(tpu, tpu=Known("v9-1"))) is None
    assert CATALOG.runtime_for(replace(tpu, tpu=Unknown("tpu-type-not-told"))) is None
    elsewhere = Platform(kind=PlatformKind.PLAIN)
    assert CATALOG.runtime_for(machine(RUNTIMES["t4"], platform=elsewhere)) is None
    t4 = machine(RUNTIMES["t4"])
    assert isinstance(t4.gpu.gpus, Known)
    two = replace(t4, gpu=replace(t4.gpu, gpus=Known(t4.gpu.gpus.value * 2)))
    assert CATALOG.runtime_for(two) is None
    hidden = replace(t4, gpu=replace(t4.gpu, gpus=Unknown("timeout")))
    assert CATALOG.runtime_for(hidden) is None


def test_an_hour_in_dollars() -> None:
    """Units an hour times the price of a unit; nothing where no rate is known."""
    assert CATALOG.colab.usd_per_hour(RUNTIMES["a100-40"]) == pytest.approx(5.40 * 0.0999)
    assert CATALOG.colab.usd_per_hour(RUNTIMES["cpu-highram"]) is None
