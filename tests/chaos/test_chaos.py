"""Whatever is killed, stopped or told to end, and whenever: no release is early, and none is missed.

A few hundred injections each time, from a seed that is shown; `make chaos N=5000` plays as many as it is
told. To play them again: COLAB_RUN_CHAOS_SEED=…; each failure says its number, and where its folder is.
"""

from __future__ import annotations

import os
import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from chaos.injections import complaints, may_be_apart, run, table
from chaos.oracle import judge
from chaos.shots import draw
from chaos.world import Evidence

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from chaos.shots import Shot

COUNT = int(os.environ.get("COLAB_RUN_CHAOS", "300"))
FIRST = int(os.environ.get("COLAB_RUN_CHAOS_FIRST", "0"))
SEED = os.environ.get("COLAB_RUN_CHAOS_SEED") or secrets.token_hex(4)
# Most of an injection is waiting.
WORKERS = min(8, 2 * (os.cpu_count() or 1))
# Where workers may not have folders of their own they would bring each other's runs to their end.
ALONE = 60


def test_whatever_is_killed_when(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Never early, never missed, never twice; logs, exit codes and ledger whole; nothing left."""
    apart = may_be_apart()
    count = COUNT if apart or "COLAB_RUN_CHAOS" in os.environ else min(COUNT, ALONE)
    began = time.monotonic()
    rows = run(count, SEED, tmp_path, WORKERS if apart else 1, FIRST)
    with capsys.disabled():
        print(f"\nCOLAB_RUN_CHAOS_SEED={SEED}\n{table(rows, time.monotonic() - began)}")
    assert len(rows) == count
    assert complaints(rows) == [], f"COLAB_RUN_CHAOS_SEED={SEED}"
    # An oracle that saw nothing says nothing.
    assert sum(bool(row["hit"]) for row in rows) > count / 2
    assert sum(bool(row["requests"]) for row in rows) > count / 2
    assert sum(row["fails"] > 0 for row in rows) > count / 2


# --- the oracle can say no ------------------------------------------------------------------------


def shot(victim: str, action: str = "KILL") -> Shot:
    """Some shot at this victim."""
    found = (draw("oracle", number) for number in range(10_000))
    fitting = (one for one in found if (one.victim, one.action, one.kind) == (victim, action, "pipes"))
    return replace(next(fitting), fails=0)


def evidence(tmp_path: Path, victim: str = "guard", action: str = "KILL", **changes: object) -> Evidence:
    """What an injection leaves if all goes well, and then changed."""
    release = {"status": "accepted"}
    good = {
        "hit": {victim: 1},
        "code": 0,
        "requests": [(5.0, "a", [], True)],
        "planned": True,
        "results": [{"run_id": "r", "exit_code": 0, "attempts": 0, "outcome": None, "release": release}],
        "shown": b"00000001\n00000002\n",
        "log": b"00000001\n00000002\n",
        "counts": {1: 2},
        "marks": [(1, 1.0)],
    }
    return Evidence(shot(victim, action), tmp_path, **{**good, **changes})  # type: ignore[arg-type]


def ended(
    *, rows: Sequence[int] = (1,), attempts: int = 1, next_in_s: float | None = None
) -> list[dict[str, object]]:
    """The document of a run that has ended, with these attempts."""
    log = [{"attempt": number, "outcome": "succeeded", "next_in_s": next_in_s} for number in rows]
    release = {"status": "accepted"}
    known = {"run_id": "r", "exit_code": 0, "outcome": "succeeded", "release": release}
    return [{**known, "attempts": attempts, "attempt_log": log}]


@pytest.mark.parametrize(
    ("heading", "changes"),
    [
        ("early", {"requests": [(5.0, "a", [17], True)]}),
        ("missed", {"requests": []}),
        ("missed", {"requests": [(5.0, "a", [], False)]}),
        ("twice", {"requests": [(5.0, "a", [], True), (6.0, "b", [], True)]}),
        ("late", {"requests": [(60.0, "a", [], True)]}),
        ("code", {"code": 3}),
        ("code", {"said": "Traceback (most recent call last)"}),
        ("log", {"log": b"00000001\n00000001\n"}),
        ("log", {"log": b"00000001\n00000002\n00000002\n"}),
        ("log", {"counts": {1: 9000}}),
        ("log", {"shown": b""}),
        ("ledger", {}),
        ("early", {"marks": [(1, 1.0), (2, 6.0)]}),
        ("retry", {"marks": [(1, 1.0), (1, 2.0)]}),
        ("retry", {"results": ended(attempts=2)}),
        ("retry", {"results": ended(rows=[1, 2], attempts=2)}),
        ("retry", {"results": ended(rows=[], attempts=0)}),
        ("retry", {"results": ended(rows=[1], attempts=1, next_in_s=1.0)}),
        ("retry", {"marks": [], "results": ended()}),
        ("ledger", {"integrity": "row missing from index"}),
        ("left", {"left": ["socket x"]}),
    ],
)
def test_the_oracle_sees(tmp_path: Path, heading: str, changes: dict[str, object]) -> None:
    """Each thing that must not be; without rows in the ledger the last good one is bad, too."""
    assert heading in [one for one, _ in judge(evidence(tmp_path, **changes))]


def test_a_persons_stop_is_no_miss(tmp_path: Path) -> None:
    """TERM to the guard keeps the runtime; the same silence after a KILL is a release that was missed."""
    kept = {
        "requests": [],
        "results": [
            {"run_id": "r", "exit_code": 143, "attempts": 0, "outcome": None, "release": {"status": "kept"}}
        ],
        "code": 143,
    }
    found = [one for one, _ in judge(evidence(tmp_path, "guard", "TERM", **kept))]
    assert "missed" not in found
    assert "missed" in [one for one, _ in judge(evidence(tmp_path, "guard", "KILL", **kept))]


def test_a_number_is_a_shot() -> None:
    """The same seed and number: the same injection, whoever plays it."""
    assert [draw("x", number) for number in range(50)] == [draw("x", number) for number in range(50)]
    assert draw("x", 1) != draw("y", 1)
