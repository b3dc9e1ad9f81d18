"""Watches that can be told in advance, for the screens of `watch`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher.report.lines import ENGLISH
from launcher.report.watch import short_line, started_screen, status_screen, stopped_screen, why_screen
from launcher.words import to_plain, words

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.report.lines import Line
    from launcher.words import Text

RUN_ID = "20261122-114501-3fa2"
NOON = 1_795_348_800.0  # 2026-11-22T12:00:00Z
RATE = {"units": 5.4, "usd": 0.54, "checked": "2026-03-10", "stale": False}


def watch(**changes: object) -> dict[str, Any]:
    """What a watch was asked, and how it stands after twelve quiet minutes."""
    asked = {
        **{"idle_s": 1800.0, "grace_s": 120.0, "max_s": None, "ignored": [], "folders": [], "record": None},
        **{"outputs": [], "with": "colab", "rate": RATE, "replaced": []},
        "does": to_plain(words("POST {url}", url="http://172.28.0.1:8011/unassign")),
    }
    standing = {
        **{"because": "alive", "which": ["gpu", "cpu"], "window_s": 1800.0, "quiet_s": 720.0},
        **{"idle_in_s": 1080.0, "max_at": None, "max_in_s": None, "past_max": False},
        "cost": {"units": 1.08, "usd": 0.108, "checked": "2026-03-10"},
        **{"recording": None, "recording_problem": None},
    }
    return {**asked, **standing, **changes}


def document(state: str = "watching", **changes: object) -> dict[str, Any]:
    """What its guard says."""
    release = changes.pop("release", {"status": "not-asked", "reason": "not-yet"})
    told = watch(**changes)
    return {"run_id": RUN_ID, "job": "watch", "state": state, "watch": told, "wait": told, "release": release}


def sign(name: str, quiet_s: float | None, saw: Text, counts: Text, **changes: object) -> dict[str, Any]:
    """A row of `--why`."""
    row = {
        **{"sign": name, "state": "quiet", "keeps": quiet_s is None or quiet_s < 1800, "quiet_s": quiet_s},
        **{"saw": to_plain(saw), "counts": to_plain(counts), "reason": None},
    }
    return {**row, **changes}


SIGNS = [
    sign("gpu", 720.0, words("{figure} W", figure=52), words("work on a GPU"), state="quiet"),
    sign("cpu", 900.0, words("{figure} % of a core", figure=1), words("5 % of a core")),
    sign("kernels", None, "", words("a busy notebook kernel"), state="unknown", reason="timeout"),
    sign("terminals", 8040.0, "", words("any keystroke")),
]
UNKNOWN = {"because": "unknown", "which": ["kernels"], "quiet_s": None, "idle_in_s": None, "cost": None}
HELD = {"status": "held", "reason": "not-saved", "detail": "outputs could not be saved and verified"}

WATCH_SCENES: dict[str, Callable[..., list[Line]]] = {
    "watch-started": lambda p=ENGLISH: started_screen(RUN_ID, watch(), p),
    "watch-started-all": lambda p=ENGLISH: started_screen(
        RUN_ID,
        watch(
            max_s=43200.0,
            ignored=["cpu", "network"],
            record="/content/looks.jsonl",
            outputs=[{"path": "out", "to": "/content/drive/MyDrive/out"}],
            replaced=["20261122-110000-2f5b"],
            rate=None,
        ),
        p,
    ),
    "watch-status": lambda p=ENGLISH: status_screen(document(), NOON, p),
    "watch-status-unknown": lambda p=ENGLISH: status_screen(
        document(
            because="unknown",
            which=["kernels"],
            quiet_s=None,
            idle_in_s=None,
            cost=None,
            max_at="",
            max_in_s=60.0,
        ),
        NOON,
        p,
        others=1,
    ),
    "watch-status-held": lambda p=ENGLISH: status_screen(document(release=HELD, because="idle"), NOON, p),
    "watch-status-counting": lambda p=ENGLISH: status_screen(
        {**document("releasing", because="idle"), "countdown_until": "2026-11-22T12:02:00Z"}, NOON, p
    ),
    "watch-status-none": lambda p=ENGLISH: status_screen(None, NOON, p),
    "watch-short": lambda p=ENGLISH: short_line(
        document(quiet_s=11520.0, cost={"units": 54.0, "usd": 5.4, "checked": None}), p
    ),
    "watch-status-silent": lambda p=ENGLISH: status_screen(None, NOON, p, silent=[RUN_ID]),
    "watch-short-silent": lambda p=ENGLISH: short_line(None, p, silent=[RUN_ID]),
    "watch-short-unknown": lambda p=ENGLISH: short_line(document(**UNKNOWN), p),
    "watch-why": lambda p=ENGLISH: why_screen([{**document(**UNKNOWN), "signs": SIGNS}], (), p),
    "watch-why-run": lambda p=ENGLISH: why_screen(
        [{"run_id": RUN_ID, "job": "finetune", "state": "done", "wait": watch(), "signs": SIGNS[:2]}],
        ("20261122-110000-2f5b",),
        p,
    ),
    "watch-why-look": lambda p=ENGLISH: why_screen(
        [{"run_id": None, "looked_s": 2.0, "wait": watch(), "signs": SIGNS[1:2]}], (), p
    ),
    "watch-stopped": lambda p=ENGLISH: stopped_screen([RUN_ID], p),
    "watch-stopped-none": lambda p=ENGLISH: stopped_screen((), p),
}
