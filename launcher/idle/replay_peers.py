"""When others would release, by their documented rules, on what polling saw of the GPUs. Pure.

Each function takes a session and gives the time of the first release (seconds since its first tick), or None.
A trace may be coarser than what a tool records for itself: then one of its samples is one tick, and no
rule is failed for that. Signals that a session does not have (processor, network, SSH) are taken as quiet.
An unknown reading is not idle, for anybody.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from launcher.values import Known

if TYPE_CHECKING:
    from launcher.idle.replay_session import Session, Tick

# gpumon halt_it.sh: cron, share of the lines that must be there, idle GPU, uptime in STANDARD.
GPUMON_CHECK_S = 600.0
GPUMON_LINE_S = 10.0
GPUMON_COVERAGE = 0.7
GPUMON_IDLE = 10
GPUMON_GUARD_S = 7200.0
GPUMON_STANDARD_S, GPUMON_SPOT_S = 3600.0, 900.0
# gpu-auto-shutdown: armed over so much for so long, then idle below so much.
SHUTDOWN_ARMS, SHUTDOWN_ARMS_S = 50.0, 300.0
SHUTDOWN_IDLE, SHUTDOWN_S = 5.0, 1200.0
# dstack: both figures are the user's; 10 % and an hour are those of its documentation. It keeps an hour.
DSTACK_MIN = 10.0
DSTACK_S = 3600.0
DSTACK_SHORTEST_S, DSTACK_LONGEST_S = 300.0, 3600.0
DSTACK_LATE_S = 60.0


def highest(tick: Tick) -> float | None:
    """Percent of the busiest GPU; None where one is unknown, or none is there."""
    known = [use.value for use in tick.use if isinstance(use, Known)]
    return max(known) if known and len(known) == len(tick.use) else None


def mean(tick: Tick) -> float | None:
    """Percent, on the average of all GPUs; None as for `highest`."""
    known = [use.value for use in tick.use if isinstance(use, Known)]
    return sum(known) / len(known) if known and len(known) == len(tick.use) else None


def fixed(session: Session, window_s: float, above: float, *, armed: bool = False) -> float | None:
    """No sample over `above` percent for the whole window; `armed`: not before the first such sample."""
    last, works = 0.0, not armed
    for tick in session.ticks:
        use = highest(tick)
        if use is None or use > above:
            last, works = tick.at, works or use is not None
        elif works and tick.at - last >= window_s:
            return tick.at
    return None


def skypilot(session: Session) -> float | None:
    """Its job queue only: never while a job lives, whatever the job does."""
    return None


def dstack(session: Session, window_s: float, below: float = DSTACK_MIN) -> float | None:
    """Any one GPU with all samples of the window below so many percent.

    Not before the oldest sample of the window is within a minute of the window's start.
    """
    moments = [tick.at for tick in session.ticks]
    late_s = max(DSTACK_LATE_S, session.period_s)
    busy = [-1] * session.gpus  # the latest tick in which each GPU was not below
    for number, tick in enumerate(session.ticks):
        for gpu, use in enumerate(tick.use):
            if not isinstance(use, Known) or use.value >= below:
                busy[gpu] = number
        oldest = bisect_left(moments, tick.at - window_s)
        if moments[oldest] - (tick.at - window_s) <= late_s and min(busy, default=number) < oldest:
            return tick.at
    return None


def gpumon(session: Session, window_s: float, guard_s: float) -> float | None:
    """Every line of the window idle (mean use of the GPUs rounded to at most 10 %), 70 % of them there.

    Asked every 10 minutes, not before the machine is up for `guard_s`.
    """
    moments = [tick.at for tick in session.ticks]
    line_s = session.period_s or GPUMON_LINE_S
    busy, asked = -1, 0.0
    for number, tick in enumerate(session.ticks):
        use = mean(tick)
        if use is None or round(use) > GPUMON_IDLE:
            busy = number
        due = tick.at // GPUMON_CHECK_S > asked
        if not due:
            continue
        asked = tick.at // GPUMON_CHECK_S
        oldest = bisect_left(moments, tick.at - window_s)
        lines = number + 1 - oldest
        if tick.at >= guard_s and busy < oldest and lines >= GPUMON_COVERAGE * window_s / line_s:
            return tick.at
    return None


def shutdown(session: Session, window_s: float) -> float | None:
    """gpu-auto-shutdown: armed by a mean over 50 % for 5 minutes, then below 5 % for the whole window."""
    armed, calm, busy = False, 0.0, 0.0
    for tick in session.ticks:
        use = mean(tick)
        if use is None or use <= SHUTDOWN_ARMS:
            calm = tick.at
        elif tick.at - calm >= SHUTDOWN_ARMS_S:
            armed = True
        if use is None or use >= SHUTDOWN_IDLE:
            busy = tick.at
        elif armed and tick.at - busy >= window_s:
            return tick.at
    return None
