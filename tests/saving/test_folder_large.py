"""Many files, and large ones. COLAB_RUN_TEST_LARGE_MB=5000 for the long form."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

from helpers.outputs import leftovers, order, restore, saved, tree
from launcher.saving.folder import save_to_folder
from launcher.saving.meter import Meter

if TYPE_CHECKING:
    from pathlib import Path

LARGE_MB = int(os.environ.get("COLAB_RUN_TEST_LARGE_MB", "200"))


def test_ten_thousand_files(tmp_path: Path) -> None:
    """All of them there and back; the second save moves the one that changed."""
    out = tmp_path / "out"
    dice = random.Random(1)
    for folder in range(100):
        (out / str(folder)).mkdir(parents=True)
        for name in range(100):
            (out / f"{folder}/{name}").write_bytes(dice.randbytes(dice.randrange(2000)))
    report = saved(out, tmp_path / "to")
    assert len(report.files) == 10_000
    assert leftovers(tmp_path / "to") == []
    (out / "7/7").write_bytes(b"changed")
    meter = Meter()
    again = save_to_folder(order(out, tmp_path / "to"), meter)
    assert (again.failures, again.copied, len(again.files)) == ([], 7, 10_000)
    assert meter.read().files == 10_000
    assert restore(tmp_path / "to", tmp_path / "back").complete
    assert tree(tmp_path / "back") == tree(out)


def test_a_large_file(tmp_path: Path) -> None:
    """Larger than what is on its way at once, and no multiple of anything; with a hole in it."""
    out = tmp_path / "out"
    out.mkdir()
    block = random.Random(1).randbytes(1 << 20)
    with open(out / "model", "wb") as writer:
        for number in range(LARGE_MB):
            writer.write(number.to_bytes(8, "big") + block[8:])
        writer.seek(50 << 20, os.SEEK_CUR)
        writer.write(b"end")
    meter = Meter()
    report = save_to_folder(order(out, tmp_path / "to"), meter)
    size = (LARGE_MB + 50) * (1 << 20) + 3
    assert (report.failures, report.committed, report.copied) == ([], True, size)
    assert meter.read().done == meter.read().total == size
    assert meter.read().ticks > size >> 20
    assert restore(tmp_path / "to", tmp_path / "back").complete
    assert tree(tmp_path / "back") == tree(out)
    assert save_to_folder(order(out, tmp_path / "to", "run-2"), Meter()).copied == 0
