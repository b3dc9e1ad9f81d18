"""docs/performance.md: the table between its two markers, from what `make bench` kept.

python benchmarks/table.py --write [FILE]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path.append(str(ROOT))

from benchmarks.figures import COLUMNS, cells  # noqa: E402 - as a program this file finds it by the line above

PAGE = ROOT / "docs" / "performance.md"
KEPT = ROOT / ".venv" / "bench.json"
BEGIN, END = "<!-- bench -->", "<!-- /bench -->"


def markdown(document: dict[str, Any]) -> str:
    """The machine as a list, the rows as one table."""
    machine = [f"- {name}: {value}" for name, value in document["machine"].items()]
    head = ["| " + " | ".join(COLUMNS) + " |", "| --- | ---: | --- | --- | --- | ---: | --- |"]
    rows = [
        "| " + " | ".join(cell.replace("|", "\\|") for cell in cells(row)) + " |" for row in document["rows"]
    ]
    return "\n".join([*machine, "", *head, *rows])


def replaced(page: str, document: dict[str, Any]) -> str:
    """The page with a new table; ValueError where the markers are missing."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{BEGIN} and {END} are not both in the page")
    return f"{before}{BEGIN}\n{markdown(document)}\n{END}{after}"


def main(words: list[str]) -> str | None:
    """Write the page; what is wrong, or None."""
    if words[:1] != ["--write"] or len(words) > 2:
        return __doc__
    document = json.loads(Path(words[1] if words[1:] else KEPT).read_text(encoding="utf-8"))
    if document["quick"]:
        return "a quick run is no figure to keep: make bench"
    PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), document), encoding="utf-8")
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
