"""Where a job stands: who may be asked by a signal, and what may lie where its answer is expected."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from launcher.guard.tree import reference
from launcher.stacks import write_stacks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Says that it is ready, and ends when its stdin does; SIGUSR2 would end it, unless it has asked for that.
WAITS = "import sys\ndef waits_here():\n    print('ready', flush=True)\n    sys.stdin.read()\n"
ASKS = WAITS + "from launcher.dumps import enable_stacks\nassert enable_stacks()\nwaits_here()\n"
ASKS_NOT = WAITS + "waits_here()\n"


@contextmanager
def job(folder: Path, program: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the job, which has to outlive the test."""
    env = {**os.environ, "COLAB_RUN_DIR": str(folder)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", program], env=env, **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
        assert process.poll() is None, f"a signal has ended it: {process.returncode}"
        process.communicate()
        assert process.returncode == 0


def written(folder: Path, secrets: tuple[str, ...] = ()) -> str:
    """What is found out about the children of this process, without py-spy."""
    path = folder / "stacks.txt"
    found = write_stacks(str(path), os.getpid(), "/nowhere", secrets)
    assert found == bool(path.stat().st_size)
    return path.read_text()


def test_who_has_asked_is_asked(tmp_path: Path) -> None:
    """Once and again, each time with the stacks of now; the values of secrets are masked."""
    with job(tmp_path, ASKS):
        for _ in range(2):
            assert written(tmp_path).count("in waits_here") == 1
        assert "in ***" in written(tmp_path, ("waits_here",))


def test_who_has_not_asked_is_left_alone(tmp_path: Path) -> None:
    """Also where somebody has put a note there for it."""
    with job(tmp_path, ASKS_NOT) as process:
        found = reference(process.pid)
        assert found is not None
        (tmp_path / f"stacks.{process.pid}").write_text(f"{found.pid} {found.start}\n")
        assert written(tmp_path) == ""


def test_a_note_of_an_earlier_process_counts_for_nobody(tmp_path: Path) -> None:
    """Pids are used again: the start time has to be that of the one who asked."""
    with job(tmp_path, ASKS) as process:
        note = tmp_path / f"stacks.{process.pid}"
        note.write_text(f"{process.pid} 1\n")
        assert written(tmp_path) == ""


@pytest.mark.parametrize("what", ["fifo", "link", "folder"])
def test_what_else_may_lie_there(tmp_path: Path, what: str) -> None:
    """A job may put anything into its folder: nothing is waited for, and nothing else is read."""
    with job(tmp_path, ASKS) as process:
        note = tmp_path / f"stacks.{process.pid}"
        note.rename(tmp_path / "before")
        if what == "fifo":
            os.mkfifo(note)
        elif what == "link":
            note.symlink_to(tmp_path / "before")
        else:
            note.mkdir()
        assert written(tmp_path) == ""


def enabled(tmp_path: Path, program: str, **environ: str) -> str:
    """What such a program prints."""
    kept = {name: value for name, value in os.environ.items() if name != "COLAB_RUN_DIR"}
    done = subprocess.run(
        [sys.executable, "-c", "import signal\nfrom launcher.dumps import enable_stacks\n" + program],
        env={**kept, **environ},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


def test_outside_of_a_run_nothing_is_changed(tmp_path: Path) -> None:
    """No file, no handler."""
    shown = enabled(tmp_path, "print(enable_stacks(), signal.getsignal(signal.SIGUSR2).name)")
    assert shown == "False SIG_DFL\n"
    assert list(tmp_path.iterdir()) == []


def test_a_handler_of_the_job_stays_its_own(tmp_path: Path) -> None:
    """SIGUSR2 may mean something to it already."""
    program = (
        "import os\nsignal.signal(signal.SIGUSR2, lambda *_: print('mine', flush=True))\n"
        "print(enable_stacks(), flush=True)\nos.kill(os.getpid(), signal.SIGUSR2)\n"
    )
    assert enabled(tmp_path, program, COLAB_RUN_DIR=str(tmp_path)) == "False\nmine\n"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_gone_is_no_error(tmp_path: Path) -> None:
    """A job never ends for this."""
    gone = str(tmp_path / "gone")
    assert enabled(tmp_path, "print(enable_stacks())", COLAB_RUN_DIR=gone) == "False\n"
