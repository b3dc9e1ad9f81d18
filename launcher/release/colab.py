"""Release of a managed Colab VM: `POST http://$TBE_RUNTIME_ADDR/unassign`, success is exactly 200.

This is what `google.colab.runtime.unassign()` sends; that function then talks to the notebook's
front end, which fails outside the kernel, and sets no deadline. Ours has one for each attempt as a
whole, in a child that can be killed: a server that answers one byte a minute costs no more.
"""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from launcher.release.interface import STILL_HERE, Answer
from launcher.release.request import ask_in_child
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.values import Reading
    from launcher.words import Text

_TARGET = re.compile(r"\A(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?\Z")


@dataclass(frozen=True, slots=True)
class Colab:
    """The runtime management service at `address` (`host:port`) takes the VM back."""

    address: str
    name: str = "colab"
    patience: float = 1.0
    ends_the_bill: bool = True
    brings: tuple[int, ...] = (signal.SIGTERM,)

    @property
    def way(self) -> str:
        """There is one on a machine."""
        return self.name

    def describe(self) -> Text:
        """The request."""
        return f"POST http://{self.address}/unassign"

    def hopeless(self) -> tuple[str, Text] | None:
        """A garbled address."""
        problem = target_problem(self.address)
        return None if problem is None else ("bad-address", problem)

    def permission(self) -> Text:
        """The address alone can be looked at: the service knows one request, and that one counts."""
        return target_problem(self.address) or ""

    def ask(self, nonce: str, deadline_s: float, meanwhile: Callable[[], None]) -> Answer:
        """POST; exactly 200 is success."""
        answer = ask_in_child(lambda: _post(self.address, nonce), deadline_s, meanwhile)
        return answer._replace(accepted=answer.http_status == 200)

    def gone(self, deadline_s: float, meanwhile: Callable[[], None]) -> Reading[bool]:
        """We would go with it."""
        return STILL_HERE

    def as_json(self) -> dict[str, Any]:
        """The address."""
        return {"name": self.name, "address": self.address}


def target_problem(target: str) -> Text | None:
    """Why a request to this `host:port` can never work, or None."""
    match = _TARGET.match(target)
    if match is None or int(match.group(2) or 80) not in range(1, 65536):
        return words("TBE_RUNTIME_ADDR is {value}, not host:port", value=repr(target))
    return None


def _post(target: str, nonce: str) -> dict[str, Any]:
    """One request. Runs in a child, so http.client (65 ms to import) never burdens the parent."""
    import http.client

    # http.client knows no proxies and follows no redirects: both would be wrong for this address.
    connection = http.client.HTTPConnection(target, timeout=60)
    connection.request("POST", "/unassign", headers={"X-Colab-Run-Nonce": nonce})
    answer = connection.getresponse()
    return {"status": answer.status, "retry_after": answer.getheader("Retry-After", "")}
