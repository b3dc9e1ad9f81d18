"""The user's own rates: dated, written whole or not at all, and never a figure that cannot be one."""

from __future__ import annotations

import datetime
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from helpers import catalogs
from launcher.catalog.overlay import overlay_path, read_overlay, record_rate
from launcher.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

COLAB = catalogs.shipped().colab
TODAY = datetime.date(2026, 11, 22)


def test_where_it_is() -> None:
    """XDG_CONFIG_HOME, else ~/.config."""
    assert str(overlay_path({"XDG_CONFIG_HOME": "/cfg", "HOME": "/me"})) == "/cfg/colab-run/rates.yaml"
    assert str(overlay_path({"HOME": "/me"})) == "/me/.config/colab-run/rates.yaml"
    assert str(overlay_path({"XDG_CONFIG_HOME": "", "HOME": "/me"})) == "/me/.config/colab-run/rates.yaml"


def test_a_rate_is_recorded_with_its_day_and_counts(tmp_path: Path) -> None:
    """Noted, read again, put over the row; the others stay as they ship."""
    path = tmp_path / "new" / "rates.yaml"
    assert read_overlay(path) == {}
    record_rate(path, COLAB, "A100-40", "5.3", TODAY)
    rates = record_rate(path, COLAB, "h100", "18", TODAY + datetime.timedelta(days=1))
    assert read_overlay(path) == rates == {"a100-40": (5.3, "2026-11-22"), "h100": (18.0, "2026-11-23")}
    mine = COLAB.with_rates(rates)
    row, other = mine.runtime("a100-40"), mine.runtime("t4")
    assert row is not None
    assert (row.units_per_hour, row.checked, row.own_rate) == (5.3, "2026-11-22", True)
    assert other is COLAB.runtime("t4")
    assert os.listdir(path.parent) == ["rates.yaml"]


@pytest.mark.parametrize(
    "units", ["0", "-1", "nan", "inf", "-inf", "1001", "five", "", "5,40", "1e400", "1_0", "1e1", "٣"]
)
def test_what_is_no_rate_is_refused(tmp_path: Path, units: str) -> None:
    """And nothing is written."""
    with pytest.raises(UsageError) as caught:
        record_rate(tmp_path / "rates.yaml", COLAB, "t4", units, TODAY)
    assert "is no rate" in caught.value.what
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("row", "hint"),
    [
        ("a100", "use one of: a100-40, a100-80"),
        ("A100-40GB", "use a100-40"),
        ("a100-41", "use a100-40"),
        ("t4_highram", "use t4-highram"),
        ("v100", "use l4"),
        ("v2-8", "use v5e-1"),
        ("zzz", "use one of: cpu, cpu-highram, t4, t4-highram, l4, a100-40, a100-80, g4, h100, v5e-1, v6e-1"),
    ],
)
def test_an_unknown_row_is_refused_with_the_nearest(tmp_path: Path, row: str, hint: str) -> None:
    """What is retired is named as such."""
    with pytest.raises(UsageError) as caught:
        record_rate(tmp_path / "rates.yaml", COLAB, row, "1", TODAY)
    assert caught.value.hint == hint
    assert list(tmp_path.iterdir()) == []


def test_the_old_file_stays_when_it_cannot_be_replaced(tmp_path: Path) -> None:
    """A folder in its place: said, and nothing half-written is left."""
    path = tmp_path / "rates.yaml"
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(UsageError) as caught:
        record_rate(blocked / "rates.yaml", COLAB, "t4", "1", TODAY)
    assert "cannot be written" in caught.value.what
    assert not path.exists()


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "colab: 3",
        "colab: {t4: 1.07}",
        "colab: {t4: {units: 1.07}}",
        "colab: {t4: {units: 1.07, checked: yesterday}}",
        "colab: {t4: {units: -1, checked: 2026-11-22}}",
        "colab: {t4: {units: 0, checked: 2026-11-22}}",
        "colab: {t4: {units: .nan, checked: 2026-11-22}}",
        "colab: {t4: {units: 1, checked: 2026-13-45}}",
        "colab: {",
    ],
)
def test_a_file_that_says_something_else_names_itself(tmp_path: Path, text: str) -> None:
    """A slip in one's own file is a usage error with its path, never a traceback."""
    path = tmp_path / "rates.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_overlay(path)
    assert str(path) in caught.value.what
    assert "COLAB_RUN_CONFIGS" not in caught.value.hint
    assert "rates set" in caught.value.hint or str(path) in caught.value.hint


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "schema_version: 1\ncolab:\n"])
def test_an_empty_file_is_no_overlay(tmp_path: Path, text: str) -> None:
    """Nothing was recorded."""
    path = tmp_path / "rates.yaml"
    path.write_text(text)
    assert read_overlay(path) == {}
    record_rate(path, COLAB, "t4", "1.1", TODAY)
    assert read_overlay(path) == {"t4": (1.1, "2026-11-22")}


@pytest.mark.parametrize("bad", ["1.07", "{units: 1.07}", "{units: 0, checked: 2026-11-22}", "{units: .nan}"])
def test_setting_a_bad_row_again_repairs_the_file(tmp_path: Path, bad: str) -> None:
    """The command that the error names is the cure."""
    path = tmp_path / "rates.yaml"
    path.write_text(f"colab:\n  l4: {{units: 1.7, checked: 2026-01-01}}\n  t4: {bad}\n")
    with pytest.raises(UsageError) as caught:
        read_overlay(path)
    assert "colab-run rates set t4 UNITS" in caught.value.hint
    rates = record_rate(path, COLAB, "t4", "1.1", TODAY)
    assert read_overlay(path) == rates == {"l4": (1.7, "2026-01-01"), "t4": (1.1, "2026-11-22")}


def test_two_bad_rows_are_repaired_one_after_the_other(tmp_path: Path) -> None:
    """The other one keeps what stands in it."""
    path = tmp_path / "rates.yaml"
    path.write_text(
        'colab: {l4: {units: .nan, "o: k": x}, t4: 3, h100: {units: .inf, checked: 2026-01-01}}\n'
    )
    assert record_rate(path, COLAB, "t4", "1", TODAY) == {"t4": (1.0, "2026-11-22")}
    record_rate(path, COLAB, "l4", "2", TODAY)
    record_rate(path, COLAB, "h100", "3", TODAY)
    assert [units for units, _ in read_overlay(path).values()] == [3.0, 2.0, 1.0]


def test_five_at_once_lose_none(tmp_path: Path) -> None:
    """Each reads what the one before has written."""
    pytest.importorskip("fcntl")
    path = tmp_path / "rates.yaml"
    rows = ["t4", "l4", "a100-40", "a100-80", "h100", "g4", "cpu", "v5e-1"]
    with ThreadPoolExecutor(len(rows)) as pool:
        list(pool.map(lambda row: [record_rate(path, COLAB, row, "1", TODAY) for _ in range(5)], rows))
    assert sorted(read_overlay(path)) == sorted(rows)
    assert os.listdir(tmp_path) == ["rates.yaml"]


def test_a_row_that_is_gone_is_left_alone() -> None:
    """Rates of a runtime that a newer catalogue does not list hurt nobody."""
    assert COLAB.with_rates({"v100": (3.3, "2024-04-01")}).runtimes == COLAB.runtimes
