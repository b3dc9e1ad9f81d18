"""A mirror that is full, read-only, gone or hangs costs a sentence; a killed guard writes no row twice."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from helpers.fuse import hanging
from helpers.machines import Mirror
from helpers.ours import guard_of, kill, kill_both
from helpers.scene import until
from launcher.ledger.courier import DEADLINE_S

if TYPE_CHECKING:
    from collections.abc import Callable
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path

    from helpers.scene import Scene

SAVES = "outputs: [{path: out, to: ../saved}]\n"
NOW = "stop_grace: 1s\nrelease: {when: always, grace: 0s, unsaved: discard}\n"
WAITS = "run: mkdir -p out; touch ready; until [ -e go ]; do sleep 0.01; done; echo 1 >out/model\n"
ALL = ["planned", "started", "ended", "saved", "requested", "receipt", "accepted", "receipt"]


@pytest.fixture
def mirror(scene: Scene) -> Mirror:
    """Beside the first output."""
    return Mirror(scene.folder / "saved" / ".colab-run" / "ledger")


def in_mirror(folder: Path) -> str:
    """The lines of a job file that has its mirror there."""
    return f"ledger: {{mirror: {folder}}}\n"


def complaints(text: str) -> int:
    """How often it was said that the mirror takes nothing."""
    return " ".join(text.replace("colab-run:", "").split()).count("mirror of the ledger")


# --- a mirror that does not work ------------------------------------------------------------------


def test_a_full_mirror_gets_its_rows_later(scene: Scene, small_disk: Callable[..., Path]) -> None:
    """Said once; the run and its release go on; what there was no room for comes when there is."""
    disk = small_disk("size=4k")
    (disk / "ballast").write_bytes(b"x" * 4096)
    mirror = Mirror(disk)
    with scene.managed() as endpoint:
        process = scene.start("run", scene.write_job(f"{WAITS}{NOW}{in_mirror(disk)}"))
        until((scene.work / "ready").exists, "the job")
        assert mirror.kinds() == []
        subprocess.run(["mount", "-o", "remount,size=1m", disk], check=True)
        (scene.work / "go").touch()
        ended = scene.end(process)
        assert (ended.code, len(endpoint.requests), complaints(ended.err)) == (0, 1, 1), ended.err
        assert "No space left on device" in ended.err
        until(lambda: mirror.kinds().count("receipt") == 2, "the last row")
    assert mirror.kinds() == [kind for kind in ALL if kind != "saved"]


def test_a_read_only_mirror(scene: Scene, small_disk: Callable[..., Path]) -> None:
    """Said once; the run, its code and its release are as without it."""
    disk = small_disk("ro")
    with scene.managed() as endpoint:
        ended = scene.run_job(f"run: exit 3\n{NOW}{in_mirror(disk)}")
        assert (ended.code, len(endpoint.requests), complaints(ended.err)) == (3, 1, 1), ended.err
        assert "Read-only file system" in ended.err


def test_a_mirror_that_hangs(scene: Scene, tmp_path: Path) -> None:
    """The job starts and shows its output at once; the release waits for one deadline and no more."""
    folder = tmp_path / "hangs"
    folder.mkdir()
    job = f"run: echo shown; touch ready; until [ -e go ]; do sleep 0.01; done\n{NOW}{in_mirror(folder)}"
    with scene.managed() as endpoint, hanging(folder):
        began = time.monotonic()
        process = scene.start("run", scene.write_job(job))
        until((scene.work / "ready").exists, "the job")
        assert time.monotonic() - began < DEADLINE_S / 2
        (scene.work / "go").touch()
        ended = scene.end(process)
        took = time.monotonic() - began
        assert (ended.code, ended.out, len(endpoint.requests)) == (0, "shown\n", 1), ended.err
        assert (complaints(ended.err), "does not answer" in ended.err) == (1, True), ended.err
        assert took < DEADLINE_S + 8
        scene.vanish()


def test_history_of_a_mirror_that_hangs_is_not_tried_for_ever(scene: Scene, tmp_path: Path) -> None:
    """A short deadline is passed in; that a real one ends is all the same code."""
    from launcher.children import call_in_child
    from launcher.history import _look_there
    from launcher.values import Unknown

    folder = tmp_path / "hangs"
    folder.mkdir()
    with hanging(folder):
        found = call_in_child(lambda: _look_there(str(folder), "boot", "host", 0.0), deadline_s=0.5)
        assert found == Unknown("timeout")


def test_a_mirror_that_is_unmounted_under_a_run(scene: Scene, tmp_path: Path) -> None:
    """Its folder on this machine's own disk is not written to in its place."""
    disk = tmp_path / "drive"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a file system cannot be mounted here")
    folder = disk / "MyDrive" / "ledger"
    with scene.managed() as endpoint:
        process = scene.start("run", scene.write_job(f"{WAITS}{NOW}{in_mirror(folder)}"))
        until(lambda: "started" in Mirror(folder).kinds(), "the first rows")
        subprocess.run(["umount", "-l", disk], check=True)
        (scene.work / "go").touch()
        ended = scene.end(process)
        assert (ended.code, len(endpoint.requests), complaints(ended.err)) == (0, 1, 1), ended.err
        scene.vanish()
    assert os.listdir(disk) == []


def test_nothing_is_made_below_drive_while_it_is_not_mounted(tmp_path: Path) -> None:
    """A folder in its place would keep Drive from being mounted."""
    from launcher.ledger.mirror import Place, Written, write_rows

    drive = tmp_path / "drive"
    drive.mkdir()
    told = write_rows(Place(str(drive / "MyDrive" / "ledger"), str(drive)), [Written("name", "text")])
    assert (told["names"], os.listdir(drive)) == ([], [])
    assert "nothing is mounted" in told["why"]


# --- guards that are killed -----------------------------------------------------------------------


@pytest.mark.parametrize("at", ["planned", "started", "ended", "saved", "requested"])
def test_who_takes_over_writes_no_row_twice(scene: Scene, mirror: Mirror, at: str) -> None:
    """The guard is killed as a row appears: each number is there once, and no file was changed."""
    with scene.managed() as endpoint:
        process = scene.start("run", scene.write_job(f"{WAITS}{SAVES}{NOW}"))
        if at not in ("planned", "started"):
            until((scene.work / "ready").exists, "the job")
            (scene.work / "go").touch()
        until(lambda: at in mirror.kinds(), at)
        there = {name: (mirror.folder / name).read_bytes() for name in mirror.names() if name[0] != "."}
        kill(guard_of(scene))
        (scene.work / "go").touch()
        assert scene.end(process).code == 0
        assert len(endpoint.requests) in (1, 2)
        until(lambda: "accepted" in mirror.kinds(), "the answer")
        until(lambda: mirror.kinds()[-1] == "receipt", "the last receipt")
        scene.vanish()
    numbers = [name[21:23] for name in mirror.names()]
    assert len(set(numbers)) == len(numbers), mirror.names()
    assert numbers == [f"{number:02d}" for number in range(1, len(numbers) + 1)]
    assert [kind for kind in mirror.kinds() if kind != "receipt"] == [
        kind for kind in ALL if kind != "receipt"
    ]
    for name, content in there.items():
        assert (mirror.folder / name).read_bytes() == content


def test_who_finds_a_lost_run_goes_on_counting(scene: Scene, mirror: Mirror) -> None:
    """Watcher and guard are both gone: the next call takes the numbers from the ledger."""
    with scene.managed() as endpoint:
        process = scene.start("run", scene.write_job(f"{WAITS}{SAVES}{NOW}"))
        until(lambda: "started" in mirror.kinds(), "the first rows")
        kill(process.pid)
        process.communicate()
        kill_both(scene)
        scene.run("probe")
        until(lambda: endpoint.requests, "the release")
        until(lambda: mirror.kinds()[-1] == "receipt" and "accepted" in mirror.kinds(), "the last receipt")
        scene.vanish()
    assert mirror.kinds() == ALL
    assert [name[21:23] for name in mirror.names()] == [f"{number:02d}" for number in range(1, 9)]
    assert mirror.read("ended")["facts"]["outcome"] == "lost"


def test_who_finds_a_lost_run_knows_of_its_receipts(scene: Scene, mirror: Mirror) -> None:
    """They are in no ledger: the second guard's get numbers of their own, and nothing is changed."""

    def killed(handler: BaseHTTPRequestHandler) -> None:
        (client,) = clients
        kill(client.pid)
        kill_both(scene)

    clients: list[subprocess.Popen[str]] = []

    with scene.managed(killed, 200) as endpoint:
        clients.append(scene.start("run", scene.write_job(f"{WAITS}{SAVES}{NOW}")))
        (scene.work / "go").touch()
        scene.end(clients[0])
        until(lambda: len(endpoint.requests) == 1 and not scene.leftovers(), "the end of everybody")
        before = {name: (mirror.folder / name).read_bytes() for name in mirror.names()}
        assert mirror.kinds()[-1] == "receipt"
        scene.run("probe")
        until(lambda: mirror.kinds().count("receipt") > 1, "the second guard's receipt")
        until(lambda: mirror.read("receipt")["final"], "the last receipt")
        scene.vanish()
    numbers = [int(name[21:23]) for name in mirror.names()]
    assert numbers == list(range(1, len(numbers) + 1)), mirror.names()
    for name, content in before.items():
        assert (mirror.folder / name).read_bytes() == content


def test_a_row_that_cannot_be_read_keeps_no_other_back(tmp_path: Path) -> None:
    """A receipt that was to be copied, and is gone: it is named, and what comes behind it is written."""
    from launcher.ledger.mirror import Place, Written, write_rows

    rows = [Written("a", "text"), Written("b", copy_of=str(tmp_path / "no")), Written("c", "text")]
    told = write_rows(Place(str(tmp_path / "mirror")), rows)
    assert (told["names"], told["lost"], told["why"]) == (["a", "c"], {"b": "No such file or directory"}, "")


def test_a_receipt_that_cannot_be_written_here(scene: Scene) -> None:
    """It is in the mirror all the same, and so is every row; the mirror is not said to take nothing."""
    mirror = Mirror(scene.folder / "mirror")
    in_the_way = f"run: for run in {scene.home}/runs/*; do mkdir $run/receipt.json; done\n"
    with scene.managed() as endpoint:
        ended = scene.run_job(f"{in_the_way}{NOW}{in_mirror(mirror.folder)}")
        assert (ended.code, len(endpoint.requests), complaints(ended.err)) == (0, 1, 0), ended.err
        until(lambda: mirror.kinds().count("receipt") == 2, "the last receipt")
        scene.vanish()
    assert mirror.kinds() == [kind for kind in ALL if kind != "saved"]
    assert mirror.read("receipt")["release"]["status"] == "accepted"
