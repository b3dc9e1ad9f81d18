"""The machinery: a few workers that play injections, and the table of what came of them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

from chaos.shots import draw

TESTS = Path(__file__).parents[1]
START = "from chaos.injections import work; work()"


def run(count: int, seed: str, folder: Path, workers: int, first: int = 0) -> list[dict[str, Any]]:
    """Play the injections `first` to `first + count - 1`; a row for each, in any order."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])}
    started = []
    for number in range(workers):
        place = folder / f"worker{number}"
        place.mkdir(parents=True)
        asked = [str(place), seed, str(first + number), str(first + count), str(workers)]
        with open(place / "rows", "wb") as rows:
            started.append(
                subprocess.Popen([sys.executable, "-c", START, *asked], cwd=place, env=env, stdout=rows)
            )
    codes = [worker.wait() for worker in started]
    assert codes == [0] * workers, f"workers ended with {codes}"
    return [
        json.loads(line)
        for number in range(workers)
        for line in (folder / f"worker{number}" / "rows").read_text().splitlines()
    ]


def may_be_apart() -> bool:
    """May a process here have folders of its own? Otherwise injections go on one after the other."""
    probe = (
        "import sys, tempfile; from pathlib import Path; from chaos.apart import separate; "
        "sys.exit(not separate(Path(tempfile.mkdtemp())))"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])}
    return subprocess.run([sys.executable, "-c", probe], env=env).returncode == 0


def work() -> None:
    """One worker: `PLACE SEED FIRST END STEP` in argv; a line of JSON on stdout for each injection."""
    from chaos.apart import separate

    place, seed = Path(sys.argv[1]), sys.argv[2]
    first, end, step = (int(word) for word in sys.argv[3:])
    os.environ["CHAOS_APART"] = "1" if step > 1 or may_be_apart() else "0"
    if os.environ["CHAOS_APART"] == "1" and not separate(place):
        raise SystemExit("no mount namespace")
    from chaos.oracle import HEADINGS, in_flight, judge, lateness
    from chaos.world import World

    world = World(place)
    for number in range(first, end, step):
        shot = draw(seed, number)
        # Without a corner of its own, a process is known by the environment that it was started with.
        shot = shot if os.environ["CHAOS_APART"] == "1" else replace(shot, whole=True)
        seen = world.play(shot)
        problems = judge(seen)
        row = {
            "number": number,
            "shot": str(shot),
            "victim": shot.victim,
            "action": shot.action,
            "kind": shot.kind,
            "hit": len(seen.hit),
            "fails": shot.fails,
            "attempts": len(seen.marks),
            "requests": len(seen.requests),
            "called": seen.called,
            "late_s": lateness(seen),
            "in_flight": 0 if seen.both else max(0, in_flight(seen)),
            "seconds": seen.seconds,
            "problems": [(heading, what) for heading, what in problems],
            "headings": [heading for heading in HEADINGS if any(heading == one for one, _ in problems)],
            "folder": str(seen.folder),
        }
        print(json.dumps(row), flush=True)
        if not problems:
            world.forget(seen)
    world.close()


# --- the table ------------------------------------------------------------------------------------


def table(rows: list[dict[str, Any]], seconds: float) -> str:
    """For people."""
    from chaos.oracle import HEADINGS

    hits = [row for row in rows if row["hit"]]
    requests = Counter(row["requests"] for row in rows)
    lines = [
        f"{len(rows)} injections, {len(hits)} of them hit, in {seconds:.0f} s",
        f"runs that are started again: {sum(row['fails'] > 0 for row in rows)}; "
        f"attempts: {sum(row['attempts'] for row in rows)}",
        f"requests a run: {', '.join(f'{count}: {requests[count]}' for count in sorted(requests))}",
        f"slowest release after the end: {max((row['late_s'] for row in rows), default=0.0):.2f} s",
        f"runs that needed another call: {sum(row['called'] for row in rows)}",
        f"lines lost in flight with a killed guard: {sum(row['in_flight'] for row in hits)}",
        "",
        f"{'victim':22}{'action':8}{'runs':>6}{'hit':>6}" + "".join(f"{name:>8}" for name in HEADINGS),
    ]
    for key in ("victim", "kind"):
        groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        for row in rows:
            groups[row[key], row["action"] if key == "victim" else ""].append(row)
        for (name, action), group in sorted(groups.items()):
            bad = Counter(heading for row in group for heading in row["headings"])
            hit = sum(bool(row["hit"]) for row in group)
            lines.append(
                f"{name:22}{action:8}{len(group):6}{hit:6}"
                + "".join(f"{bad[one] or '.':>8}" for one in HEADINGS)
            )
        lines.append("")
    return "\n".join(lines)


def complaints(rows: list[dict[str, Any]]) -> list[str]:
    """What was wrong, with the number that repeats it."""
    return [
        f"{row['shot']}\n    {heading}: {what}\n    {row['folder']}"
        for row in rows
        for heading, what in row["problems"]
    ]


def main() -> None:
    """For a quick look: COUNT [SEED [WORKERS [FIRST]]]."""
    count, seed, workers, first = [*sys.argv[1:], *["100", "try", "3", "0"][len(sys.argv) - 1 :]]
    folder = Path(f"/tmp/chaos-{os.getpid()}")
    shutil.rmtree(folder, ignore_errors=True)
    began = time.monotonic()
    rows = run(int(count), seed, folder, int(workers), int(first))
    print(table(rows, time.monotonic() - began))
    print("\n".join(complaints(rows)))


if __name__ == "__main__":
    main()
