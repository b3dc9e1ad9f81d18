"""What went over the network: the kernel's own counters of every interface but the loopback.

A reading is {"interfaces": {name: bytes received and sent, a total}}, from /proc/net/dev. Traffic inside a
machine counts where it passes a bridge, and then more than once: more than there was, never less.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher.values import Known, Reading, Unknown

if TYPE_CHECKING:
    from launcher.idle.interface import Reader

NO_PROC, NONSENSE = "no-proc", "nonsense"
_LOOPBACK = "lo"
# After the name: bytes received, seven more of receiving, bytes sent.
_RECEIVED, _SENT = 0, 8


def network_reader(proc: str = "/proc") -> Reader:
    """The reader of NETWORK; `proc` is /proc, or a test's."""

    def read() -> Reading[Any]:
        try:
            with open(f"{proc}/net/dev", encoding="utf-8", errors="replace") as file:
                lines = file.read().splitlines()[2:]
        except OSError:
            return Unknown(NO_PROC)
        try:
            found = dict(_interface(line) for line in lines)
        except (ValueError, IndexError):
            return Unknown(NONSENSE)
        return Known({"interfaces": {name: moved for name, moved in found.items() if name != _LOOPBACK}})

    return read


def _interface(line: str) -> tuple[str, int]:
    # A name may have a colon of its own (eth0:1), a figure has none.
    name, colon, figures = line.rpartition(":")
    fields = figures.split()
    if not colon:
        raise ValueError(line)
    return name.strip(), int(fields[_RECEIVED]) + int(fields[_SENT])
