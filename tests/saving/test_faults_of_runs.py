"""Whole runs onto targets that are full, broken, slow or odd: what is said to be saved is, and nothing else.

The engines have tests of their own; here it is exit codes, holds, and what the documents say.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from helpers.cli import command
from helpers.kills import states
from helpers.ours import guard_of, is_dead, kill
from helpers.outputs import STRACE, needs_strace, order, small_disk
from helpers.scene import Scene, until
from launcher.saving.model import Order, Target, TargetKind
from launcher.saving.save import Onlooker, save_output

if TYPE_CHECKING:
    from pathlib import Path

OUTPUT = "outputs: [{path: out, to: ../safe}]\n"
NOW = "release: {when: always, grace: 0s}\n"


def saved_rows(scene: Scene) -> list[dict[str, Any]]:
    """`saved` of the only run."""
    (result,) = scene.results()
    return result["saved"]


def reasons(row: dict[str, Any]) -> dict[str, str]:
    """Name of a file -> why it is not saved."""
    return {failure["path"].rpartition("/")[2]: failure["why"] for failure in row["failures"]}


def test_a_full_target_costs_the_release_and_no_result(scene: Scene) -> None:
    """74 and held: what had room is there, what had none is not, also not half; all of it is still here."""
    job = "run: mkdir out; head -c 3000000 /dev/urandom > out/big; echo 1 > out/small\n"
    with small_disk(scene.folder / "safe", "size=1m"), scene.managed() as endpoint:
        ended = scene.run_job(job + OUTPUT + NOW)
        assert (ended.code, endpoint.requests) == (74, []), ended.err
        row = saved_rows(scene)[0]
        assert (row["complete"], row["missing"], row["files"]) == (False, False, 1)
        assert list(reasons(row)) == ["big"]
        assert states.state_of(scene.folder / "safe" / "out") == {
            "small": ("file", states.sha256(scene.work / "out" / "small"))
        }
        assert states.manifest_of(scene.folder / "safe", "out") is None
    (result,) = scene.results()
    assert (result["release"]["status"], result["release"]["reason"]) == ("held", "not-saved")
    assert (result["outcome"], result["decided_by"]) == ("succeeded", "colab-run")
    assert "NOT saved" in ended.err
    assert (scene.work / "out" / "big").stat().st_size == 3_000_000


def test_a_log_that_finds_no_room_is_said(scene: Scene) -> None:
    """The output is safe, so the runtime goes; what could not be copied is named."""
    job = "run: mkdir out; echo 1 > out/model; head -c 3000000 /dev/zero\n"
    with small_disk(scene.folder / "safe", "size=1m"), scene.managed() as endpoint:
        scene.run_job(job + OUTPUT + NOW, stdout=subprocess.DEVNULL)
        output, log = saved_rows(scene)
        assert (output["complete"], log["complete"], len(endpoint.requests)) == (True, False, 1)
        assert list(reasons(log)) == ["log"]
        assert scene.results()[0]["log_saved_to"] is None
        assert not list((scene.folder / "safe").glob("*.log"))


@pytest.mark.parametrize("calls", ["fsync,syncfs,fdatasync", "copy_file_range,pwrite64"])
def test_a_disk_that_fails_is_74(scene: Scene, calls: str) -> None:
    """EIO at the end of a write or in it: nothing is said to be saved, and what was saved before still is."""
    needs_strace()
    job = "run: mkdir -p out; echo 1 > out/model; head -c 1000000 /dev/urandom > out/weights\n"
    assert scene.run_job(job + OUTPUT).code == 0
    run_id = scene.results()[0]["run_id"]
    before = states.manifest_of(scene.folder / "safe", "out")
    assert before is not None
    (scene.work / "out" / "weights").write_bytes(os.urandom(1_000_000))
    strace = [*STRACE, "-o", os.devnull, "-e", f"trace={calls}", "-e", f"inject={calls}:error=EIO"]
    done = subprocess.run(
        [*strace, *command(), "save", run_id, "--json"],
        cwd=scene.work,
        env=scene.env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 74, done.stderr
    assert "Input/output error" in done.stdout
    assert states.manifest_of(scene.folder / "safe", "out") == before
    assert states.there(scene.folder / "safe", "out", before) == states.promised(before)
    assert scene.run("save", run_id).code == 0
    assert states.state_of(scene.folder / "safe" / "out") == states.state_of(scene.work / "out")


HOLDS = """
import fcntl, sys
file = open(sys.argv[1], "w")
fcntl.flock(file, fcntl.LOCK_EX)
print(1, flush=True)
input()
"""


def test_a_target_that_takes_nothing_is_given_up(tmp_path: Path) -> None:
    """A command that hangs, and a folder in which somebody has stopped: why is said, and nobody is left."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "model").write_text("1\n")
    hangs = Target(TargetKind.COMMAND, f"echo $$ > {tmp_path}/pid; exec sleep 1000 # {{path}}")
    saved = save_output(Order(str(out), hangs, "out", "run", "run"), os.environ, Onlooker(stall_s=5.0))
    assert not saved.complete
    assert "nothing was taken for 5 s" in str(saved.failures[0][1])
    pid = (tmp_path / "pid").read_text().strip()
    until(lambda: not os.path.exists(f"/proc/{pid}"), "the end of the command")

    ours = tmp_path / "safe" / ".colab-run" / "out"
    ours.mkdir(parents=True)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(ours / "lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"1\n"
        saved = save_output(order(out, tmp_path / "safe"), os.environ, Onlooker(stall_s=1.0))
        assert not saved.complete
        assert "nothing was taken for 1 s" in str(saved.failures[0][1])
        other.communicate(b"\n")
    saved = save_output(order(out, tmp_path / "safe"), os.environ, Onlooker())
    assert saved.complete, saved.failures


def open_in(scene: Scene, path: Path) -> list[int]:
    """Who of this scene has the file open."""
    found = []
    for pid in scene.leftovers():
        with suppress(OSError):
            names = os.listdir(f"/proc/{pid}/fd")
            if any(os.readlink(f"/proc/{pid}/fd/{name}") == str(path) for name in names):
                found.append(pid)
    return found


DEAF = """
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
with open(".deaf", "w") as file:
    file.write(str(os.getpid()))
os.rename(".deaf", "deaf")
signal.pause()
"""


def test_no_save_begins_while_what_the_job_left_is_ended(scene: Scene) -> None:
    """Two that save the same output at once wait for each other: only the last save is there."""
    lock = scene.folder / "safe" / ".colab-run" / "out" / "lock"
    lock.parent.mkdir(parents=True)
    (scene.work / "deaf.py").write_text(DEAF)
    job = f"""
    run: |
      mkdir out; echo 1 > out/model; until [ -e go ]; do sleep 0.01; done
      setsid {sys.executable} deaf.py & until [ -e deaf ]; do sleep 0.01; done
    max_duration: 16s
    stop_grace: 1s
    outputs: [{{path: out, to: ../safe, every: 10s}}]
    """
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"1\n"
        process = scene.start("run", scene.write_job(job))
        # At half of `max_duration` there is a save, which waits for the lock; who takes over begins at once.
        (saver,) = until(lambda: open_in(scene, lock), "the save while the job runs")
        kill(guard_of(scene))
        until(lambda: set(open_in(scene, lock)) - {saver}, "a save by the next guard")
        (second,) = set(open_in(scene, lock)) - {saver}
        (scene.work / "go").touch()
        until((scene.work / "deaf").exists, "what the job leaves")
        daemon = int((scene.work / "deaf").read_text())
        savers: set[int] = set()

        def over() -> bool:
            there = open_in(scene, lock)
            if not is_dead(daemon):
                savers.update(there)
            return is_dead(daemon)

        until(over, "the end of what the job left")
        other.communicate(b"\n")
    assert savers <= {second}
    ended = scene.end(process)
    assert ended.code == 0, ended.err
    assert states.state_of(scene.folder / "safe" / "out") == states.state_of(scene.work / "out")


WRITES_ON = """
import os, sys
file = os.open(sys.argv[1], os.O_CREAT | os.O_RDWR)
while True:
    for letter in (b"a", b"b"):
        os.pwrite(file, letter * (32 << 20), 0)
"""


def test_a_source_that_changes_all_the_time_is_no_result(scene: Scene) -> None:
    """Somebody outside the job writes on: named, 74, held; the rest of the output is in its place."""
    noisy = scene.work / "out" / "noisy"
    job = f"run: mkdir out; echo 1 > out/quiet; touch ready; until [ -s {noisy} ]; do sleep 0.01; done\n"
    with scene.managed() as endpoint:
        process = scene.start("run", scene.write_job(job + OUTPUT + NOW))
        until((scene.work / "ready").exists, "the job")
        with subprocess.Popen([sys.executable, "-c", WRITES_ON, noisy]) as writer:
            try:
                ended = scene.end(process)
            finally:
                writer.kill()
        assert (ended.code, endpoint.requests) == (74, []), ended.err
        row = saved_rows(scene)[0]
        assert list(reasons(row)) == ["noisy"]
        assert (row["files"], row["complete"]) == (1, False)
        assert list((scene.folder / "safe" / "out").iterdir()) == [scene.folder / "safe" / "out" / "quiet"]
        assert scene.results()[0]["release"]["reason"] == "not-saved"


MANY = """
import os
for folder in range(100):
    os.makedirs(f"out/{folder}")
    for name in range(100):
        with open(f"out/{folder}/{name}", "w") as file:
            file.write(f"{folder} {name}")
"""


def test_ten_thousand_small_files(scene: Scene) -> None:
    """All of them, each for itself, and the runtime goes."""
    (scene.work / "many.py").write_text(MANY)
    with scene.managed() as endpoint:
        ended = scene.run_job(f"run: [{sys.executable}, many.py]\n{OUTPUT}{NOW}")
        assert (ended.code, len(endpoint.requests)) == (0, 1), ended.err
    (row,) = saved_rows(scene)
    assert (row["files"], row["complete"], row["verified"]) == (10_000, True, "read-back")
    manifest = states.manifest_of(scene.folder / "safe", "out")
    assert manifest is not None
    source = states.state_of(scene.work / "out")
    assert states.promised(manifest) == source == states.state_of(scene.folder / "safe" / "out")
    assert states.left_over(scene.folder / "safe", "out") == []


ODD = r"""
import os
os.makedirs(b"out/new\nline/deep")
os.makedirs("out/empty")
os.makedirs("elsewhere")
names = [b"new\nline/a\nb", b"new\nline/deep/.hidden", b"latin-\xff\xfe", "漢字 的 name".encode()]
names += [b"-rf", b"a" * 255, b"quote'\"$(x)"]
for name in names:
    with open(b"out/" + name, "wb") as file:
        file.write(name * 3)
open("out/nothing", "w").close()
with open("elsewhere/real", "w") as file:
    file.write("from elsewhere")
os.symlink("nothing", "out/link")
os.symlink(b"latin-\xff\xfe", b"out/link-\xff")
os.symlink("loop", "out/loop")
os.symlink("..", "out/empty/up")
os.symlink("../elsewhere", "out/outside")
os.symlink("not-there", "out/dangling")
"""


def test_names_that_nobody_expects_links_and_loops(scene: Scene) -> None:
    """Byte for byte there, byte for byte back; what a link leads to outside goes along, with the machine."""
    (scene.work / "odd.py").write_text(ODD)
    with scene.managed() as endpoint:
        ended = scene.run_job(f"run: [{sys.executable}, odd.py]\n{OUTPUT}{NOW}")
        assert (ended.code, len(endpoint.requests)) == (0, 1), ended.err
    (row,) = saved_rows(scene)
    wanted = states.state_of(scene.work / "out")
    assert wanted is not None
    assert wanted.pop("outside") == ("link", "../elsewhere")
    wanted["outside/real"] = ("file", states.sha256(scene.work / "elsewhere" / "real"))
    assert states.state_of(scene.folder / "safe" / "out") == wanted
    files = [what for what in wanted.values() if what[0] == "file"]
    assert (row["files"], row["complete"], row["failures"]) == (len(files), True, [])
    shutil.rmtree(scene.work / "out")
    restored = scene.run_job("run: echo $COLAB_RUN_RESUMED\n" + OUTPUT.replace("safe", "safe, restore: true"))
    assert (restored.code, restored.out) == (0, "1\n"), restored.err
    assert states.state_of(scene.work / "out") == wanted
