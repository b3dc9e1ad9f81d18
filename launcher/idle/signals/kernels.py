"""Notebook kernels: one is busy, or was a while ago."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from launcher.idle.model import Sign
from launcher.idle.signals.newest import NONSENSE, Newest, number, text
from launcher.values import Reading, Unknown
from launcher.words import words

if TYPE_CHECKING:
    from launcher.idle.model import Life, Moment
    from launcher.words import Text

BUSY = "busy"
WITHOUT_SERVER = "kernel-without-server"
# These two are those of launcher/probes/kernels.py, which looks at kernels at the end of a run.
COMING_UP = frozenset(("starting", "restarting", "autorestarting"))
STARTING_S = 300.0
_SHORT_ID = 8


class _Kernel(NamedTuple):
    kernel_id: str
    name: str
    server: str
    state: str | None
    last_activity: float | None

    @property
    def shown(self) -> Text:
        named = f"{self.name} {self.kernel_id[:_SHORT_ID]}".strip()
        return words("kernel {name} is {state}", name=named, state=self.state)


class KernelsSignal:
    """Alive now while a kernel is busy or coming up, else at the last activity of any.

    A kernel's last activity also tells what happened while its server could not be read.
    """

    def __init__(self) -> None:
        self._newest = Newest()
        # Of the last reading that told everything, if there was one; and the servers that were silent since,
        # None for any.
        self._ids: frozenset[str] | None = None
        self._silent: set[str] | None = set()
        # Kernels that no server named since then.
        self._without: set[str] = set()

    @property
    def sign(self) -> Sign:
        """Whose readings it wants."""
        return Sign.KERNELS

    @property
    def counts(self) -> Text:
        """What counts as life."""
        return words("a cell at work, or the last activity of a kernel")

    def take(self, reading: Reading[Any], moment: Moment) -> Reading[Life] | None:
        """What is known after this reading, see `kernels_reader`."""
        if isinstance(reading, Unknown):
            self._silent = None
            return self._unknown(reading.reason, moment)
        try:
            kernels = [_kernel(entry) for entry in reading.value["kernels"]]
            unread = [(text(one["server"]), text(one["reason"])) for one in reading.value["unread"]]
            # Recordings of older versions do not have it.
            without = [text(kernel_id) for kernel_id in reading.value.get("without", ())]
        except (KeyError, TypeError, ValueError, AttributeError):
            self._silent = None
            return self._unknown(NONSENSE, moment)
        self._without.update(without)
        times = [kernel.last_activity for kernel in kernels if kernel.last_activity is not None]
        if times:
            self._newest.alive_at_epoch(*times, moment=moment)
        at_work = next((kernel for kernel in kernels if _at_work(kernel, moment.wall)), None)
        if at_work is not None:
            # Whatever cannot be read beside it.
            self._newest.alive(moment.at)
            return self._newest.life(at_work.shown)
        if unread:
            if self._silent is not None:
                self._silent.update(server for server, _ in unread)
            return self._unknown(unread[0][1], moment)
        if any(kernel.state is None or kernel.last_activity is None for kernel in kernels):
            return self._unknown("not-told", moment)
        if without:
            # By its processor time a cell that waits looks like no cell at all.
            return self._unknown(WITHOUT_SERVER, moment)
        return self._known(kernels)

    def _unknown(self, reason: str, moment: Moment) -> Unknown:
        self._newest.unknown(moment)
        return Unknown(reason)

    def _known(self, kernels: list[_Kernel]) -> Reading[Life] | None:
        """Every server has told everything, and nothing is at work."""
        ids = frozenset(kernel.kernel_id for kernel in kernels)
        servers = {kernel.server for kernel in kernels}
        # A kernel that is gone took with it what it had done meanwhile. A server without kernels is in no
        # reading: where there was none before and is none now, none is taken to have come and gone.
        before = self._ids or frozenset()
        all_there = ids >= before | self._without and (self._silent is None or servers >= self._silent)
        none = not ids and self._ids == ids and not self._without
        self._newest.known(made_good=none or (all_there and bool(ids)))
        self._ids, self._silent, self._without = ids, set(), set()
        latest = max(kernels, key=lambda kernel: kernel.last_activity or 0.0, default=None)
        return self._newest.life("" if latest is None else latest.shown)


def _kernel(entry: dict[str, Any]) -> _Kernel:
    """Raises KeyError, TypeError and ValueError for what is none."""
    state, since = entry["state"], entry["last_activity"]
    return _Kernel(
        text(entry["id"]),
        text(entry["name"]),
        text(entry["server"]),
        None if state is None else text(state),
        None if since is None else number(since),
    )


def _at_work(kernel: _Kernel, wall: float) -> bool:
    if kernel.state in COMING_UP:
        # A server says so until somebody talks to the kernel, and for ever if nobody does.
        return kernel.last_activity is None or wall - kernel.last_activity <= STARTING_S
    return kernel.state == BUSY
