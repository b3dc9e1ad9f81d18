"""`--detach`: 0 when the job has really started, its own error when it could not."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from helpers.cli import command
from helpers.shell import GATED

if TYPE_CHECKING:
    from helpers.lab import Lab
    from helpers.shell import Shell


def test_the_command_ends_and_the_job_goes_on(lab: Lab, shell: Shell) -> None:
    """Its document says that the run has started and has no code yet; the log fills without us."""
    script = lab.python("job.py", GATED).split()
    ended = lab.run("exec", "--detach", "--json", "--", *script)
    document = ended.document
    assert (ended.code, document["state"], document["exit_code"]) == (0, "started", None)
    shell.open_gate()
    row = shell.until_over(document["run_id"])
    assert (row["outcome"], row["exit_code"]) == ("failed", 3)
    assert lab.log() == b"ready\nlast\n"


def test_it_says_how_to_see_the_run_again(lab: Lab) -> None:
    """Two lines to copy, whole."""
    ended = lab.run("exec", "--detach", "--", "true")
    assert (ended.code, ended.out) == (0, b"")
    run_id = next(lab.home.glob("runs/*")).name
    told = ended.err.decode()
    assert f"colab-run logs -f {run_id}\n" in told
    assert f"colab-run stop {run_id}\n" in told


@pytest.mark.parametrize(("typed", "code"), [("no-such-command-here", 127), ("./plain", 126)])
def test_what_cannot_start_says_so(lab: Lab, shell: Shell, typed: str, code: int) -> None:
    """126 and 127 come through watcher and guard, and there is no word of a run that goes on."""
    lab.script("plain", "echo never\n", mode=0o644)
    ended = lab.run("exec", "--detach", "--json", "--", typed)
    document = ended.document
    assert (ended.code, document["exit_code"], document["outcome"]) == (code, code, "could_not_start")
    assert b"goes on" not in ended.err
    assert shell.rows()[document["run_id"]]["exit_code"] == code


def test_a_requirement_that_is_not_met_starts_nothing(lab: Lab) -> None:
    """69, detached or not."""
    job = lab.job(run="true", resources={"ram": "900TB"})
    assert lab.run("run", "--detach", job).code == 69
    assert not list(lab.home.glob("runs/*"))


def test_nobody_waits_for_our_pipes(lab: Lab, shell: Shell) -> None:
    """`x=$(colab-run exec --detach …)` is answered at once: neither guard nor job hold its pipe."""
    script = lab.python("job.py", GATED)
    line = " ".join(f"'{word}'" for word in [*command(), "exec", "--detach", "--json", "--"])
    # It would take until the gate opens, which is after this.
    done = subprocess.run(
        ["bash", "-c", f"x=$({line} {script}); echo answered"],
        cwd=lab.work,
        env=lab.env,
        capture_output=True,
        timeout=30,
    )
    assert done.stdout == b"answered\n"
    (run_id,) = shell.own_ids()
    shell.open_gate()
    assert lab.run("wait", run_id).code == 3


def test_its_stdin_is_empty_and_its_output_is_no_terminal(lab: Lab, shell: Shell) -> None:
    """Nobody types and nobody looks on; with --tty there is a terminal all the same."""
    seen = "import os, sys; print([os.isatty(n) for n in (0, 1, 2)], repr(sys.stdin.read(1)), flush=True)"
    terminal = lab.terminal()
    process = lab.start_on(terminal, "exec", "--detach", "--", *lab.python("look.py", seen).split())
    assert lab.wait(process) == 0
    (run_id,) = shell.own_ids()
    assert lab.run("wait", run_id).code == 0
    assert lab.run("logs", run_id).out == b"[False, False, False] ''\n"
