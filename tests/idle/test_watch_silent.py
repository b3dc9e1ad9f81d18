"""`colab-run watch`, asked while its guard is silent or has just been lost; and what it never shows."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from helpers.jupyter import StandIn, list_server, silent
from helpers.ours import guard_of, kill_both
from helpers.scene import until
from helpers.watches import CALM, in_a_house, start, watches
from launcher.cli.watching import LOGIN_S
from launcher.guard import control

if TYPE_CHECKING:
    from collections.abc import Iterator

    from helpers.house import House
    from helpers.scene import Scene

USAGE = 64
SECRET = "Bearer hunter2"


@pytest.fixture
def hung(home: House) -> Iterator[str]:
    """The id of a watch whose guard is stopped."""
    with home.managed():
        start(home, "--idle", "1h")
        (watch,) = watches(home)
        pid = guard_of(home)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield watch["run_id"]
        finally:
            os.kill(pid, signal.SIGCONT)


@in_a_house
def test_a_guard_that_does_not_answer_is_named(home: House, hung: str) -> None:
    """Nobody says that there is no watch."""
    for question in ("--status", "--why"):
        said = home.run("watch", question)
        assert hung in said.out
        assert "no watch" not in said.out + said.err
        assert home.run("watch", question, "--json").document["not_answering"] == [hung]


@in_a_house
def test_a_login_does_not_wait_for_it(home: House, hung: str) -> None:
    """One line, at once."""
    took = []
    for short in ((), ("--short",)):
        began = time.monotonic()
        assert f"the guard of the run {hung}" in home.run("watch", "--status", *short).out
        took.append(time.monotonic() - began)
    # Most of it is the start of a Python; the rest is how long a guard may take that does not answer.
    assert took[1] < took[0]
    assert LOGIN_S < control.PATIENCE_S / 4


@in_a_house
def test_who_cannot_be_replaced_is_named(home: House, hung: str) -> None:
    """Two watches are no secret."""
    ended = home.run("watch", "--idle", "1h", "--json")
    assert ended.document["watch"]["replaced"] == []
    assert ended.document["watch"]["not_replaced"] == [hung]
    assert hung in ended.err


def _state(scene: Scene) -> str:
    """As the guard itself says."""
    watch = scene.run("watch", "--status", "--json").document["watch"]
    return "" if watch is None else watch["state"]


@in_a_house
def test_a_watch_that_was_taken_up_is_watching(home: House) -> None:
    """It was `planned` for ever."""
    with home.managed():
        start(home, "--idle", "1h")
        kill_both(home)
        home.run("ps")
        until(lambda: _state(home) == "watching", "the watch")


def test_what_cannot_be_read_is_said_to_who_logs_in(calm: Scene) -> None:
    """It is not idle by itself then, however long nothing happens."""
    with calm.managed(), StandIn(silent) as server:
        folder = calm.folder / "jupyter"
        list_server(folder, server.url)
        calm.env["HOME"] = str(folder)
        start(calm, "--idle", "3s", *CALM)

        def said() -> str:
            line = calm.run("watch", "--status", "--short").out
            return line if "cannot be read: kernels" in line else ""

        assert until(said, "the line").count("\n") == 1


def test_the_file_of_a_replay_has_a_name(scene: Scene) -> None:
    """An empty one (an unset variable) starts no watch."""
    with scene.managed():
        ended = scene.run("watch", "--replay", "", "--idle", "30m")
        assert (ended.code, ended.out) == (USAGE, "")
        assert scene.leftovers() == []


def test_a_limit_that_is_shorter_than_the_wait_is_said(calm: Scene) -> None:
    """Then idleness plays no part."""
    with calm.managed():
        said = " ".join(calm.run("watch", "--idle", "1h", "--max", "30m").err.split())
        assert "--max is shorter than --idle: this runtime goes after 30 m, busy or not" in said


def test_a_command_is_not_shown(calm: Scene) -> None:
    """It may hold a secret; whoever typed it knows it."""
    command = f"command:echo '{SECRET}' >/dev/null"
    shown = calm.run("watch", "--idle", "1h", "--with", command)
    assert shown.code == 0, shown.err
    answers = [shown, calm.run("watch", "--idle", "1h", "--with", command, "--json")]
    questions = (["watch", "--status"], ["watch", "--why"], ["ps"], ["history"])
    answers += [calm.run(*words, *more) for words in questions for more in ((), ("--json",))]
    assert all(SECRET not in one.out + one.err for one in answers)
    assert "what is done then: command" in " ".join(shown.out.split())
