"""Whole runs that are killed while they save: every output is whole afterwards, and the release is as asked.

12 runs each time, from a seed that is shown; `make kills N=200` plays as many as it is told. To play them
again: COLAB_RUN_SAVE_KILLS_SEED=…; each failure says its number, and where its folder is.
"""

from __future__ import annotations

import os
import secrets
import time
from typing import TYPE_CHECKING

from chaos.injections import may_be_apart
from helpers.kills.shooting import complaints, run, table

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

COUNT = int(os.environ.get("COLAB_RUN_SAVE_KILLS", "12"))
FIRST = int(os.environ.get("COLAB_RUN_SAVE_KILLS_FIRST", "0"))
SEED = os.environ.get("COLAB_RUN_SAVE_KILLS_SEED") or secrets.token_hex(4)
# Half of the time is waiting.
WORKERS = min(6, 2 * (os.cpu_count() or 1))
# Where workers may not have folders of their own they would bring each other's runs to their end.
ALONE = 6


def test_whoever_is_killed_while_results_are_saved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each output ends whole, byte for byte; the request comes after that; half a save is never restored."""
    apart = may_be_apart()
    count = COUNT if apart or "COLAB_RUN_SAVE_KILLS" in os.environ else min(COUNT, ALONE)
    began = time.monotonic()
    rows = run(count, SEED, tmp_path, WORKERS if apart else 1, FIRST)
    with capsys.disabled():
        print(f"\nCOLAB_RUN_SAVE_KILLS_SEED={SEED}\n{table(rows, time.monotonic() - began)}")
    assert len(rows) == count
    wrong = "\n".join(complaints(rows))
    assert wrong == "", f"COLAB_RUN_SAVE_KILLS_SEED={SEED}\n{wrong}"
    # Who hits nothing proves nothing.
    assert sum(bool(row["hit"]) for row in rows) > count / 2
