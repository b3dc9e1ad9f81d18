"""How an idle wait stands, as JSON for a guard's socket: its sentences are in no language yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher.clock import iso_utc
from launcher.idle.model import Active
from launcher.idle.sampler import moment_now
from launcher.values import Known
from launcher.words import from_plain, to_plain

if TYPE_CHECKING:
    from typing import Protocol

    from launcher.idle.model import Moment, Policy, Row, Standing, Table

    class Wait(Protocol):
        """A wait for idleness, such as Idling and Senses."""

        @property
        def policy(self) -> Policy:
            """When silence means idle."""

        @property
        def standing(self) -> Standing | None:
            """The last decision; None before the first sample."""

        @property
        def table(self) -> Table | None:
            """Every signal's part in the last decision; None before the first sample."""


IDLE = "idle"
# A sign is alive as long as one look may have been missed.
ALIVE_PERIODS = 1.5


def standing_json(standing: Standing | None, now: Moment, grace_s: float) -> dict[str, Any]:
    """Since when nothing has shown life, which signs say otherwise, and when it would go.

    `because` is `idle` or a value of Because; None before the first sample. `quiet_s` is None where that
    cannot be said, as are the times.
    """
    if standing is None:
        return {"because": None, "which": [], "quiet_s": None, **_times(None, None, now, grace_s)}
    if isinstance(standing, Active):
        since, idle_at = standing.quiet_since, standing.idle_at
        because, which = standing.because.value, [sign.value for sign in standing.which]
    else:
        since, idle_at = standing.at, standing.at + standing.window_s
        because, which = IDLE, []
    quiet_s = None if since is None else round(max(0.0, now.at - since), 3)
    return {
        "because": because,
        "which": which,
        "window_s": standing.window_s,
        "quiet_s": quiet_s,
        **_times(since, idle_at, now, grace_s),
    }


def _times(since: float | None, idle_at: float | None, now: Moment, grace_s: float) -> dict[str, Any]:
    return {
        "quiet_since": _iso(since, now),
        "idle_at": _iso(idle_at, now),
        "idle_in_s": None if idle_at is None else round(max(0.0, idle_at - now.at), 3),
        "goes_at": _iso(None if idle_at is None else idle_at + grace_s, now),
    }


def _iso(at: float | None, now: Moment) -> str | None:
    """A time on the clock of samples as one on the wall."""
    return None if at is None else iso_utc(now.wall - (now.at - at))


def wait_json(wait: Wait, grace_s: float) -> dict[str, Any]:
    """`wait` and `signs` of a document: how it stands, and every sign of life."""
    return {"wait": standing_json(wait.standing, moment_now(), grace_s), "signs": why_json(wait)}


def why_json(wait: Wait) -> list[dict[str, Any]]:
    """A row for each sign of life, none before the first sample.

    `state` is alive, quiet or unknown, as of the last look; `keeps`: it keeps the machine up.
    """
    table, now = wait.table, moment_now()
    return [] if table is None else [_sign(row, table.moment, now, wait.policy) for row in table.rows]


def _sign(row: Row, looked: Moment, now: Moment, policy: Policy) -> dict[str, Any]:
    told: dict[str, Any] = {"sign": row.sign.value, "counts": to_plain(row.counts)}
    if not isinstance(row.reading, Known):
        return {
            **told,
            **{"state": "unknown", "keeps": True, "last_alive": None, "quiet_s": None},
            **{"saw": "", "reason": row.reading.reason},
        }
    life = row.reading.value
    quiet_s = max(0.0, now.at - life.last_alive)
    return {
        **told,
        "state": "alive" if looked.at - life.last_alive <= ALIVE_PERIODS * policy.period_s else "quiet",
        "keeps": quiet_s < policy.window_s,
        "last_alive": _iso(life.last_alive, now),
        "quiet_s": round(quiet_s, 3),
        "saw": to_plain(life.detail),
        "reason": None,
    }


def in_english(document: Any) -> Any:
    """The same with its sentences in English, as documents have them."""
    if isinstance(document, dict):
        if "template" in document and "fields" in document:
            return str(from_plain(document))
        return {name: in_english(value) for name, value in document.items()}
    return [in_english(value) for value in document] if isinstance(document, list) else document
