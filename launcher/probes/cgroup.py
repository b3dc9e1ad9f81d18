"""Memory and CPU limits that control groups put on this process: v1, v2 and both at once.

Every group above ours limits us too, so each figure is the smallest over all ancestors. Files are
read under a given root folder, so that a test passes a tree of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from launcher.probes.mounts import read_mounts
from launcher.values import Known, Reading, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.probes.mounts import Mount

# cgroup v1 says "no limit" as the largest page-aligned int64, 9223372036854771712.
_NO_LIMIT = 2**62


@dataclass(frozen=True, slots=True)
class Limits:
    """What the groups allow; None is no limit.

    `memory_left_bytes` is what may still be allocated: pages that the kernel can drop without
    writing (inactive file cache) count as free, as they do for the machine as a whole. `cpus` is the
    quota in CPUs, such as 1.5.
    """

    memory_bytes: int | None = None
    memory_left_bytes: int | None = None
    cpus: float | None = None


@dataclass(frozen=True, slots=True)
class _Names:
    """How one version calls its files."""

    limit: str
    usage: str
    droppable: str


_V1 = _Names("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_V2 = _Names("memory.max", "memory.current", "inactive_file")


def read_limits(root: str = "/") -> Reading[Limits]:
    """The limits on this process. `Unknown("no-cgroup-file")` where the kernel does not show them."""
    try:
        memberships = (Path(root) / "proc/self/cgroup").read_text("utf-8", "surrogateescape")
        mounts = read_mounts(root)
    except OSError:
        return Unknown("no-cgroup-file")
    found = [_limits_of(folder, version) for version, folder in _groups(root, memberships, mounts)]
    return Known(
        Limits(
            memory_bytes=min((x.memory_bytes for x in found if x.memory_bytes is not None), default=None),
            memory_left_bytes=min(
                (x.memory_left_bytes for x in found if x.memory_left_bytes is not None), default=None
            ),
            cpus=min((x.cpus for x in found if x.cpus is not None), default=None),
        )
    )


def _groups(root: str, memberships: str, mounts: tuple[Mount, ...]) -> Iterator[tuple[_Names, Path]]:
    """Every group that we are in, directly or through a child: the leaf first, then its ancestors."""
    for line in memberships.splitlines():
        # 4:memory:/a/b (v1) or 0::/a/b (v2)
        _, controllers, path = line.split(":", 2) if line.count(":") >= 2 else ("", "", "")
        for mount in mounts:
            if path and _is_hierarchy(mount, controllers):
                top = Path(root) / mount.point.lstrip("/")
                for folder in _upwards(_inside(mount, path)):
                    yield (_V1 if controllers else _V2), top / folder
                break


def _is_hierarchy(mount: Mount, controllers: str) -> bool:
    """True when `mount` shows the hierarchy of `controllers` (empty for v2's one hierarchy)."""
    if not controllers:
        return mount.kind == "cgroup2"
    return mount.kind == "cgroup" and not mount.options.isdisjoint(controllers.split(","))


def _inside(mount: Mount, path: str) -> PurePosixPath:
    """Where our group lies below the mount; the mount itself when it lies outside (a container)."""
    try:
        relative = PurePosixPath(path).relative_to(mount.root)
    except ValueError:
        return PurePosixPath()
    return PurePosixPath() if ".." in relative.parts else relative


def _upwards(relative: PurePosixPath) -> Iterator[PurePosixPath]:
    yield relative
    yield from relative.parents


def _limits_of(folder: Path, names: _Names) -> Limits:
    stat = _read_stat(folder / "memory.stat")
    limit = _smallest(_read_bytes(folder / names.limit), _as_limit(stat.get("hierarchical_memory_limit")))
    usage = _read_bytes(folder / names.usage)
    left = None
    if limit is not None and usage is not None:
        left = max(0, limit - max(0, usage - stat.get(names.droppable, 0)))
    return Limits(limit, left, _read_quota(folder))


def _read_quota(folder: Path) -> float | None:
    """The CPU quota of one group, in CPUs."""
    both = _read_text(folder / "cpu.max").split()
    if len(both) != 2:
        both = [_read_text(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period")]
    try:
        quota, period = int(both[0]), int(both[1])
    except ValueError:
        return None  # "max", or no such file
    return quota / period if quota > 0 and period > 0 else None


def _smallest(*figures: int | None) -> int | None:
    return min((figure for figure in figures if figure is not None), default=None)


def _as_limit(figure: int | None) -> int | None:
    return figure if figure is not None and 0 <= figure < _NO_LIMIT else None


def _read_bytes(path: Path) -> int | None:
    text = _read_text(path)
    return _as_limit(int(text)) if text.isdecimal() else None


def _read_stat(path: Path) -> dict[str, int]:
    lines = (line.split() for line in _read_text(path).splitlines())
    return {parts[0]: int(parts[1]) for parts in lines if len(parts) == 2 and parts[1].isdecimal()}


def _read_text(path: Path) -> str:
    """The file's text; empty when it does not exist (the root group has no limits) or is not readable."""
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""
