"""How long after the job's last instruction the request to release arrives, with a grace of 0 s."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from benchmarks.figures import Row, Target, middle
from benchmarks.world import BenchError, World, stamp_in

if TYPE_CHECKING:
    from types import TracebackType

TARGET = Target("<", 2000.0)
# The exit code for a problem in the job file.
REFUSED = 65


class NotYet(Exception):
    """A key of the job file that this colab-run does not know yet."""


class Endpoint:
    """A real server on 127.0.0.1 that accepts every release; `requests` has when each arrived (ns)."""

    def __init__(self) -> None:
        self.requests: list[int] = []

    def __enter__(self) -> Endpoint:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.requests.append(time.monotonic_ns())
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def address(self) -> str:
        """`host:port`, as TBE_RUNTIME_ADDR has it."""
        return f"127.0.0.1:{self._server.server_address[1]}"


def handback(world: World) -> list[Row]:
    """Job after job on a managed runtime that is never taken away."""
    name = "job's last instruction to release request"
    took: list[float] = []
    # A guard that stays until the runtime is gone is asked to look once and soon, where it can be asked.
    release = "{when: always, grace: 0s, confirm: 1s}"
    while len(took) < world.few(6, 2):
        # A server each: what asks again after the end of its run must not be heard by the next.
        with Endpoint() as endpoint:
            try:
                took.append(one_release(world, endpoint, release))
            except NotYet:
                release = "{when: always, grace: 0s}"
            except BenchError as error:
                return [Row(name, None, "ms", TARGET, note=str(error))]
            finally:
                world.forget()
    return [middle(f"{name}, p50", took, "ms", TARGET)]


def one_release(world: World, endpoint: Endpoint, release: str) -> float:
    """From the time in the job's output to the first request, in ms; NotYet if the job file is refused."""
    job = world.folder / "job.yaml"
    argv = json.dumps([*world.child, "stamp", "50"])
    job.write_text(f"run: {argv}\nrelease: {release}\n", encoding="utf-8")
    with world.running([*world.colab_run, "run", str(job)], TBE_RUNTIME_ADDR=endpoint.address) as running:
        _, out = running.ended()
    said = (world.folder / "stderr").read_text(encoding="utf-8", errors="replace")
    if running.process.returncode == REFUSED and "confirm" in release:
        raise NotYet
    if not endpoint.requests:
        raise BenchError(
            f"no request, exit code {running.process.returncode}: {' '.join(said.split())[-300:]}"
        )
    return (endpoint.requests[0] - stamp_in(out)) / 1e6
