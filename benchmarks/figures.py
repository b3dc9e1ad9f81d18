"""What was measured, as rows: figure, unit, target, met or not; percentiles and the plain table."""

from __future__ import annotations

import math
import operator
import statistics
from dataclasses import dataclass, field
from typing import Any

HOLDS = {"<": operator.lt, ">=": operator.ge}


@dataclass(frozen=True)
class Target:
    """What a figure has to be: `>= 1.0`, `< 5`."""

    relation: str
    bound: float

    def __str__(self) -> str:
        return f"{self.relation} {self.bound:g}"

    def met_by(self, figure: float) -> bool:
        """True if the figure is good enough."""
        return bool(HOLDS[self.relation](figure, self.bound))


@dataclass(frozen=True)
class Row:
    """One figure. `value` is None where it could not be measured: `note` says why. `raw` has its unit."""

    what: str
    value: float | None
    unit: str
    target: Target | None = None
    n: int = 0
    note: str = ""
    raw: list[float] = field(default_factory=list)

    @property
    def met(self) -> bool | None:
        """None where there is no target or no figure."""
        return None if self.target is None or self.value is None else self.target.met_by(self.value)

    def document(self, bench: str) -> dict[str, Any]:
        """The row as JSON has it."""
        target = None if self.target is None else str(self.target)
        return {
            "bench": bench,
            "what": self.what,
            "value": self.value,
            "unit": self.unit,
            "target": target,
            "met": self.met,
            "n": self.n,
            "note": self.note,
            "raw": self.raw,
        }


def p95(values: list[float]) -> float:
    """The value that 95 of 100 do not exceed."""
    return sorted(values)[math.ceil(0.95 * len(values)) - 1]


def middle(what: str, values: list[float], unit: str, target: Target | None = None, note: str = "") -> Row:
    """A row for the median; the note has the range when there is no other."""
    if not values:
        return Row(what, None, unit, target, 0, note or "nothing measured")
    spread = f"{figure(min(values))} to {figure(max(values))}"
    return Row(what, statistics.median(values), unit, target, len(values), note or spread, values)


def spread_of(what: str, values: list[float], unit: str, target: Target | None = None, note: str = "") -> Row:
    """A row for the median, with the 95th percentile in its note."""
    if not values:
        return Row(what, None, unit, target, 0, note or "nothing measured")
    text = f"p95 {figure(p95(values))}" + (f"; {note}" if note else "")
    return Row(f"{what}, p50", statistics.median(values), unit, target, len(values), text, values)


def figure(value: float | None) -> str:
    """Three digits that count."""
    if value is None:
        return "-"
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


COLUMNS = ("what", "figure", "unit", "target", "met", "n", "note")


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """The columns of one row of the JSON document."""
    met = {True: "yes", False: "no", None: "-"}[row["met"]]
    if row["target"] is not None and row["value"] is None:
        met = "not measured"
    what, note = str(row["what"]), str(row["note"])
    return what, figure(row["value"]), row["unit"], row["target"] or "-", met, str(row["n"] or "-"), note


def plain(rows: list[dict[str, Any]]) -> str:
    """The table for a terminal: columns in line, an empty line between the benches."""
    table = [COLUMNS, *(cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(COLUMNS))]
    out = []
    before = None
    for line, row in zip(table, [None, *rows], strict=True):
        if row is not None and row["bench"] != before:
            before = row["bench"]
            out += ["", before]
        justified = [
            text.rjust(width) if column in (1, 5) else text.ljust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ]
        out.append("  " + "  ".join(justified).rstrip())
    return "\n".join(out)
