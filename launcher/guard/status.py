"""What the wait status of a process means. Pure."""

from __future__ import annotations

import os

from launcher.guard.model import Failed, Outcome, Signalled, Succeeded


def signal_of(status: int) -> int | None:
    """The signal that ended the process, if one did."""
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else None


def status_of(ended: os.waitid_result) -> int:
    """The wait status of a child as waitid describes its end."""
    if ended.si_code == os.CLD_EXITED:
        return ended.si_status << 8
    return ended.si_status | (0x80 if ended.si_code == os.CLD_DUMPED else 0)


def exit_code(status: int) -> int:
    """As a shell gives it: 128 + the signal's number where a signal ended it."""
    number = signal_of(status)
    return 128 + number if number is not None else os.WEXITSTATUS(status)


def outcome_of(status: int) -> Outcome:
    """How the main process of `run` ended, if nobody stopped it."""
    number = signal_of(status)
    if number is not None:
        return Signalled(number)
    code = os.WEXITSTATUS(status)
    return Failed(code) if code else Succeeded()
