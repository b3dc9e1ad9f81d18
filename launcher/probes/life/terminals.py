"""Terminals at which somebody types: when a program there last read a keystroke.

That is the time of access of the pty, which Linux sets when something is read from it: to the whole second,
and only once in each 8 s of the clock, so that nobody can tell passwords by it. What programs print does not
change it. Seen are the terminals of this mount of /dev/pts: ssh, tmux, those of Jupyter.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from launcher.values import Known, Reading, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# A sample is one short line.
MOST_TERMINALS = 64


def terminals_reader(folder: str = "/dev/pts", proc: str = "/proc") -> Callable[[], Reading[Any]]:
    """Reads a list of `{"tty", "keyed", "command"}`, the last used first; only those that a session is on.

    `keyed` (epoch seconds) is when the 8 s began in which something was last typed; `command` is what is in
    the foreground, empty where that cannot be told.
    """
    return _Terminals(folder, proc)


class _Terminals:
    def __init__(self, folder: str, proc: str) -> None:
        self._folder, self._proc = folder, proc
        # Terminal (as in /proc/PID/stat) -> a process of its session: without it, all have to be looked at.
        self._members: dict[int, int] = {}

    def __call__(self) -> Reading[Any]:
        try:
            found = list(self._there())
        except OSError:
            return Unknown("not-readable")
        numbers = {number for number, _, _ in found}
        self._members = {number: pid for number, pid in self._members.items() if number in numbers}
        foregrounds = self._foregrounds(numbers) if numbers else {}
        rows: list[dict[str, Any]] = [
            {
                "tty": f"pts/{name}",
                "keyed": status.st_atime,
                "command": self._name(foregrounds.get(number, 0)),
            }
            for number, name, status in found
            # Processes of other users may be hidden from us; their terminals are not.
            if number in foregrounds or status.st_uid != os.geteuid() != 0
        ]
        rows.sort(key=lambda row: (-row["keyed"], row["tty"]))
        return Known(rows[:MOST_TERMINALS])

    def _there(self) -> Iterator[tuple[int, str, os.stat_result]]:
        try:
            names = os.listdir(self._folder)
        except FileNotFoundError:
            return
        for name in names:
            if name.isdigit():
                try:
                    status = os.stat(os.path.join(self._folder, name))
                except FileNotFoundError:
                    continue
                yield _number(status.st_rdev), name, status

    def _foregrounds(self, numbers: set[int]) -> dict[int, int]:
        """Terminal -> the process group in its foreground, of those that a session is on."""
        found: dict[int, int] = {}
        for number, pid in self._members.items():
            at, foreground = self._terminal_of(pid)
            if at == number:
                found[number] = foreground
        if found.keys() >= numbers:
            return found
        for name in os.listdir(self._proc):
            if name.isdigit():
                at, foreground = self._terminal_of(int(name))
                if at in numbers and at not in found:
                    found[at] = foreground
                    self._members[at] = int(name)
        return found

    def _terminal_of(self, pid: int) -> tuple[int, int]:
        """The terminal of a living process and the group in front there; (0, 0) without."""
        try:
            with open(f"{self._proc}/{pid}/stat", "rb", buffering=0) as file:
                fields = file.read(1024).rpartition(b")")[2].split()
            return (0, 0) if fields[0] in (b"Z", b"X") else (int(fields[4]), int(fields[5]))
        except (OSError, ValueError, IndexError):
            return 0, 0

    def _name(self, pid: int) -> str:
        try:
            with open(f"{self._proc}/{pid}/comm", "rb", buffering=0) as file:
                text = file.read(64).decode("utf-8", "replace")
        except OSError:
            return ""
        return "".join(filter(str.isprintable, text))


def _number(device: int) -> int:
    """A device as the kernel writes it into /proc/PID/stat."""
    major, minor = os.major(device), os.minor(device)
    return (minor & 0xFF) | (major << 8) | ((minor & ~0xFF) << 12)
