"""The guard is killed at a known point, and the watcher goes on; both are killed, and the next call does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from helpers.ours import GUARD, WATCHER, guard_of, kill, kill_both, name_of, watcher_of
from helpers.scene import until
from launcher.ledger.model import problems
from launcher.ledger.store import Ledger
from launcher.release import lease, marks

if TYPE_CHECKING:
    from http.server import BaseHTTPRequestHandler

    from helpers.scene import Ended, Scene

NOW = "stop_grace: 1s\nrelease: {when: always, grace: 0s}\n"
LOST = 128 + signal.SIGKILL
# Says that it is ready, and ends when it is told to.
WAITS = "echo before; touch {name}.ready; until [ -e go ]; do sleep 0.01; done; echo after"
TTY = pytest.mark.parametrize("tty", [[], ["--tty"]], ids=["pipes", "terminal"])


def waiting(name: str = "run") -> str:
    """Such a script."""
    return WAITS.format(name=name)


def go(scene: Scene) -> None:
    """Let the job end."""
    (scene.work / "go").touch()


def seen(scene: Scene, name: str) -> None:
    """The job has come that far."""
    until((scene.work / name).exists, name)


def state(scene: Scene) -> str:
    """Of the one run, as result.json shows it."""
    return next((one["state"] for one in scene.results()), "")


def rows(scene: Scene) -> list[str]:
    """The ledger's rows of the one run, which have to be in order."""
    (document,) = scene.results()
    ledger = Ledger.open(str(scene.home), lease.boot_id(), read_only=True)
    found = ledger.rows(document["run_id"])
    ledger.close()
    assert problems(found) == []
    return [row.state.value for row in found]


def keep_no_files(job: str) -> str:
    """Nothing that the job leaves here is to hold the release."""
    return job.replace("release: {", "release: {unsaved: discard, ")


def ends_well(scene: Scene, ended: Ended, output: str = "before\nafter\n", code: int = 0) -> None:
    """What the client showed, what the log has, and how it was said to have ended."""
    assert (ended.code, ended.out.replace("\r", "")) == (code, output), ended.err
    assert scene.logs() == [ended.out.encode()]
    (result,) = scene.results()
    assert (result["exit_code"], result["release"]["status"]) == (code, "accepted")


# --- the guard ------------------------------------------------------------------------------------


@TTY
def test_the_guard_while_the_job_runs(scene: Scene, tty: list[str]) -> None:
    """The job lives on; output before and after is whole, shown and in the log; the release follows."""
    with scene.managed() as endpoint:
        process = scene.start("run", scene.write_job(f"run: {waiting()}\n{keep_no_files(NOW)}"), *tty)
        seen(scene, "run.ready")
        kill(guard_of(scene))
        go(scene)
        ends_well(scene, scene.end(process))
        assert len(endpoint.requests) == 1
    assert rows(scene) == ["planned", "started", "ended", "requested", "accepted"]


@TTY
@pytest.mark.parametrize("when", ["during", "between", "after"])
def test_the_guard_and_a_setup(scene: Scene, tty: list[str], when: str) -> None:
    """Killed while `setup` runs, as it ends, and while `run` runs: each of them ran once."""
    # A command of the job is a child of the guard.
    setup = {"during": waiting("setup"), "between": "echo setup; kill -KILL $PPID", "after": "echo setup"}[
        when
    ]
    job = f"setup: {setup}\nrun: echo run; touch run.ready; until [ -e go ]; do sleep 0.01; done\n"
    with scene.managed() as endpoint:
        process = scene.start("run", scene.write_job(job + keep_no_files(NOW)), *tty)
        if when == "during":
            seen(scene, "setup.ready")
            kill(guard_of(scene))
        if when == "after":
            seen(scene, "run.ready")
            kill(guard_of(scene))
        go(scene)
        ends_well(scene, scene.end(process), "before\nafter\nrun\n" if when == "during" else "setup\nrun\n")
        assert len(endpoint.requests) == 1
    assert rows(scene) == ["planned", "started", "started", "ended", "requested", "accepted"]


@TTY
@pytest.mark.parametrize(
    "end", [*(f"exit {code}" for code in (0, 1, 2, 65, 126, 127, 255)), "1", "9", "15", "10"]
)
def test_how_a_job_ends_under_the_watcher(scene: Scene, tty: list[str], end: str) -> None:
    """Exit codes and signals are the job's own, also where the guard goes in the very moment of the end."""
    last = end if end.startswith("exit") else f"kill -{end} $$"
    code = int(end.split()[1]) if end.startswith("exit") else 128 + int(end)
    with scene.managed() as endpoint:
        job = f'run: "kill -KILL $PPID; {last}"\n{NOW}'
        ended = scene.run_job(job, *tty)
        assert (ended.code, len(endpoint.requests)) == (code, 1), ended.err
    assert scene.results()[0]["outcome"] == (
        "succeeded" if code == 0 else "failed" if end[0] == "e" else "signalled"
    )


def test_a_limit_after_a_takeover(scene: Scene) -> None:
    """max_duration counts from the start of the run, whoever guards it."""
    with scene.managed() as endpoint:
        ended = scene.run_job(f"run: kill -KILL $PPID; sleep 100\nmax_duration: 1s\n{NOW}")
        assert (ended.code, len(endpoint.requests)) == (124, 1), ended.err
    assert 0.9 < scene.results()[0]["duration_s"] < 4


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_after_a_takeover(scene: Scene, number: int, code: int) -> None:
    """A person's stop reaches the job, and keeps the runtime."""
    with scene.managed() as endpoint:
        process = scene.start("run", scene.write_job(f"run: {waiting()}\n{NOW}"))
        seen(scene, "run.ready")
        kill(guard_of(scene))
        process.send_signal(number)
        ended = scene.end(process)
        assert (ended.code, endpoint.requests) == (code, []), ended.err


def test_a_daemon_after_a_takeover(scene: Scene) -> None:
    """What the job leaves behind is the watcher's to end before the request."""
    with scene.managed() as endpoint:
        ended = scene.run_job(f'run: "kill -KILL $PPID; (setsid sleep 100 &); exit 3"\n{NOW}')
        assert (ended.code, len(endpoint.requests)) == (3, 1), ended.err


def test_the_guard_while_it_saves(scene: Scene) -> None:
    """The watcher saves: everything arrives, verified, before the request."""
    job = "run: mkdir out; for i in $(seq 3000); do echo $i >out/$i; done\n"
    job += "outputs: [{path: out, to: ../saved}]\n"
    with scene.managed() as endpoint:
        process = scene.start("run", scene.write_job(job + NOW))
        until(lambda: state(scene) == "saving", "the saving")
        kill(guard_of(scene))
        assert scene.end(process).code == 0
        assert len(endpoint.requests) == 1
    assert rows(scene)[3:] == ["saving", "saving", "saved", "requested", "accepted"]
    (saved,) = scene.results()[0]["saved"]
    assert saved["files"] == 3000


def test_the_guard_while_it_counts_down(scene: Scene) -> None:
    """The watcher counts down and asks."""
    with scene.managed() as endpoint:
        process = scene.start("run", scene.write_job('run: "true"\nrelease: {when: always, grace: 1s}\n'))
        until(lambda: state(scene) == "releasing", "the countdown")
        kill(guard_of(scene))
        assert endpoint.requests == []
        ends_well(scene, scene.end(process), "")
        assert len(endpoint.requests) == 1


def test_the_guard_between_request_and_answer(scene: Scene) -> None:
    """Nobody knows what became of the request: it is sent again, with the same nonce; one row tells of it."""

    def shoot(handler: BaseHTTPRequestHandler) -> None:
        kill(guard_of(scene))

    with scene.managed(shoot, 200) as endpoint:
        ends_well(scene, scene.run_job(f'run: "true"\n{NOW}'), "")
        assert len(endpoint.requests) == 2
        assert len({request.nonce for request in endpoint.requests}) == 1
    assert rows(scene) == ["planned", "started", "ended", "requested", "accepted"]


def test_the_guard_after_it_was_accepted(scene: Scene) -> None:
    """Whoever takes over looks again after `confirm`: a machine that is still here is asked for again."""
    job = 'run: "true"\nrelease: {when: always, grace: 0s, confirm: 0.5s}\n'
    with scene.managed() as endpoint:
        ends_well(scene, scene.run_job(job), "")
        kill(guard_of(scene))
        until(lambda: len(endpoint.requests) > 1, "another request")
        assert len({request.nonce for request in endpoint.requests}) == 1
        scene.vanish()


# --- the watcher ----------------------------------------------------------------------------------


def test_the_watcher_changes_nothing(scene: Scene) -> None:
    """The guard needs nobody."""
    with scene.managed() as endpoint:
        process = scene.start("run", scene.write_job(f"run: {waiting()}\n{keep_no_files(NOW)}"))
        seen(scene, "run.ready")
        kill(watcher_of(scene))
        go(scene)
        ends_well(scene, scene.end(process))
        assert len(endpoint.requests) == 1


# --- both -----------------------------------------------------------------------------------------


@TTY
def test_the_guard_and_then_the_watcher(scene: Scene, tty: list[str]) -> None:
    """The client itself brings the run to its end: ends what is left, shows the output, has it released."""
    with scene.managed() as endpoint:
        process = scene.start("run", scene.write_job(f"run: {waiting()}\n{keep_no_files(NOW)}"), *tty)
        seen(scene, "run.ready")
        until(lambda: scene.logs() == [b"before\n"], "the first line is not in flight any more")
        watcher = watcher_of(scene)
        kill(guard_of(scene))
        until(lambda: guard_of(scene) == watcher, "the watcher in its place")
        kill(watcher)
        ends_well(scene, scene.end(process), "before\n", LOST)
        assert len(endpoint.requests) == 1
    assert scene.results()[0]["outcome"] == "lost"
    assert rows(scene) == ["planned", "started", "ended", "requested", "accepted"]


def test_both_without_a_client(scene: Scene) -> None:
    """The next call says so, ends the job, saves its outputs, and releases."""
    job = f"run: mkdir out; echo 1 >out/model; {waiting()}\noutputs: [{{path: out, to: ../saved}}]\n{NOW}"
    with scene.managed() as endpoint:
        process = scene.start("run", scene.write_job(job))
        seen(scene, "run.ready")
        until(lambda: "started" in rows(scene), "the ledger's row")
        kill(process.pid)
        process.communicate()
        kill_both(scene)
        assert endpoint.requests == []
        call = scene.run("probe")
        assert "has lost its guard" in call.err
        until(lambda: endpoint.requests, "the release")
        until(lambda: rows(scene)[-1] == "accepted", "the last row")
    assert (scene.folder / "saved" / "out" / "model").read_text() == "1\n"
    assert rows(scene) == ["planned", "started", "ended", "saving", "saved", "requested", "accepted"]


def test_both_before_anything_was_started(scene: Scene) -> None:
    """Files that were there before are not the job's: nothing holds the release of a run that never began.

    From the moment in which others can see the run, its client knows which one it has to bring to its end.
    """

    def announced() -> bool:
        return any(note.home == str(scene.home) for note, _ in marks.runs())

    with scene.managed() as endpoint:
        (scene.work / "old").write_text("x")
        # A gate that does not open: the command waits for its stdin to be opened.
        os.mkfifo(scene.work / "fifo")
        process = scene.start("run", scene.write_job(f"run: cat fifo\n{NOW}"))
        until(announced, "the run's note")
        kill_both(scene)
        ended = scene.end(process)
        assert (ended.code, len(endpoint.requests)) == (LOST, 1), ended.err


# --- a guard that hangs ---------------------------------------------------------------------------

STOPPED = """
import os, signal, sys, time
from launcher.guard.channel import pair
from launcher.guard.notes import Notes
from launcher.guard.watcher import DEADLINE, LATE_S, Seat, _wait_for
link, theirs = pair()
began = time.monotonic()
guard = os.fork()
if guard == 0:
    theirs.send(f"{DEADLINE} {time.monotonic() - LATE_S + 0.2}".encode())
    os.kill(os.getpid(), signal.SIGSTOP)
theirs.close()
status = _wait_for(guard, link, Seat(link, -1, Notes()))
print(os.WTERMSIG(status), round(time.monotonic() - began, 1))
"""


def test_a_stopped_guard_is_killed_after_its_deadline() -> None:
    """LATE_S after the end that it had named itself: then the watcher does its work."""
    answer: Any = subprocess.run([sys.executable, "-c", STOPPED], capture_output=True, text=True, timeout=20)
    assert answer.stdout.split()[0] == "9", answer.stderr
    assert 0.1 <= float(answer.stdout.split()[1]) < 2


def test_a_run_whose_guards_are_killed_again_and_again(scene: Scene) -> None:
    """Its client does not try for ever; whoever comes when that is over finds the run."""
    # No guard that comes to its turn has ended it before the next shot.
    deaf = "run: \"trap '' TERM INT; until [ -e go ]; do sleep 0.1; done\"\nstop_grace: 10m\n"
    process = scene.start("run", scene.write_job(deaf))
    until(lambda: scene.results() and scene.results()[0]["state"] == "started", "the job")

    def gave_up() -> bool:
        for pid in scene.leftovers():
            if name_of(pid) in (GUARD, WATCHER):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        return process.poll() is not None

    until(gave_up, "the end of the client")
    ended = scene.end(process)
    assert ended.code == 70
    assert "was lost too" in " ".join(ended.err.split())
    go(scene)
    scene.run("ps")
    until(lambda: not scene.leftovers(), "the end of the job")
