"""Every form of `gpu:` on every state that a driver can be in, through the real ctypes path."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from helpers import catalogs
from helpers.facts_in_child import collect_under
from launcher.spec.model import GpuAny, GpuClasses, GpuClassOption, GpuNone, GpuProperties
from launcher.verdict.compare import judge_gpu

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.probes.model import RuntimeFacts
    from launcher.spec.model import GpuRequest


def classes(*options: str) -> GpuClasses:
    """`A100`, `=A100`, `A100:2`."""
    read = []
    for option in options:
        name, _, count = option.lstrip("=").partition(":")
        read.append(GpuClassOption(name, int(count or 1), exact=option.startswith("=")))
    return GpuClasses(tuple(read))


FORMS: dict[str, GpuRequest | None] = {
    "(no key)": None,
    "none": GpuNone(),
    "any": GpuAny(),
    "any:2": GpuAny(2),
    "T4": classes("T4"),
    "=T4": classes("=T4"),
    "T4:2": classes("T4:2"),
    "A100": classes("A100"),
    "A100-80GB": classes("A100-80GB"),
    "=A100": classes("=A100"),
    "[L4, G4]": classes("L4", "G4"),
    "P100": classes("P100"),
    "10GB": GpuProperties(memory_bytes=10 * 10**9),
    "22GB": GpuProperties(memory_bytes=22 * 10**9),
    "10GB x 2": GpuProperties(memory_bytes=10 * 10**9, count=2),
    "cc 8.0": GpuProperties(compute_capability=(8, 0)),
}

# M met, s short, ? unknown, - nothing to judge; in the order of FORMS:
#                    no no  any any T4 =T4 T4  A100 A100 =A100 L4 P100 10GB 22GB 10GB cc
#                   key ne      :2         :2       80GB       G4                x 2  8.0
TABLE = {
    "none":              "- - s s s s s s s s s s s s s s",
    "t4":                "- - M s M M s s s s s s M s s s",
    "two-t4":            "- - M M M M M s s s s s M s M s",
    "busy-t4":           "- - M s M M s s s s s s M s s s",
    "l4":                "- - M s M s s s s s M s M M s M",
    "a100-40":           "- - M s M s s M s M M M M M s M",
    "a100-80":           "- - M s M s s M M M M M M M s M",
    "h100":              "- - M s M s s M M s M M M M s M",
    "g4":                "- - M s s s s s s s M s M M s M",
    "p100":              "- - M s s s s s s s s M M s s s",
    "t4-and-a100":       "- - M M M M M M s M M M M M M M",
    "mig":               "- - M s s s s s s s s s M s s M",
    "unlisted":          "- - M s ? ? s ? ? ? ? ? M M s M",
    "no-name":           "- - M s ? ? s ? ? ? ? ? M s s s",
    "no-memory-figure":  "- - M s M M s s s s s s ? ? s s",
    "not-supported":     "- - M s M M s s s s s s M s s ?",
    "old-driver":        "- - M s M M s s s s s s M s s s",
    "gpu-lost":          "- - ? s ? ? s ? ? ? ? ? ? ? s ?",
    "t4-and-lost":       "- - M ? M M ? ? ? ? ? ? M ? ? ?",
    "driver-mismatch":   "- - ? ? ? ? ? ? ? ? ? ? ? ? ? ?",
    "driver-not-loaded": "- - ? ? ? ? ? ? ? ? ? ? ? ? ? ?",
    "no-permission":     "- - ? ? ? ? ? ? ? ? ? ? ? ? ? ?",
    "blocked-by-os":     "- - ? ? ? ? ? ? ? ? ? ? ? ? ? ?",
    "hang":              "- - ? ? ? ? ? ? ? ? ? ? ? ? ? ?",
}  # fmt: skip
LETTERS = {"met": "M", "short": "s", "unknown": "?"}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], RuntimeFacts]:
    """The facts of a scenario; each is collected once."""
    seen: dict[str, RuntimeFacts] = {}

    def collect(scenario: str) -> RuntimeFacts:
        if scenario not in seen:
            seen[scenario] = collect_under(scenario, tmp_path_factory.mktemp(scenario)).facts
        return seen[scenario]

    return collect


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("scenario", TABLE)
def test_verdict(machine: Callable[[str], RuntimeFacts], scenario: str, form: str) -> None:
    """The verdict is the one in the table; unknown is never taken for met nor for short."""
    finding = judge_gpu(request=FORMS[form], facts=machine(scenario).gpu, catalog=catalogs.shipped())
    expected = dict(zip(FORMS, TABLE[scenario].split(), strict=True))[form]
    assert (LETTERS[finding.status.value] if finding else "-") == expected


# The code, the note and the words, where they say more than the letter.
SPOKEN = [
    # scenario, form, code, wanted, what was found in words, in JSON, a part of the note
    ("none", "A100", "CR113", "A100 or better", "no GPU", "no GPU", ""),
    ("t4", "A100", "CR110", "A100 or better", "Tesla T4 (16.1 GB)", "Tesla T4", ""),
    ("t4", "=A100", "CR110", "A100 only", "Tesla T4 (16.1 GB)", "Tesla T4", ""),
    ("t4", "[L4, G4]", "CR110", "L4 or better, or G4 or better", "Tesla T4 (16.1 GB)", "Tesla T4", ""),
    ("t4", "T4:2", "CR111", "2 x T4 or better", "Tesla T4 (16.1 GB)", "Tesla T4", ""),
    ("two-t4", "T4:2", "CR110", "2 x T4 or better", "2 x Tesla T4 (16.1 GB)", ["Tesla T4"] * 2, ""),
    ("t4", "any:2", "CR111", "2 GPUs", "Tesla T4 (16.1 GB)", "Tesla T4", ""),
    (
        "t4",
        "22GB",
        "CR112",
        "GPU with 22 GB",
        "Tesla T4 (16.1 GB)",
        {"memory_bytes": 15360 << 20, "compute_capability": "7.5"},
        "",
    ),
    (
        "mig",
        "A100",
        "CR114",
        "A100 or better",
        "NVIDIA A100-SXM4-40GB in MIG mode (2 slices, the largest of 20.9 GB)",
        "NVIDIA A100-SXM4-40GB",
        "one slice",
    ),
    (
        "unlisted",
        "T4",
        "CR110",
        "T4 or better",
        "NVIDIA Future GPU X1 (68.7 GB)",
        {"unknown": "unlisted-gpu"},
        "ask by property",
    ),
    (
        "gpu-lost",
        "T4",
        "CR115",
        "T4 or better",
        "a GPU whose name cannot be read",
        {"unknown": "gpu-lost"},
        "fallen off the bus",
    ),
    (
        "driver-mismatch",
        "T4",
        "CR115",
        "T4 or better",
        "the driver and its library are of different versions; get a new runtime (or reboot the machine)",
        {"unknown": "driver-mismatch"},
        "",
    ),
    (
        "hang",
        "any",
        "CR115",
        "any GPU",
        "the driver does not answer; it hangs, so get a new runtime",
        {"unknown": "timeout"},
        "",
    ),
]


@pytest.mark.parametrize(
    ("scenario", "form", "code", "wanted", "found", "found_json", "note"),
    SPOKEN,
    ids=[f"{row[0]}-{row[1]}" for row in SPOKEN],
)
def test_words(
    machine: Callable[[str], RuntimeFacts],
    scenario: str,
    form: str,
    code: str,
    wanted: str,
    found: str,
    found_json: object,
    note: str,
) -> None:
    """A finding says what is wanted, what was found and what that means; JSON says the same."""
    finding = judge_gpu(request=FORMS[form], facts=machine(scenario).gpu, catalog=catalogs.shipped())
    assert finding is not None
    assert finding.code.value == code
    assert (str(finding.wanted_text), str(finding.found_text)) == (wanted, found)
    assert finding.found == found_json
    assert note in str(finding.note)
    assert bool(note) == bool(str(finding.note))


def test_colab_panel_figure_stands_beside_ours(machine: Callable[[str], RuntimeFacts]) -> None:
    """On Colab the user compares with a panel that counts in GiB."""
    finding = judge_gpu(request=GpuAny(), facts=machine("t4").gpu, catalog=catalogs.shipped(), on_colab=True)
    assert finding is not None
    assert str(finding.found_text) == "Tesla T4 (16.1 GB, Colab shows 15.0)"
