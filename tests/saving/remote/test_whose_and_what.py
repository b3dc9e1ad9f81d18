"""What counts as unchanged, what is not understood, and two saves of one run at a time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from helpers.scene import until
from launcher.saving.meter import Meter
from launcher.saving.remote.engine import save_remote
from launcher.saving.remote.model import NOT_UNDERSTOOD, ToolProblem
from launcher.saving.remote.scratch import alone, scratch


@pytest.mark.parametrize("chosen_place", ["rclone", "rclone-crypt", "stand_in_hf"], indirect=True)
def test_new_content_with_the_old_time_is_saved(chosen_place: Any) -> None:
    """What `rsync -t`, `cp -p` or a coarse clock does: size and mtime are the old ones."""
    file = chosen_place.write("last.pt", "A" * 1000)
    status = file.stat()
    assert chosen_place.save().committed
    file.write_text("B" * 1000)
    os.utime(file, ns=(status.st_mtime_ns, status.st_mtime_ns))
    assert (chosen_place.save().copied, chosen_place.save().copied) == (1000, 0)
    restored, back = chosen_place.restore()
    assert restored.complete
    assert (back / "last.pt").read_text() == "B" * 1000


@pytest.mark.parametrize("harm", ["cut off", "newer"])
@pytest.mark.parametrize("chosen_place", ["rclone", "stand_in_hf"], indirect=True)
def test_a_manifest_that_is_not_understood(chosen_place: Any, harm: str) -> None:
    """Something was saved: no job starts from nothing because of it, and nothing is put over it."""
    place = chosen_place
    assert place.save().committed
    harmed = {}
    for file in place.stored.rglob("saved.json"):
        document = {**json.loads(file.read_text()), "version": 99}
        text = file.read_text()[:-20] if harm == "cut off" else json.dumps(document)
        file.write_text(text)
        harmed[file] = text
    assert harmed
    restored, back = place.restore()
    assert (restored.found, restored.complete) == (True, False)
    assert restored.failures == [(str(back), NOT_UNDERSTOOD)]
    place.write("new", "new")
    report = place.save()
    assert (report.committed, report.failures) == (False, [(str(place.source), NOT_UNDERSTOOD)])
    assert {file: file.read_text() for file in harmed} == harmed
    assert not list(place.stored.rglob("out/new"))


def test_a_second_save_of_a_run_waits(rclone: Any) -> None:
    """It would use the folder of the first at the target; other runs are free."""
    one, meter, done = rclone.order(), Meter(), []
    second = threading.Thread(target=lambda: done.append(save_remote(one, meter, rclone.environ)))
    with alone(f"{one.run_id} {one.source} {one.target.shown} {one.name}"):
        second.start()
        until(lambda: meter.read().ticks > 1, "signs that it waits")
        assert not rclone.stored.exists()
        assert rclone.save("run2").committed
        assert done == []
    second.join()
    assert done[0].committed


def test_who_was_killed_holds_nothing(tmp_path: Path) -> None:
    """The kernel takes both locks back, and the folder is removed by the next."""
    script = (
        "import os\nfrom launcher.saving.remote.scratch import alone, scratch\n"
        f"with alone('one'), scratch({str(tmp_path)!r}, 'two'): print('at work', flush=True); input()\n"
    )
    root = Path(__file__).parents[3]
    child = subprocess.Popen(
        [sys.executable, "-c", script], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"at work\n"
        with pytest.raises(ToolProblem), alone("one"):
            pass
        with scratch(str(tmp_path), "two"):
            assert len(os.listdir(tmp_path)) == 2
        assert len(os.listdir(tmp_path)) == 1, "the folder of one that is at work"
    finally:
        child.kill()
        child.communicate()
    with alone("one"), scratch(str(tmp_path), "two") as mine:
        assert os.listdir(tmp_path) == [os.path.basename(mine)]


@pytest.mark.parametrize("chosen_place", ["stand_in_hf"], indirect=True)
def test_a_repository_that_nobody_may_see_is_no_absent_one(chosen_place: Any) -> None:
    """Without a token a private repository looks like none; with one a new repository is made."""
    chosen_place.extra["STAND_IN_FLAW"] = "nobody"
    restored, _ = chosen_place.restore()
    assert [why.split("; ")[-1] for _, why in restored.failures] == [
        "Error: Not logged in. Run `hf auth login` first."
    ]
    assert not chosen_place.save().committed
    chosen_place.extra.clear()
    restored, _ = chosen_place.restore()
    assert (restored.found, restored.failures) == (False, [])
    assert chosen_place.save().committed
