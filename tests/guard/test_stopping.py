"""How a run is stopped, by a person or by its limit: polite first, SIGKILL at the end, everybody reached."""

from __future__ import annotations

import os
import shlex
import signal
import time
from typing import TYPE_CHECKING

import pytest

from helpers.lab import cpu_seconds, processes_with, state_of, until
from helpers.programs import DAEMONISE, NOTE_SIGNALS, STORM, noted, pid_of, times

if TYPE_CHECKING:
    import subprocess

    from helpers.lab import Lab

TWO = """
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "note.py", "second", "deaf"], start_new_session=True)
os.execv(sys.executable, [sys.executable, "note.py", "first", "deaf"])
"""


def noting(lab: Lab, name: str, manners: str) -> list[str]:
    """A job that notes its signals."""
    return [*lab.python("note.py", NOTE_SIGNALS).split(), name, manners]


def stop(lab: Lab, process: subprocess.Popen, number: int) -> None:
    """Send a signal to a run whose job is ready."""
    lab.seen("job")
    process.send_signal(number)


def test_a_press_of_ctrl_c_step_by_step(lab: Lab) -> None:
    """SIGINT to every process of the job, SIGTERM at half of stop_grace, SIGKILL at its end; 130."""
    noting(lab, "-", "-")
    job = lab.job(run=lab.python("two.py", TWO).split(), stop_grace="5s")
    process = lab.start("run", "--json", job)
    lab.seen("first"), lab.seen("second")
    pressed = time.monotonic()
    process.send_signal(signal.SIGINT)
    end = lab.end(process)
    over = time.monotonic()
    assert (end.code, end.document["outcome"], end.document["decided_by"]) == (
        130,
        "interrupted",
        "colab-run",
    )
    for name in ("first", "second"):
        lines = lab.lines(name)
        assert noted(lines) == ["SIGINT", "SIGTERM"], name
        polite, firm = times(lines)
        assert pressed <= polite < firm
        assert 2.5 <= firm - pressed < 4.5
    assert over - pressed >= 5.0


def test_a_job_that_ends_at_ctrl_c(lab: Lab) -> None:
    """130 and interrupted, whatever the job's own code was, and long before the grace is over."""
    process = lab.start("run", lab.job(run=noting(lab, "job", "patient"), stop_grace="10m"))
    stop(lab, process, signal.SIGINT)
    assert lab.end(process).code == 130
    assert noted(lab.lines("job")) == ["SIGINT"]
    assert lab.result()["outcome"] == "interrupted"


def test_a_second_press_kills_at_once(lab: Lab) -> None:
    """A second press, more than a second after the first, does not wait for the grace."""
    process = lab.start("run", lab.job(run=noting(lab, "job", "deaf"), stop_grace="10m"))
    stop(lab, process, signal.SIGINT)
    (first,) = times(lab.seen("job", 2))
    until(lambda: time.monotonic() > first + 1.1, "a second has passed")
    process.send_signal(signal.SIGINT)
    assert lab.end(process).code == 130
    assert noted(lab.lines("job")) == ["SIGINT"]


def test_a_press_on_the_keyboard(lab: Lab) -> None:
    """Ctrl-C at a terminal reaches us, not the job: it gets one SIGINT, from us."""
    terminal = lab.terminal()
    process = lab.start_on(terminal, "run", lab.job(run=noting(lab, "job", "polite"), stop_grace="4s"))
    lab.seen("job")
    terminal.type(b"\x03")
    assert lab.wait(process) == 130
    assert noted(lab.lines("job")) == ["SIGINT", "SIGTERM"]


def test_sigterm_to_us(lab: Lab) -> None:
    """A person's stop as well: SIGTERM to the job, 143, interrupted."""
    process = lab.start("run", lab.job(run=noting(lab, "job", "polite")))
    stop(lab, process, signal.SIGTERM)
    assert lab.end(process).code == 143
    assert noted(lab.lines("job")) == ["SIGTERM"]
    assert lab.result()["outcome"] == "interrupted"


def test_a_job_that_hears_nothing(lab: Lab) -> None:
    """After stop_grace it is killed."""
    process = lab.start("run", lab.job(run=noting(lab, "job", "deaf"), stop_grace="3s"))
    stop(lab, process, signal.SIGTERM)
    assert lab.end(process).code == 143
    assert noted(lab.lines("job")) == ["SIGTERM"]


def test_a_job_that_has_stopped_itself(lab: Lab) -> None:
    """A stopped job would keep the signal pending for ever: it is woken up, and ends politely."""
    job = noting(lab, "job", "polite")
    process = lab.start("run", lab.job(run=["sh", "-c", f"({' '.join(job)}) & wait"], stop_grace="10m"))
    pid = pid_of(lab.seen("job"))
    os.kill(pid, signal.SIGSTOP)
    until(lambda: state_of(pid) == "T", "it is stopped")
    process.send_signal(signal.SIGTERM)
    assert lab.end(process).code == 143
    assert noted(lab.lines("job")) == ["SIGTERM"]


@pytest.mark.parametrize("number", [signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGPIPE])
def test_signals_that_end_nothing(lab: Lab, number: int) -> None:
    """Everything that would suspend us changes nothing for the run."""
    process = lab.start("run", lab.job(run=noting(lab, "job", "polite")))
    pid = pid_of(lab.seen("job"))
    process.send_signal(number)
    # A signal that is handed on shows that the other one has had its turn.
    process.send_signal(signal.SIGUSR2)
    lab.seen("job", 2)
    assert state_of(process.pid) in "SR"
    os.kill(pid, signal.SIGTERM)
    assert lab.end(process).code == 0
    assert noted(lab.lines("job")) == ["SIGUSR2", "SIGTERM"]


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT])
def test_signals_that_are_the_jobs(lab: Lab, number: int) -> None:
    """They are handed on once, and what the job makes of them is its own affair."""
    process = lab.start("run", "--json", lab.job(run=noting(lab, "job", "polite")))
    stop(lab, process, number)
    os.kill(pid_of(lab.seen("job", 2)), signal.SIGKILL)
    end = lab.end(process)
    assert (end.code, end.document["outcome"]) == (137, "signalled")
    assert noted(lab.lines("job")) == [number.name]


def test_a_signal_for_the_job_spares_the_shell_around_it(lab: Lab) -> None:
    """A checkpoint on SIGUSR1: the program gets it, and the bash that waits for it does not die of it."""
    job = "trap 'touch saved; exit 0' USR1; echo ready > job; while :; do sleep 0.01; done"
    process = lab.start("run", "--json", lab.job(run=f"true\nbash -c {shlex.quote(job)}\nexit 3"))
    lab.seen("job")
    process.send_signal(signal.SIGUSR1)
    assert lab.end(process).code == 3
    assert (lab.work / "saved").exists()


def test_stop_elsewhere_is_not_for_a_run_in_the_background(lab: Lab) -> None:
    """`colab-run … &` in a script or a cell ignores SIGINT, as every such command does, but not SIGTERM."""
    process = lab.start(
        "run",
        lab.job(run=noting(lab, "job", "polite")),
        before=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    stop(lab, process, signal.SIGINT)
    # What is pending at the same time is not taken in the order of sending: a signal that is handed on
    # shows that SIGINT has had its turn.
    process.send_signal(signal.SIGUSR1)
    lab.seen("job", 2)
    process.send_signal(signal.SIGTERM)
    assert lab.end(process).code == 143
    assert noted(lab.lines("job")) == ["SIGUSR1", "SIGTERM"]


# --- limits -------------------------------------------------------------------------------------


def test_max_duration(lab: Lab) -> None:
    """SIGTERM when it is over, 124, over_limit."""
    end = lab.run("run", "--json", lab.job(run=noting(lab, "job", "polite"), max_duration="3s"))
    assert (end.code, end.document["outcome"], end.document["decided_by"]) == (124, "over_limit", "colab-run")
    assert noted(lab.lines("job")) == ["SIGTERM"]


def test_max_duration_counts_setup(lab: Lab) -> None:
    """Neither of the two is too long; together they are."""
    assert lab.run("run", lab.job(setup="sleep 0.8", run="sleep 0.8", max_duration="1s")).code == 124


def test_max_duration_ends_setup(lab: Lab) -> None:
    """`run` is then not started."""
    end = lab.run("run", "--json", lab.job(setup="exec sleep 100", run="touch started", max_duration="0.5s"))
    assert (end.code, end.document["outcome"]) == (124, "over_limit")
    assert not (lab.work / "started").exists()


def test_a_very_long_limit(lab: Lab) -> None:
    """A year is more milliseconds than a system call can count, and no problem."""
    assert lab.run("run", lab.job(run="sleep 0.1", max_duration="366d", stop_grace="366d")).code == 0


def test_a_stop_during_setup(lab: Lab) -> None:
    """Interrupted, and `run` is not started, also where setup makes a success of it."""
    process = lab.start(
        "run",
        lab.job(
            setup="trap 'exit 0' INT; echo ready > job; sleep 100 & wait",
            run="touch started",
            stop_grace="1s",
        ),
    )
    stop(lab, process, signal.SIGINT)
    assert lab.end(process).code == 130
    assert not (lab.work / "started").exists()


# --- what is left behind ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pipes", "terminal"])
@pytest.mark.parametrize("leftover", ["daemon", "background"])
def test_what_is_left_behind_is_stopped_politely(lab: Lab, kind: str, leftover: str) -> None:
    """However often it forked: one SIGTERM, no hangup first, and the run has the main process's code."""
    note = noting(lab, "job", "polite")
    start = (
        [*lab.python("daemonise.py", DAEMONISE).split(), *note[1:]] if leftover == "daemon" else [*note, "&"]
    )
    job = lab.job(run=f"{' '.join(start)}\nuntil test -e job; do sleep 0.01; done\nexit 5", stop_grace="10m")
    if kind == "pipes":
        end = lab.run("run", job)
        code, words = end.code, end.err
    else:
        terminal = lab.terminal()
        code, words = lab.wait(lab.start_on(terminal, "run", job)), terminal.seen()
    assert code == 5
    assert noted(lab.lines("job")) == ["SIGTERM"]
    assert b"1 process that it left behind was stopped" in words.replace(b"\r", b"")


@pytest.mark.parametrize("kind", ["pipes", "terminal"])
def test_what_is_left_behind_and_hears_nothing(lab: Lab, kind: str) -> None:
    """It is killed after stop_grace; nothing survives."""
    note = noting(lab, "job", "deaf")
    start = [*lab.python("daemonise.py", DAEMONISE).split(), *note[1:]]
    job = lab.job(run=f"{' '.join(start)}\nuntil test -e job; do sleep 0.01; done", stop_grace="2s")
    if kind == "pipes":
        assert lab.run("run", job).code == 0
    else:
        assert lab.wait(lab.start_on(lab.terminal(), "run", job)) == 0
    assert noted(lab.lines("job")) == ["SIGTERM"]
    until(lambda: not processes_with(lab.cookie), "the end of everything")


DAEMON = """
import os, time
open("job", "w").write("ready\\n")
while not os.path.exists("go"):
    time.sleep(0.01)
print("daemon done", flush=True)
"""


@pytest.mark.parametrize("kind", ["pipes", "terminal"])
def test_leftovers_wait(lab: Lab, kind: str) -> None:
    """The run ends with the last process, has its output, and the code of the main one."""
    lab.script("daemon.py", DAEMON)
    start = lab.python("daemonise.py", DAEMONISE)
    job = lab.job(run=f"{start} daemon.py\nexit 3", leftovers="wait")
    process = lab.start("run", job) if kind == "pipes" else lab.start_on(lab.terminal(), "run", job)
    lab.seen("job")
    assert process.poll() is None
    (lab.work / "go").touch()
    assert lab.wait(process) == 3
    assert lab.log() == b"daemon done\n"


def test_a_stop_while_leftovers_are_waited_for(lab: Lab) -> None:
    """They are the job then: a person who stops them has interrupted the run."""
    start = [*lab.python("daemonise.py", DAEMONISE).split(), *noting(lab, "job", "polite")[1:]]
    process = lab.start("run", lab.job(run=start, leftovers="wait", stop_grace="2s"))
    stop(lab, process, signal.SIGINT)
    assert lab.end(process).code == 130
    assert lab.result()["outcome"] == "interrupted"


def test_max_duration_while_leftovers_are_waited_for(lab: Lab) -> None:
    """The limit counts them."""
    start = [*lab.python("daemonise.py", DAEMONISE).split(), *noting(lab, "job", "polite")[1:]]
    assert lab.run("run", lab.job(run=start, leftovers="wait", max_duration="3s")).code == 124
    assert noted(lab.lines("job")) == ["SIGTERM"]


def test_a_storm_of_processes(lab: Lab) -> None:
    """200 daemons that hear nothing, and multiply just when the limit comes: none survives."""
    job = lab.python("storm.py", STORM).split()
    process = lab.start("run", lab.job(run=job, max_duration="2s", stop_grace="0.2s"))
    assert lab.end(process).code == 124
    assert lab.lines("storm") == ["ready"]
    until(lambda: not processes_with(lab.cookie), "the end of everything")


def test_children_of_whoever_execed_us(lab: Lab) -> None:
    """`sleep 100 & exec colab-run …`: that sleep is not the job's. The run ends, and it lives."""
    from helpers.cli import command

    words = " ".join(f"'{word}'" for word in [*command(), "exec", "--", "sh", "-c", "sleep 100 & exit 6"])
    end = lab.end(
        lab.start(argv=["bash", "-c", f"sleep 100 >&- 2>&- & echo $! > stranger; exec {words}"]), None
    )
    stranger = int(lab.lines("stranger")[0])
    assert end.code == 6
    assert state_of(stranger) == "S"
    os.kill(stranger, signal.SIGKILL)
    assert b"1 process that it left behind was stopped" in end.err


def test_what_a_stranger_leaves_behind_is_strange_too(lab: Lab) -> None:
    """A daemon of whoever exec'ed us that becomes our child while the job runs is not the job's."""
    from helpers.cli import command

    job = "while ! test -e daemon; do sleep 0.01; done; sleep 0.2"
    words = " ".join(f"'{word}'" for word in [*command(), "exec", "--", "sh", "-c", job])
    leave = "(sleep 0.5; (setsid sleep 100 & echo $! > daemon) ) >&- 2>&- &"
    end = lab.end(lab.start(argv=["bash", "-c", f"{leave} exec {words}"]), None)
    stranger = int(lab.lines("daemon")[0])
    assert (end.code, state_of(stranger)) == (0, "S"), end.err
    os.kill(stranger, signal.SIGKILL)


# --- the loop itself ----------------------------------------------------------------------------


def is_at_rest(pid: int) -> bool:
    """Has it used nothing for a tenth of a second?"""
    began, used = time.monotonic(), cpu_seconds(pid)
    until(lambda: time.monotonic() > began + 0.1, "a moment has passed")
    return cpu_seconds(pid) == used


@pytest.mark.parametrize("kind", ["pipes", "terminal", "no reader"])
def test_no_busy_loop_when_the_job_has_closed_its_streams(lab: Lab, kind: str) -> None:
    """A job that lives on without stdin, stdout and stderr costs us nothing."""
    job = "echo out; exec <&- >&- 2>&-; echo ready > job; while ! test -e go; do sleep 0.05; done"
    if kind == "terminal":
        process = lab.start_on(lab.terminal(), "exec", "--", "bash", "-c", job)
    else:
        process = lab.start("exec", "--", "bash", "-c", job)
        if kind == "no reader":
            process.stdout.close(), process.stderr.close()
    lab.seen("job")
    # Until it has shown that the job has begun: what counts is what comes after that.
    until(lambda: is_at_rest(process.pid), "a client that has nothing more to do")
    began, used = time.monotonic(), cpu_seconds(process.pid)
    until(lambda: time.monotonic() > began + 1.0, "a while has passed")
    assert cpu_seconds(process.pid) - used < 0.03
    (lab.work / "go").touch()
    assert lab.wait(process) == 0


def test_a_bug_of_ours_ends_the_job(lab: Lab) -> None:
    """An exception in the loop leaves no job unwatched: it gets SIGTERM, then the exception goes on."""
    (row,) = lab.supervise([noting(lab, "job", "polite")], max_duration_s=3.0, say="raise", stop_grace_s=60.0)
    assert "max_duration is over" in row["error"]
    # Where the machine is busy it comes a second time before the job has noted the first.
    assert set(noted(lab.lines("job"))) == {"SIGTERM"}


@pytest.mark.parametrize("kind", ["pipes", "terminal"])
def test_a_bug_of_ours_ends_a_job_that_hears_nothing(lab: Lab, kind: str) -> None:
    """SIGKILL after stop_grace, there too, and our terminal is given back."""
    terminal = lab.terminal()
    before = terminal.modes()
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), terminal.slave) if kind == "terminal" else {}
    process = lab.start_supervised(
        [noting(lab, "job", "deaf")], max_duration_s=1.0, say="raise", stop_grace_s=0.3, options=streams
    )
    assert lab.end(process).code == 0
    assert "error" in lab.answer()[0]
    assert terminal.modes() == before
    until(lambda: not processes_with(lab.cookie), "the end of everything")


@pytest.mark.parametrize("kind", ["pipes", "terminal"])
def test_nothing_starts_when_it_cannot_be_noted(lab: Lab, kind: str) -> None:
    """The job waits at a gate until its pid is on record; if that fails, it ends without having begun."""
    terminal = lab.terminal()
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), terminal.slave) if kind == "terminal" else {}
    process = lab.start_supervised(
        [["touch", "started"]], started="raise", stop_grace_s=60.0, options=streams
    )
    assert lab.end(process).code == 0
    assert lab.answer()[0]["error"] == "run"
    assert not (lab.work / "started").exists()
    until(lambda: not processes_with(lab.cookie), "the end of everything")
