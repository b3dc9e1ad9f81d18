"""Rates that the user recorded: `rates.yaml` in the user's configuration folder, over those that ship.

A rate rots within months, and the fresh one is a line in Colab's own panel ("Usage rate"). On Colab the
folder goes with the machine; XDG_CONFIG_HOME may name one on Drive.
"""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.catalog.load import read_file
from launcher.errors import UsageError
from launcher.words import words

if TYPE_CHECKING:
    import datetime
    from collections.abc import Collection, Mapping

    from launcher.catalog.model import Platform
    from launcher.words import Words

# The dearest runtime that was ever read is 20 units an hour; beyond this it is a slip of the keyboard.
_MOST_UNITS = 1000.0
_HEAD = """\
# Compute units an hour, as Colab shows them: written by `colab-run rates set`.
schema_version: 1
colab:
"""

Rates = dict[str, tuple[float, str]]


def overlay_path(environ: Mapping[str, str]) -> Path:
    """Where the user's rates are kept."""
    folder = environ.get("XDG_CONFIG_HOME") or os.path.join(
        environ.get("HOME") or os.path.expanduser("~"), ".config"
    )
    return Path(folder) / "colab-run" / "rates.yaml"


def read_overlay(path: Path) -> Rates:
    """Units an hour and the day they were read, by the row's key; empty where nothing was recorded.

    Raises UsageError, with the place, for a file that says something else.
    """
    if not path.exists():
        return {}
    rows = read_file(path).rows("colab")
    rates = {key: (row.number("units"), row.date("checked")) for key, row in rows}
    for key, (units, _) in rates.items():
        if not 0 < units <= _MOST_UNITS:
            raise UsageError(
                words("{path}: {row} has {units} units an hour", path=path, row=key, units=f"{units:g}"),
                words("set it again, or remove its line: {command}", command="colab-run rates set ROW UNITS"),
            )
    return rates


def record_rate(path: Path, platform: Platform, row: str, units: str, today: datetime.date) -> Rates:
    """Note that `row` takes `units` an hour today; what is on the disk is the old file or the new one.

    Raises UsageError for a row that is not in the catalogue, for a figure that cannot be one, and where the
    file cannot be written.
    """
    key = known_row(platform, row)
    rates = {**read_overlay(path), key: (_figure(units), today.isoformat())}
    lines = [
        f'  {name}: {{units: {rate!r}, checked: "{day}"}}\n' for name, (rate, day) in sorted(rates.items())
    ]
    try:
        _replace(path, _HEAD + "".join(lines))
    except OSError as error:
        raise UsageError(
            words("{path} cannot be written: {why}", path=path, why=error.strerror),
            words("name a folder of yours in {variable}", variable="XDG_CONFIG_HOME"),
        ) from error
    return rates


def known_row(platform: Platform, text: str) -> str:
    """The key of a row. Raises UsageError with the nearest one for a text that is none."""
    row = platform.runtime(text)
    if row is not None:
        return row.key
    keys = [one.key for one in platform.runtimes]
    for gone in platform.retired:
        if gone.key == text.strip().lower():
            raise UsageError(
                words("Colab has no {gone} any more", gone=gone.title),
                words("use {row}", row=gone.instead),
            )
    raise UsageError(words("there is no runtime {name} in the catalogue", name=text), _near(text, keys))


def _near(text: str, known: Collection[str]) -> Words:
    import difflib  # only when something is wrong

    wanted = text.strip().lower().replace("_", "-").removesuffix("gb")
    begins = [key for key in known if wanted and key.startswith(wanted)]
    near = begins or difflib.get_close_matches(wanted, list(known), 1, cutoff=0.5)
    if len(near) == 1:
        return words("use {row}", row=near[0])
    return words("use one of: {known}", known=", ".join(near or known))


def _figure(text: str) -> float:
    try:
        units = float(text)
    except ValueError:
        units = math.nan
    if not 0 < units <= _MOST_UNITS:
        raise UsageError(
            words("{text} is no rate", text=text),
            words("write compute units an hour, as in {example}", example="colab-run rates set a100-40 5.40"),
        )
    return units


def _replace(path: Path, text: str) -> None:
    import tempfile

    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
