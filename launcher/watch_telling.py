"""What the guard of a watch tells whoever asks, as JSON whose sentences are in no language yet."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from launcher.clock import iso_utc
from launcher.idle.sampler import moment_now
from launcher.spec.model import With
from launcher.watch_table import standing_json
from launcher.words import to_plain

if TYPE_CHECKING:
    from launcher.release.interface import ReleaseBackend
    from launcher.watch_plan import WatchPlan
    from launcher.watch_senses import Senses
    from launcher.words import Text


def asked_json(plan: WatchPlan) -> dict[str, Any]:
    """What was asked, and what will be done.

    `replaced` are the watches whose place it takes, `not_replaced` those that do not answer or do not end.
    """
    backend, rate = plan.plan.backend, plan.plan.rate
    told = {name: value for name, value in plan.asked.as_json().items() if name not in ("header", "until")}
    return {
        **told,
        "outputs": [{"path": one.path, "to": one.to} for one in plan.plan.spec.outputs],
        "with": None if backend is None else backend.name,
        "does": "" if backend is None else to_plain(_does(backend)),
        "rate": None if rate is None else asdict(rate),
        "replaced": [],
        "not_replaced": [],
    }


def _does(backend: ReleaseBackend) -> Text:
    """A command may hold a secret: whoever typed it knows it."""
    return backend.name if backend.name == With.COMMAND.value else backend.describe()


def watch_json(asked: dict[str, Any], senses: Senses, grace_s: float, wall: float) -> dict[str, Any]:
    """The same, with how it stands now, and what it has cost since the last sign of life."""
    standing = standing_json(senses.standing, moment_now(), grace_s)
    left = senses.limit_in_s
    return {
        **asked,
        **standing,
        "max_at": None if left is None else iso_utc(wall + left),
        "max_in_s": None if left is None else round(left, 3),
        "past_max": senses.past_limit,
        "cost": cost_json(asked["rate"], standing["quiet_s"]),
        "recording": not senses.recording.problem if asked["record"] else None,
        "recording_problem": senses.recording.problem or None,
    }


def cost_json(rate: dict[str, Any] | None, seconds: float | None) -> dict[str, Any] | None:
    """What so many seconds cost at a dated rate; None where either is not known."""
    if rate is None or seconds is None:
        return None
    hours = seconds / 3600
    return {
        "units": round(rate["units"] * hours, 4),
        "usd": round(rate["usd"] * hours, 4),
        "checked": rate["checked"],
    }
