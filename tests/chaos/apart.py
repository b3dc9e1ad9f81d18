"""A corner of the machine for one worker: its own folder of leases and of sockets, its own processes.

Whoever starts `colab-run` brings lost runs of the machine to their end, whoever they belong to. Injections
that go on beside each other, and beside other tests, must not do that to each other: with a mount namespace
the fixed folders are a worker's own, and all its processes can be told from others.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import NamedTuple

from launcher.guard import meeting
from launcher.release import lease

NEW_MOUNTS, NEW_USERS = 0x00020000, 0x10000000
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18


def separate(folder: Path) -> bool:
    """Put a new folder in the place of each of the two that are shared; False where that is not allowed."""
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.geteuid(), os.getegid()
    if libc.unshare(NEW_MOUNTS) != 0:
        if libc.unshare(NEW_MOUNTS | NEW_USERS) != 0:
            return False
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    if libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) != 0:
        return False
    for shared, mode in ((Path(lease.FOLDER), 0o1777), (Path(meeting.folder()), 0o700)):
        shared.mkdir(mode=mode, exist_ok=True)
        own = folder / shared.name
        own.mkdir()
        own.chmod(mode)
        if libc.mount(os.fsencode(own), os.fsencode(shared), None, MS_BIND, None) != 0:
            return False
    return True


class Seen(NamedTuple):
    """One living process of ours; `of_job`: it was started with a run's id in its environment."""

    pid: int
    name: str
    parent: int
    of_job: bool


def look(without: set[int], cookie: bytes) -> list[Seen]:
    """Every living process of this corner. Where it is shared, those with the cookie in their environment."""
    here = os.readlink("/proc/self/ns/mnt")
    alone = os.environ.get("CHAOS_APART") == "1"
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) in without:
            continue
        try:
            if alone and os.readlink(f"/proc/{entry}/ns/mnt") != here:
                continue
            with open(f"/proc/{entry}/stat", "rb") as file:
                stat = file.read()
            fields = stat[stat.rfind(b")") + 2 :].split()
            if fields[0] in (b"Z", b"X"):
                continue
            with open(f"/proc/{entry}/environ", "rb") as file:
                environ = file.read()
        except OSError:
            continue
        if alone or cookie in environ:
            name = stat[stat.find(b"(") + 1 : stat.rfind(b")")].decode(errors="replace")
            found.append(Seen(int(entry), name, int(fields[1]), b"\0COLAB_RUN_ID=" in b"\0" + environ))
    return found
