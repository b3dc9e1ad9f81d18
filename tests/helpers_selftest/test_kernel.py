"""What a real Jupyter kernel does to the processes that its cells start."""

from __future__ import annotations

import os
import shlex
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from helpers.kernel import Kernel
from helpers.marked import until
from helpers.programs import NOTE_SIGNALS, noted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WHERE = "import os; print(os.getpgrp(), os.getsid(0), os.isatty(0), end=' ')"
BASH = 'import subprocess\nsubprocess.call({!r}, shell=True, executable="/bin/bash")'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kernel")


@pytest.fixture(scope="module")
def shared(folder: Path) -> Iterator[Kernel]:
    """One kernel for the tests that leave it as it was."""
    with Kernel(cwd=folder) as kernel:
        yield kernel
    assert kernel.left_behind == {}


def python(program: str, *words: str) -> str:
    """Shell words that run a Python program."""
    return shlex.join([sys.executable, "-c", program, *words])


def lines(path: Path, count: int) -> list[str]:
    """The lines of a file, once there are `count`."""
    until(lambda: path.exists() and len(path.read_text().splitlines()) >= count, f"{count} lines in {path}")
    return path.read_text().splitlines()


def test_output_is_what_the_cell_printed_and_its_result(shared: Kernel, folder: Path) -> None:
    """Both streams, the value of the last line, and the folder it was started in."""
    text = shared.run("import os, sys\nprint('out', flush=True)\nprint('err', file=sys.stderr)\nos.getcwd()")
    assert sorted(text.splitlines()) == sorted(["out", "err", repr(str(folder))])


def test_a_cell_is_not_done_before_it_has_ended(shared: Kernel, folder: Path) -> None:
    """`start` comes back at once, and output is there while the cell still runs."""
    os.mkfifo(folder / "go")
    cell = shared.start("print('begun', flush=True)\nprint(open('go').read())")
    assert cell.wait_for("begun") == "begun\n"
    assert not cell.done()
    (folder / "go").write_text("late")
    assert cell.wait() == "begun\nlate\n"
    assert cell.done()


def test_a_failing_cell_stops_the_ones_that_wait(shared: Kernel) -> None:
    """Run all: an exception aborts what is queued; a failing `!command` does not."""
    first, second, third = [shared.start(code) for code in ("!exit 3", "_exit_code / 0", "print('never')")]
    third.wait()
    assert [first.state, second.state, third.state] == ["ok", "error", "aborted"]
    assert second.error == "ZeroDivisionError"
    assert third.output() == ""
    with pytest.raises(AssertionError, match="NameError"):
        shared.run("unheard_of")


def test_bang_of_stock_ipython_is_another_session_and_bash_magic_too_and_subprocess_is_not(
    shared: Kernel,
) -> None:
    """Who is in the kernel's group, which gets the signals, differs: this is why colab_bang.py exists."""
    own = str(shared.pid)
    assert shared.run("import os; print(os.getpgrp(), os.getsid(0))") == f"{own} {own}\n"
    group, session, terminal = shared.run("!" + python(WHERE)).split()
    assert (group, terminal) == (session, "True") and group != own
    group, session, terminal = shared.run("%%bash\n" + python(WHERE)).split()
    assert terminal == "False"
    assert (group != own) == (session != own)
    group, session, _ = shared.run(f"import subprocess\nprint({CHILD.format(python(WHERE))})").split()
    assert (group, session) == (own, own)


CHILD = "subprocess.check_output({!r}, shell=True, text=True)"


def test_an_interrupt_reaches_what_subprocess_started_and_the_kernel_lives_on(
    shared: Kernel, folder: Path
) -> None:
    """SIGINT goes to the whole group once; the cell ends with KeyboardInterrupt."""
    cell = shared.start(BASH.format(python(NOTE_SIGNALS, "interrupted", "patient")))
    lines(folder / "interrupted", 1)
    shared.interrupt()
    cell.wait()
    assert cell.error == "KeyboardInterrupt"
    assert noted(lines(folder / "interrupted", 2)) == ["SIGINT"]
    shared.interrupt()
    assert shared.run("print('alive')") == "alive\n"


def test_an_interrupt_of_a_bang_is_typed_and_then_the_command_is_killed(shared: Kernel, folder: Path) -> None:
    """^C on its terminal, then SIGHUP, SIGINT, SIGKILL, one after another: the cell itself does not fail."""
    # In a file: IPython expands braces and dollars of a `!` line, and a line it has to be.
    (folder / "deaf.py").write_text(NOTE_SIGNALS)
    cell = shared.start(f"!{shlex.quote(sys.executable)} deaf.py banged deaf")
    lines(folder / "banged", 1)
    shared.interrupt()
    cell.wait()
    assert cell.state == "ok"
    assert noted(lines(folder / "banged", 2))[:2] == ["SIGINT", "SIGHUP"]
    assert int(shared.run("_exit_code")) == -9


def test_a_kernel_that_ends_by_itself_loses_its_cell() -> None:
    """`wait` does not wait for an answer from nobody."""
    with Kernel() as kernel:
        cell = kernel.start("import os; os._exit(3)")
        waiting = kernel.start("1")
        cell.wait()
        assert [cell.state, waiting.state] == ["lost", "lost"]
    assert kernel.left_behind == {}


@pytest.mark.parametrize("end", ["restart", "shutdown"])
@pytest.mark.parametrize("now", [False, True])
def test_a_session_of_its_own_outlives_the_kernel_and_an_orphan_of_its_group_a_polite_end(
    tmp_path: Path, end: str, now: bool
) -> None:
    """ipykernel ends its descendants only; a forced end is SIGKILL for the group."""
    with Kernel(cwd=tmp_path) as kernel:
        kernel.run(BASH.format("sleep 1001 >/dev/null 2>&1 & setsid sleep 1002 >/dev/null 2>&1 &"))
        kernel.run("x = 1")
        # Not before setsid has done its work.
        until(lambda: sorted(kernel.survivors().values()) == ["sleep 1001", "sleep 1002"], "both jobs")
        until(lambda: sum(os.getpgid(pid) == kernel.pid for pid in kernel.survivors()) == 1, "a session")
        cell = kernel.start(BASH.format("sleep 1003"))
        until(lambda: "sleep 1003" in kernel.survivors().values(), "the cell's command")
        getattr(kernel, end)(now=now)
        assert sorted(kernel.survivors().values()) == (
            ["sleep 1002"] if now else ["sleep 1001", "sleep 1002"]
        )
        assert cell.done()
        if end == "restart":
            assert kernel.run("'x' in globals()") == "False\n"
    assert "sleep 1002" in kernel.left_behind.values()
    assert kernel.survivors() == {}


def test_nothing_of_a_kernel_is_left_in_this_process() -> None:
    """No thread, and no descriptor more than after the one before."""
    seen = []
    for _ in range(2):
        with Kernel() as kernel:
            kernel.run("1")
            kernel.shutdown()
            assert kernel.pid == 0
        seen.append([len(os.listdir(f"/proc/self/{what}")) for what in ("task", "fd")])
    assert seen[0] == seen[1]
    assert threading.active_count() == 1
