"""The emulation of Colab's `!command` has the properties that were read from Colab's source."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from helpers.colab_bang import ColabKernel
from helpers.marked import until
from helpers.programs import DAEMONISE, NOTE_SIGNALS, noted, pid_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WHERE = """
import errno, json, os
try:
    os.open("/dev/tty", os.O_RDWR)
    controlling = "a controlling terminal"
except OSError as error:
    controlling = errno.errorcode[error.errno]
print(json.dumps([os.getppid(), os.getpgrp(), os.getsid(0), controlling, list(os.get_terminal_size(0)),
                  [os.isatty(fd) for fd in range(3)], len({os.ttyname(fd) for fd in range(3)})]))
"""


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[ColabKernel]:
    with ColabKernel(cwd=tmp_path) as kernel:
        yield kernel
    assert kernel.survivors() == {}


def python(program: str, *words: str) -> str:
    """Shell words that run a Python program."""
    return shlex.join([sys.executable, "-c", program, *words])


def lines(path: Path, count: int) -> list[str]:
    """The lines of a file, once there are `count`."""
    until(lambda: path.exists() and len(path.read_text().splitlines()) >= count, f"{count} lines in {path}")
    return path.read_text().splitlines()


def test_the_child_is_in_the_kernels_group_and_session_on_a_terminal_that_controls_nothing(
    kernel: ColabKernel,
) -> None:
    """Parent, group and session are the kernel; 0, 1 and 2 are one terminal, 0x0, and /dev/tty says ENXIO."""
    cell = kernel.bang(python(WHERE))
    assert cell.wait() == 0
    own = f"[{kernel.pid}, {kernel.pid}, {kernel.pid}, "
    assert cell.output == own + '"ENXIO", [0, 0], [true, true, true], 1]\n'


def test_stdout_and_stderr_come_as_one_text_as_they_were_written(kernel: ColabKernel) -> None:
    """One stream in order, no CR before LF, CR and ANSI kept, UTF-8 across writes, wrong bytes replaced."""
    cell = kernel.bang(
        r"printf 'a\n\r'; printf 'b\e[1m' >&2; printf '\xe4\xb8'; sleep 0.2; printf '\xad \xff'"
    )
    assert cell.wait() == 0
    assert cell.output == "a\n\rb\x1b[1m\u4e2d \ufffd"


def test_all_of_a_flood_arrives(kernel: ColabKernel) -> None:
    """100 KB that is written at once and followed by the end is there to its last line."""
    cell = kernel.bang("seq 20000")
    assert cell.wait() == 0
    assert cell.output == "".join(f"{number}\n" for number in range(1, 20001))


@pytest.mark.parametrize(
    ("command", "code"),
    [("exit 7", 7), ("kill -KILL $$", -9), ("[[ a == a ]]", 0), ("sh -c 'exit 130'", 130)],
)
def test_the_exit_code_is_bashs_and_negative_for_a_signal(
    kernel: ColabKernel, command: str, code: int
) -> None:
    """As `_exit_code`; Colab shows ^C for the signals of a stop."""
    cell = kernel.bang(command)
    assert cell.wait() == code
    assert cell.output == ("^C\n" if code < 0 else "")


def test_typing_reaches_the_child_and_ctrl_c_is_a_byte_that_signals_nobody(
    kernel: ColabKernel, tmp_path: Path
) -> None:
    """Without a controlling terminal there is no foreground group for ^C; its echo is not `^C` either."""
    cell = kernel.bang("read line; echo got $line")
    cell.type(b"\x03hello\n")
    assert cell.wait() == 0
    assert cell.output.endswith("got hello\n")
    assert "^C" not in cell.output


def test_one_press_is_sigint_from_the_group_and_again_from_the_kernel(
    kernel: ColabKernel, tmp_path: Path
) -> None:
    """The direct child gets both; the kernel is held between the two, so that they cannot become one."""
    cell = kernel.bang(python(NOTE_SIGNALS, "log", "deaf"))
    lines(tmp_path / "log", 1)
    os.kill(kernel.pid, signal.SIGSTOP)
    os.killpg(kernel.pid, signal.SIGINT)
    assert noted(lines(tmp_path / "log", 2)) == ["SIGINT"]
    os.kill(kernel.pid, signal.SIGCONT)
    assert noted(lines(tmp_path / "log", 3)) == ["SIGINT", "SIGINT"]
    assert not cell.done


def test_one_press_reaches_the_grandchild_once(kernel: ColabKernel, tmp_path: Path) -> None:
    """Behind a bash that waits, a program is in the group only; after the press the next cell can run."""
    cell = kernel.bang(python(NOTE_SIGNALS, "log", "patient") + "; exit 5")
    inner = pid_of(lines(tmp_path / "log", 1))
    kernel.press_stop()
    cell.wait()
    assert inner != cell.pid
    assert noted(lines(tmp_path / "log", 2)) == ["SIGINT"]
    assert kernel.bang("echo next").wait() == 0


def test_a_second_press_is_sigint_sigterm_and_a_while_later_sigkill(tmp_path: Path) -> None:
    """Only the direct child gets SIGTERM and SIGKILL; whoever ends at SIGTERM decides the code."""
    with ColabKernel(cwd=tmp_path, last_words_s=2) as kernel:  # Half a second is short on a busy machine.
        deaf = kernel.bang(python(NOTE_SIGNALS, "deaf", "deaf"))
        lines(tmp_path / "deaf", 1)
        kernel.press_stop()
        kernel.press_stop()
        assert deaf.wait() == -signal.SIGKILL
        assert deaf.output.endswith("^C\n")
        # One handler may be interrupted by the other before it has written: in which order is chance.
        assert "SIGTERM" in noted(lines(tmp_path / "deaf", 1))
        polite = kernel.bang(python(NOTE_SIGNALS, "polite", "polite"))
        lines(tmp_path / "polite", 1)
        kernel.press_stop()
        kernel.press_stop()
        assert polite.wait() == 0


def test_a_third_press_right_after_the_second_spares_the_child_and_a_fourth_leaves_it(tmp_path: Path) -> None:
    """The third cuts the wait before SIGKILL short; the next one ends the cell, not the child."""
    with ColabKernel(cwd=tmp_path, last_words_s=600) as kernel:
        cell = kernel.bang(python(NOTE_SIGNALS, "log", "deaf"))
        lines(tmp_path / "log", 1)
        for _ in range(3):
            kernel.press_stop()
        assert not cell.done
        kernel.press_stop()
        assert cell.wait() is None
        assert cell.state == "interrupted"
        assert list(kernel.survivors()) == [cell.pid]


def test_a_cell_waits_for_whoever_holds_the_terminal_until_a_third_press(kernel: ColabKernel) -> None:
    """`job &` without redirection blocks the cell after bash's end; no press reaches another session."""
    cell = kernel.bang("setsid sleep 1000 &")
    until(lambda: list(kernel.survivors().values()) == ["sleep 1000"], "the job alone")
    kernel.press_stop()
    kernel.press_stop()
    assert not cell.done
    while not cell.done:
        kernel.press_stop()
    assert cell.state == "interrupted"
    assert list(kernel.survivors().values()) == ["sleep 1000"]


def test_a_cell_ends_when_the_last_holder_of_the_terminal_does(kernel: ColabKernel, tmp_path: Path) -> None:
    """What a background job writes after bash's end still appears, and bash's code stands."""
    os.mkfifo(tmp_path / "go")
    cell = kernel.bang("(read line < go; echo late) & exit 3")
    until(lambda: cell.pid and cell.pid not in kernel.survivors(), "the end of bash")
    assert not cell.done
    (tmp_path / "go").write_text("go\n")
    assert cell.wait() == 3
    assert cell.output == "late\n"


def test_a_command_that_closes_its_terminal_still_keeps_the_cell(kernel: ColabKernel, tmp_path: Path) -> None:
    """Both must be over, the process and the terminal."""
    os.mkfifo(tmp_path / "go")
    cell = kernel.bang("trap '' INT; exec 0<&- 1>&- 2>&-; touch closed; read line < go; exit 6")
    until((tmp_path / "closed").exists, "the end of the terminal")
    kernel.press_stop()
    assert not cell.done
    (tmp_path / "go").write_text("go\n")
    assert cell.wait() == 6


@pytest.mark.parametrize("command", ["sleep 1000 >log 2>&1 &", "nohup sleep 1000 &"])
def test_a_redirected_background_job_returns_at_once_and_no_press_ends_it(
    kernel: ColabKernel, command: str
) -> None:
    """bash starts it deaf to SIGINT, in the kernel's group; closing the tab changes nothing either."""
    cell = kernel.bang(command)
    assert cell.wait() == 0
    until(lambda: list(kernel.survivors().values()) == ["sleep 1000"], "the job alone")
    next_cell = kernel.bang("echo next; sleep 1000")
    next_cell.wait_for("next")
    kernel.press_stop()
    assert next_cell.wait() == -signal.SIGINT
    kernel.press_stop()
    kernel.close_tab()
    assert list(kernel.survivors().values()) == ["sleep 1000"]
    assert os.getpgid(next(iter(kernel.survivors()))) == kernel.pid


@pytest.mark.parametrize("end", ["restart", "shutdown"])
@pytest.mark.parametrize("now", [False, True])
def test_a_detached_job_outlives_the_kernel_and_a_cells_command_does_not(
    tmp_path: Path, end: str, now: bool
) -> None:
    """A daemon survives every end. An orphan in the kernel's group survives a polite one only."""
    daemon, orphan = python(DAEMONISE, "-c", NOTE_SIGNALS, "daemon"), python(NOTE_SIGNALS, "orphan", "deaf")
    with ColabKernel(cwd=tmp_path) as kernel:
        assert kernel.bang(f"{daemon} >out 2>&1 </dev/null; {orphan} >out 2>&1 &").wait() == 0
        expected = {pid_of(lines(tmp_path / "daemon", 1))}
        inherited = pid_of(lines(tmp_path / "orphan", 1))
        if not now:
            expected.add(inherited)
        # Both ways begin with SIGINT for the group, so the command must stand it to see the rest.
        cell = kernel.bang(python(NOTE_SIGNALS, "log", "polite"))
        lines(tmp_path / "log", 1)
        old = kernel.pid
        getattr(kernel, end)(now=now)
        assert set(kernel.survivors()) == expected
        assert cell.state == ("lost" if now else "ended")
        assert noted(lines(tmp_path / "daemon", 1)) == []
        if not now:
            assert noted(lines(tmp_path / "log", 1))[-1] == "SIGTERM"
        if end == "restart":
            assert kernel.pid != old
            assert kernel.bang("exit 4").wait() == 4
    # The end of the test is a forced end of the kernel that was there then.
    assert set(kernel.left_behind) >= {pid_of(lines(tmp_path / "daemon", 1))}
    assert kernel.survivors() == {}


def test_a_polite_shutdown_spares_a_session_below_a_command_that_runs(kernel: ColabKernel) -> None:
    """ipykernel looks at the groups of its descendants: SIGTERM for bash, none for a session below it."""
    cell = kernel.bang("setsid sleep 1000 >log 2>&1 </dev/null; sleep 1001")
    until(lambda: "sleep 1000" in kernel.survivors().values(), "the job")
    kernel.shutdown()
    assert cell.exit_code == -signal.SIGTERM
    assert list(kernel.survivors().values()) == ["sleep 1000"]


def test_a_kernel_that_cannot_end_is_ended_with_its_group(tmp_path: Path) -> None:
    """A cell whose terminal is held keeps the kernel from ending: SIGTERM for the group 2.5 s later."""
    with ColabKernel(cwd=tmp_path) as kernel:
        cell = kernel.bang(f"{python(NOTE_SIGNALS, 'log')} & setsid sleep 1000 &")
        lines(tmp_path / "log", 1)
        until(lambda: len(survivors := kernel.survivors()) == 2 and cell.pid not in survivors, "both alone")
        kernel.shutdown()
        assert cell.state == "lost"
        assert noted(lines(tmp_path / "log", 3)) == ["SIGINT", "SIGTERM"]
        until(lambda: list(kernel.survivors().values()) == ["sleep 1000"], "the session alone")
    assert list(kernel.left_behind.values()) == ["sleep 1000"]


def test_the_environment_is_the_one_given_and_never_a_real_release_address(tmp_path: Path) -> None:
    """`env` replaces everything; without it TBE_RUNTIME_ADDR is taken out of what is inherited."""
    with ColabKernel(env={"PATH": os.defpath, "MINE": "1"}, cwd=tmp_path) as kernel:
        cell = kernel.bang("echo $MINE ${HOME-none} $PWD")
        assert cell.wait() == 0
        assert cell.output == f"1 none {tmp_path}\n"
    with ColabKernel() as kernel:
        cell = kernel.bang("echo ${TBE_RUNTIME_ADDR-none}")
        assert cell.wait() == 0
        assert cell.output == "none\n"
