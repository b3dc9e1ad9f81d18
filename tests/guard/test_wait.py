"""`--wait`: GPUs that others use are waited for, what time cannot change is not. A driver of C stands in."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from helpers import fake_nvml
from helpers.cli import command
from helpers.lab import Lab, until
from launcher import gpu_claims

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(fake_nvml.compiler() is None, reason="no C compiler for the fake driver")

ASKED = "{memory: 12GB}"
HELD = "t4\n0 used 9000000000\n0 pids 4242:9000000000\n"


class Waiter:
    """One command that waits, and the driver that it asks."""

    def __init__(self, lab: Lab, *words: str, scenario: str = HELD) -> None:
        self.lab, folder = lab, lab.folder / "driver"
        self.env = fake_nvml.environment("t4", folder)
        self._file = fake_nvml.scenario_file(folder)
        self.play(scenario)
        self.result = lab.work / "result.json"
        lab.work.joinpath("job.yaml").write_text(f"resources: {{gpu: {ASKED}}}\nrun: echo ran > ran\n")
        self._words = words

    def start(self) -> subprocess.Popen:
        """`run --wait` of the job, or what was asked for."""
        words = self._words or ("run", "--wait", "10m", "--json", "--result", "result.json", "job.yaml")
        return self.lab.start(*words, env=self.env)

    def play(self, scenario: str) -> None:
        """From now on the driver says this."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(scenario)
        fresh.replace(self._file)

    @property
    def ran(self) -> Path:
        return self.lab.work / "ran"


def said(process: subprocess.Popen) -> bytes:
    """The first line of our own words."""
    assert process.stderr is not None
    return process.stderr.readline()


def uuid_of(waiter: Waiter) -> str:
    """Of the only GPU that there is."""
    shown = waiter.lab.run("probe", "--json", env=waiter.env)
    return str(shown.document["gpus"][0]["uuid"])


def test_memory_that_becomes_free(lab: Lab) -> None:
    """Said is for what, who has it and until when; the file stays `planned`; then it runs."""
    waiter = Waiter(lab)
    process = waiter.start()
    line = said(process)
    assert re.search(rb"waiting for 1 GPU, 0 free: process 4242 .*; until \d\d:\d\d", line), line
    assert json.loads(waiter.result.read_text())["state"] == "planned"
    assert not waiter.ran.exists()
    waiter.play("t4\n")
    end = lab.end(process)
    assert end.code == 0, end.err
    assert end.document["outcome"] == "succeeded"
    assert waiter.ran.exists()


def test_a_gpu_of_another_run(lab: Lab) -> None:
    """Whose it is can be read; it starts when that run has ended, and not before."""
    waiter = Waiter(lab, scenario="t4\n")
    held = gpu_claims.take(uuid_of(waiter), "20260101-000000-aaaa")
    assert held is not None
    process = waiter.start()
    assert b"run 20260101-000000-aaaa" in said(process)
    os.close(held)
    assert lab.end(process).code == 0
    assert waiter.ran.exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_person_stops_the_waiting(lab: Lab, number: signal.Signals, code: int) -> None:
    """Nothing was started, and the document says so."""
    waiter = Waiter(lab)
    process = waiter.start()
    said(process)
    process.send_signal(number)
    end = lab.end(process)
    assert end.code == code, end.err
    for document in (end.document, json.loads(waiter.result.read_text())):
        assert (document["outcome"], document["exit_code"]) == ("interrupted", code)
        assert (document["state"], document["decided_by"]) == ("done", "colab-run")
    assert not waiter.ran.exists()


def test_the_end_of_the_time(lab: Lab) -> None:
    """69, with who has what was missing."""
    waiter = Waiter(lab, "run", "--wait", "1s", "--json", "job.yaml")
    end = lab.end(waiter.start())
    assert end.code == 69, end.err
    assert end.document["outcome"] == "refused"
    short = [row for row in end.document["findings"] if row["status"] == "short"]
    assert [row["code"] for row in short] == ["CR118"]
    assert b"4242" in end.err
    assert not waiter.ran.exists()


@pytest.mark.parametrize("asked", ["A100", "{memory: 60GB}"])
def test_what_time_cannot_change_is_refused_at_once(lab: Lab, asked: str) -> None:
    """No line about waiting, and no second of it."""
    waiter = Waiter(lab)
    lab.work.joinpath("job.yaml").write_text(
        f"resources: {{gpu: '{asked}'}}\nrun: echo ran > ran\n".replace("'{", "{").replace("}'", "}")
    )
    end = lab.end(waiter.start())
    assert end.code == 69
    assert b"waiting" not in end.err


def test_without_it_nothing_is_waited_for(lab: Lab) -> None:
    """Memory that somebody holds is no reason to refuse."""
    waiter = Waiter(lab, "run", "job.yaml")
    assert lab.end(waiter.start()).code == 0
    assert waiter.ran.exists()


def test_detached_after_the_wait(lab: Lab) -> None:
    """The command waits in the foreground, then leaves the run behind."""
    waiter = Waiter(lab, "run", "--wait", "10m", "--detach", "job.yaml")
    process = waiter.start()
    said(process)
    waiter.play("t4\n")
    assert lab.end(process).code == 0
    until(waiter.ran.exists, "the job has run")
    lab.run("wait", "last")


def test_of_exec(lab: Lab) -> None:
    """The same for a command line."""
    waiter = Waiter(lab, "exec", "--wait", "10m", "--gpu", "T4", "--", "touch", "ran", scenario="t4\n")
    held = gpu_claims.take(uuid_of(waiter), "20260101-000000-bbbb")
    assert held is not None
    process = waiter.start()
    assert b"bbbb" in said(process)
    os.close(held)
    assert lab.end(process).code == 0
    assert waiter.ran.exists()


def test_on_a_terminal_the_line_is_written_over(lab: Lab) -> None:
    """The second line goes where the first one was."""
    waiter = Waiter(lab)
    terminal = lab.terminal()
    process = lab.start_on(terminal, "run", "--wait", "10m", "job.yaml", env=waiter.env)
    terminal.reader.wait_for(b"\x1b[1A\r\x1b[2K")
    terminal.type(b"\x03")
    assert lab.wait(process) == 130
    assert not waiter.ran.exists()


@pytest.mark.parametrize("words", [("a.yaml", "b.yaml"), ("matrix.yaml",)])
def test_a_queue_does_not_wait(lab: Lab, words: tuple[str, ...]) -> None:
    """Refused as usage, before anything."""
    for name in ("a.yaml", "b.yaml"):
        lab.work.joinpath(name).write_text("run: 'true'\n")
    lab.work.joinpath("matrix.yaml").write_text("run: 'true'\nmatrix: {A: [1, 2]}\n")
    end = lab.run("run", "--wait", "1m", *words)
    assert end.code == 64
    assert b"--wait" in end.err


@pytest.mark.parametrize("time", ["5", "0s", "soon"])
def test_a_time_needs_a_unit(lab: Lab, time: str) -> None:
    """As everywhere."""
    assert lab.run("exec", "--wait", time, "--", "true").code == 64


def test_the_end_of_the_time_with_a_gpu_of_another_run(lab: Lab) -> None:
    """One row for it, and whose it is."""
    waiter = Waiter(lab, "run", "--wait", "1s", "--json", "job.yaml", scenario="t4\n")
    held = gpu_claims.take(uuid_of(waiter), "20260101-000000-cccc")
    assert held is not None
    end = lab.end(waiter.start())
    os.close(held)
    assert end.code == 69, end.err
    short = [row for row in end.document["findings"] if row["status"] == "short"]
    assert [(row["code"], row["run_ids"]) for row in short] == [("CR117", ["20260101-000000-cccc"])]
    assert b"20260101-000000-cccc" in end.err
    assert not waiter.ran.exists()


# A notebook kernel, by its command line. As its child it starts what it is told, and ends as that did.
KERNEL = (
    "import json, subprocess, sys\n"
    "words, out = json.loads(sys.stdin.readline())\n"
    "sys.exit(subprocess.run(words, stdout=open(out, 'wb')).returncode)\n"
)


def kernel(waiter: Waiter) -> subprocess.Popen:
    """It holds all the memory that there is, and waits for its first line."""
    process = subprocess.Popen(
        [sys.executable, "-c", KERNEL, "-f", "/tmp/kernel-0000-aaaa.json"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=waiter.lab.work,
        env={**waiter.lab.env, **waiter.env},
    )
    waiter.play(f"t4\n0 used 9000000000\n0 pids {process.pid}:9000000000\n")
    return process


def test_this_notebooks_own_memory_is_not_waited_for(lab: Lab) -> None:
    """Its kernel cannot let go while its cell waits for us: 69 at once, with who it is."""
    waiter = Waiter(lab)
    process = kernel(waiter)
    out = lab.work / "said.json"
    words = [*command(), "run", "--wait", "10m", "--json", "job.yaml"]
    _, err = process.communicate(json.dumps([words, str(out)]).encode() + b"\n", timeout=30)
    assert process.returncode == 69, err
    document = json.loads(out.read_text())
    assert [row["code"] for row in document["findings"] if row["status"] == "short"] == ["CR118"]
    assert b"waiting for" not in err
    assert f"a notebook kernel, process {process.pid}".encode() in b" ".join(err.split())
    assert not waiter.ran.exists()


def test_another_notebook_is_waited_for_and_named(lab: Lab) -> None:
    """Somebody may restart its session."""
    waiter = Waiter(lab)
    other = kernel(waiter)
    process = waiter.start()
    assert f"a notebook kernel, process {other.pid} ".encode() in said(process)
    waiter.play("t4\n")
    assert lab.end(process).code == 0
    other.communicate(b'[["true"], "/dev/null"]\n', timeout=30)
