"""Processes that do on demand what a test wants: burn, write, start others, take a name. Real ones."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from helpers.lab import COOKIE, PATIENCE_S, processes_with, until

if TYPE_CHECKING:
    from pathlib import Path

# argv: SOCKET WORD…. Announces itself, then answers orders, one JSON a line, until its socket ends.
AGENT = """
import ctypes, json, os, signal, socket, subprocess, sys, time
def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
def start(*words, program=sys.executable):
    return subprocess.Popen([program, "-I", "-S", "-c", CODE, sys.argv[1], *words]).pid
def start_as(program):
    return start(program=program)
def burn_beside(seconds):
    if os.fork() == 0:
        burn(seconds)
        os._exit(0)
def look_at_proc(size):
    while size > 0:
        with open("/proc/self/maps", "rb") as file:
            size -= len(file.read())
def run(code):
    subprocess.run([sys.executable, "-I", "-S", "-c", code])
def helper(name):
    pid = os.fork()
    if pid == 0:
        rename(name)
        serve()
    return pid
def daemon():
    if os.fork() == 0:
        if os.fork() == 0:
            os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", CODE, sys.argv[1]])
        os._exit(0)
    return os.wait()[0]
def rename(name):
    with open("/proc/self/comm", "w") as file:
        file.write(name)
def adopt():
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
def write(path, size):
    with open(path, "wb") as file:
        file.write(os.urandom(size))
        file.flush()
        os.fsync(file.fileno())
def reap(pid):
    os.waitpid(pid, 0)
def serve():
    with socket.socket(socket.AF_UNIX) as ours:
        ours.connect(sys.argv[1])
        stream = ours.makefile("rw")
        print(os.getpid(), file=stream, flush=True)
        for line in stream:
            name, *arguments = json.loads(line)
            print(json.dumps(globals()[name](*arguments)), file=stream, flush=True)
    os._exit(0)
CODE = CODE_OF_ALL
serve()
"""


class Agent:
    """One of them; every order returns when it has been carried out."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._stream = connection.makefile("rw")
        self.pid = int(self._stream.readline())

    def do(self, order: str, *arguments: Any) -> Any:
        """What the function of that name in AGENT returns."""
        print(json.dumps([order, *arguments]), file=self._stream, flush=True)
        return json.loads(self._stream.readline())

    def hang_up(self) -> None:
        self._stream.close()
        self._connection.close()


class Agents:
    """All agents of a test; `close` ends every process that came of them."""

    def __init__(self, folder: Path) -> None:
        self._cookie = uuid.uuid4().hex
        self._path = str(folder / "agents")
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(self._path)
        self._server.listen()
        self._server.settimeout(PATIENCE_S)
        self._all: list[Agent] = []
        self._children: list[subprocess.Popen[bytes]] = []

    def start(self, *words: str) -> Agent:
        """One below the test; `words` stand in its command line."""
        code = AGENT.replace("CODE_OF_ALL", "sys.orig_argv[4]")
        argv = [sys.executable, "-I", "-S", "-c", code, self._path, *words]
        self._children.append(subprocess.Popen(argv, env={**os.environ, COOKIE: self._cookie}))
        return self.next()

    def below(self, parent: Agent, *words: str) -> Agent:
        """One that `parent` starts."""
        parent.do("start", *words)
        return self.next()

    def helper(self, parent: Agent, name: str) -> Agent:
        """A fork of `parent` that takes a name and becomes no other program."""
        parent.do("helper", name)
        return self.next()

    def orphan(self, parent: Agent) -> Agent:
        """One that forked twice: its parent is gone."""
        parent.do("daemon")
        return self.next()

    def next(self) -> Agent:
        """The one that announces itself next."""
        connection, _ = self._server.accept()
        connection.settimeout(PATIENCE_S)
        self._all.append(Agent(connection))
        return self._all[-1]

    def close(self) -> None:
        for agent in self._all:
            agent.hang_up()
        self._server.close()
        for pid in processes_with(self._cookie):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for child in self._children:
            child.wait()
        until(lambda: not processes_with(self._cookie), "all agents have ended")
