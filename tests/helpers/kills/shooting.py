"""A few workers that play shots, and the table of what came of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from helpers.kills.shots import draw

TESTS = Path(__file__).parents[2]
START = "from helpers.kills.shooting import work; work()"


def run(count: int, seed: str, folder: Path, workers: int, first: int = 0) -> list[dict[str, Any]]:
    """Play the shots `first` to `first + count - 1`; a row for each, in any order."""
    path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    started = []
    for number in range(workers):
        place = folder / f"worker{number}"
        place.mkdir(parents=True)
        asked = [str(place), seed, str(first), str(first + count), str(number), str(workers)]
        with open(place / "rows", "wb") as rows:
            started.append(
                subprocess.Popen(
                    [sys.executable, "-c", START, *asked],
                    cwd=place,
                    env={**os.environ, "PYTHONPATH": path},
                    stdout=rows,
                )
            )
    codes = [worker.wait() for worker in started]
    assert codes == [0] * workers, f"workers ended with {codes}"
    return [
        json.loads(line)
        for number in range(workers)
        for line in (folder / f"worker{number}" / "rows").read_text().splitlines()
    ]


def work() -> None:
    """One worker: `PLACE SEED FIRST END NUMBER WORKERS` in argv; a line of JSON for each shot."""
    from chaos.apart import separate
    from chaos.injections import may_be_apart

    place, seed = Path(sys.argv[1]), sys.argv[2]
    first, end, number, workers = (int(word) for word in sys.argv[3:])
    os.environ["CHAOS_APART"] = "1" if workers > 1 or may_be_apart() else "0"
    if os.environ["CHAOS_APART"] == "1" and not separate(place):
        raise SystemExit("no mount namespace")
    from helpers.kills.oracle import judge
    from helpers.kills.world import World

    world = World(place)
    # Shots of a kind follow each other at equal distances: not all of them to one worker.
    numbers = [
        one for one in range(first, end) if (one - first + (one - first) // workers) % workers == number
    ]
    for one in numbers:
        shot = draw(seed, one)
        seen = world.play(shot)
        try:
            problems = judge(seen)
        except (OSError, KeyError, ValueError) as error:
            problems = [f"evidence that cannot be read: {error!r}"]
        row = {
            "number": one,
            "shot": str(shot),
            "victim": shot.victim,
            "phase": shot.phase,
            "policy": shot.policy,
            "hit": len(seen.hit),
            "where": seen.where,
            "called": seen.called,
            "requests": len(seen.requests),
            "restored_torn": seen.vanished is not None,
            "seconds": round(seen.seconds, 2),
            "problems": problems,
            "folder": str(seen.folder),
        }
        print(json.dumps(row), flush=True)
        if not problems:
            world.forget(seen)
    world.close()


def table(rows: list[dict[str, Any]], seconds: float) -> str:
    """For people."""
    hits = [row for row in rows if row["hit"]]
    where = Counter(row["where"] for row in hits)
    lines = [
        f"{len(rows)} runs, {len(hits)} of them hit, in {seconds:.0f} s",
        "the save was at: " + ", ".join(f"{name} {where[name]}" for name in sorted(where)),
        f"runs that needed another call: {sum(row['called'] for row in rows)}",
        f"next machines that began from what a kill of everything had left: "
        f"{sum(row['restored_torn'] for row in rows)}",
        "",
        f"{'':22}{'runs':>6}{'hit':>6}{'wrong':>7}",
    ]
    for key in ("victim", "phase", "policy"):
        for name in sorted({row[key] for row in rows}):
            group = [row for row in rows if row[key] == name]
            hit, wrong = sum(bool(row["hit"]) for row in group), sum(bool(row["problems"]) for row in group)
            lines.append(f"{name:22}{len(group):6}{hit:6}{wrong or '.':>7}")
        lines.append("")
    return "\n".join(lines)


def complaints(rows: list[dict[str, Any]]) -> list[str]:
    """What was wrong, with the number that repeats it."""
    return [f"{row['shot']}\n    {what}\n    {row['folder']}" for row in rows for what in row["problems"]]
