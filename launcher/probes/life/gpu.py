"""What the GPUs have done since this reader began, as totals. For a long-lived child: NVML may hang.

A moment's utilisation says nothing of the seconds between two readings; the driver's own buffers do, as
long as they reach back (the samples some 14 to 20 s, a sample covering 1/6 to 1 s).
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from launcher.probes import nvml as driver
from launcher.values import Known, Reading, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from launcher.idle.interface import Reader

# After these NVML has to be started anew before it sees the GPU again.
_SICK = frozenset({"gpu-lost", "gpu-needs-reset", "driver-not-loaded", "nvml-error-1"})
# Not more often: where no other program keeps the driver awake, each start wakes all GPUs up.
AGAIN_S = 60.0
# A clock that is set back by less is nobody's; for how long old times can then be later than new ones.
_SET_BACK_S, _FORGOTTEN_S = 1.0, 60.0
_PERCENT = range(101)


def gpu_reader(root: str = "/", again_s: float = AGAIN_S, wall: Callable[[], float] = time.time) -> Reader:
    """One row for each GPU; an empty list where there is none. NVML starts at the first call, in the child.

    A row has `index`, `reader` (which reader counts: a number), and fields, each `{"known": …}` or
    `{"unknown": reason}`. `uuid`; `mig` (is it cut into slices); `energy_mj` (a total of the driver's);
    `power_w`; `samples` and `uses` (of the GPU, and of it by processes: `seen` and `busy` entries of the
    driver's buffer so far, `percent`, their sum, `highest` of the new ones, `busy_at` in microseconds of the
    driver's clock, null for never); `polled` (`now` in percent, `busy` polls so far); `memory` (`used` and
    `moved`, bytes, the latter the sum of all changes so far); `processes` (`list` of `[pid, field in bytes]`,
    and `changes` of who they are so far).
    """
    return _GpuReader(root, again_s, wall)


class _Buffer:
    """Totals over a buffer of the driver, which forgets its oldest entries.

    What is new is found by comparing entries, not times: a clock that was set back makes new ones look old.
    """

    def __init__(self) -> None:
        self.seen = self.busy = self.percent = 0
        self.busy_at: int | None = None
        self.newest = 0
        self._last: frozenset[tuple[int, int, int]] = frozenset()

    def add(self, entries: Sequence[tuple[int, int, int]]) -> dict[str, int | None]:
        """Count the new ones of (microseconds, percent, pid) entries; raises ValueError."""
        if any(percent not in _PERCENT for _, percent, _ in entries):
            raise ValueError(entries)
        fresh = [entry for entry in entries if entry not in self._last]
        busy = [(at, percent) for at, percent, _ in fresh if percent]
        self._last = frozenset(entries)
        self.seen += len(fresh)
        self.busy += len(busy)
        self.percent += sum(percent for _, percent in busy)
        self.busy_at = max((at for at, _ in busy), default=self.busy_at)
        self.newest = max((at for at, _, _ in fresh), default=self.newest)
        return {
            "seen": self.seen,
            "busy": self.busy,
            "percent": self.percent,
            "highest": max((percent for _, percent in busy), default=0),
            "busy_at": self.busy_at,
        }


class _Totals:
    """What was counted of one GPU; it survives a new start of NVML."""

    def __init__(self) -> None:
        self.samples, self.uses = _Buffer(), _Buffer()
        self.clock_set_back_until = 0.0
        self.polled = self.moved = self.changes = 0
        self.used: int | None = None
        self.pids: frozenset[int] | None = None

    def read_samples(self, nvml: Any, handle: Any) -> object:
        """Samples of how much of the time some kernel ran."""
        kind = nvml.NVML_GPU_UTILIZATION_SAMPLES
        found = _entries(nvml, lambda: nvml.nvmlDeviceGetSamples(handle, kind, 0)[1])
        return self.samples.add([(int(one.timeStamp), int(one.sampleValue.uiVal), 0) for one in found])

    def read_uses(self, nvml: Any, handle: Any) -> object:
        """What processes used of it: of its processors, its memory's bandwidth, its video engines.

        Asked for what is new, or drivers average over all of their buffer.
        """
        since = 0 if time.monotonic() < self.clock_set_back_until else self.uses.newest
        found = _entries(nvml, lambda: nvml.nvmlDeviceGetProcessUtilization(handle, since))
        return self.uses.add(
            [
                (int(one.timeStamp), max(one.smUtil, one.memUtil, one.encUtil, one.decUtil), int(one.pid))
                for one in found
                if one.timeStamp > since  # drivers have left rows of a longer reply in place
            ]
        )

    def read_polled(self, nvml: Any, handle: Any) -> object:
        """Percent of the latest sample alone: all that some GPUs have."""
        now = int(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)
        if now not in _PERCENT:
            raise ValueError(now)
        self.polled += now > 0
        return {"now": now, "busy": self.polled}

    def read_memory(self, nvml: Any, handle: Any) -> object:
        used = int(nvml.nvmlDeviceGetMemoryInfo(handle).used)
        self.moved += abs(used - (used if self.used is None else self.used))
        self.used = used
        return {"used": used, "moved": self.moved}

    def read_processes(self, nvml: Any, handle: Any) -> object:
        found = driver.read_processes(nvml, handle)
        pids = frozenset(int(str(one["pid"])) for one in found)
        self.changes += self.pids is not None and pids != self.pids
        self.pids = pids
        return {"list": [[one["pid"], one["memory"]] for one in found], "changes": self.changes}

    def fields(self) -> dict[str, Callable[[Any, Any], object]]:
        """How each field of a row is read, from pynvml and the GPU's handle."""
        return {
            "uuid": driver.read_uuid,
            "mig": driver.read_mig,
            "energy_mj": lambda nvml, handle: int(nvml.nvmlDeviceGetTotalEnergyConsumption(handle)),
            "samples": self.read_samples,
            "uses": self.read_uses,
            "polled": self.read_polled,
            "memory": self.read_memory,
            "processes": self.read_processes,
            "power_w": lambda nvml, handle: nvml.nvmlDeviceGetPowerUsage(handle) / 1000,
        }


def _entries(nvml: Any, read: Callable[[], Sequence[Any]]) -> Sequence[Any]:
    """Entries of a buffer; "not found" means nothing new, and so does pynvml's error that is a success."""
    try:
        return read()
    except nvml.NVMLError as error:
        if error.value in (nvml.NVML_SUCCESS, nvml.NVML_ERROR_NOT_FOUND):
            return ()
        raise


class _GpuReader:
    def __init__(self, root: str, again_s: float, wall: Callable[[], float]) -> None:
        self._root, self._again_s, self._wall = root, again_s, wall
        self._nvml: Reading[Any] | None = None
        self._start_at = 0.0
        self._sick = False
        self._token = 0
        self._totals: dict[int, _Totals] = {}
        self._ahead = 0.0

    def __call__(self) -> Reading[list[dict[str, Any]]]:
        nvml = self._started()
        if isinstance(nvml, Unknown):
            return nvml
        if nvml.value is None:
            return Known([])
        count = driver.take(nvml.value, nvml.value.nvmlDeviceGetCount)
        if "unknown" in count:
            self._sick = True
            return Unknown(count["unknown"])
        self._watch_clock()
        rows = [self._row(nvml.value, index) for index in range(count["known"])]
        self._sick = any(field.get("unknown") in _SICK for row in rows for field in _fields_of(row))
        return Known(rows)

    def _started(self) -> Reading[Any]:
        healthy = isinstance(self._nvml, Known) and self._nvml.value is not None and not self._sick
        now = time.monotonic()
        if self._nvml is not None and (healthy or now < self._start_at):
            return self._nvml
        if self._nvml is None:
            self._token = time.monotonic_ns()
        elif isinstance(self._nvml, Known) and self._nvml.value is not None:
            driver.take(self._nvml.value, self._nvml.value.nvmlShutdown)
        self._start_at, self._sick = now + self._again_s, False
        self._nvml = driver.started(self._root)
        return self._nvml

    def _watch_clock(self) -> None:
        """After the clock was set back, what is newer than the newest would be nothing for a while."""
        now = time.monotonic()
        ahead = self._wall() - now
        if ahead < self._ahead - _SET_BACK_S:
            for totals in self._totals.values():
                totals.clock_set_back_until = now + _FORGOTTEN_S
        self._ahead = ahead

    def _row(self, nvml: Any, index: int) -> dict[str, Any]:
        row: dict[str, Any] = {"index": index, "reader": self._token}
        readers = self._totals.setdefault(index, _Totals()).fields()
        handle = driver.take(nvml, lambda: nvml.nvmlDeviceGetHandleByIndex(index))
        if "unknown" in handle:
            return row | dict.fromkeys(readers, handle)
        return row | {
            name: driver.take(nvml, partial(read, nvml, handle["known"])) for name, read in readers.items()
        }


def _fields_of(row: dict[str, Any]) -> list[dict[str, Any]]:
    return [field for field in row.values() if isinstance(field, dict)]
