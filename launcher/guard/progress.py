"""How far a run has come: everything that another process needs to go on with it. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.guard.model import Outcome
    from launcher.guard.stopping import Stop


@dataclass(slots=True)
class Progress:
    """`started` in monotonic, `started_wall` in epoch seconds; `step` is empty, `setup` or `run`.

    `attempt` counts the starts of the job from 1; this one began at `began`, and its output at `log_from` in
    the log. All of what follows is about this attempt.

    `main` is the step's first process, `main_status` its wait status once it has ended; `keeper` leads its
    session where it has a terminal; `begun` is the step that was said to have begun. Moments are
    monotonic seconds; `suspended` is clock.suspended_s() at the start of the run.
    `paused`: somebody has suspended the job (Ctrl-Z).
    `killed` are those of the job that a SIGKILL ended which was not ours.
    """

    started: float
    started_wall: float
    files_since_ns: int
    memory_kills: Mapping[str, int]
    step: str = ""
    main: int | None = None
    main_status: int | None = None
    keeper: int | None = None
    begun: str = ""
    killed_by_9: bool = False
    killed: frozenset[int] = frozenset()
    outcome: Outcome | None = None
    stop: Stop | None = None
    killing_since: float | None = None
    next_kill: float = 0.0
    pressed_at: float | None = None
    largest_process: int = 0
    leftovers: int = 0
    waiting: bool = False
    attempt: int = 1
    began: float | None = None
    began_wall: float | None = None
    log_from: int = 0
    suspended: float | None = None
    paused: bool = False

    def passed(self, now: float, suspended: float) -> tuple[float, float]:
        """For how long the run goes on, and for how long the machine was suspended meanwhile: Limits.left.

        `now` is monotonic; `suspended` is clock.suspended_s() of now.
        """
        slept = 0.0 if self.suspended is None else max(0.0, suspended - self.suspended)
        return now - self.started, slept

    def next_attempt(
        self, now: float, wall: float, memory_kills: Mapping[str, int], log_end: int
    ) -> Progress:
        """Where the attempt after this one stands before anything of it is started."""
        return Progress(
            self.started,
            self.started_wall,
            self.files_since_ns,
            memory_kills,
            attempt=self.attempt + 1,
            began=now,
            began_wall=wall,
            log_from=log_end,
            suspended=self.suspended,
        )
