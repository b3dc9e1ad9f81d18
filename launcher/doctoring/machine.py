"""The platform, control groups, shared memory, the clocks, and whether processes can be supervised."""

from __future__ import annotations

import ctypes
import os
import socket
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from launcher.doctoring.around import nearest
from launcher.doctoring.model import Row, bad, good, unsure
from launcher.guard import meeting, oom, tree
from launcher.probes.cgroup import read_limits
from launcher.probes.model import PlatformKind
from launcher.values import Unknown, format_size
from launcher.words import listed, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.doctoring.around import Around
    from launcher.probes.cgroup import Limits
    from launcher.probes.model import Platform
    from launcher.values import Reading
    from launcher.words import Text

# --- platform ---------------------------------------------------------------------------------------

NAMES: dict[PlatformKind, Text] = {
    PlatformKind.COLAB: "Google Colab",
    PlatformKind.COLAB_UNMANAGED: words("a Colab image that Colab does not manage"),
    PlatformKind.COLAB_ENTERPRISE: "Colab Enterprise",
    PlatformKind.KAGGLE: "Kaggle",
    PlatformKind.SLURM: words("a Slurm allocation"),
    PlatformKind.JUPYTER: words("a machine with Jupyter"),
    PlatformKind.SSH: words("a machine reached by SSH"),
    PlatformKind.PLAIN: words("a plain machine"),
}


def judge_platform(platform: Platform) -> Row:
    """On a VM of Colab's, a shell that was not told the address of the release service is not in order."""
    name = NAMES[platform.kind]
    if platform.kind is PlatformKind.COLAB:
        return good("platform", words("{platform}, managed: it can be handed back from here", platform=name))
    if platform.host_file and not platform.managed:
        fix = words("call colab-run from a cell of the notebook, or from Colab's own terminal")
        return unsure("platform", words("{platform}, or this shell was not told", platform=name), fix)
    return good("platform", name)


# --- control groups -----------------------------------------------------------------------------------


def cgroup_rows(around: Around) -> list[Row]:
    """Which version, its limit, and whether its count of kills can be read."""
    return [judge_cgroup(_version(around.root), read_limits(around.root), oom.counter_files(around.environ))]


def _version(root: str) -> str:
    """`v1`, `v2`, `v1 and v2`, or empty."""
    try:
        lines = (Path(root) / "proc/self/cgroup").read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    unified = any(line.startswith("0::") for line in lines)
    old = any("memory" in line.split(":")[1].split(",") for line in lines if line.count(":") >= 2)
    return " + ".join([*(["v1"] if old else []), *(["v2"] if unified else [])])


def judge_cgroup(version: str, limits: Reading[Limits], counters: Sequence[str]) -> Row:
    """A job that the kernel kills for memory can only be told from other kills by these counters."""
    limit = words("no memory limit")
    if not isinstance(limits, Unknown) and limits.value.memory_bytes is not None:
        limit = words("memory limit {size}", size=format_size(limits.value.memory_bytes))
    said = words("{version}, {limit}", version=version or words("no cgroup"), limit=limit)
    if any(path != oom.MACHINE for path in counters):
        return good("cgroup", words("{cgroup}; running out of memory can be told", cgroup=said))
    fix = words("say what the job needs (`resources: {{ram: …}}`): too little is then said before it starts")
    return unsure(
        "cgroup", words("{cgroup}; whether a job ran out of memory cannot be told", cgroup=said), fix
    )


# --- /dev/shm -----------------------------------------------------------------------------------------

# What Docker gives where nobody asked for more.
SMALL_SHM_BYTES = 64 << 20


def shm_rows(around: Around) -> list[Row]:
    """Size, room, and whether it can be written to."""
    folder = os.path.join(around.root, "dev/shm")
    try:
        status = os.statvfs(folder)
    except OSError:
        return [judge_shm(None, 0, writable=False)]
    free, total = status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize
    return [judge_shm(total, free, writable=os.access(folder, os.W_OK | os.X_OK))]


def judge_shm(total: int | None, free: int, *, writable: bool) -> Row:
    """Data loaders of several processes hand their batches over there."""
    if total is None or not writable:
        fix = words("start the container with one: {option}", option="--shm-size=8g")
        return bad("shm", words("there is no /dev/shm that can be written to"), fix)
    said = words("{free} free of {total}", free=format_size(free), total=format_size(total))
    if total <= SMALL_SHM_BYTES:
        fix = words(
            "use num_workers=0 in data loaders, or start the container with {option}", option="--shm-size=8g"
        )
        return unsure("shm", words("{size}: may be too little for data loaders", size=said), fix)
    return good("shm", said)


# --- clocks -------------------------------------------------------------------------------------------

# Before this, colab-run did not exist.
EARLIEST = 1767225600.0  # 2026-01-01
MOST_APART_S = 60.0
_WATCHED_S = 0.05


class Times(NamedTuple):
    """How the clocks stand: `drift_s` is how far they went apart while they were watched.

    `files` are (name of the place, how far a file that was just written there is from the clock).
    """

    wall: float
    drift_s: float
    utc_offset_s: int
    files: tuple[tuple[str, float], ...] = ()


def clock_rows(around: Around) -> list[Row]:
    """The two clocks of this machine, and the times of files written just now."""
    wall, fixed = time.time(), time.monotonic()
    time.sleep(_WATCHED_S)  # What is measured is how time goes by.
    drift = (time.time() - wall) - (time.monotonic() - fixed)
    files = []
    for name, folder in (("/tmp", around.temporary), ("COLAB_RUN_HOME", around.home)):  # noqa: S108
        if folder is not None and (apart := file_apart(nearest(folder))) is not None:
            files.append((name, apart))
    return [judge_clock(Times(wall, drift, time.localtime().tm_gmtoff, tuple(files)))]


def file_apart(folder: str) -> float | None:
    """Seconds by which the time of a file written just now is ahead; None where none can be written."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".colab-run-doctor-") as file:
            file.write(b"x")
            file.flush()
            return os.fstat(file.fileno()).st_mtime - time.time()
    except OSError:
        return None


def judge_clock(times: Times) -> Row:
    """A clock that is far off gives wrong dates, and wrong ages of files."""
    away = next((pair for pair in times.files if abs(pair[1]) > MOST_APART_S), None)
    fix = words("set the clock: {command}", command="sudo timedatectl set-ntp true")
    if times.wall < EARLIEST:
        day = time.strftime("%Y-%m-%d", time.gmtime(times.wall))
        return bad("clock", words("the clock says {day}, which is long gone", day=day), fix)
    if abs(times.drift_s) > 1.0:
        return bad(
            "clock",
            words("the clock jumps: {seconds} s within a moment", seconds=f"{times.drift_s:.0f}"),
            fix,
        )
    if away is not None:
        told = words(
            "files in {place} are {seconds} s away from the clock", place=away[0], seconds=f"{away[1]:.0f}"
        )
        return bad(
            "clock", told, words("set the clock of this machine, or that of the server of those files")
        )
    sign, minutes = "-" if times.utc_offset_s < 0 else "+", abs(times.utc_offset_s) // 60
    zone = f"UTC{sign}{minutes // 60}:{minutes % 60:02d}"
    return good("clock", words("goes evenly, agrees with the times of files; {zone}", zone=zone))


# --- supervision ----------------------------------------------------------------------------------------


class Means(NamedTuple):
    """What supervising takes; each is why it cannot be had, or empty."""

    subreaper: str = ""
    pidfd: str = ""
    sockets: str = ""
    processes: str = ""


def supervision_rows(around: Around) -> list[Row]:
    """Tries each in this child, which ends afterwards."""
    return [judge_supervision(_means(around))]


def _means(around: Around) -> Means:
    return Means(_subreaper(), _pidfd(), _sockets(around.temporary), _processes(around.root))


def _subreaper() -> str:
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(tree.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0:
            return ""
        return os.strerror(ctypes.get_errno())
    except (OSError, AttributeError) as error:
        return type(error).__name__


def _pidfd() -> str:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (OSError, AttributeError) as error:
        return getattr(error, "strerror", None) or type(error).__name__
    return ""


def _sockets(temporary: str) -> str:
    """Guards listen on unix sockets below /tmp, in a folder that is for this user alone."""
    place = os.path.join(temporary, os.path.basename(meeting.folder()))
    try:
        if os.path.lexists(place):
            meeting.check(place)
        with (
            tempfile.TemporaryDirectory(dir=temporary, prefix="colab-run-doctor-") as folder,
            socket.socket(socket.AF_UNIX) as listening,
        ):
            listening.bind(os.path.join(folder, "s"))
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""


def _processes(root: str) -> str:
    try:
        os.listdir(os.path.join(root, "proc", "self", "fd"))
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""


def judge_supervision(means: Means) -> Row:
    """Without a subreaper, /proc or sockets no run can be guarded; without pidfd it goes more slowly."""
    sandbox = words("run outside of the sandbox that forbids it, on Linux 3.4 or newer")
    place = words(
        "let this user write there, and remove what is not this user's: {path}", path=meeting.folder()
    )
    tried = (
        ("subreaper", means.subreaper, sandbox),
        ("/proc", means.processes, words("mount it, or start the container with it")),
        (os.path.dirname(meeting.folder()), means.sockets, place),
    )
    for name, why, fix in tried:
        if why:
            return bad("supervision", words("{what} cannot be used: {why}", what=name, why=why), fix)
    if means.pidfd:
        return good(
            "supervision", words("processes can be supervised; without pidfd ({why})", why=means.pidfd)
        )
    return good("supervision", listed(("subreaper", "pidfd", words("sockets in {folder}", folder="/tmp"))))  # noqa: S108
