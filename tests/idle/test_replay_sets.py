"""Policies on recorded sets of sessions, where they can be had: the figures of others; nobody is better."""

from __future__ import annotations

import os

import pytest

from launcher.idle.replay import rules, score
from launcher.replaying import sessions_of

MINUTE = 60.0
TRACES = os.environ.get("COLAB_RUN_TRACES", "")
# (set, above, policy) -> (recovered %, false per 100 h) at 30, 60 and 90 minutes, as measured by others.
BASELINE = {
    ("hpcload15", 0.0, "fixed"): ((4.9, 3.68), (6.0, 2.02), (6.2, 1.36)),
    ("hpcload15", 0.0, "fixed-armed"): ((9.5, 2.70), (9.7, 1.46), (9.3, 0.95)),
    ("alibaba26", 1.0, "fixed"): ((0.4, 4.93), (2.9, 3.60), (4.4, 2.19)),
}
# How a sample stands for the time around it was not said with those figures.
NEAR_PERCENT, NEAR_FALSE = 1.2, 0.4
needs_traces = pytest.mark.skipif(not TRACES, reason="COLAB_RUN_TRACES names no folder with recorded sets")


@needs_traces
@pytest.mark.parametrize(("name", "above", "policy"), BASELINE)
def test_the_baseline(name: str, above: float, policy: str) -> None:
    """Our definitions give about the figures that others found on the same sessions."""
    sessions = sessions_of(os.path.join(TRACES, f"{name}.jsonl.gz"))
    for minutes, (recovered, false) in zip((30, 60, 90), BASELINE[name, above, policy], strict=True):
        (rule,) = (rule for rule in rules(minutes * MINUTE, above) if rule.name == policy)
        total = score(rule, sessions, above)
        assert total.recovered_percent == pytest.approx(recovered, abs=NEAR_PERCENT)
        assert total.false_per_100h == pytest.approx(false, abs=NEAR_FALSE)


@needs_traces
@pytest.mark.parametrize(
    ("name", "above"),
    [("plato", 0.0), ("breakend", 0.0), ("alibaba26", 1.0), ("hpcload5", 0.0), ("hpcload15", 0.0)],
)
def test_nobody_is_better_on_both_axes(name: str, above: float) -> None:
    """At the same window, on every set, no policy recovers more with fewer false releases than ours."""
    sessions = sessions_of(os.path.join(TRACES, f"{name}.jsonl.gz"))
    for minutes in (30, 60, 90):
        ours, *others = (score(rule, sessions, above) for rule in rules(minutes * MINUTE, above))
        assert not [other.name for other in others if other.beats(ours)]
