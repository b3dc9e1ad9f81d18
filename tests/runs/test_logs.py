"""`logs`: the job's bytes as they are, to the last one; or, with --plain, as text that one can read."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
from typing import TYPE_CHECKING

from helpers.cli import command
from helpers.lab import Reader, state_of, until
from helpers.shell import GATED, alive

if TYPE_CHECKING:
    from helpers.lab import Lab
    from helpers.shell import Shell

# Not text, and more than any buffer on the way.
BYTES = """
import sys
for n in range(3000):
    sys.stdout.buffer.write(bytes((n + i) % 256 for i in range(1024)))
"""


def test_every_byte(lab: Lab, shell: Shell) -> None:
    """Three megabytes of all bytes there are, shown as they were written, while they come and afterwards."""
    run_id = shell.python(BYTES)
    followed, shown = lab.run("logs", "-f", run_id), lab.run("logs", run_id)
    whole = hashlib.sha256(b"".join(bytes((n + i) % 256 for i in range(1024)) for n in range(3000))).digest()
    assert [hashlib.sha256(ended.out).digest() for ended in (followed, shown)] == [whole, whole]
    assert (followed.code, shown.code) == (0, 0)


def test_follow_ends_with_the_run(lab: Lab, shell: Shell) -> None:
    """What comes is shown when it comes; the end is 0, whatever the run's code."""
    run_id = shell.python(GATED)
    following = lab.start("logs", "--follow", run_id)
    reader = Reader(following.stdout.fileno())
    reader.wait_for(b"ready\n")
    shell.open_gate()
    assert lab.wait(following) == 0
    assert reader.all() == b"ready\nlast\n"
    reader.stop()


def test_follow_outlives_the_guard(lab: Lab, shell: Shell) -> None:
    """It is killed twice, and taken over once; what the job wrote before and after is all there."""
    run_id = shell.python(GATED)
    guard = shell.guard_of(run_id)
    following = lab.start("logs", "-f", run_id)
    reader = Reader(following.stdout.fileno())
    reader.wait_for(b"ready\n")
    os.kill(guard, signal.SIGKILL)
    until(lambda: not alive(guard) or state_of(guard) == "Z", "the guard's end")
    assert shell.guard_of(run_id) != guard
    shell.open_gate()
    assert lab.wait(following) == 0
    assert reader.all() == b"ready\nlast\n"
    reader.stop()


def test_ctrl_c_ends_only_the_viewer(lab: Lab, shell: Shell) -> None:
    """130; the run goes on."""
    run_id = shell.python(GATED)
    following = lab.start("logs", "-f", run_id)
    reader = Reader(following.stdout.fileno())
    reader.wait_for(b"ready\n")
    following.send_signal(signal.SIGINT)
    assert lab.wait(following) == 130
    reader.stop()
    assert b"Traceback" not in following.stderr.read()
    assert shell.row(run_id)["state"] == "started"
    shell.open_gate()
    assert lab.run("wait", run_id).code == 3


def test_a_reader_that_has_enough(lab: Lab, shell: Shell) -> None:
    """`logs -f | head -1` ends though the job says nothing more, and without a word."""
    run_id = shell.python(GATED)
    line = " ".join(f"'{word}'" for word in [*command(), "logs", "-f", run_id])
    done = subprocess.run(
        ["bash", "-c", f"{line} | head -1; echo ${{PIPESTATUS[0]}}"],
        cwd=lab.work,
        env=lab.env,
        capture_output=True,
        timeout=30,
    )
    assert (done.stdout, done.stderr) == (b"ready\n0\n", b"")
    shell.open_gate()
    assert lab.run("wait", run_id).code == 3


def test_a_reader_that_has_enough_of_much(lab: Lab, shell: Shell) -> None:
    """`logs | head -c 1` in the middle of megabytes: the same."""
    run_id = shell.python(BYTES)
    assert lab.run("wait", run_id).code == 0
    line = " ".join(f"'{word}'" for word in [*command(), "logs", run_id])
    done = subprocess.run(
        ["bash", "-c", f"{line} | head -c 1 >/dev/null; echo ${{PIPESTATUS[0]}}"],
        cwd=lab.work,
        env=lab.env,
        capture_output=True,
        timeout=30,
    )
    assert (done.stdout, done.stderr) == (b"0\n", b"")


def test_plain_is_text(lab: Lab, shell: Shell) -> None:
    """Progress as it stood last, no colours, no title of the window; the log itself stays as it is."""
    odd = r"\x1b]0;title\x07\x1b[31mred\x1b[0m \xff\r10%\r100%\ndone"
    run_id = shell.python(f"import sys; sys.stdout.buffer.write(b'{odd}')")
    assert lab.run("wait", run_id).code == 0
    for words in (("logs", "--plain", run_id), ("logs", "-f", "--plain", run_id)):
        assert lab.run(*words).out == b"100%\ndone"
    assert lab.run("logs", run_id).out == odd.encode().decode("unicode_escape").encode("latin-1")


def test_where_it_lies(lab: Lab, shell: Shell) -> None:
    """--json names the file and its length, and does not go with what shows it."""
    run_id = shell.detach("echo", "hello")
    assert lab.run("wait", run_id).code == 0
    document = lab.run("logs", run_id, "--json").document
    assert (document["log"], document["bytes"]) == (str(lab.home / "runs" / run_id / "log"), 6)
    assert lab.run("logs", run_id, "--json", "-f").code == 64


def test_a_full_disk_is_told(lab: Lab, shell: Shell) -> None:
    """`logs > file` that did not get everything does not end with 0."""
    run_id = shell.detach("echo", "hello")
    assert lab.run("wait", run_id).code == 0
    with open("/dev/full", "wb") as full:
        ended = lab.run("logs", run_id, stdout=full)
    assert (ended.code, b"No space left" in ended.err) == (70, True)
