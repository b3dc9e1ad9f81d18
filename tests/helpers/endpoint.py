"""A stand-in for the address that takes a release: a real HTTP server with a log of every request.

At each request it looks by itself, in /proc, for living processes of the job: the proof of "never early"
does not rest on anything that colab-run says.
"""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COOKIE = "COLAB_RUN_TEST_COOKIE"


def processes_of(cookie: str, *, of_job: bool = True) -> list[int]:
    """Living processes with this cookie in the environment they were started with.

    `of_job` wants the run's id there as well, which only the job and its children have.
    """
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environ = (entry / "environ").read_bytes().split(b"\0")
            state = (entry / "stat").read_text().rpartition(") ")[2][:1]
        except OSError:
            continue
        if f"{COOKIE}={cookie}".encode() not in environ or state in "ZX":
            continue
        if not of_job or any(entry.startswith(b"COLAB_RUN_ID=") for entry in environ):
            found.append(int(entry.name))
    return found


@dataclass
class Request:
    """One request as it arrived: what it was, and which processes of the job lived at that moment."""

    method: str
    path: str
    body: bytes
    nonce: str
    alive: list[int]
    at: float


@dataclass
class Endpoint:
    """Answers with `script`, one entry a request, the last one for ever; `with endpoint:` serves."""

    cookie: str
    script: list[object] = field(default_factory=lambda: [200])
    requests: list[Request] = field(default_factory=list)

    def __enter__(self) -> Endpoint:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.answer(self)

            do_GET = do_POST

            def log_message(self, *args: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def address(self) -> str:
        """`host:port`, as TBE_RUNTIME_ADDR has it."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Log the request with what is alive right now, then answer by the script."""
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        self.requests.append(
            Request(
                handler.command,
                handler.path,
                body,
                handler.headers.get("X-Colab-Run-Nonce", ""),
                processes_of(self.cookie),
                time.monotonic(),
            )
        )
        step = self.script[min(len(self.requests), len(self.script)) - 1]
        if callable(step):
            step(handler)
            return
        assert isinstance(step, int)
        handler.send_response(step)
        handler.send_header("Content-Length", "0")
        handler.end_headers()


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    """Close the connection without an answer."""
    handler.connection.shutdown(socket.SHUT_RDWR)


def redirect(handler: BaseHTTPRequestHandler) -> None:
    """Send the client elsewhere: back to this server, where it would be seen."""
    handler.send_response(302)
    handler.send_header("Location", "/elsewhere")
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def drip(handler: BaseHTTPRequestHandler) -> None:
    """A status line that never ends, one byte after the other, until the client has gone."""
    try:
        while True:
            handler.wfile.write(b"H")
            handler.wfile.flush()
            time.sleep(0.05)
    except OSError:
        return


def dead_address() -> str:
    """An address of this machine where nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{unused.getsockname()[1]}"
