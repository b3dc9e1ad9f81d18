"""Policies over recorded sessions: recovered idle GPU-hours and false releases, ours beside those of others.

python benchmarks/replay.py [FOLDER]     *.jsonl.gz of a folder; without one what the project has
"""

from __future__ import annotations

import sys
from pathlib import Path

from launcher.idle.replay import NAMES, STALLED, THEIR_WINDOWS, Score, rules, score
from launcher.replaying import sessions_of
from launcher.report.replay import sums_table

OURS = Path(__file__).resolve().parents[1] / "tests" / "assets" / "traces"
MINUTES = (30, 60, 90)
# Work is more than so many percent: this one's GPUs show 1 % at rest.
ABOVE = {"alibaba26": 1.0}


def at_window(sessions: list, window_s: float, above: float) -> list[tuple[Score, bool]]:
    """All policies with one window, and which are better than ours on both axes."""
    scores = [score(rule, sessions, above) for rule in rules(window_s, above)]
    (ours,) = (one for one in scores if one.name == STALLED)
    return [(one, one.beats(ours)) for one in scores]


def as_shipped(sessions: list, above: float) -> list[tuple[Score, bool]]:
    """The others with the windows that they come with, each against ours with the same window."""
    return [
        row
        for name in NAMES
        if name in THEIR_WINDOWS
        for row in at_window(sessions, THEIR_WINDOWS[name], above)
        if row[0].name == name
    ]


def main(words: list[str]) -> str | None:
    """Print a table for each file and window; what is wrong, or None."""
    if len(words) > 1:
        return __doc__
    folder = Path(words[0]) if words else OURS
    files = sorted(folder.glob("*.jsonl.gz"))
    if not files:
        return f"there is no .jsonl.gz in {folder}"
    better = []
    for file in files:
        name = file.name.partition(".")[0]
        sessions, above = list(sessions_of(str(file))), ABOVE.get(name, 0.0)
        hours = sum(session.end for session in sessions) / 3600
        print(f"\n{name}: {len(sessions)} sessions, {hours:.0f} h, work is more than {above:g} %")
        tables = [(f"{minutes} min", at_window(sessions, minutes * 60, above)) for minutes in MINUTES]
        for title, table in [*tables, ("as they come", as_shipped(sessions, above))]:
            print(f"\n  {title}")
            print("\n".join("  " + line.plain for line in sums_table(table)))
            better += [f"{one.name} on {name}, {title}" for one, is_better in table if is_better]
    print("\nBetter than ours on both axes (<):", "; ".join(better) or "none")
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
