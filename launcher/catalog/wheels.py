"""Read configs/wheels.yaml: what released wheels of torch, jax and tensorflow carry."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from launcher.catalog.load import read_file
from launcher.catalog.rows import Row
from launcher.verdict.model import WheelRow, WheelTable

if TYPE_CHECKING:
    from pathlib import Path

FILE = "wheels.yaml"
_ARCHITECTURE = re.compile(r"(?:sm|compute)_[0-9]{2,3}[af]?")
_CAPABILITY = re.compile(r"([0-9]+)\.([0-9])")


def load_wheels(configs_dir: Path) -> WheelTable:
    """The table in `configs_dir`; empty where a user's own copy of the folder has none. Raises UsageError."""
    path = configs_dir / FILE
    if not path.is_file():
        return WheelTable()
    file = read_file(path)
    rows = tuple(_row(Row.of(f"{file.where}.wheels", item)) for item in file.items("wheels"))
    drivers = tuple(
        (int(row.number("cuda")), row.text("driver"))
        for row in (Row.of(f"{file.where}.drivers", item) for item in file.items("drivers"))
    )
    return WheelTable(rows, drivers)


def _row(row: Row) -> WheelRow:
    architectures = row.texts("architectures")
    if not all(_ARCHITECTURE.fullmatch(name) for name in architectures):
        raise row.wrong("architectures", "names such as sm_80 or compute_90")
    return WheelRow(
        package=row.text("package"),
        version=row.text("version"),
        cuda=row.maybe_text("cuda") or "",
        architectures=architectures,
        fails_on=tuple(_capability(row, text) for text in row.texts("fails_on")),
        source=row.text("source"),
        checked=row.date("checked"),
    )


def _capability(row: Row, text: str) -> tuple[int, int]:
    match = _CAPABILITY.fullmatch(text)
    if match is None:
        raise row.wrong("fails_on", "compute capabilities such as 12.0, as texts")
    return int(match.group(1)), int(match.group(2))
