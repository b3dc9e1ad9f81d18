"""Kernels of a real Jupyter server: which are busy, and which one hosts a program."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from helpers import jupyter
from helpers.jupyter import Jupyter
from helpers.lab import processes_with, until
from launcher.probes.kernels import (
    STARTING_S,
    Kernel,
    KernelsReading,
    UnreadServer,
    busy_elsewhere,
    kernel_of,
    kernel_process_of,
    read_kernels,
)
from launcher.values import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator


# What a cell runs: it says its number, and stays until it is killed.
HOSTED = """
import os, sys
with open(sys.argv[1] + ".part", "w") as file:
    file.write(str(os.getpid()))
os.rename(sys.argv[1] + ".part", sys.argv[1])
open(sys.argv[2]).read()
"""


@dataclass
class Notebooks:
    """One server with three kernels: idle, busy, and one that nobody has talked to."""

    server: Jupyter
    idle: str
    busy: str
    untouched: str
    hosted: int
    detached: int

    def read(self, *, own: frozenset[str] = jupyter.NONE) -> KernelsReading:
        return read_kernels(self.server.environ, own=own, deadline_s=jupyter.LONG_S)


@pytest.fixture(scope="module")
def notebooks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebooks]:
    for name in ("jupyter_server", "ipykernel", "jupyter_client"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"needs {name}")
    folder = tmp_path_factory.mktemp("jupyter")
    with Jupyter(folder) as server:
        idle, busy, untouched = (server.start_kernel() for _ in range(3))
        server.client(idle)
        (folder / "hosted.py").write_text(HOSTED)
        os.mkfifo(folder / "never")
        program = f"{sys.executable} {folder}/hosted.py {folder}"
        server.client(busy).execute(
            # Through the module: stock IPython has no `!command &`.
            f"import os; os.system('setsid {program}/detached {folder}/never &')\n"
            f"!{program}/attached {folder}/never"
        )
        until((folder / "attached").exists, "the program of the cell")
        until((folder / "detached").exists, "the program that the cell left behind")
        until(lambda: server.state(busy) == "busy", "a busy kernel")
        hosted, detached = (int((folder / name).read_text()) for name in ("attached", "detached"))
        yield Notebooks(server, idle, busy, untouched, hosted, detached)
    assert not processes_with(server.cookie)


def by_id(reading: KernelsReading) -> dict[str, Kernel]:
    return {kernel.kernel_id: kernel for kernel in reading.kernels}


# --- a real server ------------------------------------------------------------------------------------


def test_states_of_real_kernels(notebooks: Notebooks) -> None:
    """Idle is idle, busy is busy, and each is listed once, with its server and its last activity."""
    reading = notebooks.read()
    assert reading.unread == ()
    assert len(reading.kernels) == 3
    seen = by_id(reading)
    assert seen[notebooks.idle].state == Known("idle")
    assert seen[notebooks.busy].state == Known("busy")
    for kernel in reading.kernels:
        assert (kernel.server, kernel.name, kernel.own) == (notebooks.server.url, "python3", False)
        assert isinstance(kernel.last_activity, Known)
        assert abs(time.time() - kernel.last_activity.value) < 600


def test_the_busy_kernel_counts_and_our_own_does_not(notebooks: Notebooks) -> None:
    """Another kernel's work is seen; the cell that we stand in is not another kernel."""
    now = time.time() + STARTING_S
    elsewhere = busy_elsewhere(notebooks.read(), now=now)
    assert elsewhere is not None
    assert elsewhere.kernel_id == notebooks.busy
    reading = notebooks.read(own=frozenset({notebooks.busy}))
    assert by_id(reading)[notebooks.busy].own
    assert busy_elsewhere(reading, now=now) is None


def test_a_kernel_that_nobody_talked_to(notebooks: Notebooks) -> None:
    """A server says "starting" of it for ever; only for a while is that taken for work."""
    reading = notebooks.read(own=frozenset({notebooks.busy}))
    kernel = by_id(reading)[notebooks.untouched]
    assert kernel.state == Known("starting")
    assert isinstance(kernel.last_activity, Known)
    began = kernel.last_activity.value
    assert busy_elsewhere(reading, now=began + 1) == kernel
    assert busy_elsewhere(reading, now=began + STARTING_S + 1) is None


def test_our_look_is_no_activity(notebooks: Notebooks) -> None:
    """Asking leaves the last activity of server and kernels as it was; a plain request does not."""

    def last_activity() -> str:
        return notebooks.server.call("GET", "api/status?no_track_activity=1")["last_activity"]

    before, kernels_before = last_activity(), notebooks.read().kernels
    assert notebooks.read().kernels == kernels_before
    assert last_activity() == before
    notebooks.server.call("GET", "api/kernels")
    assert last_activity() > before


def test_the_token_is_needed_and_never_shown(notebooks: Notebooks, tmp_path: Path) -> None:
    """With a wrong token, and with none, the server is unread; no token is part of what comes back."""
    assert notebooks.server.token
    assert notebooks.server.token not in repr(notebooks.read())
    info = notebooks.server.info
    for token in ("wrong-token", ""):
        jupyter.list_server(tmp_path, info["url"], pid=info["pid"], token=token)
        reading = jupyter.read_in(tmp_path)
        assert reading == KernelsReading((), (UnreadServer(info["url"], "http-403"),))
        assert "wrong-token" not in repr(reading)


def test_the_kernel_whose_cell_hosts_a_program(notebooks: Notebooks) -> None:
    """A program that a cell runs through a shell finds its kernel; one that left the cell finds none."""
    found = kernel_process_of(notebooks.hosted)
    assert found is not None
    assert found.kernel_id == kernel_of(notebooks.hosted) == notebooks.busy
    assert b"ipykernel_launcher" in Path(f"/proc/{found.pid}/cmdline").read_bytes()
    assert kernel_of(found.pid) == notebooks.busy
    assert kernel_of(notebooks.detached) is None
    assert kernel_of(notebooks.server.process.pid) is None


def test_a_hanging_server_hides_no_busy_kernel(notebooks: Notebooks) -> None:
    """Servers are asked at the same time: the busy kernel of one is seen while another one hangs."""
    with jupyter.deaf() as port:
        address = f"http://127.0.0.1:{port}/"
        extra = notebooks.server.runtime / f"jpserver-{os.getpid()}.json"
        jupyter.list_server(notebooks.server.folder, address, folder=extra.parent)
        try:
            reading = read_kernels(notebooks.server.environ, own=jupyter.NONE, deadline_s=8.0)
        finally:
            extra.unlink()
    assert reading.unread == (UnreadServer(address, "timeout"),)
    assert by_id(reading)[notebooks.busy].state == Known("busy")


# --- what counts as busy -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "age_s", "counts"),
    [
        ("busy", 0.0, True),
        ("busy", 86400.0, True),  # a silent cell is busy all the same
        ("starting", 5.0, True),
        ("restarting", 5.0, True),
        ("autorestarting", 5.0, True),
        ("starting", STARTING_S + 1, False),
        ("restarting", STARTING_S + 1, False),
        ("starting", None, True),
        ("idle", 0.0, False),
        ("dead", 0.0, False),
        ("unknown", 0.0, False),
        (None, 0.0, False),
    ],
)
def test_what_counts_as_busy(state: str | None, age_s: float | None, counts: bool) -> None:
    """Busy for ever, coming up for a while; no other state, and none that could not be read."""
    kernel = Kernel(
        "k",
        "http://127.0.0.1/",
        "python3",
        Unknown("not-told") if state is None else Known(state),
        Unknown("not-told") if age_s is None else Known(1e9 - age_s),
        own=False,
    )
    reading = KernelsReading((kernel,), (UnreadServer("http://127.0.0.1:1/", "timeout"),))
    assert busy_elsewhere(reading, now=1e9) == (kernel if counts else None)


# --- the kernel above a process ----------------------------------------------------------------------


def process(proc: Path, pid: int, parent: int, *words: str, readable: bool = True) -> None:
    """A process in a folder that looks like /proc."""
    folder = proc / str(pid)
    folder.mkdir()
    (folder / "stat").write_text(f"{pid} (a ) b) S {parent} " + "0 " * 17 + "4242 0\n")
    if readable:
        (folder / "cmdline").write_bytes("".join(word + "\0" for word in words).encode())
    else:
        (folder / "cmdline").mkdir()  # root reads every file, so this one is none


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("python", "-m", "ipykernel_launcher", "-f", "/run/jupyter/kernel-4d-a1.json"), "4d-a1"),
        (("python3", "-m", "colab_kernel_launcher", "-f", "/root/.local/x y/kernel-4d-a1.json"), "4d-a1"),
        (("python", "-m", "ipykernel_launcher", "--f=/tmp/kernel-v2-12Ab.json"), "v2-12Ab"),
        (("R", "--slave", "-e", "IRkernel::main()", "--args", "/run/kernel-7.json"), "7"),
        (("vim", "kernel-7.json"), None),
        (("bash", "-c", "cat /run/kernel-7.json"), None),
        (("cat", "/run/mykernel-7.json"), None),
        (("cat", "/run/kernel-7.json.bak"), None),
        (("cat", "/run/kernel-7/x.json"), None),
    ],
)
def test_how_kernels_are_started(tmp_path: Path, words: tuple[str, ...], found: str | None) -> None:
    """A connection file stands in the command line as a whole word, by its full path."""
    process(tmp_path, 40, 1, *words)
    process(tmp_path, 41, 40, "bash", "-c", "colab-run job.yaml")
    assert kernel_of(41, proc=str(tmp_path)) == found


def test_past_processes_that_cannot_be_read(tmp_path: Path) -> None:
    """Another user's shell in between hides no kernel; the nearest kernel is the one."""
    process(tmp_path, 40, 1, "python", "-f", "/run/kernel-outer.json")
    process(tmp_path, 41, 40, "python", "-f", "/run/kernel-inner.json")
    process(tmp_path, 42, 41, readable=False)
    process(tmp_path, 43, 42)
    found = kernel_process_of(43, proc=str(tmp_path))
    assert found is not None
    assert (found.kernel_id, found.pid) == ("inner", 41)


def test_a_way_up_that_ends_nowhere(tmp_path: Path) -> None:
    """A process that is gone, a parent that is hidden, a circle: no kernel, and an end."""
    proc = str(tmp_path)
    process(tmp_path, 50, 51)
    assert kernel_of(99, proc=proc) is None
    assert kernel_of(50, proc=proc) is None
    process(tmp_path, 51, 50)
    assert kernel_of(50, proc=proc) is None
    process(tmp_path, 60, 0, "init")
    assert kernel_of(60, proc=proc) is None
