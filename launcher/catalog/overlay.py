"""Rates that the user recorded: `rates.yaml` in the user's configuration folder, over those that ship.

A rate rots within months, and the fresh one is a line in Colab's own panel ("Usage rate"). On Colab the
folder goes with the machine; XDG_CONFIG_HOME may name one on Drive.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.catalog.load import read_file
from launcher.catalog.rows import Row
from launcher.errors import UsageError
from launcher.words import words

if TYPE_CHECKING:
    import datetime
    from collections.abc import Collection, Iterator, Mapping

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
    table = _table(path)
    return {str(key): _rate(path, table, str(key)) for key in table.values}


def _table(path: Path) -> Row:
    """What stands under `colab`; empty where there is no file, or nothing in it."""
    if not path.exists():
        return Row(str(path), {})
    try:
        file = read_file(path, may_be_empty=True)
        return Row(str(path), {}) if file.values.get("colab") is None else file.row("colab")
    except UsageError as error:
        raise UsageError(error.said, words("repair it, or delete it: {path}", path=path)) from error


def _rate(path: Path, table: Row, key: str) -> tuple[float, str]:
    again = words("set it again, or remove its line: {command}", command=f"colab-run rates set {key} UNITS")
    try:
        row = table.row(key)
        units, day = row.number("units"), row.date("checked")
    except UsageError as error:
        raise UsageError(error.said, again) from error
    if not 0 < units <= _MOST_UNITS:
        raise UsageError(
            words("{path}: {row} has {units} units an hour", path=path, row=key, units=f"{units:g}"), again
        )
    return units, day


def record_rate(path: Path, platform: Platform, row: str, units: str, today: datetime.date) -> Rates:
    """Note that `row` takes `units` an hour today; what is on the disk is the old file or the new one.

    A bad line for `row` is replaced; bad lines for others stay as they are, until they are set too.
    Raises UsageError for a row that is not in the catalogue, for a figure that cannot be one, and where the
    file cannot be written.
    """
    key, figure = known_row(platform, row), _figure(units)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path.parent):
            table = _table(path)
            rows: dict[object, object] = {str(name): value for name, value in table.values.items()}
            rows[key] = {"units": figure, "checked": today.isoformat()}
            _replace(
                path, _HEAD + "".join(f"  {_line(name, rows[name])}\n" for name in sorted(map(str, rows)))
            )
    except OSError as error:
        raise UsageError(
            words("{path} cannot be written: {why}", path=path, why=error.strerror),
            words("name a folder of yours in {variable}", variable="XDG_CONFIG_HOME"),
        ) from error
    rates = {}
    for name in rows:
        with contextlib.suppress(UsageError):
            rates[str(name)] = _rate(path, Row(table.where, rows), str(name))
    return rates


def _line(name: str, value: object) -> str:
    """One row as YAML, whatever stands in it: JSON is YAML, and a float has the same digits in both."""
    if isinstance(value, dict):
        return f"{_word(name)}: {{" + ", ".join(f"{_word(str(k))}: {_value(value[k])}" for k in value) + "}"
    return f"{_word(name)}: {_value(value)}"


def _word(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", text) else json.dumps(text)


def _value(value: object) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    return json.dumps(value, default=str)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """No other `rates set` between reading and writing, where the system has such locks."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # A file system without locks, such as some network mounts.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


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
    # float() also takes 1_0, 1e1 and figures of other scripts.
    units = float(text) if re.fullmatch(r"[0-9]+(\.[0-9]*)?|\.[0-9]+", text.strip()) else math.nan
    if not 0 < units <= _MOST_UNITS:
        raise UsageError(
            words("{text} is no rate", text=text),
            words("write compute units an hour, as in {example}", example="colab-run rates set a100-40 5.40"),
        )
    return units


def _replace(path: Path, text: str) -> None:
    import tempfile

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
