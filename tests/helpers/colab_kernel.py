"""The kernel's side of colab_bang.py, a program: JSON orders on stdin, JSON events on stdout, one a line.

It runs commands as Colab's `!` does, and treats SIGINT and a shutdown as ipykernel does. Events: `ready`,
`started` (process id), `output`, `press` (a stop was answered), `state` with `code` (the end).
Orders: `cell`, `keys`, `shutdown`. argv: seconds between SIGTERM and SIGKILL.
"""

from __future__ import annotations

import codecs
import json
import os
import queue
import select
import signal
import subprocess
import sys
import termios
import threading
import time

import psutil

STOP = {signal.SIGINT}
POLL_S = 0.1
STEPS_S = (0.01, 0.03, 0.1, 0.3, 1, 3, 10)  # ipykernel's, between two looks at its children


def tell(**event: object) -> None:
    """One event to the test."""
    print(json.dumps(event), flush=True)


class BangCell:
    """One `!command`."""

    def __init__(self, command: str, keys: queue.SimpleQueue[bytes], last_words_s: float) -> None:
        self._command, self._keys, self._last_words_s = command, keys, last_words_s
        self._presses = 0

    def run(self) -> int | None:
        """Its exit code, negative for a signal; None after a third press of the stop button."""
        self._master, slave = os.openpty()
        modes = termios.tcgetattr(slave)
        modes[1] &= ~termios.ONLCR
        modes[3] &= ~termios.ECHOCTL
        termios.tcsetattr(slave, termios.TCSANOW, modes)
        # ipykernel hears SIGINT during a cell only. Ignored, it would be ignored by the child as well.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            self._process = subprocess.Popen(
                self._command, shell=True, executable="/bin/bash", stdin=slave, stdout=slave, stderr=slave
            )
            os.close(slave)
            # Colab gets presses as exceptions, anywhere; taken at one place, they tear no output apart.
            signal.pthread_sigmask(signal.SIG_BLOCK, STOP)
            tell(started=self._process.pid)
            self._watch()
        except KeyboardInterrupt:
            return None
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP)
            os.close(self._master)
        if -self._process.returncode in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            tell(output="^C\n")
        return self._process.returncode

    def _watch(self) -> None:
        """Pass output and keys on until the process has ended and nobody has the terminal open any more."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        poller = select.poll()
        poller.register(self._master, select.POLLIN | select.POLLOUT)
        hung_up = False
        while True:
            ended = self._process.poll() is not None
            event = dict(poller.poll(0)).get(self._master, 0)
            readable = bool(event & select.POLLIN)
            if readable:
                tell(output=decoder.decode(os.read(self._master, 1 << 20)))
            hung_up = hung_up or bool(event & (select.POLLHUP | select.POLLERR))
            if event & select.POLLOUT and not ended and not self._keys.empty():
                os.write(self._master, self._keys.get())
            if ended and hung_up and not readable:
                return
            if signal.sigtimedwait(STOP, 0 if readable else POLL_S):
                self._stop()

    def _stop(self) -> None:
        """What Colab does at KeyboardInterrupt; the whole group has had its SIGINT already."""
        self._presses += 1
        if self._presses == 1:
            self._process.send_signal(signal.SIGINT)
            tell(press=True)
        elif self._presses == 2:
            self._process.send_signal(signal.SIGTERM)
            tell(press=True)
            # A press within this time cuts the wait short, and then nobody sends SIGKILL.
            if signal.sigtimedwait(STOP, self._last_words_s):
                tell(press=True)
            elif self._process.poll() is None:
                self._process.send_signal(signal.SIGKILL)
        else:
            tell(press=True)
            raise KeyboardInterrupt


class Orders(threading.Thread):
    """ipykernel's control thread: a shutdown is obeyed while a cell runs."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.cells: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.keys: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.closing = False

    def run(self) -> None:
        for line in sys.stdin:
            order = json.loads(line)
            if "cell" in order:
                self.cells.put(order["cell"])
            elif "keys" in order:
                self.keys.put(order["keys"].encode("latin-1"))
            else:
                end_children()
                self.closing = True
                self.cells.put(None)
        # The test is gone: nothing may stay.
        os.killpg(0, signal.SIGKILL)


def end_children() -> None:
    """ipykernel at shutdown: TERM, then KILL, for descendants in its own group. An orphan is none of them."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pause in STEPS_S:
            if not (children := own_children()):
                return
            for child in children:
                try:
                    child.send_signal(number)
                except psutil.NoSuchProcess:
                    pass  # It ended by itself.
            time.sleep(pause)


def own_children() -> list[psutil.Process]:
    """Descendants in this process's group."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            if os.getpgid(child.pid) == os.getpgrp():
                found.append(child)
        except ProcessLookupError:
            continue
    return found


def main(last_words_s: float) -> None:
    """Run cells one after another, until a shutdown."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The thread is started with SIGINT blocked, so that it always reaches this one.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP)
    orders = Orders()
    orders.start()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP)
    tell(ready=True)
    while (command := orders.cells.get()) is not None and not orders.closing:
        code = BangCell(command, orders.keys, last_words_s).run()
        tell(state="interrupted" if code is None else "ended", code=code)
    sys.stdout.flush()
    # Not by way of the interpreter's end: the thread stands in a read of stdin.
    os._exit(0)


if __name__ == "__main__":
    main(float(sys.argv[1]))
