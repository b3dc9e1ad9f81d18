"""The other end of a guard's desk: asking it from another shell.

Nothing here waits for longer than it is told to, whatever state the guard is in. A guard that was just
killed refuses callers until it is taken over: that is waited out.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import time
from typing import TYPE_CHECKING, Any

from launcher.guard import meeting
from launcher.guard.channel import Channel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PATIENCE_S = 2.0
STATUS: Mapping[str, object] = {"ask": "status"}
WAIT: Mapping[str, object] = {"ask": "wait"}
# Guards that hang are waited for side by side.
AT_ONCE = 32
_CREDENTIALS = struct.Struct("3i")
# While a guard is taken over: nobody listens yet, the queue of callers is full, or we were turned away.
_PASSING = (ConnectionRefusedError, BlockingIOError, ConnectionResetError)


class Silent(Exception):
    """Somebody is there and does not answer. `pid` is the guard's, where that is known."""

    def __init__(self, pid: int | None = None) -> None:
        super().__init__(pid)
        self.pid = pid


class Line:
    """One connection to the guard of a run; `pid` is that guard's."""

    def __init__(self, connection: socket.socket, pid: int) -> None:
        self._channel = Channel(connection)
        self.pid = pid

    def fileno(self) -> int:
        """Readable when there is an answer, or the guard has gone."""
        return self._channel.fileno()

    @property
    def broken(self) -> bool:
        """Has the guard gone?"""
        return self._channel.broken

    def ask(self, question: Mapping[str, object]) -> None:
        """Ask without waiting for the answer."""
        self._channel.send(json.dumps(question).encode())

    def answer(self) -> dict[str, Any] | None:
        """The next answer; None when there is none now. After the guard's end `broken` is True."""
        message = self._channel.receive()
        if message is None:
            return None
        try:
            document = json.loads(message[1:])
        except ValueError:
            document = None
        if not isinstance(document, dict):
            self._channel.lose()
            return None
        return document

    def answer_by(self, deadline: float) -> dict[str, Any]:
        """The next answer, until that time (monotonic). Raises Silent; ConnectionResetError without one."""
        while (found := self.answer()) is None:
            if self.broken:
                raise ConnectionResetError
            left = deadline - time.monotonic()
            if left <= 0 or not select.select((self,), (), (), left)[0]:
                raise Silent(self.pid)
        return found

    def close(self) -> None:
        """Hang up."""
        self._channel.close()


def call(run_id: str, patience_s: float = PATIENCE_S) -> Line:
    """Get through to the guard of a run.

    Raises OSError where nobody can be asked, or what lies there is not ours: ConnectionRefusedError,
    ConnectionResetError and BlockingIOError only after `patience_s`.
    """
    try:
        return _call(run_id)
    except _PASSING:
        line: Line = _retrying(patience_s)(_call, run_id)
        return line


def ask(
    run_id: str,
    question: Mapping[str, object],
    timeout_s: float = PATIENCE_S,
    patience_s: float | None = None,
) -> dict[str, Any]:
    """One question and its answer, which is waited for until `timeout_s` is over. Raises Silent.

    Raises OSError as `call` does, where `patience_s` (`timeout_s` unless told) is how long.
    """
    deadline = time.monotonic() + timeout_s
    try:
        return _ask(run_id, question, deadline)
    except _PASSING:
        patience_s = timeout_s if patience_s is None else patience_s
        if patience_s <= 0:
            raise
        answer: dict[str, Any] = _retrying(patience_s)(_ask, run_id, question, deadline)
        return answer


def ask_all(
    run_ids: Sequence[str],
    question: Mapping[str, object],
    patience_s: Sequence[float],
    timeout_s: float = PATIENCE_S,
) -> list[dict[str, Any] | Silent | OSError]:
    """The same of many guards at once: for each its answer, or why there is none."""

    def one(run_id: str, patience: float) -> dict[str, Any] | Silent | OSError:
        try:
            return ask(run_id, question, timeout_s, patience_s=patience)
        except (Silent, OSError) as error:
            return error

    if len(run_ids) < 2:
        return list(map(one, run_ids, patience_s))
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(AT_ONCE, len(run_ids))) as pool:
        return list(pool.map(one, run_ids, patience_s))


def _ask(run_id: str, question: Mapping[str, object], deadline: float) -> dict[str, Any]:
    line = _call(run_id)
    try:
        line.ask(question)
        return line.answer_by(deadline)
    finally:
        line.close()


def _call(run_id: str) -> Line:
    path = meeting.socket_of(run_id)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        connection.setblocking(False)
        connection.connect(path)
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, uid, _ = _CREDENTIALS.unpack(raw)
        if uid not in (0, os.geteuid()):
            raise PermissionError(13, "not a guard of ours", path)
    except BaseException:
        connection.close()
        raise
    return Line(connection, pid)


def _retrying(seconds: float) -> Any:
    """Only where the first try failed: importing tenacity takes longer than most answers."""
    from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random

    return Retrying(
        stop=stop_after_delay(seconds),
        wait=wait_random(0.01, 0.05),
        retry=retry_if_exception_type(_PASSING),
        reraise=True,
    )
