"""The GPUs' sign of life, from readings of probes/life/gpu.py."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from launcher.idle.model import Life, Sign
from launcher.values import Known, Reading, Unknown, format_size
from launcher.words import alternated, listed, words

if TYPE_CHECKING:
    from launcher.idle.model import Moment
    from launcher.words import Text

# Utilisation has no threshold: NVML documents it as the part of the sample period in which one or more
# kernels ran, so 1 % is milliseconds of somebody's work, and an idle compute GPU shows 0. What else can show
# errs towards life: a desktop's drawing is somebody's, and the scrubbing of memory when the driver wakes a
# GPU up happens once, since the reader keeps it awake from then on.

# A context or a tensor takes 2 MiB at least; drivers round to less in their own books.
MEMORY_BYTES = 1 << 20
# Power above the quiet level that counts: more than its noise, less than a kernel that runs all the time.
EXTRA_W, EXTRA_PART = 15.0, 0.15
# The quiet level is the least mean power of so many quiet intervals. Not of all: with a context open a GPU
# stays in a higher state, and would be alive for good.
LEVEL_PERIODS = 8
NONSENSE, LOST = "nonsense", "gpu-lost"


@dataclass(frozen=True, slots=True)
class _Buffer:
    """Totals over one of the driver's buffers, see the reader."""

    seen: int
    busy: int
    percent: int
    highest: int
    busy_at: int | None


@dataclass(frozen=True, slots=True)
class _Gpu:
    """One GPU's row, as far as it is known: what cannot be read is None, and `reason` why not."""

    index: int
    reader: int
    reason: str
    uuid: str | None
    energy_mj: int | None
    power_w: float | None
    samples: _Buffer | None
    uses: _Buffer | None
    polled: tuple[int, int] | None
    memory: tuple[int, int] | None
    processes: tuple[frozenset[int], int] | None

    @property
    def judged(self) -> bool:
        """Can it be seen to be quiet? Memory, processes and power only show that it is not."""
        return any(part is not None for part in (self.samples, self.uses, self.polled))

    def over(self, before: _Gpu) -> _Gpu:
        """With what was known before where nothing is known now: totals make good for the time between."""
        kept = {
            name: getattr(before, name)
            for name in ("uuid", "energy_mj", "samples", "uses", "polled", "memory", "processes")
            if getattr(self, name) is None
        }
        return replace(self, **kept)


@dataclass(slots=True)
class _Power:
    """Mean power between readings of the energy counter, and what it is when the GPU is quiet."""

    energy_mj: int
    at: float
    means: deque[float]


class GpuSignal:
    """Alive: a GPU ran something, its memory or processes changed, or it drew more power than when quiet."""

    sign = Sign.GPU

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._gpus: dict[int, _Gpu] = {}
        self._powers: dict[int, _Power] = {}
        self._last_alive: float | None = None
        self._blind = True

    @property
    def counts(self) -> Text:
        """What counts as life."""
        return words(
            "any work of a GPU, its memory changing by {size}, other processes on it, "
            "or {watts} W and {percent} % more power than when it is quiet",
            size="1 MiB",
            watts=f"{EXTRA_W:g}",
            percent=f"{100 * EXTRA_PART:g}",
        )

    def take(self, reading: Reading[Any], moment: Moment) -> Reading[Life] | None:
        """One GPU that is alive is enough; without it, one that cannot be judged makes all unknown."""
        gpus = reading if isinstance(reading, Unknown) else _gpus(reading.value)
        if not gpus and self._gpus:
            gpus = Unknown(LOST)
        if isinstance(gpus, Unknown):
            self._blind = True
            return gpus
        if not gpus:
            return None
        return self._judge(gpus, moment.at)

    def _judge(self, gpus: list[_Gpu], at: float) -> Reading[Life]:
        anew = self._blind or {gpu.index for gpu in gpus} != set(self._gpus)
        seen: list[Text] = []
        quiet: list[Text] = []
        for gpu in gpus:
            before = self._gpus.get(gpu.index)
            traces = _traces(before, gpu) if before is not None else []
            watts, drawn = self._power(gpu, at, calm=not traces)
            shown = [*traces, *drawn] or [words("{percent} %", percent=_polled(gpu))]
            if watts is not None and not drawn:
                shown.append(words("{watts} W", watts=f"{watts:.0f}"))
            row = words("GPU {index}: {what}", index=gpu.index, what=listed(shown))
            (seen if traces or drawn else quiet).append(row)
            self._gpus[gpu.index] = gpu.over(before) if before is not None else gpu
        unjudged = [gpu.reason for gpu in gpus if not gpu.judged]
        if not set(self._gpus) <= {gpu.index for gpu in gpus}:
            # Kept in mind: it may work where nobody sees it, and be back.
            unjudged.append(LOST)
        self._blind = bool(unjudged)
        if unjudged and not seen:
            return Unknown(unjudged[0])
        if seen or anew or self._last_alive is None:
            self._last_alive = at
        return Known(Life(self._last_alive, alternated(seen or quiet)))

    def _power(self, gpu: _Gpu, at: float, *, calm: bool) -> tuple[float | None, list[Text]]:
        """(watts now, what its power shows)."""
        if gpu.energy_mj is None:
            return gpu.power_w, []  # The next reading that has it makes good: it is a total.
        before = self._powers.get(gpu.index)
        if before is None or gpu.energy_mj < before.energy_mj or at <= before.at:
            self._powers[gpu.index] = _Power(gpu.energy_mj, at, deque(maxlen=LEVEL_PERIODS))
            backwards = before is not None and gpu.energy_mj < before.energy_mj
            return gpu.power_w, [words("its counters began anew")] if backwards else []
        seconds, joules = at - before.at, (gpu.energy_mj - before.energy_mj) / 1000
        before.energy_mj, before.at = gpu.energy_mj, at
        mean = joules / seconds
        shown: list[Text] = []
        if calm:
            shown = _more_power(joules, seconds, self._period_s, before.means)
            before.means.append(mean)
        else:
            before.means.clear()  # After work the GPU may be in another state, with another level.
        return mean, shown


def _more_power(joules: float, seconds: float, period_s: float, means: deque[float]) -> list[Text]:
    """More than the quiet level, counted in energy: intervals that a lost sample merged show no less."""
    level = min(means, default=None)
    if level is None or joules - level * seconds < max(EXTRA_W, EXTRA_PART * level) * period_s:
        return []
    return [words("{watts} W, when quiet {level} W", watts=f"{joules / seconds:.0f}", level=f"{level:.0f}")]


# --- what two rows of one GPU show ----------------------------------------------------------------


def _traces(before: _Gpu, now: _Gpu) -> list[Text]:
    """What was alive between two readings, but for power."""
    if now.uuid is not None and before.uuid is not None and now.uuid != before.uuid:
        return [words("another GPU")]
    same = now.reader == before.reader
    found: list[Text] = []
    if now.samples is not None and _worked(before.samples, now.samples, same=same):
        found.append(_load(before.samples if same else None, now.samples))
    elif now.uses is not None and _worked(before.uses, now.uses, same=same):
        found.append(words("{percent} % by a process", percent=now.uses.highest))
    elif now.polled is not None and (now.polled[0] or now.polled[1] != _total(before.polled, same=same)):
        found.append(words("{percent} %", percent=now.polled[0]))
    if now.memory is not None and _moved(before.memory, now.memory, same=same):
        found.append(words("memory in use now {size}", size=format_size(now.memory[0])))
    if now.processes is not None and before.processes is not None:
        changed = now.processes[1] != _total(before.processes, same=same)
        if changed or now.processes[0] != before.processes[0]:
            found.append(words("other processes on it"))
    return found


def _worked(before: _Buffer | None, now: _Buffer, *, same: bool) -> bool:
    """A busy entry that was not there before. Another reader counts anew, and finds the last ones again."""
    counted_more = same and before is not None and now.busy != before.busy
    return counted_more or now.busy_at not in (None, before.busy_at if before is not None else None)


def _load(before: _Buffer | None, now: _Buffer) -> Text:
    """How much of the time: a load of less than half of the samples is one of a moment."""
    seen = now.seen - (before.seen if before is not None else 0)
    busy = now.busy - (before.busy if before is not None else 0)
    percent = now.percent - (before.percent if before is not None else 0)
    if 0 < seen <= 2 * busy:
        return words("{percent} %", percent=max(1, round(percent / seen)))
    # The highest is of the last reading alone, which may have been another than the one with the load.
    return words("{percent} % for a moment", percent=now.highest or round(percent / max(busy, 1)))


def _moved(before: tuple[int, int] | None, now: tuple[int, int], *, same: bool) -> bool:
    if before is None:
        return False
    moved = now[1] - _total(before, same=same)
    return moved < 0 or moved >= MEMORY_BYTES or abs(now[0] - before[0]) >= MEMORY_BYTES


def _total(before: tuple[Any, int] | None, *, same: bool) -> int:
    """What to compare a total with: another reader began at 0, after what was known before."""
    return before[1] if same and before is not None else 0


def _polled(gpu: _Gpu) -> int:
    return gpu.polled[0] if gpu.polled is not None else 0


# --- a row of JSON --------------------------------------------------------------------------------


def _gpus(value: Any) -> list[_Gpu] | Unknown:
    if not isinstance(value, list):
        return Unknown(NONSENSE)
    try:
        return [_gpu(row) for row in value]
    except (KeyError, TypeError, AttributeError, ValueError):
        return Unknown(NONSENSE)


def _gpu(row: Any) -> _Gpu:
    """Raises ValueError, TypeError, KeyError or AttributeError for what is no row."""
    known = {name: field.get("known") for name, field in row.items() if isinstance(field, dict)}
    energy, power = known["energy_mj"], known["power_w"]
    samples, polled, memory, processes = (
        known[name] for name in ("samples", "polled", "memory", "processes")
    )
    return _Gpu(
        index=_whole(row["index"]),
        reader=_whole(row["reader"]),
        reason=str(row["samples"].get("unknown") or row["polled"].get("unknown") or NONSENSE),
        uuid=known["uuid"],
        energy_mj=None if energy is None else _whole(energy),
        power_w=None if power is None else float(power),
        samples=None if samples is None else _buffer(samples),
        uses=None if known["uses"] is None else _buffer(known["uses"]),
        polled=None if polled is None else (_whole(polled["now"]), _whole(polled["busy"])),
        memory=None if memory is None else (_whole(memory["used"]), _whole(memory["moved"])),
        processes=None
        if processes is None
        else (frozenset(_whole(pid) for pid, _ in processes["list"]), _whole(processes["changes"])),
    )


def _buffer(field: Any) -> _Buffer:
    seen, busy, percent, highest = (_whole(field[name]) for name in ("seen", "busy", "percent", "highest"))
    busy_at = field["busy_at"]
    return _Buffer(seen, busy, percent, highest, None if busy_at is None else _whole(busy_at))


def _whole(value: Any) -> int:
    if not isinstance(value, int) or not 0 <= value < 1 << 64:
        raise ValueError(value)
    return value
