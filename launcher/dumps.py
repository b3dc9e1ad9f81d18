"""For a job in Python: let colab-run write down where it stands when it shows no sign of life.

    from launcher.dumps import enable_stacks
    enable_stacks()

Standard library only, and nothing else of this package: it is imported by somebody else's program.
"""

from __future__ import annotations

import faulthandler
import os
import signal
from typing import BinaryIO

__all__ = ["enable_stacks"]

# One file for each process that asked; open for as long as it may be written to.
_files: dict[int, BinaryIO] = {}


def enable_stacks() -> bool:
    """Have SIGUSR2 write the stacks of all threads into a file of this run; in each process that wants it.

    False, and nothing is changed, outside of a run, where SIGUSR2 is in use already, and where the file
    cannot be written. A process that is forked later has to ask for itself; a program that replaces this one
    by `exec` is never signalled.
    """
    folder, own = os.environ.get("COLAB_RUN_DIR"), os.getpid()
    if own in _files:
        return True
    if not folder or not hasattr(signal, "SIGUSR2"):
        return False
    if signal.getsignal(signal.SIGUSR2) not in (signal.SIG_DFL, signal.SIG_IGN):
        return False
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        file = os.fdopen(os.open(os.path.join(folder, f"stacks.{own}"), flags, 0o600), "ab", buffering=0)
        faulthandler.register(signal.SIGUSR2, file=file, all_threads=True, chain=False)
        # The note comes last: who finds it may send the signal.
        file.write(f"{own} {_start_time()}\n".encode())
    except (OSError, ValueError, IndexError):
        return False
    _files[own] = file
    return True


def _start_time() -> int:
    """Of this process, in clock ticks since boot; with its pid that is nobody else."""
    with open("/proc/self/stat", "rb") as stat:
        text = stat.read()
    return int(text[text.rfind(b")") + 2 :].split()[19])
