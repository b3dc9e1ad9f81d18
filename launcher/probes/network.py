"""Can these hosts be reached? Name and connection only, all at once, with a deadline; nothing is sent.

Where a proxy is set for an address of the web, the proxy is what can be reached, and that is said.
"""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from launcher.probes.model import HostAnswer

if TYPE_CHECKING:
    from collections.abc import Sequence

DEADLINE_S = 3.0
_AT_ONCE = 256
_PORTS = {"https": 443, "http": 80}
_ADDRESS = re.compile(r"(?:(https?)://)?(?:[^/\s]*@)?(\[[^\]]*\]|[^/:?#\s]+)(?::([0-9]+))?")


def parse(entry: str) -> tuple[str, str, int]:
    """(scheme or empty, host, port) of `host`, `host:port` or an address; without a port 443.

    What an address has before `@` is a secret, and gone here.
    """
    match = _ADDRESS.match(entry)
    scheme, host, port = match.groups() if match is not None else (None, entry, None)
    scheme = (scheme or "").lower()
    return scheme, host.strip("[]"), int(port) if port else _PORTS.get(scheme, 443)


def shown(entry: str) -> str:
    """An entry as it may be shown: `host:port`, nothing that an address has beside it."""
    _, host, port = parse(entry)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def reach(entries: Sequence[str], deadline_s: float = DEADLINE_S) -> list[list[Any]]:
    """For each entry [asked, address, problem, by proxy], as `answers` takes it.

    Meant for a child: a name server that does not answer keeps its thread. Reads the proxies of os.environ.
    """
    give_up = time.monotonic() + deadline_s
    found: dict[str, tuple[str, str, bool]] = {}
    places = threading.Semaphore(_AT_ONCE)
    threads = [
        threading.Thread(target=_note, args=(entry, give_up, places, found), daemon=True) for entry in entries
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, give_up - time.monotonic()))
    return [[shown(entry), *found.get(entry, (shown(entry), "timeout", False))] for entry in entries]


def answers(rows: Sequence[Sequence[Any]]) -> tuple[HostAnswer, ...]:
    """What `reach` said, typed."""
    return tuple(HostAnswer(*row) for row in rows)


def _note(
    entry: str, give_up: float, places: threading.Semaphore, found: dict[str, tuple[str, str, bool]]
) -> None:
    scheme, host, port = parse(entry)
    with places:
        proxy = _proxy(scheme, host, port)
        if proxy is not None:
            host, port = proxy
        found[entry] = (_joined(host, port), _problem(host, port, give_up), proxy is not None)


def _proxy(scheme: str, host: str, port: int) -> tuple[str, int] | None:
    """Host and port of the proxy that stands before this address; another port than the web's has none."""
    from urllib.parse import urlsplit  # slow to import, and only a child needs it
    from urllib.request import (  # type: ignore[attr-defined]  # typeshed lacks one of them
        getproxies_environment,
        proxy_bypass_environment,
    )

    web = scheme or {443: "https", 80: "http"}.get(port)
    proxies = getproxies_environment()
    named = (proxies.get(web) or proxies.get("all")) if web else None
    if not named or proxy_bypass_environment(host, proxies):
        return None
    parts = urlsplit(named if "://" in named else f"http://{named}")
    try:
        return (parts.hostname, parts.port or _PORTS.get(parts.scheme, 1080)) if parts.hostname else None
    except ValueError:
        return None  # a port that is no number: whoever uses the proxy will say so


def _problem(host: str, port: int, give_up: float) -> str:
    """Empty when a connection came about."""
    try:
        rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError, OverflowError) as error:
        # No name server answers: that says nothing about the name.
        return "timeout" if getattr(error, "errno", None) == socket.EAI_AGAIN else "name"
    problem = "timeout"
    for number, (family, kind, protocol, _, address) in enumerate(rows):
        # The first of several addresses must not take all the time: IPv6 often leads nowhere.
        left = (give_up - time.monotonic()) / (len(rows) - number)
        if left <= 0:
            return problem
        try:
            with socket.socket(family, kind, protocol) as connection:
                connection.settimeout(left)
                connection.connect(address)
                return ""
        except TimeoutError:
            problem = "timeout"
        except ConnectionRefusedError:
            problem = "refused"
        except OSError as error:
            problem = os.strerror(error.errno) if error.errno else "timeout"
    return problem


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
