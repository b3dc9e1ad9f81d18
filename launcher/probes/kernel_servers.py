"""Which Jupyter servers this machine has, and asking each for its kernels. Works in a child process.

On Colab there is one server, at a known address. Elsewhere every server leaves a file with its address
and token in Jupyter's runtime folder, and a server that was killed leaves its file for ever.

A token goes to the server that it belongs to and nowhere else: not into a reason, not into an address
that is shown.
"""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import http.client
    import ssl
    from collections.abc import Iterator, Mapping

_COLAB_PORT = "9000"
# `no_track_activity`: our look must not be the activity that keeps a machine alive.
_QUERY = "api/kernels?no_track_activity=1"
_INFO_FILE = re.compile(r"(?:jp|nb)server-(\d{1,10}).*\.json\Z")
_KERNEL_ID = re.compile(r"[A-Za-z0-9_.-]{1,128}\Z")
_STATE = re.compile(r"[a-z_]{1,32}\Z")
_LONGEST_NAME = 100
_LARGEST_ANSWER = 1 << 20
_LARGEST_INFO = 1 << 16
# One thread for each; a machine with more of them is not one that a person works on.
_MOST_SERVERS = 32
_CLOCK_SLACK_S = 5.0
_LOOPBACK = ("localhost", "127.0.0.1", "::1", "0.0.0.0", "::")  # noqa: S104  compared, never bound

Survey = dict[str, list[dict[str, Any]]]


class Unread(Exception):
    """One server could not be read; `reason` is a stable code such as `http-403`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Dead(Exception):
    """The server is listed, but its process is gone."""


@dataclass(frozen=True, slots=True)
class Server:
    """One server to ask.

    `url` is its address without a token, also for people; `base` is the path of that, and ends in `/`.
    `sock` is the path of a unix socket, used instead of the address. `pid` and `written_at` (epoch
    seconds) come from the file that the server left, None where there is none.
    """

    url: str
    base: str = "/"
    token: str = field(default="", repr=False)
    sock: str = ""
    pid: int | None = None
    written_at: float | None = None


def survey(environ: Mapping[str, str], until: float) -> Survey:
    """What every server says by `until` (a `time.monotonic()`), as JSON.

    `kernels` is a list of `{kernel_id, server, name, state, last_activity}`, of which the last two may be
    None; `unread` a list of `{server, reason}`. All servers are asked at once, so that one that hangs hides
    no other; its thread is left behind, for the process to end.
    """
    # Imported before the threads: the first import takes longer than an answer.
    import http.client  # noqa: F401
    import threading

    found: Survey = {"kernels": [], "unread": []}
    servers: list[Server] = []
    for one in _servers(environ):
        if isinstance(one, Server) and len(servers) < _MOST_SERVERS:
            servers.append(one)
        elif isinstance(one, Server):
            found["unread"].append({"server": one.url, "reason": "too-many-servers"})
        else:
            found["unread"].append(one)

    answers: dict[int, Survey] = {}

    def ask(index: int, server: Server) -> None:
        answers[index] = _survey_one(server, until)

    threads = [
        threading.Thread(target=ask, args=(index, server), daemon=True)
        for index, server in enumerate(servers)
    ]
    for thread in threads:
        thread.start()
    for index, (thread, server) in enumerate(zip(threads, servers, strict=True)):
        thread.join(max(0.0, until - time.monotonic()))
        reason = "timeout" if thread.is_alive() else "failed"
        none: Survey = {"kernels": [], "unread": [{"server": server.url, "reason": reason}]}
        answer = answers.get(index, none)
        found["kernels"] += answer["kernels"]
        found["unread"] += answer["unread"]
    return found


# --- which servers there are -----------------------------------------------------------------------


def servers(environ: Mapping[str, str]) -> list[Server]:
    """Every server of this machine that is listed and can be understood, with its token. Asks none."""
    return [one for one in _servers(environ) if isinstance(one, Server)]


def _servers(environ: Mapping[str, str]) -> Iterator[Server | dict[str, Any]]:
    """Servers to ask, and `{server, reason}` for what is listed and cannot be understood."""
    if environ.get("COLAB_JUPYTER_IP", "").strip():
        yield _colab_server(environ)
        return
    seen: set[tuple[str, str]] = set()  # address and token
    for folder in _runtime_folders(environ):
        try:
            names = sorted(os.listdir(folder))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            yield {"server": folder, "reason": "no-permission"}
            continue
        for name in names:
            match = _INFO_FILE.match(name)
            if match is None or _is_gone(int(match[1])):
                continue
            try:
                server = _listed_server(os.path.join(folder, name))
            except Unread as problem:
                yield {"server": name, "reason": problem.reason}
            except Dead:
                continue
            else:
                if (server.url, server.token) not in seen:
                    seen.add((server.url, server.token))
                    yield server


def _colab_server(environ: Mapping[str, str]) -> Server:
    """Colab's own. Its file, if it leaves one, names the same server: it is not looked for."""
    host = environ["COLAB_JUPYTER_IP"].strip()
    port = environ.get("KMP_TARGET_PORT", "").strip() or _COLAB_PORT
    bracketed = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return Server(f"http://{bracketed}:{port}/", token=environ.get("COLAB_JUPYTER_TOKEN", "").strip())


def _runtime_folders(environ: Mapping[str, str]) -> list[str]:
    """Where jupyter_core puts the files of running servers, and where old versions of it did."""
    home = environ.get("HOME") or os.path.expanduser("~")
    share = environ.get("XDG_DATA_HOME") or os.path.join(home, ".local", "share")
    data = environ.get("JUPYTER_DATA_DIR") or os.path.join(share, "jupyter")
    folders = [environ.get("JUPYTER_RUNTIME_DIR") or os.path.join(data, "runtime")]
    if environ.get("XDG_RUNTIME_DIR"):
        folders.append(os.path.join(environ["XDG_RUNTIME_DIR"], "jupyter"))
    return folders


def _listed_server(path: str) -> Server:
    """What a server's file says. Raises Unread when it makes no sense, Dead when the server is gone."""
    from urllib.parse import urlsplit

    try:
        with open(path, "rb") as file:
            written_at = os.fstat(file.fileno()).st_mtime
            info = json.loads(file.read(_LARGEST_INFO))
        parts = urlsplit(_text(info, "url"))
        pid = info.get("pid")
        sock, token = _text(info, "sock"), _text(info, "token")
        path_part = (_text(info, "base_url") if sock else parts.path).strip("/")
    except FileNotFoundError:
        raise Dead from None  # it ended while we looked
    except PermissionError:
        raise Unread("no-permission") from None
    except (OSError, ValueError, AttributeError, RecursionError):
        raise Unread("bad-file") from None
    if isinstance(pid, int) and _is_gone(pid):
        raise Dead
    base = f"/{path_part}/" if path_part else "/"
    if sock:
        url = f"unix:{sock}:{base}"
    elif parts.scheme in ("http", "https") and parts.netloc:
        # Without a user's name and password, a query or a fragment: what is left is no secret.
        url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{base}"
    else:
        raise Unread("bad-file")
    return Server(
        url=url,
        base=base,
        token=token,
        sock=sock,
        pid=pid if isinstance(pid, int) else None,
        written_at=written_at,
    )


def _text(info: dict[str, object], name: str) -> str:
    value = info.get(name) or ""
    # It is shown to people and sent as a header.
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError(name)
    return value


# --- is the process of a server there --------------------------------------------------------------


def process_stat(pid: int, proc: str = "/proc") -> tuple[str, int, int] | None:
    """State letter, parent and start (clock ticks since boot) of a process; None when not to be read."""
    try:
        with open(f"{proc}/{pid}/stat", "rb") as file:
            text = file.read()
        # The command's name stands in brackets and may hold anything, brackets and spaces included.
        fields = text[text.rindex(b")") + 2 :].split()
        return fields[0].decode("ascii", "replace"), int(fields[1]), int(fields[19])
    except (OSError, ValueError, IndexError):
        return None


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:
        return False  # another user's: it lives
    stat = process_stat(pid)
    return stat is not None and stat[0] in "ZX"


def _is_anothers(server: Server) -> bool:
    """Did the process with the server's number begin after the file was written?"""
    stat = process_stat(server.pid) if server.pid is not None else None
    if stat is None or server.written_at is None:
        return False
    try:
        with open("/proc/uptime", "rb") as file:
            up_s = float(file.read().split()[0])
    except (OSError, ValueError, IndexError):
        return False
    age_s = up_s - stat[2] / os.sysconf("SC_CLK_TCK")
    return age_s + _CLOCK_SLACK_S < time.time() - server.written_at


# --- asking one ------------------------------------------------------------------------------------


def _survey_one(server: Server, until: float) -> Survey:
    try:
        answer = _decoded(_fetch(server, max(0.05, until - time.monotonic())))
    except Unread as problem:
        if _is_anothers(server):
            return {"kernels": [], "unread": []}  # another process has its number, perhaps also its port
        return {"kernels": [], "unread": [{"server": server.url, "reason": problem.reason}]}
    kernels = [kernel for entry in answer if (kernel := _kernel(entry, server)) is not None]
    # One entry that makes no sense takes no other with it, and is not silently left out either.
    whole = len(kernels) == len(answer)
    lost = [] if whole else [{"server": server.url, "reason": "unexpected-answer"}]
    return {"kernels": kernels, "unread": lost}


def _fetch(server: Server, timeout_s: float) -> bytes:
    """The body of the answer. Raises Unread.

    `timeout_s` is for each step on the network; who calls bounds them all together.
    """
    import http.client
    import socket
    import ssl

    try:
        # http.client knows no proxies and follows no redirects: both would be wrong for a token.
        connection = connect(server, timeout_s)
        headers = {"Authorization": f"token {server.token}"} if server.token else {}
        connection.request("GET", server.base + _QUERY, headers=headers)
        answer = connection.getresponse()
        if answer.status != http.client.OK:
            raise Unread(f"http-{answer.status}")
        body = answer.read(_LARGEST_ANSWER + 1)
    except ConnectionRefusedError:
        raise Unread("connection-refused") from None
    except TimeoutError:
        raise Unread("timeout") from None
    except socket.gaierror:
        raise Unread("no-such-host") from None
    except ssl.SSLCertVerificationError:
        raise Unread("bad-certificate") from None
    except OSError:
        raise Unread("connection-lost") from None
    except (ValueError, http.client.InvalidURL):
        raise Unread("bad-address") from None  # a port, host or token that cannot be sent
    except http.client.HTTPException:
        raise Unread("unexpected-answer") from None
    if len(body) > _LARGEST_ANSWER:
        raise Unread("too-large")
    return body


def connect(server: Server, timeout_s: float) -> http.client.HTTPConnection:
    """A connection to this server. Raises OSError, and ValueError for an address that cannot be one."""
    import http.client
    import socket
    from urllib.parse import urlsplit

    if server.sock:
        connection = http.client.HTTPConnection("localhost", timeout=timeout_s)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(timeout_s)
        connection.sock.connect(server.sock)
        return connection
    parts = urlsplit(server.url)
    host = parts.hostname or ""
    if parts.scheme == "https":
        return http.client.HTTPSConnection(host, parts.port, timeout=timeout_s, context=_tls(host))
    return http.client.HTTPConnection(host, parts.port, timeout=timeout_s)


def _tls(host: str) -> ssl.SSLContext:
    """Certificates are checked, except on the way to ourselves: servers on a laptop sign their own."""
    import ssl

    context = ssl.create_default_context()
    if host in _LOOPBACK:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _decoded(body: bytes) -> list[object]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        raise Unread("unexpected-answer") from None
    if not isinstance(answer, list):
        raise Unread("unexpected-answer")
    return answer


def _kernel(entry: object, server: Server) -> dict[str, Any] | None:
    """One kernel of the answer, or None when it has no id that we could compare."""
    if not isinstance(entry, dict):
        return None
    kernel_id, name, state = entry.get("id"), entry.get("name"), entry.get("execution_state")
    if not isinstance(kernel_id, str) or not _KERNEL_ID.match(kernel_id):
        return None
    return {
        "kernel_id": kernel_id,
        "server": server.url,
        "name": "".join(filter(str.isprintable, name))[:_LONGEST_NAME] if isinstance(name, str) else "",
        "state": state if isinstance(state, str) and _STATE.match(state) else None,
        "last_activity": _epoch(entry.get("last_activity")),
    }


def _epoch(stamp: object) -> float | None:
    """An ISO time as epoch seconds; None for anything else, a time without a zone included."""
    from datetime import datetime

    if not isinstance(stamp, str):
        return None
    try:
        # Python 3.10 does not read the Z.
        moment = datetime.fromisoformat(re.sub(r"[Zz]\Z", "+00:00", stamp))
        return moment.timestamp() if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None
