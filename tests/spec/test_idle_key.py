"""`idle:` of the job file: when a job that is alive counts as stalled, and what happens then."""

from __future__ import annotations

import pytest

from launcher.spec.model import IdleAction, IdlePolicy


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("", IdlePolicy(1200.0, IdleAction.WARN)),
        ("idle: {after: 90s}\n", IdlePolicy(90.0, IdleAction.WARN)),
        ("idle: {action: stop}\n", IdlePolicy(1200.0, IdleAction.STOP)),
        ("idle: {after: 1h30m, action: warn}\n", IdlePolicy(5400.0, IdleAction.WARN)),
    ],
)
def test_what_is_not_said_has_its_default(reader, text, policy):
    """20 minutes, and a warning."""
    assert reader.job(f"run: x\n{text}").idle == policy


def test_an_override_sets_one_of_the_two(reader):
    """`--set idle.action=stop` leaves the rest as it is."""
    job = reader.job("run: x\nidle: {after: 5m}\n", ("idle.action", "stop"))
    assert job.idle == IdlePolicy(300.0, IdleAction.STOP)


@pytest.mark.parametrize("key", ["idle_timeout", "stalled", "watchdog", "閒置", "空闲"])
def test_names_that_people_try_lead_to_it(reader, key):
    """A near match for what other tools, and other languages, call it."""
    (problem,) = reader.problems(f"run: x\n{key}: 20m\n")
    assert problem.hint == "use `idle`"


def test_dstacks_policy_leads_to_it(reader):
    """`utilization_policy` stops a run by GPU utilisation alone, which is not what happens here."""
    (problem,) = reader.problems("run: x\nutilization_policy: {min_gpu_utilization: 10, time_window: 1h}\n")
    assert problem.code.value == "CR223"
    assert "`idle`" in problem.hint
