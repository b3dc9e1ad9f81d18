"""Release through Jupyter's own API: the server as a whole, or one kernel of it.

A server that JupyterHub started is ended by the hub, where the hub lets its token do that; otherwise by its
own `POST /api/shutdown`, as any other server. Which server and which kernel are ours is found out before the
job starts, by whoever knows how; here they are only asked.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from launcher.children import call_in_child
from launcher.release.interface import Answer
from launcher.release.request import ask_in_child, reason_of
from launcher.values import Known, Unknown
from launcher.words import words

if TYPE_CHECKING:
    import http.client
    from collections.abc import Callable, Mapping

    from launcher.values import Reading
    from launcher.words import Text

_LOOK_S = 3.0
_LOOK_EVERY_S = 0.05
# A kernel that is at work, on our own client for one, is interrupted before it is ended.
_PRESSES = (signal.SIGINT, signal.SIGTERM)
_STEP_S = 60
_DELETE = "delete:servers"
# Our look is no activity.
_STATUS = "api/status?no_track_activity=1"
NOBODY_THERE = ("connection-refused", "file-not-found")


@dataclass(frozen=True, slots=True)
class Server:
    """A Jupyter server: `url` is its address without a token, `base` the path of that, ending in `/`.

    `connect(timeout_s)` opens a connection to it; `pid` is its process, where it is known.
    """

    url: str
    base: str
    connect: Callable[[float], http.client.HTTPConnection] = field(repr=False)
    token: str = field(default="", repr=False)
    pid: int | None = None

    def call(self, method: str, path: str) -> dict[str, Any]:
        """One request; its status. Works in a child; raises OSError and http.client's errors."""
        connection = self.connect(_STEP_S)
        headers = {"Authorization": f"token {self.token}"} if self.token else {}
        connection.request(method, self.base + path, headers=headers)
        answer = connection.getresponse()
        return {"status": answer.status, "retry_after": answer.getheader("Retry-After", "")}


@dataclass(frozen=True, slots=True)
class Hub:
    """The JupyterHub that started the server: `url` of its API, and whose server it is."""

    url: str
    path: str
    token: str = field(repr=False)

    def call(self, method: str, path: str) -> dict[str, Any]:
        """One request; its status, and what of the body a reader of scopes needs. Works in a child."""
        import http.client
        import json

        parts = urlsplit(self.url)
        secure = parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=_STEP_S)
        headers = {"Authorization": f"token {self.token}"}
        connection.request(method, parts.path.rstrip("/") + path, headers=headers)
        answer = connection.getresponse()
        told = {"status": answer.status, "retry_after": answer.getheader("Retry-After", "")}
        if method == "GET" and answer.status == http.client.OK:
            document = json.loads(answer.read(1 << 20))
            told["scopes"] = document.get("scopes")
        return told

    def as_json(self) -> dict[str, str]:
        """Which server of which hub."""
        return {"url": self.url, "path": self.path}


def hub_of(environ: Mapping[str, str]) -> Hub | None:
    """The hub that this environment tells of."""
    names = ("JUPYTERHUB_API_URL", "JUPYTERHUB_API_TOKEN", "JUPYTERHUB_USER")
    url, token, user = (environ.get(name, "").strip() for name in names)
    if not (url and token and user):
        return None
    server = environ.get("JUPYTERHUB_SERVER_NAME", "").strip()
    path = f"servers/{quote(server, safe='')}" if server else "server"
    return Hub(url, f"/users/{quote(user, safe='')}/{path}", token)


@dataclass(frozen=True, slots=True)
class JupyterServer:
    """Ends the whole server, with every kernel and terminal of it.

    `server` is None when it was not found; `why` then says so.
    """

    server: Server | None
    hub: Hub | None = None
    why: Text = ""
    name: str = "jupyter"
    patience: float = 3.0
    ends_the_bill: bool = False
    brings: tuple[int, ...] = _PRESSES

    @property
    def way(self) -> str:
        """One server is not another."""
        return f"jupyter:{self.server.url}" if self.server else f"jupyter:{self.hub.path if self.hub else ''}"

    def describe(self) -> Text:
        """The requests, in their order."""
        own = f"POST {self.server.url}api/shutdown" if self.server else ""
        if self.hub is None:
            return own
        hub = f"DELETE {self.hub.url}{self.hub.path}"
        return words("{first}, or else {second}", first=hub, second=own) if own else hub

    def hopeless(self) -> tuple[str, Text] | None:
        """There is nobody to ask."""
        return None if self.server or self.hub else ("no-server", self.why)

    def permission(self) -> Text:
        """Does the hub let our token end a server, or the server take our token?"""
        problem = self.hopeless()
        if problem is not None:
            return problem[1]
        if self.hub is not None and self._hub_lets_us(self.hub):
            return ""
        if self.server is None:
            return words("the hub does not let this server's token end it (scope {scope})", scope=_DELETE)
        return _takes_us(self.server, _STATUS)

    def _hub_lets_us(self, hub: Hub) -> bool:
        answer = call_in_child(lambda: hub.call("GET", "/user"), deadline_s=_LOOK_S)
        if isinstance(answer, Unknown) or answer.value["status"] != 200:
            return False
        scopes = answer.value.get("scopes")
        # Before version 2 a hub knew no scopes, and the token was its user.
        return scopes is None or any(str(scope).split("!")[0] == _DELETE for scope in scopes)

    def ask(self, nonce: str, deadline_s: float, meanwhile: Callable[[], None]) -> Answer:
        """The hub: 202 and 204 are success. The server itself: 200 and 204, or that it has gone."""
        answer = Answer(None, "no-server", firm=True)
        hub, server = self.hub, self.server
        if hub is not None:
            answer = ask_in_child(lambda: hub.call("DELETE", hub.path), deadline_s / 2, meanwhile)
            if answer.http_status in (202, 204):
                return answer._replace(accepted=True)
        if server is not None:
            share = deadline_s if hub is None else deadline_s / 2
            answer = ask_in_child(lambda: server.call("POST", "api/shutdown"), share, meanwhile)
            # It ends its kernels, then itself, and may do so before it has answered.
            accepted = answer.http_status in (200, 204) or (
                answer.http_status is None and self._goes(_LOOK_S, meanwhile)
            )
            return answer._replace(accepted=accepted)
        return answer

    def _goes(self, within_s: float, meanwhile: Callable[[], None]) -> bool:
        give_up = time.monotonic() + within_s
        while self.gone(within_s, meanwhile) != Known(True):
            if time.monotonic() > give_up:
                return False
            meanwhile()
            time.sleep(_LOOK_EVERY_S)
        return True

    def gone(self, deadline_s: float, meanwhile: Callable[[], None]) -> Reading[bool]:
        """Does its process live, or does anybody listen where it did?"""
        if self.server is None:
            return Unknown("not-known")
        return _has_gone(self.server, deadline_s, meanwhile)

    def as_json(self) -> dict[str, Any]:
        """Where it was, and its hub; their tokens are looked up again."""
        return {
            "name": self.name,
            "server": self.server.url if self.server else None,
            "hub": None if self.hub is None else self.hub.as_json(),
        }


@dataclass(frozen=True, slots=True)
class JupyterKernel:
    """Ends one kernel; the server and its other kernels go on."""

    server: Server | None
    kernel: str
    why: Text = ""
    name: str = "jupyter-kernel"
    patience: float = 3.0
    ends_the_bill: bool = False
    brings: tuple[int, ...] = _PRESSES

    @property
    def way(self) -> str:
        """One kernel is not another."""
        return f"kernel:{self.kernel}"

    @property
    def _path(self) -> str:
        return f"api/kernels/{quote(self.kernel, safe='')}"

    def describe(self) -> Text:
        """The request."""
        return f"DELETE {self.server.url if self.server else ''}{self._path}"

    def hopeless(self) -> tuple[str, Text] | None:
        """There is nobody to ask, or nothing to ask for."""
        return None if self.server and self.kernel else ("no-kernel", self.why)

    def permission(self) -> Text:
        """Is the kernel there, and does its server take our token?"""
        problem = self.hopeless()
        if problem is not None or self.server is None:
            return problem[1] if problem else ""
        return _takes_us(self.server, f"{self._path}?no_track_activity=1")

    def ask(self, nonce: str, deadline_s: float, meanwhile: Callable[[], None]) -> Answer:
        """DELETE: 204 is success; 404: it has gone, and a guard before us may have asked for that."""
        server = self.server
        if server is None:
            return Answer(None, "no-kernel", firm=True)
        answer = ask_in_child(lambda: server.call("DELETE", self._path), deadline_s, meanwhile)
        return answer._replace(accepted=answer.http_status in (204, 404))

    def gone(self, deadline_s: float, meanwhile: Callable[[], None]) -> Reading[bool]:
        """Does its server still list it?"""
        server = self.server
        if server is None:
            return Unknown("no-server")
        path = f"{self._path}?no_track_activity=1"
        answer = ask_in_child(lambda: server.call("GET", path), deadline_s / 2, meanwhile)
        if answer.http_status is None:
            return _has_gone(server, deadline_s / 2, meanwhile)
        return (
            Known(answer.http_status == 404) if answer.http_status in (200, 404) else Unknown(answer.reason)
        )

    def as_json(self) -> dict[str, Any]:
        """Which kernel of which server."""
        return {
            "name": self.name,
            "kernel": self.kernel,
            "server": self.server.url if self.server else None,
        }


def _takes_us(server: Server, path: str) -> Text:
    """Why it would not do what we ask, by a request that changes nothing; empty if it would."""
    answer = call_in_child(lambda: server.call("GET", path), deadline_s=_LOOK_S)
    if isinstance(answer, Unknown):
        return words("{program} does not answer: {why}", program=server.url, why=reason_of(answer))
    status = answer.value["status"]
    if status == 200:
        return ""
    return words("{program} answers {code}", program=server.url, code=status)


def _has_gone(server: Server, deadline_s: float, meanwhile: Callable[[], None]) -> Reading[bool]:
    if server.pid is not None:
        return Known(not _lives(server.pid))
    answer = ask_in_child(lambda: server.call("GET", _STATUS), deadline_s, meanwhile)
    if answer.http_status is not None:
        return Known(False)
    return Known(True) if answer.reason in NOBODY_THERE else Unknown(answer.reason)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b") ")[2][:1] not in (b"Z", b"X")
    except (ProcessLookupError, FileNotFoundError):
        return False
    except OSError:
        return True  # another user's
