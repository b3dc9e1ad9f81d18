"""One request: what its answer says, and that nothing in its child reaches the guard."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from helpers.endpoint import Endpoint
from launcher.release.colab import Colab
from launcher.release.interface import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """Answers with 200; a test may set another script."""
    with Endpoint("handback") as endpoint:
        yield endpoint


def test_retry_after_is_read_and_capped(endpoint: Endpoint) -> None:
    """Seconds only; a date, a negative number and an age are not waited for."""

    def busy(value: str) -> Callable[[object], None]:
        def respond(handler) -> None:
            handler.send_response(503)
            handler.send_header("Retry-After", value)
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        return respond

    values = {"7": 7, "9" * 400: 60, "-1": 0, "Fri, 31 Dec 1999 23:59:59 GMT": 0, "²": 0, "": 0}
    for value, seconds in values.items():
        endpoint.script = [busy(value)]
        answer = Colab(endpoint.address).ask("n", 20, lambda: None)
        assert answer == Answer(503, "http-503", seconds)


BROKEN_CHILD = """
import os, sys
if sys.argv[2] == "import":
    sys.modules["http.client"] = None
else:
    os.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), 11))
from launcher.release.colab import Colab
print(Colab(sys.argv[1]).ask("n", 20, lambda: None).reason)
"""


@pytest.mark.parametrize(
    ("what", "reason"), [("import", "module-not-found"), ("crash", "crashed")], ids=["import", "crash"]
)
def test_a_child_that_breaks_is_a_failed_attempt(endpoint: Endpoint, what: str, reason: str) -> None:
    """Never an exception in the guard."""
    argv = [sys.executable, "-c", BROKEN_CHILD, endpoint.address, what]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == reason
