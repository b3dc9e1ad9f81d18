"""Who below us belongs to the job: everybody but our own helpers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from launcher.guard import tree
from launcher.guard.sampler import PAUSED, Sampler
from launcher.values import Known, Reading, Unknown

if TYPE_CHECKING:
    from launcher.guard.sampler import GpuMeter
    from launcher.guard.session import Keeper


class Family:
    """Our children: the job's processes, the sampler, and the keeper of the job's session.

    Nobody else is below us: a guard is forked without children, and a watcher that takes over has
    only what the guard had.
    """

    def __init__(self) -> None:
        tree.become_subreaper()
        self.root = os.getpid()
        self._helpers: dict[int, tree.ProcessRef] = {}
        self._sampler: Sampler | None = None
        self._keeper: Keeper | None = None

    def not_job(self) -> frozenset[tree.ProcessRef]:
        """Our own helpers: never to be signalled."""
        return frozenset(self._helpers.values())

    def living(self) -> list[tree.ProcessRef]:
        """The processes of the job that one look at /proc finds."""
        return tree.descendants(self.root, self.not_job())

    def empty(self) -> bool:
        """No process of the job is left: the kernel says so where it can (no child at all).

        Only after everything that has ended was reaped.
        """
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return True
        # A sampler that hangs in the driver stands in the way. Two looks, because a process that forks and
        # ends during one look can be missed by it.
        return bool(self._helpers) and not self.living() and not self.living()

    def reaped(self, pid: int) -> bool:
        """A child of ours has been reaped; was it a helper?"""
        return self._helpers.pop(pid, None) is not None

    def without(self, pid: int) -> None:
        """A helper was ended. One that hangs in the kernel is still there, and no process of the job."""
        if tree.reference(pid) is None:
            self.reaped(pid)

    def _help(self, pid: int) -> None:
        if (process := tree.reference(pid)) is not None:
            self._helpers[pid] = process

    def helped_by(self, pid: int) -> None:
        """A child of ours that works beside the job, with all that is below it."""
        self._help(pid)
        if self._sampler is not None:
            peaks, keeper = self._sampler.pid, self._keeper.pid if self._keeper is not None else 0
            self._sampler.ignore_too([one for one in self._helpers if one not in (peaks, keeper)])

    # --- the keeper of the session --------------------------------------------------------------

    def before_start(self) -> None:
        """Something is about to be forked."""
        self._do_not_count(PAUSED)

    def started(self) -> None:
        """It is the job's now."""
        self._do_not_count(self._keeper.pid if self._keeper is not None else 0)

    def _do_not_count(self, pid: int) -> None:
        if self._sampler is not None:
            self._sampler.ignore(pid)

    def session_led_by(self, keeper: Keeper | None) -> None:
        """The job's main process waits at its gate, in a session of this keeper if it has a terminal."""
        self._keeper = keeper
        if keeper is not None:
            self._help(keeper.pid)

    def end_session(self) -> None:
        """The main process has ended: the session's leader goes, and hangs up nobody."""
        keeper, self._keeper = self._keeper, None
        if keeper is None:
            return
        if self._helpers.pop(keeper.pid, None):
            keeper.leave()
        else:
            keeper.forget()
        self._do_not_count(0)

    # --- the sampler ----------------------------------------------------------------------------

    def start_sampling(self, gpu_meter: GpuMeter | None) -> None:
        """Where no process can be created there are no peaks, that is all."""
        try:
            self._sampler = Sampler(gpu_meter)
        except OSError:
            return
        self._help(self._sampler.pid)

    def stop_sampling(self) -> tuple[int, Reading[int]]:
        """End the sampler, so that "no child left" can be exact; its peaks (RAM is 0 where unknown)."""
        sampler, self._sampler = self._sampler, None
        if sampler is None:
            return 0, Unknown("not-sampled")
        if sampler.pid in self._helpers and sampler.kill():
            del self._helpers[sampler.pid]
        return sampler.peaks()


def peak_ram(sampled: int, largest_process: int) -> Reading[int]:
    """The larger of what was sampled of all together and what the kernel counted of one."""
    peak = max(sampled, largest_process)
    # Less is no process at work, but one that was seen on its way in or out.
    return Known(peak) if peak >= 1 << 20 else Unknown("not-sampled")
