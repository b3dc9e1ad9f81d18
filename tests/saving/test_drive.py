"""Runs on a VM with Drive: everything is with Google before the request, or there is none."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from helpers.drive import POINT, DriveScene
from helpers.endpoint import hang_up
from helpers.kills import states
from helpers.ours import guard_of
from helpers.scene import until
from launcher.guard.desk import SAME_PRESS_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path

OUTPUT = "outputs: [{path: out, to: /content/drive/MyDrive/x}]\n"
MAKES_AN_OUTPUT = "name: train\nrun: mkdir -p out; echo 1 > out/model; echo said\n" + OUTPUT
MAKES_A_FILE = "name: train\nrun: mkdir -p runs; echo weights > runs/model.bin\n"


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[DriveScene]:
    """Not mounted yet."""
    scene = DriveScene(tmp_path)
    yield scene
    scene.close()


def release(**keys: str) -> str:
    """`always`, at once, and what else is said."""
    told = {"when": "always", "grace": "0s", **keys}
    return f"release: {json.dumps(told)}\n"


def answered(seen: list[Any], look: Callable[[], Any]) -> Callable[[BaseHTTPRequestHandler], None]:
    """An endpoint that looks first, and says yes."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        seen.append(look())
        handler.send_response(200)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def names(folder: Path) -> list[str]:
    """Every file below."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_everything_is_with_google_when_the_request_arrives(scene: DriveScene) -> None:
    """Output, log, receipt and the rows of the mirror are flushed first; nothing is written there later."""
    seen: list[list[str]] = []
    with scene.mounted(), scene.managed(answered(seen, lambda: names(scene.google))):
        ended = scene.run_job(MAKES_AN_OUTPUT + release())
        assert ended.code == 0, ended.err
        assert scene.flushes == 1
        (result,) = scene.results()
        run_id = result["run_id"]
        assert (result["drive"]["status"], result["release"]["status"]) == ("flushed", "accepted")
        (there,) = seen
        wanted = {"out/model", f"colab-run-{run_id}.log", f"colab-run-{run_id}.receipt.json"}
        assert {f"MyDrive/x/{name}" for name in wanted} <= set(there)
        rows = [name.rpartition("/")[2] for name in there if "/ledger/" in name]
        kinds = {name[21:].partition("-")[2].removesuffix(".json") for name in rows}
        assert {"planned", "started", "ended", "saved", "requested", "receipt"} <= kinds
        assert scene.seen_there() == []
        assert "bringing what was written to Drive to Google" in ended.err
    assert there == names(scene.google)
    manifest = states.manifest_of(scene.google / "MyDrive/x", "out")
    assert manifest is not None
    assert states.promised(manifest) == states.state_of(scene.work / "out")


def test_a_flush_that_fails_holds_the_release(scene: DriveScene) -> None:
    """No request while what was saved is only in the cache of this VM; why is said."""
    with scene.mounted(), scene.managed() as endpoint:
        scene.flush_is("fail")
        ended = scene.run_job(MAKES_AN_OUTPUT + release(hold="1h"))
        assert (ended.code, endpoint.requests) == (0, [])
        (result,) = scene.results()
        assert (result["release"]["status"], result["release"]["reason"]) == ("held", "drive-not-flushed")
        assert result["drive"]["status"] == "failed"
        assert "no connection to Google" in ended.err
        assert (scene.my_drive / "x/out/model").read_text() == "1\n"


def test_a_flush_that_says_yes_and_leaves_the_mount_is_none(scene: DriveScene) -> None:
    """Drive is flushed when it has gone."""
    with scene.mounted(), scene.managed() as endpoint:
        scene.flush_is("stays")
        scene.run_job(MAKES_AN_OUTPUT + release(hold="1h"))
        (result,) = scene.results()
        assert (result["release"]["reason"], endpoint.requests) == ("drive-not-flushed", [])


def test_when_its_hold_is_over_a_run_that_may_goes_without_drive(scene: DriveScene) -> None:
    """`after_hold: release` is the word that allows it; it is asked for after the hold, not before."""
    with scene.mounted(), scene.managed() as endpoint:
        scene.flush_is("fail")
        ended = scene.run_job(MAKES_AN_OUTPUT + release(hold="5s", after_hold="release"))
        assert ended.code == 0
        assert scene.results()[0]["release"]["reason"] == "drive-not-flushed"
        assert endpoint.requests == []
        until(lambda: endpoint.requests, "the request at the end of the hold")
        until(lambda: scene.results()[0]["release"]["status"] == "accepted", "the answer")


@pytest.mark.parametrize("after_hold", [None, "stay"])
def test_when_its_hold_is_over_a_run_that_may_not_stays(scene: DriveScene, after_hold: str | None) -> None:
    """`archive`, the default with Drive, cannot help here: what is not flushed is on Drive already."""
    keys = {"hold": "0s"} if after_hold is None else {"hold": "0s", "after_hold": after_hold}
    with scene.mounted(), scene.managed() as endpoint:
        scene.flush_is("fail")
        scene.run_job(MAKES_AN_OUTPUT + release(**keys))
        until(lambda: not scene.guards(), "the end of the guard")
        assert scene.results()[0]["release"]["reason"] == "drive-not-flushed"
        assert endpoint.requests == []


def test_a_flush_that_fails_is_no_reason_where_nothing_of_the_run_is_there(scene: DriveScene) -> None:
    """It is said, and the runtime goes."""
    with scene.mounted(), scene.managed() as endpoint:
        scene.flush_is("fail")
        ended = scene.run_job('run: "true"\n' + release())
        assert (ended.code, len(endpoint.requests)) == (0, 1)
        assert "Drive could not be flushed" in ended.err
        assert scene.results()[0]["drive"]["status"] == "failed"


def test_a_press_of_stop_ends_a_flush_that_hangs(scene: DriveScene) -> None:
    """The runtime is kept, and what hung is gone."""
    with scene.mounted(), scene.managed() as endpoint:
        scene.flush_is("hang")
        process = scene.start("run", scene.write_job(MAKES_AN_OUTPUT + release()))
        until(lambda: scene.flushes, "the flush")
        os.kill(guard_of(scene), signal.SIGINT)
        ended = scene.end(process)
        pressed = time.monotonic()  # The guard took it some time before that.
        assert endpoint.requests == []
        (result,) = scene.results()
        assert (result["release"]["status"], result["release"]["reason"]) == ("held", "ended-by-person")
        assert ended.code == 0, ended.err
        until(lambda: time.monotonic() - pressed > SAME_PRESS_S, "a press of its own")
        assert scene.run("stop", result["run_id"]).code == 0  # It waits for idleness now.
        until(lambda: not scene.leftovers(), "the end of everything")


def test_a_guard_that_is_killed_after_the_flush_does_not_flush_again(scene: DriveScene) -> None:
    """Whoever takes over finds nothing mounted, asks with the same nonce, and still says `flushed`."""

    def kill_the_guard(handler: BaseHTTPRequestHandler) -> None:
        os.kill(guard_of(scene), signal.SIGKILL)
        hang_up(handler)

    with scene.mounted(), scene.managed(kill_the_guard, 200) as endpoint:
        ended = scene.run_job(MAKES_AN_OUTPUT + release())
        assert ended.code == 0, ended.err
        assert len(endpoint.requests) == 2
        assert len({request.nonce for request in endpoint.requests}) == 1
        (result,) = scene.results()
        assert (result["drive"]["status"], scene.flushes) == ("flushed", 1)
        assert scene.seen_there() == []


def test_drive_that_is_not_mounted_refuses_with_the_cell_that_mounts_it(scene: DriveScene) -> None:
    """69 before anything is started, and nothing is written where it would go with the VM."""
    with scene.mounted(), scene.managed() as endpoint:
        unmounted = scene.end(scene.start_there("umount", str(POINT)))
        assert unmounted.code == 0, unmounted.err
        ended = scene.run_job("setup: touch started\n" + MAKES_AN_OUTPUT + release())
        assert (ended.code, endpoint.requests) == (69, [])
        said = " ".join(ended.err.split())
        assert "from google.colab import drive; drive.mount('/content/drive')" in said
        assert "in a cell of its own" in said
        assert not (scene.work / "started").exists()
        assert scene.seen_there() == []


# --- what no output names -------------------------------------------------------------------------


def test_what_exists_only_here_is_archived_and_then_released(scene: DriveScene) -> None:
    """The default with Drive: the files are copied there, flushed, and the runtime goes after the hold."""
    seen: list[list[str]] = []
    with scene.mounted(), scene.managed(answered(seen, lambda: names(scene.google))) as endpoint:
        ended = scene.run_job(MAKES_A_FILE + release(hold="5s"))
        assert (ended.code, endpoint.requests) == (0, [])
        (result,) = scene.results()
        assert (result["release"]["reason"], result["release"]["then"]) == ("unsaved-files", "archive")
        until(lambda: seen, "the request")
        until(lambda: scene.results()[0]["release"]["status"] == "accepted", "the answer")
        place = f"MyDrive/colab-run/train-{result['run_id']}"
        assert f"{place}/runs/model.bin" in seen[0]
        assert (scene.google / place / "runs/model.bin").read_text() == "weights\n"
        (result,) = scene.results()
        (row,) = result["saved"]
        assert (row["files"], row["complete"], row["verified"]) == (1, True, "read-back")
        assert (result["drive"]["status"], scene.flushes) == ("flushed", 1)
    manifest = states.manifest_of(scene.google / "MyDrive/colab-run", f"train-{result['run_id']}")
    assert manifest is not None
    assert [one["path"] for one in manifest["files"]] == ["runs/model.bin"]


def test_an_archive_that_cannot_be_flushed_holds(scene: DriveScene) -> None:
    """What was copied is in the cache only: no request."""
    with scene.mounted(), scene.managed() as endpoint:
        scene.flush_is("fail")
        scene.run_job(MAKES_A_FILE + release(hold="0s"))
        until(lambda: not scene.guards(), "the end of the guard")
        assert scene.results()[0]["release"]["reason"] == "drive-not-flushed"
        assert endpoint.requests == []
        assert (scene.work / "runs/model.bin").exists()


def test_an_archive_onto_a_full_drive_holds_and_loses_nothing(scene: DriveScene) -> None:
    """Half a file is not left there, the files are still here, and nothing is asked for."""
    job = "name: train\nrun: head -c 3000000 /dev/urandom > big.bin; echo small > small.txt\n"
    with scene.mounted("size=1m"), scene.managed() as endpoint:
        scene.run_job(job + release(hold="0s"))
        until(lambda: not scene.guards(), "the end of the guard")
        (result,) = scene.results()
        assert (result["release"]["status"], result["release"]["reason"]) == ("held", "archive-failed")
        assert (endpoint.requests, scene.flushes) == ([], 0)
        assert (scene.work / "big.bin").stat().st_size == 3_000_000
        place = scene.my_drive / "colab-run" / f"train-{result['run_id']}"
        assert names(place) in ([], ["small.txt"])
        (row,) = [row for row in result["saved"] if not row["complete"]]
        assert "big.bin" in json.dumps(row["failures"])
        # A later run does not release over them either.
        (scene.work / "elsewhere").mkdir()
        scene.run_job(f'workdir: {scene.work / "elsewhere"}\nrun: "true"\n' + release())
        assert endpoint.requests == []
