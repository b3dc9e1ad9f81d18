"""`doctor` on machines in real states: what it finds, what it advises, and that it leaves no trace."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from helpers.diagnosis import KEYS, driver, of, rows
from helpers.lab import until
from helpers.outputs import small_disk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from helpers.scene import Scene


def files_below(folder: Path) -> dict[str, tuple[int, int]]:
    """Everything there, with size and time of change."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        found[str(path)] = (status.st_size, status.st_mtime_ns if path.is_file() else 0)
    return found


# --- in order ---------------------------------------------------------------------------------------


def of_doctor() -> list[str]:
    """What it makes beside the state folder for as long as it looks."""
    return sorted(name for name in os.listdir("/tmp") if "colab-run-doctor" in name)


def test_a_machine_in_order(scene: Scene) -> None:
    """Every row is there, once, in its order; nothing fails, and nothing is left behind anywhere."""
    scene.home.mkdir(mode=0o700)
    before = files_below(scene.folder), of_doctor()
    ended = scene.run("doctor", "--json")
    found = rows(ended)
    assert tuple(found) == KEYS
    assert ended.code == 0, [row for row in found.values() if row["status"] == "fail"]
    assert of(found, "drive") == ("absent", "not mounted")
    assert of(found, "ledger") == ("absent", "none yet: the first run begins it")
    assert (found["state"]["status"], found["watch"]["status"]) == ("ok", "absent")
    assert (files_below(scene.folder), of_doctor()) == before


def test_a_state_folder_that_is_not_there_is_not_made(scene: Scene) -> None:
    """A look makes nothing, also not what the first run would make."""
    found = rows(scene.run("doctor", "--json"))
    assert of(found, "state")[0] == "ok"
    assert "is not there yet" in found["state"]["found"]
    assert not scene.home.exists()


def test_after_a_run_the_ledger_is_whole(scene: Scene) -> None:
    """A ledger of a real run opens, and looking at it changes nothing."""
    assert scene.run("exec", "--", "true").code == 0
    until(lambda: not scene.guards(), "the end of the guard")
    before = files_below(scene.home)
    found = rows(scene.run("doctor", "--json"))
    assert of(found, "ledger")[0] == "ok"
    assert of(found, "runs")[0] == "ok"
    assert files_below(scene.home) == before


@pytest.mark.parametrize(
    ("lang", "last"),
    [("en", "Help > Send feedback..."), ("zh-TW", "說明 > 提供意見"), ("zh-CN", "帮助 > 发送反馈")],
)
def test_the_screen_ends_with_where_to_send_feedback(scene: Scene, lang: str, last: str) -> None:
    """On Colab that is its own menu, in the user's language; the address of the endpoint is not shown."""
    with scene.managed() as endpoint:
        ended = scene.run("doctor", "--lang", lang)
        assert last in ended.out.strip().splitlines()[-1]
        assert endpoint.address not in ended.out
        found = rows(scene.run("doctor", "--json"))
        assert of(found, "platform")[0] == "ok"
        assert of(found, "release") == ("ok", "with colab: nothing speaks against it")
        assert of(found, "drive")[0] == "absent"
        assert endpoint.requests == []


# --- GPUs -------------------------------------------------------------------------------------------


def test_no_gpu_is_absent_and_no_fault(scene: Scene) -> None:
    """A driver that counts no GPU."""
    found = rows(scene.run("doctor", "--json", env=driver(scene, "none")))
    assert of(found, "gpus") == ("absent", "Not connected to a GPU")
    assert of(found, "driver")[0] == "ok"


def test_a_healthy_gpu(scene: Scene) -> None:
    """Its driver, where the library is, the newest CUDA, and its memory."""
    found = rows(scene.run("doctor", "--json", env=driver(scene, "t4")))
    assert of(found, "gpus") == ("ok", "0: Tesla T4, 16.1 GB free of 16.1 GB")
    said = found["driver"]["found"]
    assert said.startswith("580.82.07, library ")
    assert said.endswith("libnvidia-ml.so.1, CUDA up to 12.8")
    assert str(scene.folder) not in said, "the value of LD_LIBRARY_PATH is nobody's business"


def test_an_old_driver(scene: Scene) -> None:
    """One that does not serve the CUDA of today's packages is nothing to pass over."""
    found = rows(scene.run("doctor", "--json", env=driver(scene, "old-driver")))
    assert found["driver"]["status"] == "unknown", found["driver"]
    assert "CUDA" in found["driver"]["found"]


@pytest.mark.parametrize(
    "scenario", ["driver-not-loaded", "driver-mismatch", "no-permission", "blocked-by-os"]
)
def test_a_driver_that_refuses(scene: Scene, scenario: str) -> None:
    """Each refusal is a failure with its reason."""
    found = rows(scene.run("doctor", "--json", env=driver(scene, scenario)))
    assert found["driver"]["status"] == "fail"
    assert scenario in found["driver"]["found"]


def test_a_gpu_that_was_lost(scene: Scene) -> None:
    """One of two cannot be read."""
    found = rows(scene.run("doctor", "--json", env=driver(scene, "t4-and-lost")))
    assert of(found, "gpus") == ("fail", "GPU 1 cannot be read (gpu-lost)")


def test_foreign_processes_on_a_gpu(scene: Scene) -> None:
    """Pids that are not of this container are said to be of another one, and left to a person."""
    found = rows(scene.run("doctor", "--json", env=driver(scene, "busy-t4")))
    assert of(found, "gpu-processes") == (
        "unknown",
        "GPU memory is held by pid 4242 of another container, pid 4343 of another container",
    )


def test_a_process_of_this_machine_on_a_gpu(scene: Scene) -> None:
    """It is named by its program, and a person is told how to end it."""
    pid = os.getpid()
    found = rows(scene.run("doctor", "--json", env=driver(scene, "t4", f"0 pids {pid}:1000000")))
    assert found["gpu-processes"]["status"] == "unknown"
    assert f"pid {pid} (" in found["gpu-processes"]["found"]
    assert found["gpu-processes"]["fix"].endswith(f"end it: kill {pid}")


# --- state folder and ledger --------------------------------------------------------------------------


def test_a_full_disk_under_the_state_folder(scene: Scene) -> None:
    """Nothing can be written: a failure with the room as its fix."""
    for place in small_disk_at(scene):
        (place / "filler").write_bytes(b"x" * (64 << 10))
        found = rows(scene.run("doctor", "--json"))
        assert of(found, "state") == ("fail", "$COLAB_RUN_HOME cannot be written to: No space left on device")
        assert of(found, "disk")[0] == "fail"
        assert [path.name for path in place.iterdir()] == ["filler"]


def small_disk_at(scene: Scene) -> Iterator[Path]:
    """A full-size state folder on a real disk of 64 KiB."""
    make: Any = getattr(small_disk, "__wrapped__", small_disk)
    yield from make(scene.home, "size=64k,mode=0700")


def test_a_state_folder_that_is_a_file(scene: Scene) -> None:
    """It cannot be used, and another is to be named."""
    scene.home.write_text("not a folder")
    found = rows(scene.run("doctor", "--json"))
    assert of(found, "state") == ("fail", "$COLAB_RUN_HOME cannot be written to: Not a directory")
    assert "COLAB_RUN_HOME" in found["state"]["fix"]


def test_a_state_folder_below_a_file(scene: Scene) -> None:
    """No folder can be made there: as with a HOME that is a file."""
    scene.home.write_text("")
    found = rows(scene.run("doctor", "--json", env={"COLAB_RUN_HOME": str(scene.home / "a" / "b")}))
    assert of(found, "state") == ("fail", "$COLAB_RUN_HOME cannot be written to: Not a directory")


def test_a_file_where_the_runs_should_be(scene: Scene) -> None:
    """No run starts then, so the state folder is not in order."""
    scene.home.mkdir(mode=0o700)
    (scene.home / "runs").write_text("")
    found = rows(scene.run("doctor", "--json"))
    assert of(found, "state") == ("fail", "$COLAB_RUN_HOME/runs cannot be written to: Not a directory")


def test_a_state_folder_that_others_may_write_to(scene: Scene) -> None:
    """Whoever may write there may change what our guards do."""
    scene.home.mkdir()
    scene.home.chmod(0o777)
    found = rows(scene.run("doctor", "--json"))
    assert of(found, "state") == ("fail", "other users may write to $COLAB_RUN_HOME")
    assert found["state"]["fix"] == "close it: chmod 700 $COLAB_RUN_HOME"


def test_a_corrupt_ledger_is_said_and_left_where_it_is(scene: Scene) -> None:
    """The next run would put it aside; a look does not."""
    scene.home.mkdir(mode=0o700)
    ledger = scene.home / "ledger.sqlite3"
    ledger.write_bytes(b"this is no database" * 1000)
    found = rows(scene.run("doctor", "--json"))
    assert of(found, "ledger") == ("fail", "it is damaged")
    assert ledger.read_bytes() == b"this is no database" * 1000
    assert [path.name for path in scene.home.iterdir()] == ["ledger.sqlite3"]


def test_pages_of_the_ledger_are_damaged(scene: Scene) -> None:
    """One that opens and is not whole is damaged all the same."""
    assert scene.run("exec", "--", "true").code == 0
    until(lambda: not scene.guards(), "the end of the guard")
    ledger = scene.home / "ledger.sqlite3"
    content = bytearray(ledger.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    ledger.write_bytes(content)
    assert of(rows(scene.run("doctor", "--json")), "ledger") == ("fail", "it is damaged")
