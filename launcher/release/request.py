"""One HTTP request in a child with a deadline, and its answer as a release counts it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from launcher.children import call_in_child
from launcher.release.interface import Answer
from launcher.values import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_RETRY_AFTER_S = 60.0


def ask_in_child(
    request: Callable[[], dict[str, Any]], deadline_s: float, meanwhile: Callable[[], None]
) -> Answer:
    """What came of `request()`, which returns `{status, retry_after}`; nothing is accepted yet. Never raises.

    It runs in a child for `deadline_s` seconds at most; `meanwhile()` is called a few times a second.
    """

    def serve() -> bool:
        meanwhile()
        return False

    answer = call_in_child(request, deadline_s=deadline_s, abort=serve)
    if not isinstance(answer, Known):
        return Answer(None, reason_of(answer))
    status = int(answer.value["status"])
    asked = str(answer.value["retry_after"])
    # isdecimal() holds for the digits of every script; a date is allowed there, and not read.
    seconds = min(float(asked[:9]), LONGEST_RETRY_AFTER_S) if asked.isascii() and asked.isdecimal() else 0.0
    return Answer(status, f"http-{status}", seconds, firm=400 <= status < 500)


def reason_of(unknown: Unknown) -> str:
    """A stable code for what became of a child, such as `connection-refused`."""
    name = (getattr(unknown, "detail", "") or unknown.reason).split(":", 1)[0]
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name.removesuffix("Error")).lower()
    return {"gaierror": "no-such-host", "gai": "no-such-host", "os": "no-route"}.get(words, words)
