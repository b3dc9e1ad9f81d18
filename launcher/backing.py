"""Which backend hands this runtime back, and what runs hold a lease of: where probes meet release."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from launcher.probes.model import PlatformKind
from launcher.release import lease
from launcher.release.backends import Surroundings, backend_of
from launcher.release.slurm import job_of
from launcher.spec.model import With
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.probes import kernel_servers
    from launcher.probes.model import Platform
    from launcher.release.interface import ReleaseBackend
    from launcher.release.jupyter import Server
    from launcher.spec.model import JobSpec
    from launcher.words import Text

# Further up than any process stands; /proc is not one moment, so a circle is thinkable.
_MOST_ANCESTORS = 128


def target_of(platform: Platform, environ: Mapping[str, str]) -> str:
    """What a run here holds a lease of: a matter of the place, never of the backend.

    Runs with different backends, or with none, stand on one machine and must see each other. So: Colab's
    address on a managed VM; the allocation inside Slurm; where an address may only be hidden from us (ssh,
    sudo, cron on a Colab VM) ANY_TARGET, which every release looks for; the machine elsewhere.
    """
    if platform.release_target is not None:
        return platform.release_target
    if job := job_of(environ):
        return f"{lease.PART_OF_MACHINE}{job}"
    return lease.MACHINE if platform.kind is PlatformKind.PLAIN else lease.ANY_TARGET


def what_goes(target: str) -> str:
    """The target of a release: what a run holds a lease of, or the machine where that is not known."""
    return lease.MACHINE if target == lease.ANY_TARGET else target


def backend_here(
    spec: JobSpec,
    platform: Platform,
    environ: Mapping[str, str],
    secrets: tuple[str, ...] = (),
    kernel: str | None = None,
) -> ReleaseBackend | None:
    """The backend of a run that is about to start here; None: nothing that colab-run hands back."""
    around = Surroundings(
        platform,
        _environ(spec, environ),
        spec.workdir,
        secrets,
        kernel,
        partial(find_server, environ, kernel),
    )
    return backend_of(spec.release.how, around)


def backend_again(
    spec: JobSpec,
    platform: Platform,
    environ: Mapping[str, str],
    noted: Mapping[str, Any] | None,
    secrets: tuple[str, ...] = (),
) -> ReleaseBackend | None:
    """The same for a run that was left behind, from what it had noted and the environment of who takes it up.

    Raises KeyError, TypeError and ValueError where `noted` is not what a backend notes.
    """
    if noted is None and spec.release.how is not None and spec.release.how.kind is not With.NONE:
        raise ValueError("a backend was named, and none is noted")
    kernel, url = (None, None) if noted is None else (noted.get("kernel"), noted.get("server"))
    around = Surroundings(
        platform,
        _environ(spec, environ),
        spec.workdir,
        secrets,
        kernel,
        partial(find_server, environ, kernel, url),
        noted,
    )
    return backend_of(spec.release.how, around)


def is_managed(platform: Platform, backend: ReleaseBackend | None) -> bool:
    """Does what is paid for go with a release, or would it?"""
    return platform.managed or (backend is not None and backend.ends_the_bill)


def bill_goes_on(backend: ReleaseBackend | None) -> bool:
    """Is what would be handed back less than what is paid for?"""
    return backend is not None and not backend.ends_the_bill


def _environ(spec: JobSpec, environ: Mapping[str, str]) -> Mapping[str, str]:
    how = spec.release.how
    own = how is not None and how.kind is With.COMMAND
    return {**environ, **dict(spec.env)} if own else environ


# --- the Jupyter server that we belong to -----------------------------------------------------------


def find_server(environ: Mapping[str, str], kernel: str | None, url: str | None = None) -> Server | Text:
    """The server above us, or that has our kernel, or the only one; otherwise why it is not known.

    `url`: only the one with this address will do.
    """
    from launcher.probes import kernel_servers

    servers = kernel_servers.servers(environ)
    if url is not None:
        servers = [one for one in servers if one.url == url]
    if not servers:
        return words("no Jupyter server of this user is known on this machine")
    ours = _above_us(servers, environ) or _with_kernel(servers, environ, kernel)
    if ours is None and len(servers) > 1:
        return words(
            "there are {count} Jupyter servers here, and it is not known which is ours", count=len(servers)
        )
    return _server(ours or servers[0])


def _above_us(
    servers: list[kernel_servers.Server], environ: Mapping[str, str]
) -> kernel_servers.Server | None:
    pids = _ancestors()
    # Set for kernels and terminals by their server; a process that was detached has no other trace of it.
    if (told := environ.get("JPY_PARENT_PID", "")).isdecimal():
        pids.append(int(told))
    return next((one for pid in pids for one in servers if one.pid == pid), None)


def _ancestors() -> list[int]:
    from launcher.probes.kernel_servers import process_stat

    pids: list[int] = []
    pid = os.getppid()
    while pid > 1 and len(pids) < _MOST_ANCESTORS:
        pids.append(pid)
        stat = process_stat(pid)
        pid = 0 if stat is None else stat[1]
    return pids


def _with_kernel(
    servers: list[kernel_servers.Server], environ: Mapping[str, str], kernel: str | None
) -> kernel_servers.Server | None:
    if kernel is None or len(servers) < 2:
        return None
    from launcher.probes.kernels import read_kernels

    urls = {one.server for one in read_kernels(environ, own=frozenset()).kernels if one.kernel_id == kernel}
    return next((one for one in servers if one.url in urls), None)


def _server(found: kernel_servers.Server) -> Server:
    from launcher.probes import kernel_servers
    from launcher.release.jupyter import Server

    connect = partial(kernel_servers.connect, found)
    return Server(found.url, found.base, connect, found.token, found.pid)
