"""Notebook kernels on this machine: which are busy, and which one hosts a process.

A server that hangs, refuses or talks nonsense is asked in a child with a deadline, and what it would have
said is not guessed: a reading holds the kernels that were seen and the servers that could not be read, side
by side. What follows from the latter is the caller's to say: at the end of a run nothing, for idleness that
the machine may be in use.

Seen are Colab's server, and elsewhere the servers that the user of `environ` started.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from launcher.children import call_in_child
from launcher.probes.kernel_servers import process_stat, survey
from launcher.values import Known, Reading, Unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

DEADLINE_S = 3.0
# The child answers with what it has a little before its own time is over.
_FOR_SERVERS = 0.85
_BUSY = "busy"
_COMING_UP = frozenset({"starting", "restarting", "autorestarting"})
# A server says "starting" until somebody talks to the kernel, and for ever if nobody does.
STARTING_S = 300.0
# Further up than any process stands; /proc is not one moment, so a circle is thinkable.
_MOST_ANCESTORS = 128
_LONGEST_COMMAND = 1 << 16
# A connection file is handed over by its full path, alone or as `--f=PATH`.
_ANY_FILE = re.compile(r"(?:--?[a-z_]+=)?/(?:.*/)?([A-Za-z0-9_.-]{1,128})\.json\Z", re.DOTALL)
# With the usual program the file may have any name: papermill's has one that was made up.
_PROGRAM = "ipykernel_launcher"
_OURS = "colab-run"
_CONNECTION_FILE = re.compile(r"(?:--?[a-z_]+=)?/(?:.*/)?kernel-([A-Za-z0-9_.-]{1,128})\.json\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Kernel:
    """One kernel as its server describes it.

    `server` is the server's base address, without a token. `state` is the server's word (`busy`, `idle`,
    `starting`, …); `last_activity` is in epoch seconds. Each is `Unknown("not-told")` where the server
    gives none. `own`: its cell hosts our client.
    """

    kernel_id: str
    server: str
    name: str
    state: Reading[str]
    last_activity: Reading[float]
    own: bool


@dataclass(frozen=True, slots=True)
class UnreadServer:
    """A server that is there and could not be read; `reason` is a stable code such as `timeout`.

    `server` is its base address, or the file or folder that should say it, or empty when it could not
    even be found out which servers there are. A server of which one entry made no sense stands here too,
    beside its other kernels.
    """

    server: str
    reason: str


@dataclass(frozen=True, slots=True)
class KernelsReading:
    """All kernels that were seen, and all servers that could not be read. Both empty: there is no server."""

    kernels: tuple[Kernel, ...]
    unread: tuple[UnreadServer, ...]


@dataclass(frozen=True, slots=True)
class KernelProcess:
    """A kernel and the process that it is."""

    kernel_id: str
    pid: int


def read_kernels(
    environ: Mapping[str, str], *, own: frozenset[str], deadline_s: float = DEADLINE_S
) -> KernelsReading:
    """Ask every Jupyter server of this machine for its kernels; takes `deadline_s` seconds at most.

    `environ` tells where servers are (COLAB_JUPYTER_IP, else Jupyter's folders); `own` are the ids of the
    kernels that do not count. Asking is no activity on the server. Never raises for what a server does.
    """
    until = time.monotonic() + deadline_s * _FOR_SERVERS
    answer = call_in_child(lambda: survey(environ, until), deadline_s=deadline_s)
    if isinstance(answer, Unknown):
        return KernelsReading((), (UnreadServer("", answer.reason),))
    return KernelsReading(
        tuple(_kernel(entry, own) for entry in answer.value["kernels"]),
        tuple(UnreadServer(entry["server"], entry["reason"]) for entry in answer.value["unread"]),
    )


def _kernel(entry: dict[str, Any], own: frozenset[str]) -> Kernel:
    def told(name: str) -> Reading[Any]:
        return Unknown("not-told") if entry[name] is None else Known(entry[name])

    return Kernel(
        kernel_id=entry["kernel_id"],
        server=entry["server"],
        name=entry["name"],
        state=told("state"),
        last_activity=told("last_activity"),
        own=entry["kernel_id"] in own,
    )


def busy_elsewhere(reading: KernelsReading, *, now: float) -> Kernel | None:
    """The first kernel, ours apart, that is busy or coming up; None when none was seen. Pure.

    `now` is in epoch seconds: a kernel that has been coming up for longer than STARTING_S is one that
    nobody has talked to. What could not be read is not looked at: see `reading.unread` and `state`.
    """
    return next((kernel for kernel in reading.kernels if not kernel.own and _is_busy(kernel, now)), None)


def _is_busy(kernel: Kernel, now: float) -> bool:
    if isinstance(kernel.state, Unknown):
        return False
    if kernel.state.value in _COMING_UP:
        since = kernel.last_activity
        return isinstance(since, Unknown) or now - since.value <= STARTING_S
    return kernel.state.value == _BUSY


def kernel_of(pid: int, *, proc: str = "/proc") -> str | None:
    """The id of the kernel whose cell hosts process `pid`; see `kernel_process_of`."""
    found = kernel_process_of(pid, proc=proc)
    return found.kernel_id if found else None


def kernel_process_of(pid: int, *, proc: str = "/proc") -> KernelProcess | None:
    """The nearest kernel among `pid` and its ancestors, by the connection file in its command line.

    None when there is none, or when the way up cannot be followed; a process on the way whose command line
    cannot be read is passed by. Must be asked while the client still hangs on the cell: what is detached
    has no kernel above it any more.
    """
    for _ in range(_MOST_ANCESTORS):
        for word in _command_line(pid, proc):
            if match := _CONNECTION_FILE.match(word):
                return KernelProcess(match[1], pid)
        stat = process_stat(pid, proc)
        if stat is None or stat[1] <= 0:
            return None
        pid = stat[1]
    return None


def running_kernels(proc: str = "/proc") -> dict[str, list[int]]:
    """The ids of all kernels that are processes of this machine, whoever started them, and their processes.

    A kernel's fork (a worker of a pool) has its id; ours, started by the cell of one, do not count. Raises
    OSError where there is no /proc.
    """
    found: dict[str, list[int]] = {}
    for entry in os.listdir(proc):
        if not entry.isdigit() or (kernel_id := _kernel_in(_command_line(int(entry), proc))) is None:
            continue
        if not _name_of(int(entry), proc).startswith(_OURS):
            found.setdefault(kernel_id, []).append(int(entry))
    return found


def _kernel_in(words: list[str]) -> str | None:
    """The id of the kernel whose command line this is."""
    named = (match for word in words if (match := _CONNECTION_FILE.match(word)))
    usual = (match for word in words if _PROGRAM in words and (match := _ANY_FILE.match(word)))
    match = next(named, None) or next(usual, None)
    return match[1] if match else None


def _name_of(pid: int, proc: str) -> str:
    try:
        with open(f"{proc}/{pid}/comm", "rb") as file:
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def _command_line(pid: int, proc: str) -> list[str]:
    try:
        with open(f"{proc}/{pid}/cmdline", "rb") as file:
            return file.read(_LONGEST_COMMAND).decode("utf-8", "surrogateescape").split("\0")
    except OSError:
        return []
