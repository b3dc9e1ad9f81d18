"""`stop` is a person's stop from any shell; and how a run is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from launcher.errors import NoSuchRun
from launcher.record import RunRow
from launcher.runs import choose
from launcher.values import Unknown

if TYPE_CHECKING:
    from helpers.lab import Lab
    from helpers.shell import Shell

# Ends by itself on SIGINT, with a code of its own, or not at all.
POLITE = """
import signal, sys, time
signal.signal(signal.SIGINT, lambda *a: (print("asked", flush=True), sys.exit(5)))
print("ready", flush=True)
while True:
    time.sleep(0.01)
"""
DEAF = """
import signal, time
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
print("ready", flush=True)
while True:
    time.sleep(0.01)
"""


def is_ready(lab: Lab, run_id: str) -> None:
    """The job has its handlers."""
    from helpers.lab import until

    until(lambda: b"ready" in lab.run("logs", run_id).out, "ready")


def test_stop_is_a_persons_stop(lab: Lab, shell: Shell) -> None:
    """SIGINT first; the run was interrupted and ends with 130, whatever the job's own code."""
    run_id = shell.python(POLITE)
    is_ready(lab, run_id)
    stopped = lab.run("stop", run_id)
    assert (stopped.code, b"SIGINT" in stopped.out) == (0, True)
    waited = lab.run("wait", run_id, "--json")
    assert (waited.code, waited.document["outcome"]) == (130, "interrupted")
    assert lab.run("logs", run_id).out == b"ready\nasked\n"


def test_kill_asks_nobody(lab: Lab, shell: Shell) -> None:
    """A job that ignores every signal is gone at once, not after 30 s."""
    run_id = shell.python(DEAF)
    is_ready(lab, run_id)
    stopped = lab.run("stop", run_id, "--kill", "--json")
    assert (stopped.code, stopped.document["taken"]) == (0, True)
    waited = lab.run("wait", run_id, "--timeout", "10s")
    assert waited.code == 130


def test_a_run_that_has_ended(lab: Lab, shell: Shell) -> None:
    """Said so, and 0."""
    run_id = shell.detach("sh", "-c", "exit 3")
    assert lab.run("wait", run_id).code == 3
    shell.until_gone(run_id)
    stopped = lab.run("stop", run_id)
    assert (stopped.code, b"ended already" in stopped.out) == (0, True)
    assert lab.run("stop", run_id, "--json").document["taken"] is False


def row(run_id: str, job: str, uid: int | None = None) -> RunRow:
    """One of ours, or another user's."""
    import os

    owner = os.geteuid() if uid is None else uid
    return RunRow(run_id, job, guarded=True, told=Unknown("not-answering"), place=None, uid=owner)


ROWS = [
    row("20261122-130000-0001", "finetune"),
    row("20261122-120000-0003", "20261122"),
    row("20261122-120000-0002", "theirs", 12345),
    row("20261121-120000-0001", "finetune"),
    row("20261120-120000-0001", "prepare"),
]


@pytest.mark.parametrize(
    ("typed", "run_id"),
    [
        ("20261121-120000-0001", "20261121-120000-0001"),
        ("20261121", "20261121-120000-0001"),
        ("finetune", "20261122-130000-0001"),
        ("prepare", "20261120-120000-0001"),
        ("last", "20261122-130000-0001"),
        ("20261122", "20261122-120000-0003"),  # a name comes before a beginning
    ],
)
def test_how_a_run_is_named(typed: str, run_id: str) -> None:
    """By its id, the beginning of one, its name (the newest of it), or as the last one."""
    assert choose(typed, ROWS).run_id == run_id


@pytest.mark.parametrize(
    ("typed", "said", "advised"),
    [
        ("fintune", "there is no run fintune", "use finetune"),
        ("nothing like it", "there is no run", "colab-run ps --all"),
        ("2026112", "several runs begin with", "more of it"),
        ("", "there is no run", ""),
        ("theirs", "belongs to another user", ""),
        ("20261122-120000-0002", "belongs to another user", ""),
    ],
)
def test_what_names_no_run(typed: str, said: str, advised: str) -> None:
    """What is wrong, and what to type instead."""
    with pytest.raises(NoSuchRun) as told:
        choose(typed, ROWS)
    assert said in told.value.what
    assert advised in told.value.hint


def test_there_is_no_last_run_yet() -> None:
    """Another user's is not it."""
    with pytest.raises(NoSuchRun, match="no run yet"):
        choose("last", ROWS[2:3])


@pytest.mark.parametrize("words", [("logs", "nosuch"), ("stop", "nosuch"), ("wait", "nosuch")])
def test_no_such_run_is_64(lab: Lab, words: tuple[str, str]) -> None:
    """And with --json a document says so too."""
    ended = lab.run(*words, "--json")
    assert (ended.code, ended.document["exit_code"]) == (64, 64)
    assert b"there is no run nosuch" in ended.err
