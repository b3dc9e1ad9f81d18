"""Everything that can be asked of a guard, in one place to wait for.

By signals to itself, by its client, and by whoever connects to its socket (`colab-run stop`, `wait`,
`ps` from another shell). No work is done in signal handlers. What was asked is taken in order, from a loop.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import struct
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from launcher.guard.channel import ANEW, FORWARD, GO, KEYS, LEFT, SIZE, STOP, Channel
from launcher.guard.ladder import KILL_AT
from launcher.guard.onlooker import Onlooker

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from launcher.guard.viewer import Viewer

# A SIGTERM to the guard itself is a person's stop as well: there is nobody else whom it could be for.
WATCHED = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT)
# A guard that is suspended guards nothing; a hangup is about somebody's terminal, not about the job.
IGNORED = (
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGTSTP,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGPIPE,
    signal.SIGXFSZ,
)
# What somebody who looks on may have sent to the job; its end is asked for with `stop`.
PASSED_ON = (signal.SIGQUIT, signal.SIGTSTP, signal.SIGCONT)
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Colab delivers one press of the stop button twice, to the cell's process group and to the child.
SAME_PRESS_S = 1.0
# Longer waits are taken in pieces: the system calls count milliseconds in 32 bits.
LONGEST_WAIT_S = 3600.0
MOST_CALLERS = 128
_CREDENTIALS = struct.Struct("3i")
PRESS, KILL, SIGNAL, TYPED, WINDOW = "press", "kill", "signal", "typed", "window"


class Asked(NamedTuple):
    """One thing that was asked: PRESS or SIGNAL with a signal's number, KILL, TYPED keys, WINDOW size."""

    what: str
    number: int = 0
    data: bytes = b""


def _wake(number: int, frame: FrameType | None) -> None:
    """The wakeup descriptor has the signal's number; nothing is left to do here."""


class Desk:
    """Opened once in a guard. `viewer` is the client that shows the run, until it goes.

    `status()` answers callers, `why()` those who ask what keeps this machine up; set them when there is
    something to say. `replaced_by` is who takes our place, where somebody said so with a stop.
    `has_terminal()` tells those who look on whether there is anything to type into, `log_end()` how
    much of the job's output the log has by then.
    """

    def __init__(self, viewer: Viewer | None) -> None:
        self.viewer = viewer
        self.status: Callable[[], dict[str, Any]] = dict
        self.why: Callable[[], dict[str, Any]] = dict
        self.has_terminal: Callable[[], bool] = bool
        self.log_end: Callable[[], int] | None = None
        self.replaced_by = ""
        self._asked: list[Asked] = []
        self._pressed_at: float | None = None
        self._epoll = select.epoll()
        self._callers: dict[int, Channel] = {}
        self._waiting: list[Channel] = []
        # Who asked for a stop that nobody has taken yet, and whose stop was taken with the last `take`.
        self._stoppers: list[Channel] = []
        self._owed: list[Channel] = []
        self._onlookers: dict[Channel, Onlooker] = {}
        self._suspended_by: object = None
        self._final: dict[str, Any] | None = None
        self._listener: socket.socket | None = None
        self._path = ""
        self._hear_signals()
        if viewer is not None:
            self._epoll.register(viewer.fileno(), select.EPOLLIN)

    def _hear_signals(self) -> None:
        self._woken, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for number in WATCHED:
            signal.signal(number, _wake)
        for number in IGNORED:
            signal.signal(number, signal.SIG_IGN)
        # An inherited mask would keep the end of the job from us, and every stop.
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        self._epoll.register(self._woken, select.EPOLLIN)

    def listen(self, path: str) -> None:
        """Be called at `path`; whoever listened there before is gone. Raises OSError."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.setblocking(False)
        temporary = f"{path}.{os.getpid()}"
        try:
            listener.bind(temporary)
            os.chmod(temporary, 0o600)
            listener.listen(MOST_CALLERS)
            os.rename(temporary, path)
        except OSError:
            listener.close()
            raise
        self._listener, self._path = listener, path
        self._epoll.register(listener.fileno(), select.EPOLLIN)

    # --- for loops --------------------------------------------------------------------------------

    def fileno(self) -> int:
        """Readable when something was asked, or a child has ended."""
        return self._epoll.fileno()

    def wait(self, seconds: float) -> None:
        """Return after `seconds` (an hour at most), or as soon as there is something."""
        if not self._asked:
            self._poll(min(max(0.0, seconds), LONGEST_WAIT_S))

    def take(self) -> list[Asked]:
        """Everything that was asked since the last call, in order."""
        self._poll(0)
        taken, self._asked = self._asked, []
        self._owed, self._stoppers = self._stoppers, []
        if any(asked.what in (PRESS, KILL) for asked in taken) and not self._same_press():
            self._pressed_at = time.monotonic()
        return taken

    def take_stop(self) -> int | None:
        """The signal of a new press of stop, if there was one; what else was asked is dropped.

        What follows a press within SAME_PRESS_S belongs to it, but for a KILL.
        """
        same = self._same_press()
        taken = self.take()
        numbers = [
            asked.number for asked in taken if asked.what == KILL or (asked.what == PRESS and not same)
        ]
        return numbers[0] if numbers else None

    def _same_press(self) -> bool:
        return self._pressed_at is not None and time.monotonic() - self._pressed_at < SAME_PRESS_S

    def show(self, stream: int, offset: int, length: int) -> None:
        """Tell everybody who looks on, but the viewer, that the log has these bytes of the job's `stream`."""
        for caller, onlooker in self._onlookers.items():
            onlooker.span(stream, offset, length)
            self._listen_to(caller)

    def begin_anew(self) -> None:
        """What a press of stop means has changed: whoever counts them is told to begin with the first."""
        if self.viewer is not None:
            self.viewer.send(ANEW)
        for caller in self._onlookers:
            _reply(caller, {"anew": True})
            self._listen_to(caller)

    # --- who asks ---------------------------------------------------------------------------------

    def _poll(self, seconds: float) -> None:
        self._confirm_stops()
        self._watch_viewer()
        ready = self._epoll.poll(seconds)
        # Last: who is already here has asked by then, and does not make room for who comes.
        ready.sort(key=self._is_listener)
        for descriptor, events in ready:
            if descriptor == self._woken:
                self._take_signals()
            elif self.viewer is not None and descriptor == self.viewer.fileno():
                self._hear_client(events)
            elif self._is_listener((descriptor, events)):
                self._welcome()
            elif descriptor in self._callers:
                self._hear_caller(descriptor)

    def _is_listener(self, ready: tuple[int, int]) -> bool:
        return self._listener is not None and ready[0] == self._listener.fileno()

    def _confirm_stops(self) -> None:
        """Whoever took them is back for more, so has noted them: a successor knows of them too."""
        for caller in self._owed:
            if caller in self._callers.values():
                _reply(caller, {"taken": True})
                self._listen_to(caller)
        self._owed = []

    def _take_signals(self) -> None:
        try:
            numbers = os.read(self._woken, 512)
        except BlockingIOError:
            return
        self._asked += [Asked(PRESS, number) for number in numbers if number in STOP_SIGNALS]

    def _watch_viewer(self) -> None:
        if self.viewer is not None and not self.viewer.channel.broken:
            events = select.EPOLLIN | (select.EPOLLOUT if self.viewer.waiting else 0)
            self._epoll.modify(self.viewer.fileno(), events)
        elif self.viewer is not None:
            self.lose_viewer()

    def _hear_client(self, events: int) -> None:
        viewer = self.viewer
        if viewer is None:
            return
        if events & select.EPOLLOUT:
            viewer.flush()
        while (message := viewer.channel.receive()) is not None:
            kind, rest = message[:1], message[1:]
            if kind == STOP:
                # Who pressed a second time is believed: by our clock the two may be a little closer.
                again = rest[1:2] >= bytes((KILL_AT,))
                self._asked.append(Asked(KILL if again else PRESS, rest[0]))
            elif kind == FORWARD:
                self._pass_on(viewer, rest[0])
            elif kind == KEYS:
                self._asked.append(Asked(TYPED, data=rest))
            elif kind == SIZE:
                self._asked.append(Asked(WINDOW, data=rest))
            elif kind == LEFT:
                viewer.channel.lose()
            elif kind != GO:
                continue
        if viewer.channel.broken:
            self.lose_viewer()

    def lose_viewer(self) -> None:
        """The client has gone, or was told its last word."""
        viewer, self.viewer = self.viewer, None
        if viewer is not None:
            self._resume_for(viewer)
            self._epoll.unregister(viewer.fileno())
            viewer.channel.close()

    def _pass_on(self, who: object, number: int) -> None:
        """A signal for the job; one that suspends it is remembered."""
        self._asked.append(Asked(SIGNAL, number))
        if number in (signal.SIGTSTP, signal.SIGCONT):
            self._suspended_by = who if number == signal.SIGTSTP else None

    def _resume_for(self, who: object) -> None:
        """Whoever suspended the job is gone, and nobody else would know that it waits."""
        if self._suspended_by is who:
            self._pass_on(who, signal.SIGCONT)

    def _welcome(self) -> None:
        try:
            connection, _ = self._listener.accept() if self._listener else (None, None)
        except OSError:
            return
        if connection is None:
            return
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        _, uid, _ = _CREDENTIALS.unpack(raw)
        if uid not in (0, os.geteuid()) or not self._has_room():
            connection.close()
            return
        self._callers[connection.fileno()] = Channel(connection, whole=True)
        self._epoll.register(connection.fileno(), select.EPOLLIN)

    def _has_room(self) -> bool:
        """Make room if there is none: whoever neither asks nor reads its answer goes, the oldest first."""
        if len(self._callers) >= MOST_CALLERS:
            idle = (number for number, caller in self._callers.items() if caller not in self._waiting)
            if (oldest := next(idle, None)) is not None:
                self._dismiss(oldest)
        return len(self._callers) < MOST_CALLERS

    def _hear_caller(self, descriptor: int) -> None:
        """One question at a time: the next one is read when the answer has been taken."""
        caller = self._callers[descriptor]
        caller.flush()
        if caller in self._onlookers:
            self._onlookers[caller].flush()
        message = None if caller.pending else caller.receive()
        if message is not None and not self._answer(caller, message):
            caller.lose()
        if caller.broken or caller.mute:
            self._dismiss(descriptor)
        else:
            self._listen_to(caller)

    def _listen_to(self, caller: Channel) -> None:
        self._epoll.modify(caller.fileno(), select.EPOLLOUT if caller.pending else select.EPOLLIN)

    def _answer(self, caller: Channel, message: bytes) -> bool:
        """False for what is no question; one that only a newer colab-run knows is answered."""
        try:
            question = json.loads(message)
            ask = question["ask"]
        except (ValueError, TypeError, KeyError, RecursionError):
            return False
        if ask == "status":
            _reply(caller, self.status())
        elif ask == "why":
            _reply(caller, self.why())
        elif ask == "stop":
            self.replaced_by = str(question.get("replaced_by") or "")
            number = signal.SIGTERM if question.get("number") == signal.SIGTERM else signal.SIGINT
            self._asked.append(Asked(KILL if question.get("kill") else PRESS, number))
            self._stoppers.append(caller)
        elif ask == "wait":
            if self._final is not None:
                _reply(caller, self._final)
            elif caller not in self._waiting:
                self._waiting.append(caller)
        elif ask in ("view", "type", "size", "signal"):
            return self._answer_onlooker(caller, ask, question)
        elif isinstance(ask, str):
            _reply(caller, {"unknown": ask[:100]})
        else:
            return False
        return True

    def _answer_onlooker(self, caller: Channel, ask: object, question: dict[str, Any]) -> bool:
        """`attach`: it is told of the log, may type, has a window, and may suspend the job."""
        if ask == "view":
            self._onlookers.setdefault(caller, Onlooker(caller))
            # What the log has by now it is not told of; all that comes later, it is.
            end = {} if self.log_end is None else {"end": self.log_end()}
            _reply(caller, {"view": True, "terminal": self.has_terminal(), **end})
            return True
        if caller not in self._onlookers:
            return False
        try:
            if ask == "type":
                self._asked.append(Asked(TYPED, data=str(question["keys"]).encode("latin-1")))
            elif ask == "size":
                rows, columns = (min(max(int(n), 0), 0xFFFF) for n in question["size"])
                self._asked.append(Asked(WINDOW, data=struct.pack("4H", rows, columns, 0, 0)))
            elif ask == "signal" and question["number"] in PASSED_ON:
                self._pass_on(caller, int(question["number"]))
            else:
                return False
        except (ValueError, TypeError, KeyError, OverflowError):
            return False
        _reply(caller, {"taken": True})
        return True

    def _dismiss(self, descriptor: int) -> None:
        caller = self._callers.pop(descriptor)
        if caller in self._waiting:
            self._waiting.remove(caller)
        self._onlookers.pop(caller, None)
        self._resume_for(caller)
        self._epoll.unregister(descriptor)
        caller.close()

    def conclude(self, document: dict[str, Any]) -> None:
        """The run has its exit code: whoever waits for it is told."""
        self._final = document
        self._confirm_stops()
        for caller in self._waiting:
            _reply(caller, document)
            self._listen_to(caller)
        self._waiting.clear()

    def close(self) -> None:
        """Nobody can ask any more."""
        self._owed += self._stoppers
        self._confirm_stops()
        self.lose_viewer()
        for descriptor in list(self._callers):
            self._dismiss(descriptor)
        if self._listener is not None:
            _unlink(self._path)
            self._listener.close()


def _reply(caller: Channel, document: dict[str, Any]) -> None:
    caller.send_long(b"A", json.dumps(document).encode())


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        return
