"""Is the runtime handed back at the end of this run? Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.guard.model import Interrupted, Outcome, Refused, Succeeded
from launcher.release.interface import ReleaseResult, ReleaseStatus
from launcher.spec.model import When
from launcher.words import words

if TYPE_CHECKING:
    from launcher.guard.model import RunReport
    from launcher.words import Text


# The release of a run that a queue has started.
LEFT_TO_QUEUE = "left-to-queue"


def effective_when(when: When | None, *, managed: bool) -> When:
    """The policy in force: without the key `idle` on a managed Colab VM, `never` elsewhere."""
    if when is not None:
        return when
    return When.IDLE if managed else When.NEVER


def may_release(when: When | None, *, managed: bool, backed: bool, no_release: bool) -> bool:
    """Could some outcome of a run under this policy release the runtime?

    `managed`: on a managed Colab VM; `backed`: there is a backend that would do it.
    """
    policy = effective_when(when, managed=managed)
    return backed and not no_release and policy is not When.NEVER


def decide(
    *,
    when: When | None,
    managed: bool,
    backed: bool,
    no_release: bool,
    report: RunReport,
    in_queue: bool = False,
) -> ReleaseResult | None:
    """None when the release is to be asked for, otherwise how it ends without having been asked.

    `managed` and `backed` as for `may_release`; `in_queue`: a run of a queue, which decides in its place.
    """
    if in_queue:
        return _result(ReleaseStatus.KEPT, LEFT_TO_QUEUE, words("its queue decides about the release"))
    policy = effective_when(when, managed=managed)
    if no_release:
        return _result(ReleaseStatus.NOT_ASKED, "no-release-option", words("--no-release was given"))
    if policy is When.NEVER or isinstance(report.outcome, Refused):
        return _result(ReleaseStatus.NOT_ASKED, "not-asked", words("the job file does not ask for it"))
    if not backed:
        return _result(ReleaseStatus.NOT_MANAGED, "not-managed", _not_ours(managed=managed))
    if report.survivors:
        pids = ", ".join(str(pid) for pid in report.survivors)
        return _result(
            ReleaseStatus.KEPT, "survivors", words("processes of the job cannot be ended: {pids}", pids=pids)
        )
    if report.ended_by_person or isinstance(report.outcome, Interrupted):
        return when_idle("ended-by-person", words("a person stopped the run"))
    return _by_outcome(policy, report.outcome)


def when_idle(reason: str, detail: Text) -> ReleaseResult:
    """Not now, and for this reason; but once nothing has shown life for a while."""
    return ReleaseResult(ReleaseStatus.HELD, reason, detail, then="release")


def _not_ours(*, managed: bool) -> Text:
    if managed:
        return words("the job file leaves that to somebody else (release.with: none)")
    return words("this machine is not managed by colab-run")


def _by_outcome(policy: When, outcome: Outcome) -> ReleaseResult | None:
    succeeded = isinstance(outcome, Succeeded)
    if policy is When.SUCCESS and not succeeded:
        return when_idle("when-success", words("the job did not succeed (release.when: success)"))
    if policy is When.FAILURE and succeeded:
        return when_idle("when-failure", words("the job succeeded (release.when: failure)"))
    if policy is When.IDLE:
        return when_idle("idle", words("the job is over (release.when: idle)"))
    return None


def _result(status: ReleaseStatus, reason: str, detail: Text) -> ReleaseResult:
    return ReleaseResult(status, reason, detail)
