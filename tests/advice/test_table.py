"""What a job asks for, where it stands, and what it is told: one row is one case.

The columns: `resources:` of the job file | the runtime (a row of the catalogue) | the verdict, with the
requirements that are not met | the runtime that is advised (- none fits, nothing: no advice).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import pytest

from helpers import catalogs
from launcher.probes.model import Platform, PlatformKind
from launcher.spec.schema import read_job
from launcher.verdict.advice import advise
from launcher.verdict.compare import judge
from launcher.verdict.model import Status
from launcher.verdict.rows import facts_of

if TYPE_CHECKING:
    from launcher.probes.model import RuntimeFacts
    from launcher.spec.model import Resources

CATALOG = catalogs.shipped()
ROWS = {row.key: row for row in CATALOG.colab.runtimes}
MANAGED = Platform(PlatformKind.COLAB, "172.28.0.1:8011")

TABLE = """
    # --- every runtime, and what asks for exactly it -------------------------------------------
    {ram: 1GB}                          | cpu         | met                |
    {gpu: none}                         | cpu         | met                |
    {ram: 13GB, cpus: 2}                | cpu         | met                |
    {gpu: none, ram: 50GB}              | cpu-highram | met                |
    {gpu: T4}                           | t4          | met                |
    {gpu: T4, ram: 13.6GB, cpus: 2}     | t4          | met                |
    {gpu: T4, ram: 54GB}                | t4-highram  | met                |
    {gpu: L4, ram: 53GiB}               | l4          | met                |
    {gpu: A100, ram: 83GiB, cpus: 12}   | a100-40     | met                |
    {gpu: A100-80GB, ram: 167GiB}       | a100-80     | met                |
    {gpu: H100}                         | h100        | met                |
    {gpu: G4, ram: 176GiB}              | g4          | met                |
    {tpu: v5e-1, ram: 47GiB}            | v5e-1       | met                |
    {tpu: v6e-1, cpus: 44}              | v6e-1       | met                |
    # --- this class or better --------------------------------------------------------------------
    {gpu: T4}                           | l4          | met                |
    {gpu: T4}                           | a100-40     | met                |
    {gpu: L4}                           | a100-80     | met                |
    {gpu: A100-40GB}                    | a100-80     | met                |
    {gpu: A100}                         | h100        | met                |
    {gpu: any}                          | t4          | met                |
    {gpu: any}                          | g4          | met                |
    {gpu: "[L4, G4]"}                   | g4          | met                |
    {gpu: V100}                         | a100-40     | met                |
    {gpu: {memory: 40GB}}               | a100-40     | met                |
    {gpu: {compute_capability: 8.0}}    | l4          | met                |
    # --- a CPU runtime where a GPU is asked for ----------------------------------------------------
    {gpu: any}                          | cpu         | short gpu          | t4
    {gpu: T4}                           | cpu         | short gpu          | t4
    {gpu: T4, ram: 20GB}                | cpu         | short gpu ram      | t4-highram
    {gpu: L4}                           | cpu         | short gpu          | l4
    {gpu: L4, ram: 57GB}                | cpu         | short gpu ram      | a100-40
    {gpu: A100}                         | cpu         | short gpu          | a100-40
    {gpu: A100, ram: 100GB}             | cpu         | short gpu ram      | a100-80
    {gpu: A100-80GB}                    | cpu         | short gpu          | a100-80
    {gpu: H100}                         | cpu         | short gpu          | h100
    {gpu: G4}                           | cpu         | short gpu          | g4
    {gpu: "=T4"}                        | cpu-highram | short gpu          | t4
    # --- the wrong GPU, silently given ------------------------------------------------------------
    {gpu: A100}                         | t4          | short gpu          | a100-40
    {gpu: A100}                         | l4          | short gpu          | a100-40
    {gpu: H100}                         | g4          | short gpu          | h100
    {gpu: H100}                         | a100-80     | short gpu          | h100
    {gpu: A100-80GB}                    | a100-40     | short gpu          | a100-80
    {gpu: L4}                           | t4          | short gpu          | l4
    {gpu: "=L4"}                        | a100-40     | short gpu          | l4
    {gpu: "=T4"}                        | a100-80     | short gpu          | t4
    {gpu: "=A100-40GB"}                 | a100-80     | short gpu          | a100-40
    {gpu: V100}                         | t4          | short gpu          | a100-40
    {gpu: P100}                         | t4          | short gpu          | a100-40
    {gpu: "[L4, A100]"}                 | t4          | short gpu          | l4
    {gpu: "[A100, G4]"}                 | l4          | short gpu          | a100-40
    # --- Blackwell is nobody's better, and nothing stands in for it ----------------------------------
    {gpu: A100}                         | g4          | short gpu          | a100-40
    {gpu: T4}                           | g4          | short gpu          | t4
    {gpu: G4}                           | h100        | short gpu          | g4
    {gpu: "[H100, G4]"}                 | t4          | short gpu          | g4
    # --- by property --------------------------------------------------------------------------------
    {gpu: {memory: 16GB}}               | cpu         | short gpu          | t4
    {gpu: {memory: 17GB}}               | t4          | short gpu          | l4
    {gpu: {memory: 22GB}}               | t4          | short gpu          | l4
    {gpu: {memory: 25GB}}               | l4          | short gpu          | a100-40
    {gpu: {memory: 43GB}}               | a100-40     | short gpu          | a100-80
    {gpu: {memory: 86GB}}               | a100-80     | short gpu          | g4
    {gpu: {compute_capability: 7.5}}    | cpu         | short gpu          | t4
    {gpu: {compute_capability: 8.0}}    | t4          | short gpu          | l4
    {gpu: {compute_capability: 9.0}}    | a100-80     | short gpu          | g4
    {gpu: {memory: 20GB, count: 2}}     | l4          | short gpu          | -
    # --- RAM: High-RAM only where it is what is missing ------------------------------------------------
    {ram: 20GB}                         | cpu         | short ram          | t4-highram
    {gpu: none, ram: 50GB}              | cpu         | short ram          | t4-highram
    {gpu: T4, ram: 14GB}                | t4          | short ram          | t4-highram
    {gpu: T4, ram: 54.8GB}              | t4          | short ram          | t4-highram
    {gpu: T4, ram: 55GB}                | t4          | short ram          | l4
    {gpu: T4, ram: 57GB}                | t4          | short ram          | a100-40
    {ram: 90GB}                         | t4          | short ram          | a100-80
    {ram: 189GB}                        | cpu         | short ram          | g4
    {gpu: A100, ram: 50GB}              | t4          | short gpu ram      | a100-40
    {gpu: A100, ram: 90GB}              | a100-40     | short ram          | a100-80
    {gpu: A100, ram: 180GB}             | a100-80     | short ram          | -
    {gpu: H100, ram: 1GB}               | t4          | short gpu          | -
    {gpu: H100, ram: 1GB}               | h100        | unknown ram        |
    {ram: 190GB}                        | g4          | short ram          | -
    # --- disk and CPUs: known figures count, others are left out unless they are what is missing ---------
    {gpu: T4, disk: 60GB}               | t4          | met                |
    {gpu: T4, disk: 100GB}              | t4          | short disk         | t4-highram
    {gpu: L4, disk: 100GB}              | l4          | unknown disk       |
    {gpu: L4, disk: 100GB}              | t4          | short gpu disk     | a100-40
    {gpu: L4, disk: 60GB}               | t4          | short gpu          | l4
    {disk: 66GB}                        | cpu         | short disk         | t4
    {disk: 300GB}                       | t4          | short disk         | -
    {cpus: 4}                           | t4          | short cpus         | a100-40
    {cpus: 4}                           | l4          | unknown cpus       |
    {gpu: L4, cpus: 2}                  | t4          | short gpu          | l4
    {gpu: A100, cpus: 12}               | t4          | short gpu cpus     | a100-40
    {cpus: 13}                          | a100-40     | short cpus         | -
    # --- TPUs: exactly the one that is asked for, and never unasked -----------------------------------------
    {tpu: v5e-1}                        | cpu         | short tpu          | v5e-1
    {tpu: v6e-1}                        | v5e-1       | short tpu          | v6e-1
    {tpu: v5e-1}                        | v6e-1       | short tpu          | v5e-1
    {tpu: v6e-1, ram: 100GB}            | t4          | short tpu ram      | v6e-1
    {tpu: v5e-1, ram: 60GB}             | t4          | short tpu ram      | -
    {tpu: v2-8}                         | cpu         | short tpu          | -
    {tpu: v4-8}                         | v5e-1       | short tpu          | -
    {gpu: any}                          | v5e-1       | short gpu          | t4
    {cpus: 40}                          | cpu         | short cpus         | -
    # --- nothing has it -------------------------------------------------------------------------------------
    {gpu: H200}                         | h100        | short gpu          | -
    {gpu: A100:2}                       | a100-80     | short gpu          | -
    {gpu: RTX4090}                      | t4          | short gpu          | h100
    {gpu: B200}                         | g4          | short gpu          | -
    {ram: 2TB}                          | a100-80     | short ram          | -
"""


class Case(NamedTuple):
    text: str
    here: str
    verdict: str
    advised: str | None


def cases() -> list[Case]:
    lines = (line.strip() for line in TABLE.splitlines())
    rows = [[cell.strip() for cell in line.split("|")] for line in lines if line and line[0] != "#"]
    return [Case(text, here, verdict, advised or None) for text, here, verdict, advised in rows]


CASES = cases()


def resources(text: str) -> Resources:
    data = f"run: x\nresources: {text}\n".replace('"[', "[").replace(']"', "]").encode()
    classes = CATALOG.class_names()
    return read_job(data, source="job.yaml", folder="/", overrides=(), classes=classes).resources


def standing_on(key: str) -> RuntimeFacts:
    return replace(facts_of(ROWS[key], CATALOG), platform=MANAGED)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.text}-on-{case.here}")
def test_verdict_and_advice(case: Case) -> None:
    """One row of the table."""
    wanted, facts = resources(case.text), standing_on(case.here)
    verdict = judge(wanted, facts, CATALOG)
    failing = [finding.requirement for finding in verdict.findings if finding.status is verdict.status]
    said = "met" if verdict.status is Status.MET else " ".join([verdict.status.value, *failing])
    advice = advise(wanted, facts, CATALOG, here=ROWS[case.here])
    advised = None if advice is None else advice.runtime or "-"
    assert (said, advised) == (case.verdict, case.advised)


def test_the_table_is_large_enough() -> None:
    """Eighty cases at least, every runtime of Colab's as the place and, if it has a rate, as the advice."""
    assert len(CASES) >= 80
    assert {case.here for case in CASES} == set(ROWS)
    rated = {row.key for row in ROWS.values() if row.units_per_hour is not None}
    # A CPU runtime is smaller than any other: nothing that falls short elsewhere would fit there.
    assert {case.advised for case in CASES} - {"-", None} == rated - {"cpu"}
