"""How a run ends is how its job ended: codes, signals, commands that cannot start, setup, strict bash."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from helpers.lab import Lab

# What ends a process by default; the others are ignored or stop it.
NOT_DEADLY = {"SIGCHLD", "SIGCONT", "SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG", "SIGWINCH"}
DEADLY = sorted(
    number for number in signal.Signals if number.name not in NOT_DEADLY and number < signal.SIGRTMIN
)


def test_every_exit_code_is_the_jobs_own(lab: Lab) -> None:
    """All 256 codes come back as they are; 0 succeeded, every other failed."""
    rows = lab.supervise([["sh", "-c", f"exit {code}"] for code in range(256)])
    assert [row["code"] for row in rows] == list(range(256))
    assert [row["outcome"] for row in rows] == ["succeeded", *["failed"] * 255]


def test_every_deadly_signal_is_128_and_its_number(lab: Lab) -> None:
    """A job that a signal ends was signalled, which is not the same as a job that ends with 128+n."""
    rows = lab.supervise([["sh", "-c", f"kill -{int(number)} $$"] for number in DEADLY])
    assert len(DEADLY) >= 20
    assert [row["code"] for row in rows] == [128 + number for number in DEADLY]
    assert {row["outcome"] for row in rows} == {"signalled"}


@pytest.mark.parametrize("code", [0, 69, 124, 255])
def test_codes_that_are_also_ours(lab: Lab, code: int) -> None:
    """A job may end with a code of ours: `decided_by` tells that it was the job."""
    end = lab.run("exec", "--json", "--", "sh", "-c", f"exit {code}")
    assert end.code == code
    assert (end.document["exit_code"], end.document["decided_by"]) == (code, "job")


def bad_commands(lab: Lab) -> dict[str, tuple[str, int]]:
    """Commands that cannot start: (command, code)."""
    lab.script("plain", "echo never\n", mode=0o644)
    lab.script("bad-interpreter", "#!/no/such/interpreter\n")
    (lab.work / "garbage").write_bytes(b"\x7fELF garbage\0\0\1\2")
    (lab.work / "garbage").chmod(0o755)
    (lab.work / "empty").write_bytes(b"\0")
    (lab.work / "empty").chmod(0o755)
    (lab.work / "folder").mkdir()
    return {
        "missing name": ("no-such-command-here", 127),
        "missing path": ("./no-such-file", 127),
        "not executable": ("./plain", 126),
        "a folder": ("./folder", 126),
        "a missing interpreter": ("./bad-interpreter", 126),
        "another machine's program": ("./garbage", 126),
        "no program at all": ("./empty", 126),
        "a file as a folder": ("./plain/x", 126),
    }


def test_commands_that_cannot_start(lab: Lab) -> None:
    """126 where the file is there, 127 where it is not."""
    bad = bad_commands(lab)
    rows = lab.supervise([[command] for command, _ in bad.values()])
    ends = {name: (row["outcome"], row["code"]) for name, row in zip(bad, rows, strict=True)}
    assert ends == {name: ("could_not_start", code) for name, (_, code) in bad.items()}


def test_a_command_that_cannot_start_is_named(lab: Lab) -> None:
    """With the system's reason; and it is our verdict, not the job's end."""
    lab.script("plain", "echo never\n", mode=0o644)
    end = lab.run("run", "--json", lab.job(run=["./plain"]))
    assert (end.code, end.document["outcome"]) == (126, "could_not_start")
    assert end.document["decided_by"] == "colab-run"
    assert b"./plain: Permission denied" in end.err


@pytest.mark.parametrize(("command", "code"), [("no-such-command-here", 127), ("./plain", 126)])
def test_a_script_whose_command_cannot_start(lab: Lab, command: str, code: int) -> None:
    """In a script it is bash that cannot start the command: the same code, and it is the job's own."""
    lab.script("plain", "echo never\n", mode=0o644)
    end = lab.run("run", "--json", lab.job(run=command))
    assert (end.code, end.document["outcome"], end.document["decided_by"]) == (code, "failed", "job")


def test_a_path_that_names_files_is_searched_to_its_end(lab: Lab) -> None:
    """An entry of PATH that is no folder hides nothing, and makes no missing command an unusable one."""
    lab.script("plain", "", mode=0o644)
    env = {"PATH": f"{lab.work}/plain:/no/such/folder:{lab.env['PATH']}:{lab.work}/plain"}
    assert lab.run("run", lab.job(run=["true"], env=env)).code == 0
    assert lab.run("run", lab.job(run=["no-such-command-here"], env=env)).code == 127


def test_a_failing_setup(lab: Lab) -> None:
    """Its code is the run's, the outcome says so, and `run` is not started."""
    end = lab.run("run", "--json", lab.job(setup="exit 9", run="touch started"))
    assert (end.code, end.document["outcome"]) == (9, "setup_failed")
    assert not (lab.work / "started").exists()


def test_a_setup_that_a_signal_ends(lab: Lab) -> None:
    """128 + its number."""
    end = lab.run("run", "--json", lab.job(setup="kill -USR1 $$", run="touch started"))
    assert (end.code, end.document["outcome"]) == (128 + signal.SIGUSR1, "setup_failed")


@pytest.mark.parametrize("script", ["false\necho never", "false | cat\necho never"])
@pytest.mark.parametrize("key", ["setup", "run"])
def test_bash_is_strict(lab: Lab, key: str, script: str) -> None:
    """`set -e -o pipefail`: the first command or pipeline that fails ends the script."""
    end = lab.run("run", lab.job(**{"run": "true", key: script}))
    assert (end.code, end.out) == (1, b"")


WORDS = ["plain", "two words", "$HOME", "'", '"', "*", "", "-x", "line\nline", "ü"]


@pytest.mark.parametrize("form", ["list", "string"])
def test_words_after_the_dashes_arrive_unchanged(lab: Lab, form: str) -> None:
    """`-- ARG…` is appended to a list and quoted onto a one-line script: no shell ever reads it."""
    show = lab.script("show.py", "import json, sys; print(json.dumps(sys.argv[1:]))")
    words = ["python3", str(show), "first"]
    name = lab.job(run=words if form == "list" else f"python3 {show} first")
    end = lab.run("run", name, "--", *WORDS)
    assert json.loads(end.out) == ["first", *WORDS]


def test_words_for_a_script_of_several_lines(lab: Lab) -> None:
    """There is no line that they could belong to: 64, and nothing is started."""
    end = lab.run("run", lab.job(run="touch started\ntrue"), "--", "x")
    assert end.code == 64
    assert not (lab.work / "started").exists()
