"""Queues under fire: one release at the end, and never early; no run lost, and none started twice.

COLAB_RUN_CHAOS_QUEUES=N plays N injections; COLAB_RUN_CHAOS_SEED=… the same ones again.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from chaos.injections import TESTS, may_be_apart
from chaos.queue_world import Evidence, Shot, draw, judge

if TYPE_CHECKING:
    from pathlib import Path

COUNT = int(os.environ.get("COLAB_RUN_CHAOS_QUEUES", "40"))
SEED = os.environ.get("COLAB_RUN_CHAOS_SEED") or secrets.token_hex(4)
WORKERS = min(8, 4 * (os.cpu_count() or 1))
START = "from chaos.queue_world import work; work()"
ALONE = 12


def test_whatever_of_a_queue_is_killed_when(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its guard, its watcher, both, a run's, a client, a command that starts a run."""
    apart = may_be_apart()
    count, workers = (COUNT, WORKERS) if apart else (min(COUNT, ALONE), 1)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])}
    started = []
    for number in range(workers):
        place = tmp_path / f"worker{number}"
        place.mkdir()
        asked = [str(place), SEED, str(number), str(count), str(workers)]
        with open(place / "rows", "wb") as rows:
            started.append(subprocess.Popen([sys.executable, "-c", START, *asked], env=env, stdout=rows))
    assert [worker.wait() for worker in started] == [0] * workers
    rows = [
        json.loads(line)
        for path in sorted(tmp_path.glob("worker*/rows"))
        for line in path.read_text().splitlines()
    ]
    hit = Counter(row["victim"] for row in rows if row["hit"])
    with capsys.disabled():
        print(f"\nCOLAB_RUN_CHAOS_SEED={SEED} queues: {len(rows)}, hit: {dict(hit)}")
    assert len(rows) == count
    assert [row for row in rows if row["wrong"]] == []
    assert hit.total() > count / 2
    assert sum(row["asked"] for row in rows) > count / 2


# --- the oracle can say no ----------------------------------------------------------------------------


def evidence(**changes: object) -> Evidence:
    """What an injection leaves if all goes well, and then changed."""
    rows = [{"run_id": name, "stands": "ended", "exit_code": 0} for name in ("r1", "r2")]
    good = {
        "hit": True,
        "marks": ["a", "b"],
        "requests": [("n", [])],
        "queue": {"queue_id": "q", "state": "done", "exit_code": 0, "runs": rows},
        "runs": [{"run_id": name, "release": {"status": "kept"}} for name in ("r1", "r2")],
    }
    return Evidence(Shot(0, "files", "queue guard", 1.0, 0.0), **{**good, **changes})  # type: ignore[arg-type]


def test_all_well() -> None:
    assert judge(evidence()) == []


@pytest.mark.parametrize(
    ("heading", "changes"),
    [
        ("early", {"requests": [("n", [17])]}),
        ("twice", {"requests": [("n", []), ("m", [])]}),
        ("missed", {"requests": []}),
        ("doubled", {"marks": ["a", "b", "a"]}),
        ("lost", {"marks": ["a"]}),
        ("told", {"runs": []}),
        ("released", {"runs": [{"run_id": one, "release": {"status": "accepted"}} for one in ("r1", "r2")]}),
        ("unfinished", {"queue": {"state": "started", "runs": []}}),
        ("said", {"said": "Traceback (most recent call last)"}),
        ("left", {"left": ["process bash"]}),
    ],
)
def test_the_oracle_sees(heading: str, changes: dict[str, object]) -> None:
    """Each thing that must not be."""
    assert heading in [one.partition(":")[0] for one in judge(evidence(**changes))]


def test_a_number_is_a_shot() -> None:
    """The same seed and number: the same injection."""
    assert [draw("x", number) for number in range(20)] == [draw("x", number) for number in range(20)]
