"""The n-th system call fails, for n = 1, 2, … until none is left to fail: still never early, never missed.

CI does every so-many-th of them; COLAB_RUN_SYSCALLS=all does them all (an hour).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from helpers.cli import command
from helpers.leases import forget_runs_of
from helpers.ours import name_of
from helpers.scene import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from helpers.endpoint import Endpoint
    from helpers.scene import Scene

ALL = os.environ.get("COLAB_RUN_SYSCALLS") == "all"
FAULTS = [
    # system calls, the error, and in CI: how many places of how many are tried
    ("write,pwrite64", "ENOSPC", 3),
    ("fsync,fdatasync", "EIO", 3),
    ("openat", "EMFILE", 2),
    ("openat", "ENOSPC", 2),
    ("sendto,sendmsg", "EPIPE", 2),
    ("clone,clone3,fork,vfork", "EAGAIN", 2),
    ("socket,connect", "ENOBUFS", 2),
    ("rename", "EIO", 2),
]
LAST_PLACE = 2000
JOB = """
run: mkdir -p out; echo 1 >out/model; echo done
outputs: [{path: out, to: ../saved}]
stop_grace: 0.5s
release: {when: always, grace: 0s}
"""


@pytest.fixture(autouse=True)
def _needs_strace() -> None:
    if shutil.which("strace") is None:
        pytest.skip("no strace")
    if subprocess.run(["strace", "-qq", "-o", os.devnull, "true"], capture_output=True).returncode:
        pytest.skip("strace may not trace here")


def places(few: int) -> Iterator[int]:
    """Which calls fail: all, or some that lie further and further apart."""
    if ALL:
        yield from range(1, LAST_PLACE)
        return
    step = max(2, round(60 ** (1 / few)))
    yield from (step**exponent for exponent in range(1, few + 1))


@pytest.mark.parametrize("from_then_on", ["", "+"], ids=["once", "for-ever"])
@pytest.mark.parametrize(("calls", "error", "few"), FAULTS, ids=[f"{row[0]}-{row[1]}" for row in FAULTS])
def test_any_system_call_may_fail(
    scene: Scene, tmp_path: Path, calls: str, error: str, few: int, from_then_on: str
) -> None:
    """In each of our processes, once or from then on: what cannot work is said, nothing early or missed."""
    for number in places(few):
        inject = f"inject={calls}:error={error}:when={number}{from_then_on}"
        trace = tmp_path / "trace"
        with scene.managed() as endpoint:
            code, err = traced(scene, inject, trace)
            reached = "(INJECTED)" in trace.read_text(errors="replace")
            judge(scene, endpoint, code, f"{inject}: {err[-800:]}")
        shutil.rmtree(scene.home, ignore_errors=True)
        if not reached:
            return
    assert not ALL, "there is no end to it"


def traced(scene: Scene, inject: str, trace: Path) -> tuple[int, str]:
    """Run the job under strace; how the client ended, and what it said."""
    scene.write_job(JOB)
    # --kill-on-exit is too new; the guard outlives strace's first child, and strace waits for it.
    words = ["strace", "-f", "-q", "-o", str(trace), "-e", inject, *command(), "run", "job.yaml"]
    # Not pipes: a guard that is being traced goes on after its client.
    with open(scene.folder / "err", "wb") as err:
        process = subprocess.Popen(
            words,
            cwd=scene.work,
            env=scene.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=err,
        )
    # The client ends a moment after its release; what goes on then is a guard that looks on.
    until(lambda: process.poll() is not None or client_code(trace) >= 0, f"the client's end, {inject}")
    end_traced(scene, process)
    return client_code(trace), (scene.folder / "err").read_text(errors="replace")


def end_traced(scene: Scene, process: subprocess.Popen[bytes]) -> None:
    """First what is traced: strace then ends by itself. Killed itself it would let go of them all at once."""

    def gone() -> bool:
        for pid in scene.leftovers():
            if name_of(pid) != "strace":
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        return process.poll() is not None

    until(gone, "the end of strace")
    forget_runs_of(scene.folder)


def client_code(trace: Path) -> int:
    """The exit code of the first process, which is the client; -1 where it was not seen."""
    lines = trace.read_text(errors="replace").splitlines() if trace.exists() else []
    first = lines[0].split()[0] if lines else ""
    for line in lines:
        words = line.split()
        if words[:1] == [first] and "+++ exited with" in line:
            return int(words[-2])
    return -1


def judge(scene: Scene, endpoint: Endpoint, code: int, what: str) -> None:
    """(a) is held by the scene. (b): a run that began is released, or it is said that it is not."""
    assert len({request.nonce for request in endpoint.requests}) <= 1, what
    statuses = [one["release"]["status"] for one in scene.results()]
    # Nothing was started, or it could not be saved, or asked for; and that has been said.
    assert endpoint.requests or code != 0 or "held" in statuses, f"{statuses}: {what}"
