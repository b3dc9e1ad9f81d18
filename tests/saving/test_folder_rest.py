"""Names that an output cannot have, one plain file beside it, and how far a copy is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from helpers.outputs import (
    fill,
    order,
)
from launcher.saving.folder import copy_file, save_to_folder
from launcher.saving.meter import Meter

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", ".colab-run"])
def test_names_that_are_none(tmp_path: Path, name: str) -> None:
    """Nothing is written."""
    from dataclasses import replace

    out = fill(tmp_path / "out", "a")
    report = save_to_folder(replace(order(out, tmp_path / "to"), name=name), Meter())
    assert "cannot be called" in report.failures[0][1]
    assert not (tmp_path / "to").exists()


def test_a_log_beside_the_output(tmp_path: Path) -> None:
    """One plain file, whole, replaced in one step, without a manifest."""
    (tmp_path / "log").write_text("one")
    meter = Meter()
    report = copy_file(str(tmp_path / "log"), str(tmp_path / "to"), "run.log", "run-1", meter)
    assert (report.failures, report.committed, report.copied) == ([], True, 3)
    assert meter.read()[:3] == (3, 3, 1)
    assert report.files[0][:2] == (str(tmp_path / "to/run.log"), 3)
    (tmp_path / "log").write_text("longer")
    assert copy_file(str(tmp_path / "log"), str(tmp_path / "to"), "run.log", "run-1", Meter()).committed
    assert (tmp_path / "to/run.log").read_text() == "longer"
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["run.log"]
    gone = copy_file(str(tmp_path / "none"), str(tmp_path / "to"), "run.log", "run-1", Meter())
    assert (gone.files, gone.failures) == ([], [(str(tmp_path / "none"), "No such file or directory")])
    assert (tmp_path / "to/run.log").read_text() == "longer"


@pytest.mark.parametrize("names", [["a"], ["a", "bb"]])
def test_the_meter_goes_to_the_end(tmp_path: Path, names: list[str]) -> None:
    """Bytes and files of how many; also where nothing has to be moved."""
    out = fill(tmp_path / "out", *names)
    size = len("".join(names))
    for run_id in ("run-1", "run-1", "run-2"):
        meter = Meter()
        save_to_folder(order(out, tmp_path / "to", run_id), meter)
        assert meter.read()[:3] == (size, size, len(names))
