"""Drive before a release: flushed and unmounted in a child, with a deadline of ours, or why not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from helpers.scene import until

POINT = "/content/drive"
MOUNTED = f"overlay / overlay rw 0 0\ndrive {POINT} fuse.drive rw,nosuid 0 0\n"

# google.colab.drive, as the child of flush_drive imports it: a stand-in that notes its call.
COLAB = """
import os, signal, subprocess, time
def flush_and_unmount(timeout_ms=86400000):
    with open({log!r}, "a") as log:
        print("flush", timeout_ms, os.getpid(), file=log, flush=True)
    {body}
"""

FLUSH = """
import json, os, sys
from dataclasses import asdict
from launcher.release.drive import flush_drive
deadline, stop, mounts, program = sys.argv[1:]
flush = flush_drive(float(deadline), lambda: os.path.exists(stop), mounts=mounts, program=program)
print(json.dumps({**asdict(flush), "safe": flush.safe}))
"""


class Vm:
    """A mount table that is a file, a stand-in for google.colab, and one for Drive's own program."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mounts, self.log, self.program = folder / "mounts", folder / "log", folder / "drive"
        self.stop = folder / "stop"
        self.log.touch()
        self.mounts.write_text(MOUNTED)

    def colab(self, body: str) -> None:
        """google.colab.drive, which does this."""
        package = self.folder / "path" / "google" / "colab"
        package.mkdir(parents=True)
        for parent in (package, package.parent):
            (parent / "__init__.py").touch()
        (package / "drive.py").write_text(COLAB.format(log=str(self.log), body=self._filled(body)))

    def own_program(self, body: str) -> None:
        """/opt/google/drive/drive, which does this."""
        self.program.write_text(f'#!/bin/sh\necho "$@" >> {self.log}\n{self._filled(body)}\n')
        self.program.chmod(0o755)

    def _filled(self, body: str) -> str:
        return body.replace("UNMOUNTS", f"open({str(self.mounts)!r}, 'w').close()").replace(
            "EMPTIES", f": > {self.mounts}"
        )

    def start(self, deadline_s: float = 20.0) -> subprocess.Popen[str]:
        """flush_drive in a process of its own, whose sys.path has the stand-in."""
        argv = [
            sys.executable,
            "-c",
            FLUSH,
            str(deadline_s),
            str(self.stop),
            str(self.mounts),
            str(self.program),
        ]
        env = {**os.environ, "PYTHONPATH": str(self.folder / "path")}
        return subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True)

    def flush(self, deadline_s: float = 20.0) -> dict[str, Any]:
        """What came of it."""
        return self.told(self.start(deadline_s))

    def told(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        out, _ = process.communicate(timeout=60)
        return json.loads(out)

    def calls(self) -> list[str]:
        return self.log.read_text().splitlines()


@pytest.fixture
def vm(tmp_path: Path) -> Vm:
    return Vm(tmp_path)


def test_nothing_mounted_is_nothing_to_do(vm: Vm) -> None:
    """Nobody is asked; a folder below, or one that is only called so, is not the mount."""
    vm.colab("raise SystemError")
    vm.mounts.write_text(
        "drive /content/drive/other fuse.drive rw 0 0\nx /content/drive2 fuse.drive rw 0 0\n"
    )
    assert (vm.flush()["status"], vm.flush()["safe"], vm.calls()) == ("not-mounted", True, [])


def test_colabs_own_function_is_called_with_our_deadline(vm: Vm) -> None:
    """In milliseconds, and not for a day."""
    vm.colab("UNMOUNTS")
    told = vm.flush(7)
    assert (told["status"], told["safe"]) == ("flushed", True)
    assert vm.calls()[0].split()[:2] == ["flush", "7000"]
    assert told["seconds"] < 20


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ("raise ValueError('flush_and_unmount failed')", "ValueError: flush_and_unmount failed"),
        ("pass", "is still mounted"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "crashed"),
        ("raise SystemExit(0)", "SystemExit"),
    ],
    ids=["raises", "returns and nothing happened", "crashes", "exits"],
)
def test_what_does_not_work_is_failed(vm: Vm, body: str, detail: str) -> None:
    """Only a mount that has gone after a call that ended well is flushed."""
    vm.colab(body)
    told = vm.flush()
    assert (told["status"], told["safe"]) == ("failed", False)
    assert detail in told["detail"]


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1] in "ZX"
    except OSError:
        return True


def test_one_that_hangs_is_killed_at_our_deadline(vm: Vm) -> None:
    """With the program that it had started."""
    vm.colab("subprocess.run(['sleep', '1000'])")
    told = vm.flush(3)
    assert (told["status"], told["safe"]) == ("timeout", False)
    assert told["seconds"] < 15
    until(lambda: gone(int(vm.calls()[0].split()[2])), "the end of the child")


def test_a_person_may_stop_it(vm: Vm) -> None:
    """Within moments, however long it would take."""
    vm.colab("time.sleep(1000)")
    process = vm.start(1000)
    until(vm.calls, "the call")
    vm.stop.touch()
    told = vm.told(process)
    assert (told["status"], told["safe"]) == ("aborted", False)
    until(lambda: gone(int(vm.calls()[0].split()[2])), "the end of the child")


def test_without_colabs_package_its_program_is_called(vm: Vm) -> None:
    """A job may have removed the package; the arguments are those of Colab."""
    vm.own_program("EMPTIES")
    assert vm.flush(90)["status"] == "flushed"
    assert vm.calls() == ["--push_changes_and_quit --single_process --timeout_sec=90"]


def test_the_programs_own_words_are_told(vm: Vm) -> None:
    """Exit code and the end of its stderr."""
    vm.own_program("echo quota >&2; exit 3")
    told = vm.flush()
    assert (told["status"], told["detail"]) == ("failed", "ChildProcessError: exit code 3: quota")


def test_neither_of_them_is_absent(vm: Vm) -> None:
    """Something is mounted there, and nothing could flush it: not safe."""
    told = vm.flush()
    assert (told["status"], told["safe"]) == ("absent", False)
    assert str(vm.program) in told["detail"]


def test_a_mount_table_that_cannot_be_read_counts_as_mounted(vm: Vm) -> None:
    """Unknown is not `nothing to do`."""
    vm.mounts.unlink()
    assert vm.flush()["status"] == "absent"
