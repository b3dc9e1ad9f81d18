"""What the job finds: environment, descriptors, signals, session; and what we keep of it, for us alone."""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from helpers.lab import Lab

# Everything a job can find out about how it was started, as one document in the file `seen`.
LOOK = """
import json, os
status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
def where(descriptor):
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return None  # the descriptor of the listing itself
open_files = {name: where(name) for name in os.listdir("/proc/self/fd")}
json.dump({
    "env": dict(os.environ),
    "descriptors": sorted(name for name, place in open_files.items() if place is not None),
    "masks": {name: int(status[name], 16) for name in ("SigIgn", "SigBlk", "SigPnd")},
    "session": os.getsid(0), "group": os.getpgrp(), "cwd": os.getcwd(), "umask": os.umask(0),
    "parent": os.getppid(),
}, open("seen", "w"))
"""
# A Python job ignores these itself, at its start.
PYTHON_IGNORES = 1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGXFSZ - 1)
IGNORE = (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGUSR1, signal.SIGCHLD, signal.SIGTSTP)
BLOCK = (signal.SIGTERM, signal.SIGUSR2, signal.SIGCHLD, signal.SIGINT, signal.SIGALRM)


def spoil_signals() -> None:
    """As nohup, a notebook or a careless parent may leave them."""
    for number in IGNORE:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, BLOCK)


def look(lab: Lab, **options: Any) -> dict[str, Any]:
    """What a job finds."""
    words = ["run", lab.job(run=lab.python("look.py", LOOK).split(), **options.pop("keys", {}))]
    process = lab.start_on(options.pop("on"), *words) if "on" in options else lab.start(*words, **options)
    assert lab.end(process).code == 0
    return json.loads((lab.work / "seen").read_text())


@pytest.mark.parametrize("kind", ["pipes", "terminal"])
def test_descriptors_and_session(lab: Lab, kind: str) -> None:
    """Only 0, 1 and 2 are open, and the job is in a session of its own, whatever we were started with."""
    if kind == "terminal":
        seen = look(lab, on=lab.terminal())
    else:
        read, write = os.pipe()
        seen = look(lab, pass_fds=(read, write))
        os.close(read), os.close(write)
    assert seen["descriptors"] == ["0", "1", "2"]
    assert seen["session"] not in (os.getsid(0), seen["parent"])
    assert seen["cwd"] == str(lab.work)


# Signals 32 and 33, which no program can set by way of the C library; some parents pass them on ignored.
OF_THE_C_LIBRARY = 0b11 << 31


def test_signals_of_a_spoilt_start(lab: Lab) -> None:
    """No ignored and no blocked signal of ours gets into the job."""
    masks = look(lab, before=spoil_signals)["masks"]
    masks["SigIgn"] &= ~OF_THE_C_LIBRARY
    assert masks == {"SigIgn": PYTHON_IGNORES, "SigBlk": 0, "SigPnd": 0}


def test_supervision_after_a_spoilt_start(lab: Lab) -> None:
    """With SIGCHLD ignored and SIGTERM blocked we still see the job's end, and still can be stopped."""
    assert lab.run("exec", "--", "sh", "-c", "exit 7", before=spoil_signals).code == 7
    process = lab.start("exec", "--", "sh", "-c", "echo ready > job; sleep 100", before=spoil_signals)
    lab.seen("job")
    process.send_signal(signal.SIGTERM)
    assert lab.end(process).code == 143


def test_a_program_in_c_gets_default_signals(lab: Lab) -> None:
    """Python ignores SIGPIPE; the job does not inherit it: `yes | head` ends quietly, by the signal."""
    end = lab.run("run", lab.job(run="set +o pipefail; yes | head -1; exit ${PIPESTATUS[0]}"))
    assert (end.code, end.out, end.err.count(b"roken pipe")) == (141, b"y\n", 0)


def test_our_variables(lab: Lab) -> None:
    """The job can find its run; its folder is the one that holds the log."""
    env = look(lab)["env"]
    (folder,) = lab.home.glob("runs/*")
    assert env["COLAB_RUN_ID"] == folder.name == lab.result()["run_id"]
    assert env["COLAB_RUN_DIR"] == str(folder)
    assert env["COLAB_RUN_ATTEMPT"] == "1"
    assert env["PYTHONUNBUFFERED"] == "1"


def test_the_users_variables(lab: Lab) -> None:
    """Ours are inherited, the job file's win over them, and what the contract says cannot be changed."""
    env = look(
        lab,
        env={"MINE": "1", "BOTH": "outside", "PYTHONUNBUFFERED": ""},
        keys={"env": {"BOTH": "job file", "COLAB_RUN_ID": "mine"}},
    )["env"]
    assert (env["MINE"], env["BOTH"], env["PYTHONUNBUFFERED"]) == ("1", "job file", "")
    assert env["COLAB_RUN_ID"] == lab.result()["run_id"]


@pytest.mark.parametrize(
    ("value", "arrives"), [("module://matplotlib_inline.backend_inline", False), ("agg", True)]
)
def test_a_notebooks_backend_stays_in_the_notebook(lab: Lab, value: str, arrives: bool) -> None:
    """A plot in the job would fail with the inline backend; another one is the user's choice."""
    assert ("MPLBACKEND" in look(lab, env={"MPLBACKEND": value})["env"]) is arrives


def test_a_kill_of_us_at_the_prompt_shows_no_output_twice(lab: Lab) -> None:
    """A Python job's lines are on record as they are printed: PYTHONUNBUFFERED works through a pipe."""
    job = "import os; print('one'); print('two'); os.kill(os.getpid(), 9)"
    assert lab.run("exec", "--", sys.executable, "-c", job).code == 137
    assert lab.log() == b"one\ntwo\n"


# --- the state folder ---------------------------------------------------------------------------


def test_the_state_folder_is_for_us_alone(lab: Lab) -> None:
    """Folders 0700, files 0600, whatever the umask; the job's umask is ours."""
    seen = look(lab, before=lambda: os.umask(0) and None)
    assert seen["umask"] == 0
    (folder,) = lab.home.glob("runs/*")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(lab.home.stat().st_mode) & 0o077 == 0
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert {"log", "job.yaml", "result.json"} <= set(modes)
    assert set(modes.values()) == {0o600}


def a_file(lab: Lab) -> None:
    lab.home.write_text("")


def a_runs_file(lab: Lab) -> None:
    lab.home.mkdir()
    (lab.home / "runs").write_text("")


def a_dangling_link(lab: Lab) -> None:
    lab.home.symlink_to("/proc/no/such/place")


def somebody_elses(lab: Lab) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    lab.home.mkdir()
    os.chown(lab.home, 12345, 12345)


@pytest.mark.parametrize("spoil", [a_file, a_runs_file, a_dangling_link, somebody_elses])
def test_a_state_folder_that_cannot_be_used(lab: Lab, spoil: Any) -> None:
    """73, with the folder's name and what to do, and nothing is started."""
    spoil(lab)
    end = lab.run("run", lab.job(setup="touch started", run="touch started"))
    assert end.code == 73
    assert str(lab.home).encode() in end.err.replace(b"\n", b"")
    assert b"COLAB_RUN_HOME" in end.err
    assert not (lab.work / "started").exists()


def test_no_home_at_all(lab: Lab) -> None:
    """Without HOME and COLAB_RUN_HOME the password file's home is used, not the current folder."""
    end = lab.run("exec", "--", "true", env={"COLAB_RUN_HOME": "", "HOME": str(lab.folder / "other")})
    assert end.code == 0
    assert list((lab.folder / "other" / ".local" / "state" / "colab-run" / "runs").iterdir())
