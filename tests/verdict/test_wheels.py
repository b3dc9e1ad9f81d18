"""Wheels against GPUs and drivers: what real releases of torch, JAX and TensorFlow said of themselves.

`tests/assets/wheels/recorded.json` holds the names, versions and build files of 21 real wheels.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from launcher.catalog.files import find_configs
from launcher.catalog.load import load_catalog
from launcher.catalog.wheels import load_wheels
from launcher.errors import UsageError
from launcher.probes.model import PythonFacts
from launcher.values import Known, Unknown
from launcher.verdict.model import WheelTable
from launcher.verdict.versions import normal
from launcher.verdict.wheels import (
    PACKAGES,
    Carries,
    Fault,
    Wheel,
    carries,
    judge_wheel,
    wheels_of,
)

RECORDED: dict[str, Any] = json.loads(
    (Path(__file__).parent.parent / "assets/wheels/recorded.json").read_text("utf-8")
)["wheels"]
CONFIGS = find_configs({})
TABLE = load_wheels(CONFIGS)
NEW_DRIVER = Known("580.82.07")
T4, V100, P100, A100, L4, H100, B200, G4 = (
    (7, 5), (7, 0), (6, 0), (8, 0), (8, 9), (9, 0), (10, 0), (12, 0),
)  # fmt: skip


def python_with(*names: str, **versions: str) -> PythonFacts:
    """A Python with recorded wheels, and packages of a made-up version."""
    found: dict[str, str | None] = dict.fromkeys(PACKAGES)
    builds: dict[str, str] = {}
    for name in names:
        package, version = name.split()
        assert name in RECORDED
        found[normal(package)] = version
        if RECORDED[name]["build"]:
            builds[normal(package)] = RECORDED[name]["build"]
    found.update({normal(name): version for name, version in versions.items()})
    return PythonFacts("/usr/bin/python3", "3.12.11", found, builds)


def only(python: PythonFacts) -> Wheel:
    """The one wheel for GPUs that is in this Python."""
    (wheel,) = wheels_of(python, TABLE)
    return wheel


@pytest.mark.parametrize(
    ("name", "cuda"),
    [
        ("torch 2.4.1", "12.1"),
        ("torch 2.5.1", "12.4"),
        ("torch 2.6.0", "12.4"),
        ("torch 2.7.1", "12.6"),
        ("torch 2.8.0", "12.8"),
        ("torch 2.9.1", "12.8"),
        ("jax-cuda12-plugin 0.4.36", "12"),
        ("jax-cuda12-plugin 0.5.3", "12"),
        ("jax-cuda12-plugin 0.7.2", "12"),
        ("jax-cuda12-plugin 0.9.2", "12"),
        ("jax-cuda13-plugin 0.9.2", "13"),
        ("tensorflow 2.16.1", "12.3"),
        ("tensorflow 2.17.0", "12.3"),
        ("tensorflow 2.18.0", "12.5.1"),
        ("tensorflow 2.19.0", "12.5.1"),
        ("tensorflow 2.20.0", "12.5.1"),
        ("tensorflow 2.21.0", "12.5.1"),
    ],
)
def test_what_a_real_wheel_says_of_itself(name: str, cuda: str) -> None:
    """The CUDA version it was built for; its architectures are those that are in its libraries."""
    wheel = only(python_with(name))
    assert wheel.cuda == Known(cuda)
    assert isinstance(wheel.architectures, Known)
    looked_at = RECORDED[name]["architectures"]
    assert looked_at is None or set(wheel.architectures.value) == set(looked_at)


@pytest.mark.parametrize("version", ["0.4.36", "0.5.3", "0.7.2", "0.9.2"])
def test_jaxlib_alone_is_for_the_cpu(version: str) -> None:
    """Its code for GPUs is in the plugin, which wins where it is."""
    assert only(python_with(f"jaxlib {version}")).cuda == Known(None)
    both = only(python_with(f"jaxlib {version}", f"jax-cuda12-plugin {version}"))
    assert (both.package, both.cuda) == ("jax-cuda12-plugin", Known("12"))


def fault(name: str, *capabilities: tuple[int, int], driver: Any = NEW_DRIVER) -> Fault | None:
    """What is wrong with a recorded wheel there."""
    ruling = judge_wheel(only(python_with(name)), capabilities, driver, TABLE)
    return None if ruling is None else ruling.fault


@pytest.mark.parametrize(
    ("name", "capability", "expected"),
    [
        # Would a Blackwell card work?
        ("torch 2.4.1", G4, Fault.NO_CODE),
        ("torch 2.6.0", G4, Fault.NO_CODE),
        ("torch 2.7.1", G4, Fault.NO_CODE),
        ("torch 2.7.1", B200, Fault.NO_CODE),
        ("torch 2.8.0", G4, None),
        ("torch 2.9.1", G4, None),
        ("torch 2.9.1", B200, None),
        ("jax-cuda12-plugin 0.4.36", G4, Fault.PTX_ONLY),
        ("jax-cuda12-plugin 0.5.3", B200, Fault.PTX_ONLY),
        ("jax-cuda12-plugin 0.7.2", G4, None),
        ("jax-cuda13-plugin 0.9.2", G4, None),
        ("tensorflow 2.16.1", G4, Fault.FAILS),
        ("tensorflow 2.20.0", G4, Fault.FAILS),
        ("tensorflow 2.21.0", G4, Fault.PTX_ONLY),
        # The others that Colab has had.
        ("torch 2.9.1", T4, None),
        ("torch 2.9.1", V100, None),
        ("torch 2.9.1", P100, Fault.NO_CODE),
        ("torch 2.7.1", P100, None),
        ("torch 2.9.1", L4, None),
        ("torch 2.4.1", H100, None),
        ("jax-cuda13-plugin 0.9.2", V100, Fault.NO_CODE),
        ("jax-cuda12-plugin 0.9.2", L4, None),
        ("tensorflow 2.20.0", T4, None),
        ("tensorflow 2.20.0", H100, None),
        ("tensorflow 2.20.0", A100, None),
    ],
)
def test_wheels_and_gpus(name: str, capability: tuple[int, int], expected: Fault | None) -> None:
    """From the recorded metadata alone."""
    assert fault(name, capability) is expected


def test_the_worst_of_several_gpus_counts() -> None:
    """A job may get either."""
    assert fault("torch 2.7.1", T4, G4) is Fault.NO_CODE
    assert fault("torch 2.7.1", T4, A100) is None
    assert fault("tensorflow 2.20.0", B200, G4) is fault("tensorflow 2.20.0", G4, B200) is Fault.FAILS


@pytest.mark.parametrize(
    ("name", "driver", "expected"),
    [
        ("torch 2.9.1", "525.60.13", None),
        ("torch 2.9.1", "525.60.12", Fault.OLD_DRIVER),
        ("torch 2.9.1", "470.256.02", Fault.OLD_DRIVER),
        ("jax-cuda13-plugin 0.9.2", "575.57.08", Fault.OLD_DRIVER),
        ("jax-cuda13-plugin 0.9.2", "580.65.06", None),
        ("tensorflow 2.20.0", "450.80.02", Fault.OLD_DRIVER),
    ],
)
def test_the_driver(name: str, driver: str, expected: Fault | None) -> None:
    """Of CUDA's major version: every 12.x runs with the driver of 12.0."""
    assert fault(name, T4 if "13" not in name else A100, driver=Known(driver)) is expected


def test_a_driver_that_nobody_knows_is_not_too_old() -> None:
    """Nor is a CUDA version that is not in the table taken for one that is."""
    assert fault("torch 2.9.1", T4, driver=Unknown("not-supported")) is None
    wheel = Wheel("torch", "torch", "3.0", Known("14.0"), Known(("sm_75",)))
    assert judge_wheel(wheel, [T4], Known("100.0"), TABLE) is None


@pytest.mark.parametrize(
    "version", ["2.30.0", "2.9.1+cu999", "1.13.1", "made by hand", "2.90.0+cu128", "2.9.1+rocm6.4"]
)
def test_what_is_not_in_the_table_is_not_known(version: str) -> None:
    """2.90 is no 2.9; and nobody says of it that it would not run."""
    ruling = judge_wheel(only(python_with(torch=version)), [G4], NEW_DRIVER, TABLE)
    assert ruling is not None
    assert (ruling.fault, ruling.stops) == (Fault.NOT_KNOWN, False)


@pytest.mark.parametrize(
    ("packages", "cpu_only"),
    [
        ({"torch": "2.9.1+cpu"}, True),
        ({"torch": "2.11.0+cu128"}, False),
        ({"tensorflow_cpu": "2.20.0"}, True),
        ({"jaxlib": "0.4.20+cuda12.cudnn89"}, False),
    ],
)
def test_built_for_the_cpu(packages: dict[str, str], cpu_only: bool) -> None:
    """By the package's own word or its version; then no driver is too old for it."""
    ruling = judge_wheel(only(python_with(**packages)), [T4], Known("100.0"), TABLE)
    assert (ruling is not None and ruling.fault is Fault.CPU_ONLY) is cpu_only


def test_the_file_beats_the_name_of_the_folder() -> None:
    """torch/version.py says None for a CPU build, whatever its version looks like."""
    facts = python_with(torch="2.9.1")
    built = PythonFacts(facts.executable, facts.version, facts.versions, {"torch": "cuda = None\n"})
    assert only(built).cuda == Known(None)


@pytest.mark.parametrize(
    ("names", "capability", "what"),
    [
        (["sm_80"], L4, Carries.CODE),
        (["sm_89"], A100, Carries.NOTHING),
        (["sm_80"], H100, Carries.NOTHING),
        (["compute_90"], G4, Carries.PTX),
        (["compute_90"], L4, Carries.NOTHING),
        (["sm_90a"], H100, Carries.CODE),
        (["sm_100a"], (10, 3), Carries.NOTHING),
        (["sm_100"], G4, Carries.NOTHING),
        (["sm_120"], (12, 1), Carries.CODE),
        (["compute_90a"], G4, Carries.NOTHING),
        ([], T4, Carries.NOTHING),
    ],
)
def test_code_and_ptx(names: list[str], capability: tuple[int, int], what: Carries) -> None:
    """As NVIDIA's guides to compatibility have it; `a` is for one capability only."""
    assert carries(names, capability) is what


def test_the_table_and_the_catalogue_speak_of_the_same_gpus() -> None:
    """What is installed on Colab's image today would run on every GPU that Colab rents out."""
    catalog = load_catalog(CONFIGS)
    today = only(python_with(torch="2.11.0+cu128"))
    for row in catalog.colab.runtimes:
        if row.gpu is not None:
            capability = catalog.accelerator(row.gpu).compute_capability
            assert judge_wheel(today, [capability], NEW_DRIVER, TABLE) is None, row.key


def test_every_row_has_a_source_and_a_day() -> None:
    """And its figures can be read."""
    assert len(TABLE.rows) > 25
    for row in TABLE.rows:
        assert len(row.source) > 20
        assert row.checked.startswith("20")
        assert row.package in PACKAGES
        assert row.architectures


@pytest.mark.parametrize(
    "text",
    [
        "wheels: [{package: torch}]\n",
        "wheels: [{package: t, version: '2', architectures: [8.0], source: s, checked: 2026-11-23}]\n",
        "wheels: [{package: t, version: '2', architectures: [ampere], source: s, checked: 2026-11-23}]\n",
        "drivers: [{cuda: 12}]\n",
        "wheels: {}\n",
    ],
)
def test_a_slip_in_the_file_is_named(tmp_path: Path, text: str) -> None:
    """Users may have their own copy."""
    (tmp_path / "wheels.yaml").write_text(text)
    with pytest.raises(UsageError, match=r"wheels\.yaml"):
        load_wheels(tmp_path)


def test_a_copy_from_before_there_was_one(tmp_path: Path) -> None:
    """Says nothing of any wheel."""
    assert load_wheels(tmp_path) == WheelTable()
