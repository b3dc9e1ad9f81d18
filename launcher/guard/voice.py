"""Our own words while the job runs: they must never make the supervisor wait.

In a cell our stderr is the same terminal as our stdout. If its reader stalls, a sentence written there
would block us, and with us every limit.
"""

from __future__ import annotations

import select
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.words import Text


class Voice:
    """Says sentences in order, each as soon as `descriptor` (our stderr) has room for it."""

    def __init__(
        self, say: Callable[[Text], None], warn: Callable[[Text], None], descriptor: int = 2
    ) -> None:
        self._say, self._warn, self._descriptor = say, warn, descriptor
        self._waiting: deque[tuple[Callable[[Text], None], Text]] = deque()

    def say(self, text: Text) -> None:
        """One sentence for the person."""
        self._waiting.append((self._say, text))
        self.flush()

    def warn(self, text: Text) -> None:
        """One sentence of warning."""
        self._waiting.append((self._warn, text))
        self.flush()

    def flush(self) -> None:
        """Say what there is room for."""
        while self._waiting and self._has_room():
            tell, text = self._waiting.popleft()
            tell(text)

    def unsaid(self) -> tuple[Text, ...]:
        """What nobody took."""
        return tuple(text for _, text in self._waiting)

    def _has_room(self) -> bool:
        poller = select.poll()
        poller.register(self._descriptor, select.POLLOUT)
        # An error counts as room: writing then fails at once instead of waiting.
        return bool(poller.poll(0))
