"""RAM, disk and CPUs against the facts; GPUs where the facts are more than a driver scenario can say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from helpers import catalogs
from launcher.probes.model import Gpu, HostFacts, MigDevice, Platform, PlatformKind, RuntimeFacts
from launcher.spec.model import GpuAny, GpuClasses, GpuClassOption, GpuNone, GpuProperties, Resources
from launcher.values import Known, Reading, Unknown
from launcher.verdict.compare import judge, judge_cpus, judge_disk, judge_ram
from launcher.verdict.gpus import match_gpus
from launcher.verdict.model import FindingCode, Status
from launcher.verdict.rows import facts_of, gpu_of

CATALOG = catalogs.shipped()
RUNTIMES = {row.key: row for row in CATALOG.colab.runtimes}
GB = 10**9
MEMINFO = "the machine does not show its memory (/proc/meminfo)"
HIDDEN = Unknown("driver-error")
A100 = gpu_of(CATALOG.accelerator("A100-40GB"))


ROOMY = HostFacts(
    ram_total_bytes=Known(64 * GB),
    ram_available_bytes=Known(60 * GB),
    ram_limited_by_cgroup=Known(False),
    cpus=Known(8.0),
    disk_path="/content",
    disk_free_bytes=Known(100 * GB),
    uptime_s=Known(1.0),
)


def machine(key: str, platform: Platform, facts: HostFacts) -> RuntimeFacts:
    return replace(facts_of(RUNTIMES[key], CATALOG), platform=platform, host=facts)


@pytest.mark.parametrize(
    ("found", "status", "text", "note"),
    [
        (Known(64 * GB), Status.MET, "64 GB", ""),
        (Known(50 * GB), Status.MET, "50 GB", ""),
        (Known(50 * GB - 1), Status.SHORT, "50.0 GB", "1 B short."),
        (Known(48 * GB), Status.SHORT, "48 GB", "2 GB short."),
        (Known(13_600_000_000), Status.SHORT, "13.6 GB", ""),
        (
            Unknown("ram-unreadable"),
            Status.UNKNOWN,
            MEMINFO,
            "",
        ),
    ],
)
def test_ram(found: Reading[int], status: Status, text: str, note: str) -> None:
    """`ram: 50GB` is at least 50 * 10^9 bytes; what is missing is said: 50.0 beside 50 needs it."""
    finding = judge_ram(wanted_bytes=50 * GB, host=replace(ROOMY, ram_total_bytes=found))
    assert finding is not None
    assert (finding.status, finding.code) == (status, FindingCode.RAM)
    assert (str(finding.wanted_text), str(finding.found_text), str(finding.note)) == ("50 GB", text, note)
    assert finding.as_json()["wanted"] == 50 * GB


def test_ram_on_colab_shows_the_panel_figure() -> None:
    """13.6 GB is what Colab's panel calls 12.7."""
    finding = judge_ram(
        wanted_bytes=50 * GB, host=replace(ROOMY, ram_total_bytes=Known(13_600_000_000)), on_colab=True
    )
    assert finding is not None
    assert str(finding.found_text) == "13.6 GB, Colab shows 12.7"


def test_ram_that_a_container_withholds() -> None:
    """Where the machine has enough and the container does not, the note says which of them to change."""
    finding = judge_ram(
        wanted_bytes=50 * GB,
        host=replace(ROOMY, ram_total_bytes=Known(2**30), ram_limited_by_cgroup=Known(True)),
    )
    assert finding is not None
    assert "cgroup" in str(finding.note)


def test_disk() -> None:
    """Disk is what is free where the job works."""
    finding = judge_disk(wanted_bytes=30 * GB, host=replace(ROOMY, disk_free_bytes=Known(66_100_000_000)))
    assert finding is not None
    assert (finding.status, str(finding.found_text)) == (Status.MET, "66.1 GB free")
    unknown = judge_disk(wanted_bytes=1, host=replace(ROOMY, disk_free_bytes=Unknown("disk-timeout")))
    assert unknown is not None
    assert unknown.status is Status.UNKNOWN
    assert unknown.found == {"unknown": "disk-timeout"}
    assert "file system" in str(unknown.found_text)


@pytest.mark.parametrize(
    ("wanted", "found", "status", "text"),
    [
        (4.0, Known(8.0), Status.MET, "8"),
        (1.5, Known(1.5), Status.MET, "1.5"),
        (4.0, Known(2.0), Status.SHORT, "2"),
        (1.0, Unknown("cpus-unreadable"), Status.UNKNOWN, "the machine does not show its CPUs"),
    ],
)
def test_cpus(wanted: float, found: Reading[float], status: Status, text: str) -> None:
    """CPUs may be fractions, where a quota says so."""
    finding = judge_cpus(wanted=wanted, host=replace(ROOMY, cpus=found))
    assert finding is not None
    assert (finding.status, str(finding.found_text)) == (status, text)


def test_nothing_asked_for_is_met_anywhere() -> None:
    """No requirement, no finding: even where nothing could be read."""
    blind = replace(
        machine(
            "cpu",
            Platform(PlatformKind.PLAIN),
            replace(ROOMY, ram_total_bytes=HIDDEN, disk_free_bytes=HIDDEN, cpus=HIDDEN),
        ),
    )
    blind = replace(blind, gpu=replace(blind.gpu, gpus=HIDDEN))
    for resources in (Resources(), Resources(gpu=GpuNone())):
        verdict = judge(resources, blind, CATALOG)
        assert (verdict.findings, verdict.status) == ((), Status.MET)


def test_findings_come_in_a_fixed_order_and_short_wins() -> None:
    """gpu, ram, disk, cpus; one lack makes the verdict short, whatever else is unknown."""
    wanted = Resources(gpu=GpuAny(), ram_bytes=50 * GB, disk_bytes=30 * GB, cpus=4)
    facts = machine(
        "t4", Platform(PlatformKind.PLAIN), replace(ROOMY, ram_total_bytes=HIDDEN, disk_free_bytes=Known(1))
    )
    verdict = judge(wanted, facts, CATALOG)
    assert [finding.requirement for finding in verdict.findings] == ["gpu", "ram", "disk", "cpus"]
    assert [finding.status.value for finding in verdict.findings] == ["met", "unknown", "short", "met"]
    assert verdict.status is Status.SHORT


@pytest.mark.parametrize(
    "platform", [Platform(PlatformKind.COLAB), Platform(PlatformKind.COLAB_UNMANAGED, host_file=True)]
)
def test_judge_knows_colab(platform: Platform) -> None:
    """The panel's figures are shown on Colab, and only there."""
    wanted = Resources(ram_bytes=50 * GB)
    small = replace(ROOMY, ram_total_bytes=Known(13_600_000_000))
    on_colab = judge(wanted, machine("cpu", platform, small), CATALOG).findings[0]
    elsewhere = judge(wanted, machine("cpu", Platform(PlatformKind.PLAIN), small), CATALOG).findings[0]
    assert "Colab shows" in str(on_colab.found_text)
    assert "Colab shows" not in str(elsewhere.found_text)


# --- one GPU whose fields are unknown one at a time -------------------------------------------------

CLASS = GpuClasses((GpuClassOption("A100"),))
BIG = GpuProperties(memory_bytes=30 * GB)
NEW = GpuProperties(compute_capability=(8, 0))
EITHER = GpuClasses((GpuClassOption("H100"), GpuClassOption("A100")))


@pytest.mark.parametrize(
    ("field", "doubted"),
    [
        ("name", ""),
        ("uuid", ""),
        ("class_name", "class"),
        ("memory_total_bytes", "memory"),
        ("memory_free_bytes", ""),
        ("compute_capability", "capability"),
        ("mig", "class memory"),
        ("mig_devices", ""),
        ("utilisation_percent", ""),
        ("power_w", ""),
        ("processes", ""),
    ],
)
def test_an_unknown_field_hurts_only_who_needs_it(field: str, doubted: str) -> None:
    """One field that could not be read makes unknown only the requests that look at it."""
    gpu: Gpu = replace(A100, **{field: HIDDEN})
    requests = {"class": CLASS, "memory": BIG, "capability": NEW, "any": GpuAny()}
    for kind, request in requests.items():
        match = match_gpus(request=request, gpus=[gpu], catalog=CATALOG)
        expected = Status.UNKNOWN if kind in doubted.split() else Status.MET
        assert match.status is expected, kind
        assert match.reason == ("driver-error" if expected is Status.UNKNOWN else "")


def test_what_is_surely_short_is_not_unknown() -> None:
    """A lack that no unknown field could repair is a lack."""
    gpu = replace(A100, class_name=HIDDEN, mig=HIDDEN)
    too_much = GpuProperties(memory_bytes=80 * GB)
    assert match_gpus(request=too_much, gpus=[gpu], catalog=CATALOG).status is Status.SHORT
    two_known = replace(A100, class_name=Known("T4"), mig=HIDDEN)
    assert match_gpus(request=CLASS, gpus=[two_known], catalog=CATALOG).status is Status.SHORT


@pytest.mark.parametrize(
    ("sure", "doubtful", "status"),
    [
        (2, 0, Status.MET),
        (2, 3, Status.MET),
        (1, 1, Status.UNKNOWN),
        (0, 2, Status.UNKNOWN),
        (1, 0, Status.SHORT),
        (0, 1, Status.SHORT),
        (0, 0, Status.SHORT),
    ],
)
def test_two_of_them(sure: int, doubtful: int, status: Status) -> None:
    """Enough that surely do: met. Not enough even with the doubtful ones: short. Else unknown."""
    gpus = [A100] * sure + [replace(A100, class_name=HIDDEN)] * doubtful
    gpus += [gpu_of(CATALOG.accelerator("T4"))] * 3
    request = GpuClasses((GpuClassOption("A100", 2),))
    assert match_gpus(request=request, gpus=gpus, catalog=CATALOG).status is status


def test_the_best_of_several_options_counts() -> None:
    """`[H100, A100]`: any one of them will do."""
    assert match_gpus(request=EITHER, gpus=[A100], catalog=CATALOG).status is Status.MET


def slices(*sizes: int | None) -> Gpu:
    """An A100 in MIG mode with slices of so many GB (None: not readable)."""
    devices = tuple(MigDevice(HIDDEN if size is None else Known(size * GB)) for size in sizes)
    return replace(A100, mig=Known(True), mig_devices=Known(devices))


@pytest.mark.parametrize(
    ("gpu", "any_gpu", "memory_18gb"),
    [
        (slices(10, 20), Status.MET, Status.MET),
        (slices(10, 10), Status.MET, Status.SHORT),
        (slices(10, None), Status.MET, Status.UNKNOWN),
        (slices(), Status.SHORT, Status.SHORT),
        (replace(slices(), mig_devices=HIDDEN), Status.MET, Status.UNKNOWN),
    ],
    ids=["one fits", "none fits", "one unknown", "no slices", "slices unknown"],
)
def test_mig_slices(gpu: Gpu, any_gpu: Status, memory_18gb: Status) -> None:
    """In MIG mode a job gets one slice: the largest is judged, and without slices there is nothing to use."""
    request = GpuProperties(memory_bytes=18 * GB)
    assert match_gpus(request=GpuAny(), gpus=[gpu], catalog=CATALOG).status is any_gpu
    assert match_gpus(request=request, gpus=[gpu], catalog=CATALOG).status is memory_18gb
    class_match = match_gpus(request=CLASS, gpus=[gpu], catalog=CATALOG)
    assert class_match.status is Status.SHORT
    assert class_match.in_mig_mode
