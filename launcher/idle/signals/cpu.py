"""Life by processor time: of a job's processes, of notebook kernels, of any other session. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from launcher.idle.model import Life, Moment, Sign
from launcher.idle.signals.totals import (
    NONSENSE,
    Busiest,
    Grower,
    Totals,
    busiest_of,
    groups_of,
    named,
    number,
    whole,
)
from launcher.values import Known, Reading, Unknown
from launcher.words import alternated, counted, words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.words import Text

JOB, KERNELS = "job", "kernels"
# Of one core. An idle notebook kernel takes below 1 %; a job that waits for network or disk 5 % and more.
OF_WORK = 0.05
# A session of processes that is neither: servers and monitors that poll take a few per cent for ever.
OF_OTHERS = 0.10
# One tick of the kernel's clock and a half: less cannot be told from what was cut off before. It is more than
# the shares above only for a period below 0.3 s.
LEAST_S = 0.015
# A group's figure says no more than that of a process that has nearly all of it.
NEARLY_ALL = 0.9


@dataclass(frozen=True, slots=True)
class _Group:
    seconds: float
    busiest: Busiest | None
    processes: int
    stopped: int


class CpuSignal:
    """Alive when over one period the job or the kernels used 5 % of a core, or another session 10 %.

    Amounts, not shares: what was used between two samples, however far apart, is compared with that share of
    one nominal period. So a lost sample makes life more likely, never less.
    """

    sign = Sign.CPU

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._grower = Grower()
        self._last_alive = float("-inf")
        self._of_job = False

    @property
    def counts(self) -> Text:
        """Of what the readings are about."""
        own, other = f"{100 * OF_WORK:.0f}", f"{100 * OF_OTHERS:.0f}"
        if self._of_job:
            return words("{percent} % of a core and more", percent=own)
        return words(
            "{percent} % of a core and more in notebook kernels, "
            "or {other} % in the processes of another session",
            percent=own,
            other=other,
        )

    def take(self, reading: Reading[Any], moment: Moment) -> Reading[Life]:
        """What is known after a reading of probes/life/processes.py."""
        if isinstance(reading, Unknown):
            return reading
        try:
            since, groups = _parsed(reading.value)
        except ValueError:
            return Unknown(NONSENSE)
        self._of_job = JOB in groups
        totals = Totals({name: group.seconds for name, group in groups.items()}, since)
        growth = self._grower.take(totals, moment.at)
        if growth is None:
            self._last_alive = max(self._last_alive, moment.at)
            return Known(Life(self._last_alive))
        if any(used >= self._enough(name) for name, used in growth.by.items()):
            self._last_alive = max(self._last_alive, moment.at)
        parts = [
            part
            for name, group in groups.items()
            for part in _said(name, group, growth.by[name], growth.seconds)
        ]
        return Known(Life(self._last_alive, alternated(parts or [_figure(0.0)])))

    def _enough(self, name: str) -> float:
        share = OF_WORK if name in (JOB, KERNELS) else OF_OTHERS
        return max(share * self._period_s, LEAST_S)


def _parsed(value: Any) -> tuple[float, Mapping[str, _Group]]:
    since, groups = groups_of(value)
    return since, {
        name: _Group(
            number(group.get("seconds")),
            busiest_of(group),
            whole(group.get("processes")),
            whole(group.get("stopped")),
        )
        for name, group in groups.items()
    }


def _said(name: str, group: _Group, used: float, seconds: float) -> list[Text]:
    """What there is to say of a group; of others only their busiest session."""
    parts: list[Text] = []
    busiest = group.busiest if group.busiest and group.busiest.amount > 0 else None
    together = busiest is None or busiest.amount < NEARLY_ALL * used
    whole_group = name in (JOB, KERNELS) and together
    if name == JOB and not group.processes:
        parts.append(words("no process of the job"))
    elif whole_group and name == JOB:
        parts.append(words("the job: {percent} % of a core", percent=_percent(used / seconds)))
    elif whole_group and group.processes:
        parts.append(words("notebook kernels: {percent} % of a core", percent=_percent(used / seconds)))
    if busiest is not None and together and not whole_group:
        percent = _percent(used / seconds)
        parts.append(
            words(
                "process {pid} ({name}) and others of its session: {percent} % of a core",
                pid=busiest.pid,
                name=busiest.name,
                percent=percent,
            )
        )
    elif busiest is not None:
        parts.append(named(busiest, _figure(busiest.amount / seconds)))
    if name == JOB and group.stopped:
        parts.append(
            counted("{count} process is stopped (T)", "{count} processes are stopped (T)", group.stopped)
        )
    return parts


def _figure(share: float) -> Text:
    return words("{percent} % of a core", percent=_percent(share))


def _percent(share: float) -> str:
    return f"{100 * share:.0f}" if share >= 0.0995 else f"{100 * share:.1f}"
