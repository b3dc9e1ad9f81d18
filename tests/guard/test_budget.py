"""What a run may cost: told in time, in force when guards are killed, never at a rate unknown."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from helpers.ours import guard_of, kill
from helpers.scene import until
from launcher.budget import budget_seconds, ends_by, judge_budget, limits_of, money_hints
from launcher.guard.limits import Limits
from launcher.guard.model import OverLimit
from launcher.guard.progress import Progress
from launcher.record import HourlyRate
from launcher.spec.model import Argv, Budget, JobSpec
from launcher.values import Known, Unknown
from launcher.verdict.model import Status

if TYPE_CHECKING:
    from helpers.lab import Lab
    from helpers.scene import Scene

RATE = HourlyRate(7.2, 0.72, "2026-03-10")
# US dollars an hour so that a budget of 1 lasts so many seconds.
SECOND = 3600.0


def spec(**changes: object) -> JobSpec:
    fields: dict[str, object] = {"name": "job", "workdir": "/", "run": Argv(("true",)), "stop_grace_s": 30.0}
    return JobSpec(**{**fields, **changes})  # type: ignore[arg-type]


def dear(seconds: float) -> str:
    """The line of a job file for a budget that lasts so long."""
    return f"budget: {{usd: {seconds:g}, usd_per_hour: {SECOND:g}}}\n"


# --- pure -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "rate", "seconds"),
    [
        (Budget(compute_units=7.2), RATE, 3600.0),
        (Budget(usd=0.36), RATE, 1800.0),
        (Budget(usd=2.0, usd_per_hour=1.0), RATE, 7200.0),
        (Budget(usd=2.0, usd_per_hour=1.0), None, 7200.0),
        (Budget(usd=2.0), None, None),
        (Budget(compute_units=40.0), None, None),
        (Budget(compute_units=40.0), HourlyRate(0.0, 0.0, None), None),
    ],
)
def test_how_long_a_budget_lasts(budget: Budget, rate: HourlyRate | None, seconds: float | None) -> None:
    """At the rate that the job file gives, else at the runtime's; at none it is not known."""
    found = budget_seconds(budget, rate)
    assert found == (Unknown("no-rate") if seconds is None else Known(pytest.approx(seconds)))
    (finding,) = judge_budget(spec(budget=budget), rate)
    assert finding.status is (Status.UNKNOWN if seconds is None else Status.MET)


def test_a_budget_keeps_back_what_the_end_takes() -> None:
    """The grace and as long as the last save took; half of it is the job's in any case."""
    assert Limits(None, 100.0, 30.0, 8.0).told_at == 62.0
    assert Limits(None, 100.0, 30.0, 90.0).told_at == 50.0


def test_a_suspended_machine_is_paid_for() -> None:
    """The time counts for the budget and not for max_duration, whichever comes first ends the run."""
    progress = Progress(1000.0, 0.0, 0, {}, suspended=7.0)
    limits = Limits(60.0, 100.0, 10.0)
    assert limits.left(*progress.passed(1010.0, 7.0)) == (50.0, OverLimit(60.0))
    assert limits.left(*progress.passed(1010.0, 57.0)) == (30.0, OverLimit(100.0, "budget"))
    assert limits.left(*progress.passed(1010.0, 87.0)) == (0.0, OverLimit(100.0, "budget"))
    assert Limits(None).left(*progress.passed(1010.0, 7.0)) is None


def test_what_is_said_of_the_money_before_the_start() -> None:
    """A budget hardly longer than the grace, and a run that may cost more than there is."""
    assert money_hints(spec(budget=Budget(compute_units=7.2)), RATE, None) == ()
    assert "hardly longer" in str(money_hints(spec(budget=Budget(compute_units=0.1)), RATE, None)[0])
    for limit in ({"max_duration_s": 7200.0}, {"budget": Budget(compute_units=14.4)}):
        assert money_hints(spec(**limit), RATE, 14.5) == ()
        (said,) = money_hints(spec(**limit), RATE, 14.0)
        assert "may use 14.4 units" in str(said)
        assert "the balance is 14" in str(said)
    assert money_hints(spec(max_duration_s=7200.0), None, 1.0) == ()


class Planned:
    """As much of a plan as the projected end is made of."""

    def __init__(
        self, balance: float | None = None, walls: tuple[float, ...] = (), **changes: object
    ) -> None:
        self.spec, self.rate, self.balance, self.walls = spec(**changes), RATE, balance, walls


@pytest.mark.parametrize(
    ("plan", "at", "because"),
    [
        (Planned(max_duration_s=60.0, balance=7.2), "1970-01-01T00:01:00Z", "max_duration"),
        (Planned(max_duration_s=7200.0, budget=Budget(compute_units=7.2)), "1970-01-01T01:00:00Z", "budget"),
        (Planned(balance=3.6, max_duration_s=7200.0), "1970-01-01T00:30:00Z", "balance"),
        (Planned(walls=(90.0, 500.0), max_duration_s=7200.0), "1970-01-01T00:01:20Z", "platform"),
    ],
)
def test_the_earliest_end_that_is_known(plan: Planned, at: str, because: str) -> None:
    """And what for; the platform's is on the clock that runs on in a machine that is suspended."""
    assert ends_by(plan, 0.0, 10.0, 20.0) == {"at": at, "because": because}  # type: ignore[arg-type]
    assert ends_by(Planned(), 0.0, 10.0, 20.0) is None  # type: ignore[arg-type]
    assert limits_of(spec(), RATE).told_at == float("inf")


# --- real runs ------------------------------------------------------------------------------------


def test_the_job_is_told_in_time(lab: Lab) -> None:
    """SIGTERM before the budget is used up, its last words are kept, 124, and the reason everywhere."""
    script = "trap 'echo saved > out; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    began = time.monotonic()
    end = lab.run("run", "--json", budgeted(lab, script, "stop_grace: 2s\n" + dear(4.0)))
    took = time.monotonic() - began
    assert (end.code, end.document["outcome"], end.document["limit"]) == (124, "over_limit", "budget")
    assert (lab.work / "out").read_text() == "saved\n"
    assert 2.0 <= end.document["duration_s"] < 4.0 < took + 4.0
    assert b"the budget is nearly used up" in end.err
    assert b"at the latest (budget)" in end.err


def test_who_is_over_max_duration_first_is_told_so(lab: Lab) -> None:
    """The reason in the JSON is the one that it was."""
    end = lab.run("run", "--json", budgeted(lab, "sleep 60", "max_duration: 1s\n" + dear(40.0)))
    assert (end.code, end.document["outcome"], end.document["limit"]) == (124, "over_limit", "max_duration")


def test_attempts_do_not_get_a_budget_each(lab: Lab) -> None:
    """It counts from the start of the run, the pauses between attempts included."""
    more = "stop_grace: 1s\nretry: {max_restarts: 50, on: [error], backoff: 1s}\n" + dear(5.0)
    end = lab.run("run", "--json", budgeted(lab, "sleep 0.5; exit 3", more))
    assert end.document["attempts"] > 1
    assert end.document["duration_s"] < 5.5


def test_at_a_rate_unknown_nothing_is_started(lab: Lab) -> None:
    """69, unless it is accepted; and what to do about it is said."""
    job = budgeted(lab, "touch started", "budget: {usd: 4}\n")
    end = lab.run("run", "--json", job)
    assert (end.code, end.document["outcome"]) == (69, "refused")
    assert not (lab.work / "started").exists()
    assert b"usd_per_hour" in lab.run("check", job).out
    assert lab.run("run", "--json", "--accept-unknown", job).code == 0
    assert (lab.work / "started").exists()


def budgeted(lab: Lab, script: str, more: str) -> str:
    """A job file of the lab with these lines."""
    path = lab.work / "budget.yaml"
    path.write_text(f"name: budget\nrun: {json.dumps(script)}\n{more}")
    return str(path)


def test_a_guard_killed_in_between_changes_nothing(scene: Scene) -> None:
    """Who takes over counts from where the run began."""
    text = f"run: touch ready; sleep 60\nstop_grace: 1s\n{dear(5.0)}"
    began = time.monotonic()
    process = scene.start("run", "--json", scene.write_job(text))
    until((scene.work / "ready").exists, "the job at work")
    kill(guard_of(scene))
    ended = scene.end(process)
    assert ended.code == 124, ended.err
    (result,) = scene.results()
    assert (result["outcome"], result["limit"]) == ("over_limit", "budget")
    assert result["duration_s"] < 6.0
    assert time.monotonic() - began > 3.0
