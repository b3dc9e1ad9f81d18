"""In a real Jupyter kernel: interrupts, restarts and shutdowns, in the foreground and detached."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from helpers.cli import command
from helpers.kernel import Kernel
from helpers.marked import until
from helpers.programs import NOTE_SIGNALS, noted, pid_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from helpers.endpoint import Endpoint
    from helpers.scene import Scene

NOW = "release: {when: always, grace: 0s, unsaved: discard}\n"
# As a notebook's own code starts commands: a child in the kernel's process group.
RUN = "import subprocess\nprint('code', subprocess.call({words!r}))\n"


@pytest.fixture
def kernel(scene: Scene, endpoint: Endpoint) -> Iterator[Kernel]:
    """A kernel on a managed machine."""
    with Kernel(env=scene.env, cwd=scene.work) as kernel:
        yield kernel


def noting(scene: Scene, manners: str) -> str:
    """A job file whose job notes its signals in the file `job`."""
    program = scene.work / "note.py"
    program.write_text(NOTE_SIGNALS)
    return scene.write_job(f"run: exec python3 {program} job {manners}\nstop_grace: 2s\n{NOW}")


def lines(scene: Scene, count: int = 1) -> list[str]:
    """What the job noted, once there are `count` lines."""
    path = scene.work / "job"
    until(lambda: path.exists() and len(path.read_text().splitlines()) >= count, f"{count} lines of the job")
    return path.read_text().splitlines()


def result(scene: Scene) -> dict:
    """The last word on the one run, once it is there."""
    until(lambda: scene.results() and scene.results()[0]["state"] == "done", "the end of the run")
    return scene.results()[0]


def in_cell(*words: str) -> str:
    """The code of a cell that runs colab-run."""
    return RUN.format(words=[*command(), *words])


def test_an_interrupt_is_a_stop(scene: Scene, kernel: Kernel, endpoint: Endpoint) -> None:
    """One press: SIGINT to the job, once, and the runtime stays."""
    kernel.start(in_cell("run", noting(scene, "patient")))
    lines(scene)
    kernel.interrupt()
    end = result(scene)
    assert (end["outcome"], end["exit_code"]) == ("interrupted", 130)
    assert (end["release"]["status"], endpoint.requests) == ("held", [])
    assert noted(lines(scene)) == ["SIGINT"]


def test_two_interrupts_kill_a_job_that_hears_nothing(
    scene: Scene, kernel: Kernel, endpoint: Endpoint
) -> None:
    """The second press, a second later, does not wait for the grace."""
    words = [*command(), "run", noting(scene, "deaf"), "--set", "stop_grace=10m"]
    # A cell that goes on waiting when it is interrupted, as Colab's `!` does once.
    kernel.start(
        f"import subprocess\nprocess = subprocess.Popen({words!r})\nwhile process.poll() is None:\n"
        "    try:\n        process.wait()\n    except KeyboardInterrupt:\n        pass\n"
    )
    pid = pid_of(lines(scene))
    kernel.interrupt()
    lines(scene, 2)
    began = os.times().elapsed
    until(lambda: os.times().elapsed > began + 1.2, "a second has passed")
    kernel.interrupt()
    until(lambda: not os.path.exists(f"/proc/{pid}"), "the end of the job")
    assert result(scene)["outcome"] == "interrupted"
    assert endpoint.requests == []


@pytest.mark.parametrize("now", [False, True], ids=["politely", "at once"])
@pytest.mark.parametrize("how", ["restart", "shutdown"])
def test_a_detached_run_does_not_notice_the_kernel(
    scene: Scene, kernel: Kernel, endpoint: Endpoint, how: str, now: bool
) -> None:
    """Neither interrupt nor restart nor shutdown reach it; another shell reads its output and its code."""
    told = kernel.run(in_cell("run", "--detach", noting(scene, "polite")))
    assert "code 0" in told
    pid = pid_of(lines(scene))
    kernel.interrupt()
    getattr(kernel, how)(now=now)
    follower, waiting = scene.start("logs", "-f", "last"), scene.start("wait", "last")
    assert noted(lines(scene)) == []
    os.kill(pid, signal.SIGKILL)
    assert scene.end(waiting).code == 137
    assert scene.end(follower).code == 0
    until(lambda: len(endpoint.requests) == 1, "the release")


def test_stop_from_another_shell(scene: Scene, kernel: Kernel, endpoint: Endpoint) -> None:
    """`colab-run stop` ends what a cell has started, politely; the cell's command ends with 130."""
    cell = kernel.start(in_cell("run", noting(scene, "patient")))
    lines(scene)
    assert scene.run("stop", "last").code == 0
    assert "code 130" in cell.wait()
    assert noted(lines(scene)) == ["SIGINT"]
    assert endpoint.requests == []
