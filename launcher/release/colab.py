"""Release of a managed Colab VM: `POST http://$TBE_RUNTIME_ADDR/unassign`, success is exactly 200.

This is what `google.colab.runtime.unassign()` sends; that function then talks to the notebook's
front end, which fails outside the kernel, and sets no deadline. Ours has one for each attempt as a
whole, in a child that can be killed: a server that answers one byte a minute costs no more.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from launcher.children import call_in_child
from launcher.release.interface import ReleaseResult, ReleaseStatus
from launcher.values import Known
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.catalog.model import ReleaseTiming
    from launcher.words import Text

_TARGET = re.compile(r"\A(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?\Z")
LONGEST_RETRY_AFTER_S = 60.0


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


def _attempt(target: str, nonce: str, deadline_s: float) -> tuple[int | None, str, float]:
    """(HTTP status or None, reason code, seconds that the server asks us to wait)."""
    answer = call_in_child(lambda: _post(target, nonce), deadline_s=deadline_s)
    if not isinstance(answer, Known):
        return None, _reason(getattr(answer, "detail", "") or answer.reason), 0.0
    status = int(answer.value["status"])
    asked = str(answer.value["retry_after"])
    wait = min(float(asked), LONGEST_RETRY_AFTER_S) if asked.isdecimal() else 0.0
    return status, f"http-{status}", wait


def _reason(detail: str) -> str:
    """A stable code for what the child said, such as `connection-refused`."""
    name = detail.split(":", 1)[0]
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name.removesuffix("Error")).lower()
    return {"gaierror": "no-such-host", "gai": "no-such-host", "os": "no-route"}.get(words, words)


def request_release(
    target: str,
    *,
    nonce: str,
    timing: ReleaseTiming,
    wait: Callable[[float], None],
    cancelled: Callable[[], bool],
    retrying: Callable[[str, float], None],
) -> ReleaseResult:
    """Ask until the release is accepted, `give_up_after_s` is over, or `cancelled()`.

    `wait(seconds)` may return early; `retrying(reason, seconds)` is told before each wait. The same
    `nonce` goes with every request of one release, so that a second one is known as a repetition.
    """
    import tenacity

    if (problem := target_problem(target)) is not None:
        return ReleaseResult(ReleaseStatus.FAILED, "bad-address", problem, nonce=nonce)
    attempts = 0
    last: tuple[int | None, str, float] = (None, "not-sent", 0.0)

    def once() -> tuple[int | None, str, float]:
        nonlocal attempts, last
        attempts += 1
        last = _attempt(target, nonce, timing.attempt_timeout_s)
        return last

    backoff = tenacity.wait_random_exponential(multiplier=timing.first_wait_s, max=timing.longest_wait_s)

    tired = tenacity.stop_after_delay(timing.give_up_after_s)

    def pause(state: tenacity.RetryCallState) -> float:
        status, _, asked = last
        # A refusal (4xx) seldom passes within seconds; the server's own word counts more than ours.
        refused = status is not None and 400 <= status < 500
        own = timing.longest_wait_s if refused else backoff(state)
        return max(own, asked)

    def before_wait(state: tenacity.RetryCallState) -> None:
        retrying(last[1], state.next_action.sleep if state.next_action else 0.0)

    retry = tenacity.Retrying(
        retry=tenacity.retry_if_result(lambda answer: answer[0] != 200),
        stop=lambda state: cancelled() or tired(state),
        wait=pause,
        sleep=wait,
        before_sleep=before_wait,
        retry_error_callback=lambda state: last,
    )
    status, reason, _ = retry(once)
    if status == 200:
        return ReleaseResult(
            ReleaseStatus.ACCEPTED, "accepted", attempts=attempts, http_status=status, nonce=nonce
        )
    if cancelled():
        return ReleaseResult(
            ReleaseStatus.KEPT,
            "ended-by-person",
            words("a person stopped the release"),
            attempts,
            status,
            nonce,
        )
    return ReleaseResult(
        ReleaseStatus.FAILED, reason, words("the release was not accepted"), attempts, status, nonce
    )
