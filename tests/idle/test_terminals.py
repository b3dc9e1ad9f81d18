"""Terminals: a real shell on a real pty, keys that are pressed there, and programs that only print."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import termios
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from helpers.lab import Reader, until
from helpers.life import EPOCH, known, last_alive, moment
from launcher.idle.sampler import moment_now
from launcher.idle.signals.terminals import STEP_S, TerminalsSignal
from launcher.probes.life.terminals import terminals_reader
from launcher.values import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

LONG_AGO_S = 3600.0


@dataclass
class Shell:
    """bash on a terminal of its own. We hold both ends, so the terminal outlives it."""

    seen: Reader = field(init=False)

    def __enter__(self) -> Shell:
        self.master, self.slave = os.openpty()
        self.path = os.ttyname(self.slave)
        slave = self.slave

        def take_it() -> None:
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

        streams = dict.fromkeys(("stdin", "stdout", "stderr"), slave)
        words = ["bash", "--norc", "--noprofile", "--noediting", "-i"]
        env = {"PATH": os.environ["PATH"], "PS1": "ready$ ", "HISTFILE": "/dev/null"}
        self.process = subprocess.Popen(words, preexec_fn=take_it, env=env, **streams)
        self.seen = Reader(self.master)
        self.seen.wait_for(b"ready$")
        return self

    def __exit__(self, *exc: object) -> None:
        self.end()
        self.seen.stop()
        os.close(self.slave)
        os.close(self.master)

    def end(self) -> None:
        """Nobody of its session lives any more."""
        for pid in self.session():
            os.kill(pid, signal.SIGKILL)
        self.process.wait()
        until(lambda: not self.session(), "the end of the session")

    def session(self) -> list[int]:
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    fields = (entry / "stat").read_text().rpartition(")")[2].split()
                except OSError:
                    continue
                if int(fields[3]) == self.process.pid and fields[0] != "Z":
                    found.append(int(entry.name))
        return found

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self.master, keys)

    def nobody_typed_since(self, ago_s: float) -> None:
        """As if the last key had been pressed so long ago: an hour does not have to pass."""
        then = time.time() - ago_s
        os.utime(self.path, (then, then))

    def row(self, read: Any) -> dict[str, Any] | None:
        """What is read of this terminal; others of this machine belong to others."""
        reading = read()
        assert isinstance(reading, Known), reading
        return next((row for row in reading.value if f"/dev/{row['tty']}" == self.path), None)

    def known_row(self, read: Any) -> dict[str, Any]:
        """The same where it must be there."""
        row = self.row(read)
        assert row is not None
        return row


@pytest.fixture
def shell() -> Iterator[Shell]:
    with Shell() as shell:
        yield shell


def take(sign: TerminalsSignal, row: dict[str, Any]) -> tuple[float, float]:
    """(now, the last keystroke), both on CLOCK_MONOTONIC."""
    now = moment_now()
    said = sign.take(Known([row]), now)
    assert isinstance(said, Known)
    return now.at, said.value.last_alive


def test_a_person_who_types_is_alive(shell: Shell) -> None:
    """To the 8 s that Linux allows; one who typed an hour ago was alive an hour ago."""
    read, sign = terminals_reader(), TerminalsSignal()
    shell.nobody_typed_since(LONG_AGO_S)
    now, alive = take(sign, shell.known_row(read))
    assert now - LONG_AGO_S - 0.1 <= alive <= now - LONG_AGO_S + STEP_S
    typed = moment_now()
    shell.type(b"true\n")
    until(lambda: shell.known_row(read)["keyed"] > typed.wall - LONG_AGO_S / 2, "the keystroke")
    now, alive = take(sign, shell.known_row(read))
    assert typed.at <= alive <= now


def test_what_programs_print_is_no_life(shell: Shell) -> None:
    """A forgotten `watch nvidia-smi` keeps no machine."""
    shell.type(b"while sleep 0.02; do echo tick $((n++)); done\n")
    shell.seen.wait_for(b"tick 1")
    shell.nobody_typed_since(LONG_AGO_S)
    shell.seen.wait_for(b"tick 9")
    now, alive = take(TerminalsSignal(), shell.known_row(terminals_reader()))
    assert alive <= now - LONG_AGO_S + STEP_S


def test_it_says_where_and_in_what(shell: Shell) -> None:
    """The terminal, and the program in the foreground."""
    read, sign = terminals_reader(), TerminalsSignal()
    assert shell.known_row(read)["command"] == "bash"
    shell.type(b"sleep 1000\n")
    until(lambda: shell.known_row(read)["command"] == "sleep", "the program in the foreground")
    said = sign.take(Known([shell.known_row(read)]), moment_now())
    assert isinstance(said, Known)
    assert str(said.value.detail) == f"typed at {shell.path.removeprefix('/dev/')} (sleep)"


def test_a_terminal_without_a_session_is_none(shell: Shell) -> None:
    """Both ends are open, and nobody sits there; one who sits down again is seen."""
    read = terminals_reader()
    assert shell.row(read) is not None
    shell.end()
    assert Path(shell.path).exists()
    assert shell.row(read) is None
    with Shell() as other:
        assert other.row(read) is not None


def test_what_a_shell_leaves_behind_sits_at_no_terminal(shell: Shell) -> None:
    """`train &`, then the window is closed: the program goes on, and nobody can type to it."""
    read = terminals_reader()
    assert shell.row(read) is not None
    shell.type(b"sleep 1000 &\n")
    until(lambda: len(shell.session()) == 2, "the program")
    shell.process.kill()
    shell.process.wait()
    assert shell.session()
    assert shell.row(read) is None


def test_a_machine_without_terminals(tmp_path: Path) -> None:
    """No such sign; a folder that cannot be read is unknown."""
    assert terminals_reader(str(tmp_path / "none"))() == Known([])
    assert TerminalsSignal().take(Known([]), moment(1.0)) is None
    (tmp_path / "file").write_text("")
    assert terminals_reader(str(tmp_path / "file"))() == Unknown("not-readable")


# --- the signal -----------------------------------------------------------------------------------


def at(tty: str, keyed: float) -> dict[str, Any]:
    return {"tty": tty, "keyed": EPOCH + keyed, "command": "bash"}


def test_a_terminal_of_the_future_hides_no_other() -> None:
    """The clock was set back: the key is now at the first sight only."""
    sign = TerminalsSignal()
    ahead = at("pts/0", 6 * 3600.0)
    assert last_alive(sign, [ahead, at("pts/1", 0.0)], 100.0) == 100.0
    assert last_alive(sign, [ahead, at("pts/1", 0.0)], 200.0) == 100.0
    assert last_alive(sign, [ahead, at("pts/1", 240.0)], 300.0) == 248.0


def test_a_step_of_the_clock_is_alive_to_its_end() -> None:
    """A key in the same 8 s leaves no trace: it may have been pressed at their end, but not after now."""
    assert EPOCH % STEP_S == 0
    sign = TerminalsSignal()
    assert last_alive(sign, [at("pts/0", 80.0)], 83.0) == 83.0
    assert last_alive(sign, [at("pts/0", 80.0)], 86.0) == 86.0
    assert last_alive(sign, [at("pts/0", 80.0)], 200.0) == 88.0
    assert last_alive(sign, [at("pts/0", 80.0), at("pts/1", 100.0)], 300.0) == 104.0


def test_a_terminal_that_went_away_was_alive_until_then() -> None:
    """What was typed there since the last look nobody can tell."""
    sign = TerminalsSignal()
    last_alive(sign, [at("pts/0", 0.0), at("pts/1", 0.0)], 100.0)
    assert last_alive(sign, [at("pts/1", 0.0)], 200.0) == 200.0
    life = known(sign, [], 300.0)
    assert life is not None
    assert (life.last_alive, str(life.detail)) == (300.0, "no terminal is open")
    assert last_alive(sign, [], 400.0) == 300.0


def test_an_unknown_while_counts_as_alive() -> None:
    """A terminal that came and went meanwhile left nothing."""
    sign = TerminalsSignal()
    last_alive(sign, [at("pts/0", 0.0)], 100.0)
    assert sign.take(Unknown("timeout"), moment(200.0)) == Unknown("timeout")
    assert last_alive(sign, [at("pts/0", 0.0)], 300.0) == 200.0
