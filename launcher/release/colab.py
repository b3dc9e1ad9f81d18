"""Release of a managed Colab VM: `POST http://$TBE_RUNTIME_ADDR/unassign`, success is exactly 200.

This is what `google.colab.runtime.unassign()` sends; that function then talks to the notebook's
front end, which fails outside the kernel, and sets no deadline. Ours has one for each attempt as a
whole, in a child that can be killed: a server that answers one byte a minute costs no more.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from launcher.children import call_in_child
from launcher.values import Known
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.release.interface import ReleaseTiming
    from launcher.words import Text

_TARGET = re.compile(r"\A(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?\Z")
LONGEST_RETRY_AFTER_S = 60.0


class Answer(NamedTuple):
    """What came of one request.

    `http_status` is None when there was no answer; `reason` is a stable code (`http-503`, `timeout`,
    `connection-refused`…), `retry_after_s` how long the server asks us to wait.
    """

    http_status: int | None
    reason: str
    retry_after_s: float = 0.0

    @property
    def accepted(self) -> bool:
        """Exactly 200."""
        return self.http_status == 200


def target_problem(target: str) -> Text | None:
    """Why a request to this `host:port` can never work, or None."""
    match = _TARGET.match(target)
    if match is None or int(match.group(2) or 80) not in range(1, 65536):
        return words("TBE_RUNTIME_ADDR is {value}, not host:port", value=repr(target))
    return None


def ask_once(
    target: str, nonce: str, deadline_s: float, meanwhile: Callable[[], None] = lambda: None
) -> Answer:
    """Send one request and wait `deadline_s` seconds at most for its whole answer. Never raises.

    `meanwhile()` is called a few times a second. The same `nonce` goes with every request of one
    release, so that a second one is known as a repetition.
    """

    def serve() -> bool:
        meanwhile()
        return False

    answer = call_in_child(lambda: _post(target, nonce), deadline_s=deadline_s, abort=serve)
    if not isinstance(answer, Known):
        return Answer(None, _reason(getattr(answer, "detail", "") or answer.reason))
    status = int(answer.value["status"])
    asked = str(answer.value["retry_after"])
    # isdecimal() holds for the digits of every script; a date is allowed there, and not read.
    seconds = min(float(asked[:9]), LONGEST_RETRY_AFTER_S) if asked.isascii() and asked.isdecimal() else 0.0
    return Answer(status, f"http-{status}", seconds)


def next_wait(answer: Answer, failures: int, timing: ReleaseTiming, longest_s: float, chance: float) -> float:
    """Seconds until the next request: exponential back-off with full jitter. Pure.

    `failures` counts the requests that were not accepted (1 after the first), `chance` is in [0, 1).
    """
    if answer.http_status is not None and 400 <= answer.http_status < 500:
        own = longest_s  # A refusal seldom passes within seconds.
    else:
        own = chance * min(longest_s, timing.first_wait_s * 2.0 ** min(failures - 1, 60))
    # The server's own word counts more than ours.
    return max(own, answer.retry_after_s)


def _post(target: str, nonce: str) -> dict[str, Any]:
    """One request. Runs in a child, so http.client (65 ms to import) never burdens the parent."""
    import http.client

    # http.client knows no proxies and follows no redirects: both would be wrong for this address.
    connection = http.client.HTTPConnection(target, timeout=60)
    connection.request("POST", "/unassign", headers={"X-Colab-Run-Nonce": nonce})
    answer = connection.getresponse()
    return {"status": answer.status, "retry_after": answer.getheader("Retry-After", "")}


def _reason(detail: str) -> str:
    """A stable code for what the child said, such as `connection-refused`."""
    name = detail.split(":", 1)[0]
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name.removesuffix("Error")).lower()
    return {"gaierror": "no-such-host", "gai": "no-such-host", "os": "no-route"}.get(words, words)
