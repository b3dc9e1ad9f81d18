"""A job that is alive and shows no sign of life, through the command itself, with small windows."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from helpers.ours import guard_of, is_dead, kill, name_of, parent_of
from helpers.scene import until
from launcher.guard.model import RunReport, Stalled
from launcher.ledger.model import problems
from launcher.ledger.store import Ledger
from launcher.release import lease
from launcher.release.decide import decide
from launcher.spec.model import When
from launcher.values import Unknown

if TYPE_CHECKING:
    from helpers.scene import Scene

# The window, and how often a look is taken then; what a busy machine may be late.
AFTER_S, PERIOD_S, LATE_S = 1.0, 0.1, 5.0
# Long enough for a look before and one after the beginning; only who has worked can stall.
WORK_S = 2.0
# Works for a while, says so, and does nothing more until it is told to go on.
WORKS = f"""
import os, signal, sys, time

def work(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(1000))

def wait_for(name):
    while not os.path.exists(name):
        time.sleep(0.1)

work({WORK_S})
print("worked", flush=True)
"""
HANGS = WORKS + "wait_for('never')\n"


def job(
    scene: Scene, program: str, *keys: str, name: str = "job", after: str = "1s", action: str = "warn"
) -> str:
    """A job file for a Python program; its name."""
    (scene.work / f"{name}.py").write_text(program)
    rows = [f"run: [{sys.executable}, {name}.py]", f"idle: {{after: {after}, action: {action}}}", *keys]
    return scene.write_job("\n".join(rows) + "\n", f"{name}.yaml")


def result(scene: Scene) -> dict[str, Any]:
    """Of the one run; nothing before it is there."""
    return next(iter(scene.results()), {})


def helpers_of(guard: int) -> list[int]:
    """Its children that work for it beside the job."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [pid for pid in pids if parent_of(pid) == guard and name_of(pid) == name_of(guard)]


def is_stalled(document: dict[str, Any]) -> bool:
    """It was stopped for that, by us, and not before the window was over."""
    assert document["stalled"]["seconds"] >= AFTER_S
    ended = document["outcome"], document["exit_code"], document["decided_by"]
    return ended == ("stalled", 124, "colab-run")


# --- warn -----------------------------------------------------------------------------------------


def test_a_silence_is_said_and_written_down_and_taken_back(scene: Scene) -> None:
    """Once each: by a warning in the cell, in the record and in `ps`; the log has the job's bytes alone."""
    program = WORKS + "wait_for('go'); work(1.0); print('again', flush=True); wait_for('end')\n"
    process = scene.start("run", job(scene, program))
    silence = until(lambda: result(scene).get("stalled"), "the silence")
    (row,) = json.loads(scene.run("ps", "--json").out)["runs"]
    assert (row["state"], row["stalled"]["since"]) == ("started", silence["since"])
    assert "stalled" in (shown := scene.run("ps").out), shown
    assert "no sign of life for" in shown
    (scene.work / "go").touch()
    until(
        lambda: result(scene).get("stalls") == 1 and "stalled" not in result(scene), "the end of the silence"
    )
    (scene.work / "end").touch()
    ended = scene.end(process)
    assert (ended.code, ended.out) == (0, "worked\nagain\n"), ended.err
    assert scene.logs() == [b"worked\nagain\n"]
    assert ended.err.count("warning: no sign of life for") == 1
    assert ended.err.count("the job shows life again") == 1
    assert AFTER_S <= silence["seconds"] <= AFTER_S + 2 * PERIOD_S + LATE_S
    assert {"cpu", "output", "disk", "files"} <= set(silence["last_seen"])
    assert silence["last_seen"]["output"]["at"] and silence["last_seen"]["disk"]["at"] is None


WORKING = {
    "validates": "work(5)",
    "prints": "print('.', flush=True)",
    "writes": "open('small', 'a').write('x')",
    "beats": "beats._due = 0; launcher.beat()",
}


def test_what_works_is_not_warned_about(scene: Scene) -> None:
    """Processor time alone, a line now and then, a file that changes, and a heartbeat are each enough."""
    now_and_then = "import launcher\nfrom launcher import beats\nfor _ in range(12):\n    time.sleep(0.4); "
    started = {}
    for name, act in WORKING.items():
        # Each in a folder of its own: a file that changes is life to whoever works there.
        (scene.work / name).mkdir()
        program = WORKS + ("" if name == "validates" else now_and_then) + act + "\n"
        path = job(scene, program, f"workdir: {name}", name=name, after="3s", action="stop")
        (scene.work / f"{name}.py").rename(scene.work / name / f"{name}.py")
        started[name] = scene.start("run", path)
    for name, process in started.items():
        ended = scene.end(process)
        assert ended.code == 0, f"{name}: {ended.err}"
        assert "no sign of life" not in ended.err, name
    assert [document.get("stalls") for document in scene.results()] == [None] * len(WORKING)


def test_a_silent_setup_does_not_count(scene: Scene) -> None:
    """Downloads and compilers may be silent for long; only `run` is watched."""
    (scene.work / "setup.py").write_text(WORKS)
    setup = f"setup: {sys.executable} setup.py; sleep 4.5"
    ended = scene.run("run", job(scene, WORKS, setup, after="3s", action="stop"))
    assert ended.code == 0, ended.err
    assert "stalls" not in result(scene)


def test_what_we_write_ourselves_is_no_life(scene: Scene) -> None:
    """Our own words in a file, as with `nohup`, and `--result`: they may lie in the workdir."""
    with open(scene.work / "nohup.out", "w") as out:
        process = scene.start("run", job(scene, HANGS), "--result", "result.json", stdout=out, stderr=out)
        until(lambda: result(scene).get("stalled"), "the silence")
        until(lambda: "no sign of life" in (scene.work / "nohup.out").read_text(), "the warning")
        # Each of these takes longer than some looks.
        for _ in range(3):
            assert "no sign of life" in " ".join((shown := scene.run("ps")).out.split()), shown
        assert result(scene)["stalls"] == 1
        assert scene.run("stop", "last").code == 0
        assert scene.end(process).code == 130
    assert (scene.work / "nohup.out").read_text().count("no sign of life") == 1


# --- stop -----------------------------------------------------------------------------------------


def test_a_hung_job_is_stopped_and_the_runtime_goes(scene: Scene) -> None:
    """Outcome `stalled`, exit code 124; a failure as any other for the release; the ledger knows."""
    release = "release: {when: failure, grace: 0s, unsaved: discard}"
    with scene.managed() as endpoint:
        began = time.monotonic()
        ended = scene.run("run", job(scene, HANGS, release, action="stop"))
        took = time.monotonic() - began
        assert len(endpoint.requests) == 1
    assert ended.code == 124, ended.err
    document = result(scene)
    assert is_stalled(document)
    assert document["release"]["status"] == "accepted"
    assert WORK_S + AFTER_S <= took <= WORK_S + AFTER_S + 2 * PERIOD_S + 2 * LATE_S
    assert "the job has stalled: it gets SIGTERM" in ended.err
    # A machine that is busy looks later.
    assert re.search(r"it showed no sign of life for [1-6] s \(exit code 124\)", ended.err), ended.err
    ledger = Ledger.open(str(scene.home), lease.boot_id(), read_only=True)
    rows = ledger.rows(document["run_id"])
    ledger.close()
    assert problems(rows) == []
    (facts,) = [row.facts for row in rows if row.state.value == "ended"]
    assert (facts["outcome"], facts["stalls"]) == ("stalled", 1)
    assert facts["stalled"] == document["stalled"]


@pytest.mark.parametrize(("when", "asked"), [("always", True), ("failure", True), ("success", False)])
def test_a_stalled_job_has_failed(when: str, asked: bool) -> None:
    """For the rules of the release: `always` and `failure` include it."""
    unknown = Unknown("not-sampled")
    report = RunReport(Stalled(1200.0), 0.0, 0, 1.0, unknown, unknown)
    answer = decide(when=When(when), managed=True, backed=True, no_release=False, report=report)
    assert (answer is None) == asked


def test_a_stopped_process_hears_the_polite_signal(scene: Scene) -> None:
    """State T shows no life; SIGCONT comes with SIGTERM, so that it can clean up."""
    program = WORKS + (
        "signal.signal(signal.SIGTERM, lambda *_: (print('cleaned up', flush=True), os._exit(0)))\n"
        "os.kill(os.getpid(), signal.SIGSTOP)\nwait_for('never')\n"
    )
    ended = scene.run("run", job(scene, program, "stop_grace: 20s", action="stop"))
    assert (ended.code, ended.out) == (124, "worked\ncleaned up\n"), ended.err
    assert is_stalled(result(scene))


def test_a_job_that_hears_nothing_is_killed(scene: Scene) -> None:
    """SIGKILL after `stop_grace`, as with every stop of ours."""
    program = WORKS + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwait_for('never')\n"
    ended = scene.run("run", job(scene, program, "stop_grace: 0.5s", action="stop"))
    assert ended.code == 124, ended.err
    assert is_stalled(result(scene))


# --- our own processes ----------------------------------------------------------------------------


def test_who_takes_over_begins_anew(scene: Scene) -> None:
    """The guard is killed in a silence: the job is stopped after a whole window from then on."""
    program = WORKS + (
        "time.sleep(1)\nkilled = time.monotonic()\nos.kill(os.getppid(), signal.SIGKILL)\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print(time.monotonic() - killed), os._exit(0)))\n"
        "wait_for('never')\n"
    )
    ended = scene.run("run", job(scene, program, action="stop", after="2s"))
    assert ended.code == 124, ended.err
    assert 2.0 <= float(ended.out.split()[1]) <= 2.0 + LATE_S
    assert ended.err.count("warning: no sign of life for") == 1
    assert is_stalled(result(scene))


def test_who_takes_over_knows_what_was_said(scene: Scene) -> None:
    """The guard is killed after its warning: there is no second one, and the end of the silence is said."""
    program = WORKS + (
        # Once more silent for longer than a window.
        "wait_for('go'); time.sleep(2.5); work(1.0); print('again', flush=True); wait_for('end')\n"
    )
    process = scene.start("run", job(scene, program))
    until(lambda: result(scene).get("stalled"), "the silence")
    guard = kill(guard_of(scene))
    until(lambda: guard_of(scene) != guard and helpers_of(guard_of(scene)), "the watcher in its place")
    assert result(scene)["stalls"] == 1
    assert "stalled" in result(scene)
    (scene.work / "go").touch()
    until(lambda: "stalled" not in result(scene), "the end of the silence")
    (scene.work / "end").touch()
    ended = scene.end(process)
    assert (ended.code, ended.out) == (0, "worked\nagain\n"), ended.err
    assert ended.err.count("warning: no sign of life for") == 1
    assert ended.err.count("the job shows life again") == 1


def test_a_sampler_that_dies_is_replaced(scene: Scene) -> None:
    """Its child and that of the peaks are killed, again and again: the silence is still found."""
    process = scene.start("run", job(scene, HANGS, action="stop", after="2s"))
    until(lambda: scene.logs() == [b"worked\n"], "the work")
    guard, killed = guard_of(scene), 0
    while killed < 3:
        for pid in until(lambda: helpers_of(guard), "a helper"):
            os.kill(pid, signal.SIGKILL)
            killed += 1
            until(lambda pid=pid: is_dead(pid) or parent_of(pid) != guard, "its end")
    ended = scene.end(process)
    assert ended.code == 124, ended.err
    assert is_stalled(result(scene))
    assert result(scene)["out_of_memory"] is None


def test_what_watches_is_no_part_of_the_job(scene: Scene) -> None:
    """The peak of a job that is next to nothing is not the sampler's, and nothing is left behind of it."""
    ended = scene.run_job("run: [sleep, '1.5']\nidle: {after: 1s}\n")
    assert ended.code == 0, ended.err
    peak = result(scene)["peak_ram_bytes"]
    assert peak == {"unknown": "not-sampled"} or peak < 8 << 20, peak


# --- where it stands ------------------------------------------------------------------------------

PY_SPY = """#!/bin/sh
echo "$@" >> asked-with
echo "Thread 1 (idle)"
echo "    hangs (train.py:7) $TOKEN"
head -c 200000 /dev/zero | tr '\\0' x
"""


def stand_in(scene: Scene, text: str) -> dict[str, str]:
    """An environment whose first `py-spy` is a script of this test's."""
    folder = scene.folder / "bin"
    folder.mkdir()
    (folder / "py-spy").write_text(text)
    (folder / "py-spy").chmod(0o755)
    return {"PATH": f"{folder}:{scene.env['PATH']}", "TOKEN": "s3cret-value"}


def test_py_spy_tells_where_it_stands(scene: Scene) -> None:
    """Where it is installed: without a pause, at most 64 KiB, 0600, and without the value of a secret."""
    env = stand_in(scene, PY_SPY.replace("asked-with", str(scene.folder / "asked-with")))
    ended = scene.run("run", job(scene, HANGS, "secrets: [TOKEN]", action="stop"), env=env)
    assert ended.code == 124, ended.err
    path = result(scene)["stalled"]["stacks"]
    assert path in ended.err
    with open(path, encoding="utf-8") as file:
        text = file.read()
    assert "    hangs (train.py:7) ***" in text
    assert "s3cret" not in text
    assert text.endswith("(cut off here)\n")
    assert len(text.encode()) <= 1 << 16
    assert os.stat(path).st_mode & 0o777 == 0o600
    (asked,) = (scene.folder / "asked-with").read_text().splitlines()
    assert asked.startswith("dump --nonblocking --pid ")


def test_a_py_spy_that_hangs_delays_the_stop_by_seconds(scene: Scene) -> None:
    """It is given up, and what it was asked about is stopped all the same."""
    env = stand_in(scene, "#!/bin/sh\nexec sleep 1000\n")
    ended = scene.run("run", job(scene, HANGS, action="stop"), env=env)
    assert ended.code == 124, ended.err
    assert result(scene)["stalled"]["stacks"] is None


OFFERS = (
    WORKS
    + """
import subprocess
from launcher.dumps import enable_stacks

def said(*_):
    print(others[0].poll(), others[1].poll(), flush=True)
    os._exit(0)

def deep_in_the_job():
    wait_for('never')

others = [subprocess.Popen([sys.executable, name], stdin=subprocess.PIPE) for name in sys.argv[1:]]
signal.signal(signal.SIGTERM, said)
assert enable_stacks()
deep_in_the_job()
"""
)
OTHERS = {
    "never_asked.py": "input()\n",
    "another_program.py": (
        "import os, sys\nfrom launcher.dumps import enable_stacks\nassert enable_stacks()\n"
        "os.execv(sys.executable, [sys.executable, 'never_asked.py'])\n"
    ),
}


def test_a_job_can_offer_its_stacks(scene: Scene) -> None:
    """faulthandler's own, of the process that asked for it; nobody else gets the signal.

    One child has never asked, one has become another program since: SIGUSR2 would end both.
    """
    for name, program in {"job.py": OFFERS, **OTHERS}.items():
        (scene.work / name).write_text(program)
    argv = ", ".join([sys.executable, "job.py", *OTHERS])
    path = scene.write_job(f"run: [{argv}]\nidle: {{after: 2s, action: stop}}\n")
    ended = scene.run("run", path, env={"PATH": without_py_spy(scene.env["PATH"])})
    assert ended.code == 124, ended.err
    # SIGTERM to all of them has come next; on a slow machine before they were looked at.
    assert re.fullmatch(r"worked\n(None|-15) (None|-15)\n", ended.out), ended.out
    with open(result(scene)["stalled"]["stacks"], encoding="utf-8") as file:
        text = file.read()
    assert text.count("in deep_in_the_job") == 1
    assert text.count("process ") == 1


def without_py_spy(path: str) -> str:
    """The machine of this test may have one."""
    return ":".join(folder for folder in path.split(":") if not os.path.exists(f"{folder}/py-spy"))


def test_without_either_it_is_said_all_the_same(scene: Scene) -> None:
    """Nobody is asked, and no file is made."""
    env = {"PATH": without_py_spy(scene.env["PATH"])}
    ended = scene.run("run", job(scene, HANGS, action="stop"), env=env)
    assert ended.code == 124, ended.err
    assert result(scene)["stalled"]["stacks"] is None
    assert list(scene.home.glob("runs/*/stacks*")) == []
