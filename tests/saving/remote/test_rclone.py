"""The real rclone: killed at any moment, a full remote, a tool that hangs, a note that leads nowhere."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from launcher.saving.meter import Meter
from launcher.saving.remote.engine import save_remote

SHOTS = 8


def content(root: Path) -> dict[str, bytes]:
    return {str(one.relative_to(root)): one.read_bytes() for one in root.rglob("*") if one.is_file()}


def save_in_child(place: Any, run: str, meter: Meter | None = None) -> int:
    """Save in a process of its own group, as the guard does; its pid."""
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        report = save_remote(place.order(run), meter or Meter(), place.environ)
        os._exit(0 if report.committed else 1)
    return pid


def children_gone(marker: str) -> bool:
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if marker.encode() in Path(f"/proc/{name}/environ").read_bytes():
                    return False
            except OSError:
                pass
    return True


def wait_until(fact: Any, what: str) -> None:
    deadline = time.monotonic() + 30
    while not fact():
        assert time.monotonic() < deadline, f"waited too long for: {what}"
        time.sleep(0.01)


def test_killed_at_any_moment(rclone: Any) -> None:
    """After each kill the target gives back one of the states that were complete, never a mixture."""
    rng = random.Random(7)
    rclone.environ["MARKER"] = marker = f"marker-{os.urandom(8).hex()}"
    begin = time.monotonic()
    assert rclone.save("run0").committed
    takes = time.monotonic() - begin
    states = [content(rclone.source)]
    seen = set()
    for number in range(SHOTS):
        # All files change and keep their size: a mixture can be told by nothing but the content.
        for path in states[0]:
            rclone.write(path, rng.randbytes(len(states[0][path])))
        states.append(content(rclone.source))
        pid = save_in_child(rclone, f"run{number % 3}")
        time.sleep(rng.uniform(0, takes))
        os.kill(pid, signal.SIGKILL)
        killed = os.waitpid(pid, 0)[1] == signal.SIGKILL
        wait_until(lambda: children_gone(marker), "the end of rclone")
        restored, back = rclone.restore()
        assert (restored.complete, restored.failures) == (True, [])
        got = content(back)
        assert got in states
        seen.add((killed, states.index(got) == number + 1))
        shutil.rmtree(back)
        # What held until now, and what may hold from now on.
        states = [got]
        if number % 2:
            assert rclone.save("run1").committed
            states = [content(rclone.source)]
    assert (True, False) in seen, "no kill came in time"


@pytest.mark.parametrize("verb", ["move", "copyto", "purge"])
def test_killed_between_two_steps(rclone: Any, verb: str) -> None:
    """The last word of a note is carried out by whoever comes next: a restore, or a save."""
    assert rclone.save("run1").committed
    rclone.write("model.bin", b"new" * 1000)
    rclone.write("deep/er/a b", "equal")
    new = content(rclone.source)
    gate = rclone.root / "gate"
    rclone.environ["MARKER"] = marker = f"marker-{os.urandom(8).hex()}"
    # Half of the move is done, then all is killed: who called rclone, and rclone with it.
    half = f'"$REAL" {verb} --include=model.bin "${{@:2}}"' if verb == "move" else ":"
    last = f"{half}; touch {gate}; kill -9 $(cut -d' ' -f4 /proc/$PPID/stat); exec sleep 60"
    rclone.wrap("rclone", f'if [ "$1" = {verb} ] && ! [ -e {gate} ]; then {last}; fi; exec "$REAL" "$@"')
    pid = save_in_child(rclone, "run1")
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    wait_until(gate.exists, "the step")
    wait_until(lambda: children_gone(marker), "the end of what was started: it dies with us")
    restored, back = rclone.restore()
    assert restored.complete
    if verb == "copyto":  # the note itself: nothing was moved yet
        assert content(back)["model.bin"] != new["model.bin"]
    else:
        assert content(back) == new
    assert rclone.save("run1").committed
    assert content(rclone.stored / "out") == new
    assert [one.name for one in (rclone.stored / ".colab-run/out").iterdir()] == ["saved.json"]


def test_a_note_that_cannot_be_carried_out(rclone: Any) -> None:
    """What waited is gone: the older state is still there and comes back; the next save makes a whole one."""
    assert rclone.save("run1").committed
    old = content(rclone.source)
    rclone.write("model.bin", os.urandom(1000))
    rclone.wrap("rclone", 'if [ "$1" = move ]; then exit 1; fi; exec "$REAL" "$@"')
    assert not rclone.save("run1").committed
    shutil.rmtree(rclone.stored / ".colab-run/out/staged")
    restored, back = rclone.restore()
    assert restored.complete
    assert content(back) == old
    rclone.environ["PATH"] = os.environ["PATH"]
    assert rclone.save("run1").committed
    restored, back = rclone.restore("again")
    assert content(back) == content(rclone.source)


def test_what_an_earlier_try_left_is_used_or_removed(rclone: Any) -> None:
    """Files that wait already are not sent again; those that are no part of the state do not go with it."""
    waits = rclone.stored / ".colab-run/out/staged/run1"
    waits.mkdir(parents=True)
    shutil.copy(rclone.source / "model.bin", waits)
    (waits / "stray").write_text("stray")
    (waits / "-dash").write_text("hsad")
    sent = rclone.root / "sent"
    rclone.wrap("rclone", f'if [ "$1" = copy ]; then ls "${{@: -2:1}}" >> {sent}; fi; exec "$REAL" "$@"')
    assert rclone.save("run1").committed
    assert content(rclone.stored / "out") == content(rclone.source)
    assert "model.bin" not in sent.read_text()
    assert "-dash" in sent.read_text()


def test_a_full_remote(rclone: Any) -> None:
    """No room there: failures that say so, no saved state; with room again the next save is whole."""
    mounted = rclone.stored.parent
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "none", mounted], capture_output=True
    ).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        report = rclone.save()
        assert not report.committed
        assert [Path(path).name for path, _ in report.failures] == ["model.bin"]
        assert "space" in report.failures[0][1]
        subprocess.run(["mount", "-o", "remount,size=60m", mounted], check=True)
        assert rclone.save().committed
        assert content(rclone.stored / "out") == content(rclone.source)
    finally:
        subprocess.run(["umount", mounted], check=True)


def test_a_remote_that_cannot_be_asked_is_no_empty_one(rclone: Any) -> None:
    """A restore that cannot look says so, instead of letting a job start from nothing."""
    assert rclone.save().committed
    fail = 'echo "2026/01/01 00:00:00 ERROR : timeout" >&2; exit 5'
    rclone.wrap("rclone", f'if [ "$1" = lsjson ]; then {fail}; fi; exec "$REAL" "$@"')
    restored, back = rclone.restore()
    assert restored.failures == [(str(back), "rclone (exit code 5): ERROR : timeout")]
    assert not back.exists()
    report = rclone.save()
    assert not report.committed
    assert report.failures[0][1] == "rclone (exit code 5): ERROR : timeout"


def test_a_hanging_tool_gives_no_sign_of_life(rclone: Any) -> None:
    """The meter stands still while rclone does, although it says something; and rclone ends with us."""
    rclone.environ["MARKER"] = marker = f"marker-{os.urandom(8).hex()}"
    gate = rclone.root / "gate"
    (rclone.root / "hang.py").write_text(
        "import sys, time\nwhile True:\n    print('0 B/s', file=sys.stderr, flush=True); time.sleep(0.05)\n"
    )
    hang = f"{sys.executable} -I {rclone.root}/hang.py"
    rclone.wrap("rclone", f'if [ "$1" = copy ]; then touch {gate}; {hang}; fi; exec "$REAL" "$@"')
    meter = Meter()
    pid = save_in_child(rclone, "run1", meter)
    try:
        wait_until(gate.exists, "the copy")
        # Two looks at the counters later nothing comes any more.
        seen: list[int] = []
        deadline = time.monotonic() + 20
        while len(seen) < 15 or len(set(seen[-12:])) > 1:
            assert time.monotonic() < deadline, seen
            time.sleep(0.15)
            seen.append(meter.read().ticks)
    finally:
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    wait_until(lambda: children_gone(marker), "the end of rclone")


def test_a_slow_transfer_shows_that_it_lives(rclone: Any) -> None:
    """At 6 MB a second the ticks go on, and the bytes are counted while they move."""
    rclone.write("model.bin", os.urandom(12_000_000))
    rclone.environ["RCLONE_BWLIMIT"] = "6M"
    meter = Meter()
    pid = save_in_child(rclone, "run1", meter)
    seen = set()
    while os.waitpid(pid, os.WNOHANG)[0] == 0:
        seen.add(meter.read().done)
        time.sleep(0.05)
    final = meter.read()
    assert final.done == final.total
    assert len({done for done in seen if 0 < done < final.total}) >= 2


@pytest.mark.parametrize("path", ["../../../outside", "a link/outside"])
def test_a_manifest_that_leads_out_is_not_followed(rclone: Any, path: str) -> None:
    """Whoever can write to the target cannot make a restore write elsewhere."""
    assert rclone.save().committed
    file = rclone.stored / ".colab-run/out/saved.json"
    document = json.loads(file.read_text())
    document["links"].append([path, "nowhere"])
    if "/" in path and ".." not in path:
        document["links"].append([path.split("/")[0], str(rclone.root)])
    document["links"].sort()
    file.write_text(json.dumps(document))
    restored, back = rclone.restore()
    assert not restored.complete
    assert not back.exists()
    assert not (rclone.root / "outside").is_symlink()


def test_secrets_are_not_in_what_is_said(rclone: Any) -> None:
    """A reason is what the tool said, never the environment that it had."""
    rclone.environ["AWS_SECRET_ACCESS_KEY"] = "hunter2hunter2"
    rclone.wrap("rclone", "exit 7")
    report = rclone.save()
    assert not report.committed
    assert "hunter2" not in json.dumps(report.as_dict())
