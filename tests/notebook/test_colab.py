"""In a Colab cell, by an emulation of its `!`: the stop button, and a kernel that goes."""

from __future__ import annotations

import os
import shlex
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from helpers.cli import command
from helpers.colab_bang import ColabKernel
from helpers.marked import until
from helpers.programs import NOTE_SIGNALS, noted, pid_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from helpers.endpoint import Endpoint
    from helpers.scene import Scene

NOW = "release: {when: always, grace: 0s, unsaved: discard}\n"
COLAB_RUN = shlex.join(command())


@pytest.fixture
def kernel(scene: Scene, endpoint: Endpoint) -> Iterator[ColabKernel]:
    """A kernel on a managed machine."""
    with ColabKernel(env=scene.env, cwd=scene.work) as kernel:
        yield kernel


def noting(scene: Scene, manners: str, grace: str = "2s") -> str:
    """A job file whose job notes its signals in the file `job`."""
    program = scene.work / "note.py"
    program.write_text(NOTE_SIGNALS)
    return scene.write_job(f"run: exec python3 {program} job {manners}\nstop_grace: {grace}\n{NOW}")


def lines(scene: Scene, count: int = 1) -> list[str]:
    """What the job noted, once there are `count` lines."""
    path = scene.work / "job"
    until(lambda: path.exists() and len(path.read_text().splitlines()) >= count, f"{count} lines of the job")
    return path.read_text().splitlines()


def result(scene: Scene) -> dict:
    """The last word on the one run, once it is there."""
    until(lambda: scene.results() and scene.results()[0]["state"] == "done", "the end of the run")
    return scene.results()[0]


def test_a_cell_shows_the_run_and_has_its_code(scene: Scene, kernel: ColabKernel, endpoint: Endpoint) -> None:
    """Output, our words and the exit code, as for any command."""
    cell = kernel.bang(f"{COLAB_RUN} {scene.write_job('run: echo out; exit 3' + chr(10) + NOW)}")
    assert cell.wait() == 3
    assert "out" in cell.output
    assert "release accepted" in cell.output
    assert len(endpoint.requests) == 1


def test_one_click_is_one_polite_stop_and_keeps_the_runtime(
    scene: Scene, kernel: ColabKernel, endpoint: Endpoint
) -> None:
    """SIGINT arrives twice at the client; the job gets one, and time to end."""
    cell = kernel.bang(f"{COLAB_RUN} {noting(scene, 'patient')}")
    lines(scene)
    kernel.press_stop()
    assert cell.wait() == 130
    assert noted(lines(scene)) == ["SIGINT"]
    end = result(scene)
    assert (end["outcome"], end["release"]["status"], endpoint.requests) == ("interrupted", "held", [])


def test_two_clicks_may_end_the_client_and_the_guard_ends_the_job(
    scene: Scene, kernel: ColabKernel, endpoint: Endpoint
) -> None:
    """The second click leaves the client half a second. The job is killed, its end is on record."""
    cell = kernel.bang(f"{COLAB_RUN} {noting(scene, 'deaf', grace='10m')}")
    pid = pid_of(lines(scene))
    kernel.press_stop()
    lines(scene, 2)
    # A second press that comes within a second belongs to the first.
    began = os.times().elapsed
    until(lambda: os.times().elapsed > began + 1.2, "a second has passed")
    kernel.press_stop()
    cell.wait()
    until(lambda: not os.path.exists(f"/proc/{pid}"), "the end of the job")
    end = result(scene)
    assert (end["outcome"], end["exit_code"], endpoint.requests) == ("interrupted", 130, [])


@pytest.mark.parametrize("how", ["restart", "shutdown"])
def test_a_kernel_that_goes_politely_stops_the_run_in_its_cell(
    scene: Scene, kernel: ColabKernel, endpoint: Endpoint, how: str
) -> None:
    """Jupyter interrupts a kernel before it ends it: for a run in the foreground that is a stop."""
    kernel.bang(f"{COLAB_RUN} {noting(scene, 'patient')}")
    lines(scene)
    getattr(kernel, how)(now=False)
    end = result(scene)
    assert (end["outcome"], end["release"]["status"], endpoint.requests) == ("interrupted", "held", [])
    # On a slow machine the kernel's own end, which is SIGTERM to its children, overtakes the interrupt.
    assert noted(lines(scene)) in (["SIGINT"], ["SIGTERM"])


@pytest.mark.parametrize("how", ["restart", "shutdown"])
def test_a_kernel_that_goes_at_once_takes_the_client_only(
    scene: Scene, kernel: ColabKernel, endpoint: Endpoint, how: str
) -> None:
    """The interrupt may still reach the client before it is killed. Either way the run has its proper end."""
    kernel.bang(f"{COLAB_RUN} {noting(scene, 'patient')}")
    pid = pid_of(lines(scene))
    getattr(kernel, how)(now=True)
    until(lambda: scene.results()[0]["state"] == "started" or not os.path.exists(f"/proc/{pid}"), "the run")
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    end = result(scene)
    assert (end["outcome"], len(endpoint.requests)) in (("interrupted", 0), ("succeeded", 1))


@pytest.mark.parametrize("how", ["restart", "shutdown"])
def test_a_detached_run_survives_its_kernel(
    scene: Scene, kernel: ColabKernel, endpoint: Endpoint, how: str
) -> None:
    """`--detach` gives the cell back; then the kernel goes, and the run comes to its own end and release."""
    cell = kernel.bang(f"{COLAB_RUN} run --detach {noting(scene, 'polite')}")
    assert cell.wait() == 0
    pid = pid_of(lines(scene))
    getattr(kernel, how)(now=True)
    assert noted(lines(scene)) == []
    waiting = scene.start("wait", "last")
    os.kill(pid, signal.SIGKILL)
    assert scene.end(waiting).code == 137
    assert noted(lines(scene)) == []
    until(lambda: len(endpoint.requests) == 1, "the release")


def test_closing_the_tab_changes_nothing(scene: Scene, kernel: ColabKernel, endpoint: Endpoint) -> None:
    """The cell runs on without a reader, as does the run."""
    cell = kernel.bang(f"{COLAB_RUN} {noting(scene, 'polite')}")
    pid = pid_of(lines(scene))
    kernel.close_tab()
    os.kill(pid, signal.SIGTERM)
    assert cell.wait() == 0
    assert len(endpoint.requests) == 1


def test_what_is_typed_into_the_cell_reaches_the_job(
    scene: Scene, kernel: ColabKernel, endpoint: Endpoint
) -> None:
    """Colab's input box."""
    cell = kernel.bang(f"{COLAB_RUN} {scene.write_job('run: read line; echo got $line')}")
    until(lambda: scene.results() and scene.results()[0]["state"] == "started", "the job")
    cell.type(b"words\n")
    assert cell.wait() == 0
    assert "got words" in cell.output
