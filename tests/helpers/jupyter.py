"""A real Jupyter server with real kernels in folders of its own, and stand-ins for servers that are ill."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from helpers.lab import COOKIE, PATIENCE_S, processes_with, until
from launcher.probes.kernels import KernelsReading, read_kernels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NONE: frozenset[str] = frozenset()
# For a server that does answer; another test may have the processor.
LONG_S = 20.0


@dataclass
class Jupyter:
    """`with Jupyter(folder)`: a server on 127.0.0.1 that wants its token; needs jupyter_server."""

    folder: Path
    cookie: str = field(default_factory=lambda: uuid.uuid4().hex)
    _clients: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.runtime = self.folder / "runtime"
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "JUPYTER_RUNTIME_DIR": str(self.runtime),
            "JUPYTER_DATA_DIR": str(self.folder / "data"),
            "JUPYTER_CONFIG_DIR": str(self.folder / "config"),
            "IPYTHONDIR": str(self.folder / "ipython"),
            COOKIE: self.cookie,
        }

    def __enter__(self) -> Jupyter:
        self.folder.mkdir(parents=True, exist_ok=True)
        options = ["--no-browser", "--port=0", "--allow-root", "--ServerApp.ip=127.0.0.1"]
        with open(self.folder / "server.log", "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jupyter_server", *options],
                env=self.environ,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            self.info = until(self._said, f"a server; its log: {self.folder / 'server.log'}")
            self.url: str = self.info["url"]
            self.token: str = self.info["token"]
            until(self._answers, "an answer of the server")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        for client in self._clients:
            client.stop_channels()
        # The server first, or it starts its kernels again. All in /proc with this cookie are ours.
        self.process.kill()
        self.process.wait()
        for pid in processes_with(self.cookie):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until(lambda: not processes_with(self.cookie), "the end of all kernels")

    @property
    def info_file(self) -> Path:
        """The file by which the server is found."""
        return self.runtime / f"jpserver-{self.process.pid}.json"

    def _said(self) -> Any:
        assert self.process.poll() is None, (self.folder / "server.log").read_text()
        with contextlib.suppress(OSError, ValueError):
            return json.loads(self.info_file.read_text())
        return None

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            return bool(self.call("GET", "api/status?no_track_activity=1"))
        return False

    def call(self, method: str, path: str) -> Any:
        """The server's answer; `path` without a leading slash."""
        request = urllib.request.Request(
            self.url + path, method=method, headers={"Authorization": f"token {self.token}"}
        )
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(request, timeout=PATIENCE_S) as answer:
            return json.loads(answer.read() or b"null")

    def start_kernel(self) -> str:
        """A kernel that the server lists; its id. Nobody has talked to it yet."""
        return self.call("POST", "api/kernels")["id"]

    def end_kernel(self, kernel_id: str) -> None:
        """Shut it down; nobody lists it any more."""
        self.call("DELETE", f"api/kernels/{kernel_id}")

    def client(self, kernel_id: str) -> Any:
        """A client of this kernel, of which the server knows that it is idle."""
        from jupyter_client.blocking.client import BlockingKernelClient

        client = BlockingKernelClient(connection_file=str(self.runtime / f"kernel-{kernel_id}.json"))
        client.load_connection_file()
        client.start_channels()
        self._clients.append(client)
        client.wait_for_ready(timeout=PATIENCE_S)

        def idle() -> bool:
            # The server listens beside us, and what was said before it was connected it never hears.
            client.kernel_info(reply=True, timeout=PATIENCE_S)
            return self.state(kernel_id) == "idle"

        until(idle, f"kernel {kernel_id} idle")
        return client

    def state(self, kernel_id: str) -> str:
        """What the server says."""
        return self.call("GET", f"api/kernels/{kernel_id}?no_track_activity=1")["execution_state"]


# --- listing servers, and looking ---------------------------------------------------------------------


def list_server(
    home: Path,
    url: str,
    *,
    pid: int | None = None,
    folder: Path | None = None,
    kind: str = "jp",
    **more: object,
) -> Path:
    """The file of a server, as Jupyter writes it; it lives in this process unless told."""
    folder = folder or home / ".local/share/jupyter/runtime"
    folder.mkdir(parents=True, exist_ok=True)
    pid = os.getpid() if pid is None else pid
    info = {"url": url, "base_url": "/", "token": "", "password": False, "sock": "", "pid": pid, **more}
    path = folder / f"{kind}server-{pid}.json"
    path.write_text(json.dumps(info))
    return path


def read_in(home: Path, *, deadline_s: float = LONG_S, **environ: str) -> KernelsReading:
    """What is seen by a person whose home is `home`."""
    return read_kernels({"HOME": str(home), **environ}, own=NONE, deadline_s=deadline_s)


# --- servers that are not well ---------------------------------------------------------------------


@dataclass
class Heard:
    """One request as it arrived."""

    path: str
    authorization: str | None


class _UnixServer(ThreadingHTTPServer):
    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = "localhost", 0


class StandIn:
    """An HTTP server of which `answer(handler)` is all; `heard` are the requests that came."""

    def __init__(
        self, answer: Callable[[BaseHTTPRequestHandler], None], at: tuple[str, int] | str = ("127.0.0.1", 0)
    ) -> None:
        self.heard: list[Heard] = []
        heard = self.heard

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                heard.append(Heard(self.path, self.headers.get("Authorization")))
                try:
                    answer(self)
                except OSError:
                    self.close_connection = True  # the reader lost its patience

            do_POST = do_DELETE = do_GET

            def log_message(self, *args: object) -> None:
                """Quiet."""

        server = _UnixServer if isinstance(at, str) else ThreadingHTTPServer
        self.server = server(at, Handler)
        self.server.daemon_threads = True
        self.scheme = "http"

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.server.server_address[1]

    @property
    def url(self) -> str:
        """Its address, as Jupyter writes it into its file."""
        return f"{self.scheme}://{self.server.server_address[0]}:{self.port}/"

    def speak_tls(self, certificate: Path, key: Path) -> None:
        """Before `with`: HTTPS from now on."""
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.scheme = "https"

    def __enter__(self) -> StandIn:
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


def say(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200) -> None:
    """A complete answer."""
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def kernels(*models: object) -> Callable[[BaseHTTPRequestHandler], None]:
    """Answers as /api/kernels does."""
    return lambda handler: say(handler, json.dumps(models).encode())


def model(kernel_id: str, state: object = "idle", **more: object) -> dict[str, object]:
    """One kernel as Jupyter describes it."""
    return {
        "id": kernel_id,
        "name": "python3",
        "last_activity": "2026-11-22T14:56:01.772776Z",
        "execution_state": state,
        "connections": 1,
        **more,
    }


def silent(handler: BaseHTTPRequestHandler) -> None:
    """No answer until the reader has gone."""
    handler.rfile.read(1)


def drip_body(handler: BaseHTTPRequestHandler) -> None:
    """A right answer, one byte at a time, that never ends."""
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(b"[")
    gone = threading.Event()
    while not gone.wait(0.02):  # a write fails when the reader has gone
        handler.wfile.write(b" ")
        handler.wfile.flush()


def flood(handler: BaseHTTPRequestHandler) -> None:
    """A list of which no end is in sight."""
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(b"[")
    while True:
        handler.wfile.write(b'"x",' * 65536)


@contextlib.contextmanager
def deaf() -> Iterator[int]:
    """The port of a server that never takes a connection, as one that was stopped."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        yield listener.getsockname()[1]
