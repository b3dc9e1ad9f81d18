"""The smallest change that a runtime meets: applied to the file, and judged again."""

from __future__ import annotations

import copy
import itertools
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from helpers import catalogs
from launcher.spec.overrides import canonical_key
from launcher.spec.schema import read_job
from launcher.values import Known, Unknown
from launcher.verdict.compare import judge
from launcher.verdict.fix import fix
from launcher.verdict.model import Status, Verdict
from launcher.verdict.rows import facts_of

if TYPE_CHECKING:
    from launcher.probes.model import RuntimeFacts
    from launcher.spec.model import JobSpec

CATALOG = catalogs.shipped()
ROWS = {row.key: row for row in CATALOG.colab.runtimes}
GPU = [
    *(None, "none", "any", "any:2", "T4", "=T4", "A100", "=A100-80GB", "A100:2", "H100", "G4", "L4:8"),
    *(
        ["L4", "A100"],
        ["T4:4", "A100:2"],
        {"memory": "22GB"},
        {"memory": "200GB", "compute_capability": "8.0"},
    ),
    {"compute_capability": "9.0", "count": 2},
]
RAM = [None, "1GB", "50GB", "500GiB"]
OTHERS: list[dict[str, object]] = [{}, {"disk": "900GB"}, {"cpus": 200}, {"disk": "1GB", "cpus": 1}]
JOBS: list[dict[str, object]] = [
    {**({} if gpu is None else {"gpu": gpu}), **({} if ram is None else {"ram": ram}), **others}
    for gpu, ram, others in itertools.product(GPU, RAM, OTHERS)
    if gpu is not None or ram is not None or others
] + [{"tpu": "v5e-1"}, {"tpu": "v6e-1", "ram": "9000GB"}]


def applied(document: dict[str, Any], patch: list[dict[str, Any]]) -> dict[str, Any]:
    """RFC 6902, as far as it is used: `replace` needs what it replaces."""
    changed = copy.deepcopy(document)
    for op in patch:
        assert op["op"] == "replace"
        *path, last = op["path"].split("/")[1:]
        assert path == ["resources"]
        assert last in changed["resources"]
        changed["resources"][last] = op["value"]
    return changed


def read(document: dict[str, Any]) -> JobSpec:
    return read_job(
        json.dumps(document).encode(), source="job.yaml", folder="/", classes=CATALOG.accepted_names()
    )


def verdict(document: dict[str, Any], facts: RuntimeFacts) -> Verdict:
    return judge(read(document).resources, facts, CATALOG)


def machine(key: str, gpus: int = 1) -> RuntimeFacts:
    """The row with a disk, a RAM and CPUs that are known, and its GPU so many times."""
    facts = facts_of(ROWS[key], CATALOG)
    host, here = facts.host, facts.gpu.gpus
    ram = host.ram_total_bytes if isinstance(host.ram_total_bytes, Known) else Known(100 * 10**9 + 7)
    host = replace(host, disk_free_bytes=Known(66_123_456_789), cpus=Known(7.55), ram_total_bytes=ram)
    assert isinstance(here, Known)
    return replace(facts, host=host, gpu=replace(facts.gpu, gpus=Known(here.value * gpus)))


@pytest.mark.parametrize("gpus", [1, 2])
@pytest.mark.parametrize("key", ROWS)
def test_applied_it_is_met_and_no_op_is_one_too_many(key: str, gpus: int) -> None:
    """Met once all are applied, not with one left out; None means met, or a lack of its kind."""
    facts, fixed = machine(key, gpus), 0
    for resources in JOBS:
        document = {"run": "true", "resources": resources}
        spec, before = read(document), verdict(document, facts)
        found = fix(spec.resources, facts, CATALOG, here=ROWS[key], read_as=spec.read_as)
        if found is None:
            lacks = {one.requirement for one in before.findings if one.status is Status.SHORT}
            none_here = isinstance(facts.gpu.gpus, Known) and not facts.gpu.gpus.value
            assert before.status is Status.MET or "tpu" in lacks or ("gpu" in lacks and none_here), resources
            continue
        patch = found.as_json()["patch"]
        assert isinstance(patch, list)
        assert before.status is Status.SHORT
        assert verdict(applied(document, patch), facts).status is Status.MET, (resources, patch)
        for left_out in range(len(patch)):
            less = applied(document, patch[:left_out] + patch[left_out + 1 :])
            assert verdict(less, facts).status is not Status.MET, (resources, patch, left_out)
        assert found.runtime == key
        fixed += 1
    assert fixed >= 20


def test_what_was_asked_for_stays_possible() -> None:
    """A GPU that is here is allowed beside the others; figures go down no further than they must."""
    document = {"run": "true", "resources": {"gpu": "A100", "ram": "50GB", "disk": "900GB"}}
    found = fix(read(document).resources, machine("t4"), CATALOG, here=ROWS["t4"])
    assert found is not None
    assert [(op["path"], op["value"]) for op in found.patch] == [
        ("/resources/gpu", ["A100", "T4"]),
        ("/resources/ram", "13.6GB"),
        ("/resources/disk", "66.1GB"),
    ]
    assert (found.units_per_hour, found.checked) == (ROWS["t4"].units_per_hour, ROWS["t4"].checked)


def test_keys_by_other_names_are_changed_where_they_stand() -> None:
    """A file that says `memory` and `accelerators` gets no second key for the same."""
    document = {"run": "true", "resources": {"accelerators": "H100", "memory": "500+", "disk_size": 900}}
    spec = read(document)
    found = fix(spec.resources, machine("t4"), CATALOG, read_as=spec.read_as)
    assert found is not None
    assert found.runtime is None
    assert verdict(applied(document, list(found.patch)), machine("t4")).status is Status.MET


@pytest.mark.parametrize("key", ["resources.memory", "resources.ram", "resources"])
def test_what_was_typed_is_not_changed_in_the_file(key: str) -> None:
    """`--set` asks for it again, whatever the file says; what the file itself asks for can be changed."""
    document = {"run": "true", "resources": {"gpu": "T4", "ram": "500GB"}}
    resources = read(document).resources
    assert fix(resources, machine("t4"), CATALOG) is not None
    assert fix(resources, machine("t4"), CATALOG, typed={canonical_key(key)}) is None
    assert fix(resources, machine("t4"), CATALOG, typed={"env.ram", "resources.gpu.count"}) is not None


def test_what_is_not_known_is_not_changed() -> None:
    """Nobody can tell which figure would be met."""
    facts = machine("t4")
    unknown = replace(facts, host=replace(facts.host, ram_total_bytes=Unknown("unreadable")))
    document = {"run": "true", "resources": {"gpu": "A100", "ram": "50GB"}}
    assert fix(read(document).resources, unknown, CATALOG) is None
