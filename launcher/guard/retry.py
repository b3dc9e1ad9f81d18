"""Is a job started again, and when? Decided from how it ended, the policy, and what went before. Pure."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from launcher.spec.model import RetryOn

if TYPE_CHECKING:
    from launcher.guard.model import Outcome
    from launcher.spec.model import RetryPolicy

# The pause before a restart, whatever doubling makes of it.
LONGEST_S = 600.0
# Each pause is longer or shorter by up to this part: jobs that failed together do not come back together.
JITTER = 0.2

_KINDS = {
    "failed": RetryOn.ERROR,
    "signalled": RetryOn.SIGNAL,
    "could_not_start": RetryOn.COULD_NOT_START,
    "stalled": RetryOn.STALLED,
    "lost": RetryOn.LOST,
}
# Ends that a lack of memory may look like.
_MEMORY_LIKE = frozenset({RetryOn.ERROR, RetryOn.SIGNAL})


class Again(NamedTuple):
    """Start it again, `after_s` seconds from now."""

    after_s: float


class Stop(NamedTuple):
    """Do not; `why` is a stable code.

    `no-policy`, `succeeded`, `person`, `final` (an end that is never repeated), `not-listed`, `used-up`,
    `still-running` (a process of it cannot be ended), `no-time` (its limit comes first), `no-streams`; and
    of one that was found lost `not-ours` (by another user, or one without its secrets) and `gpus-taken`
    (other runs have taken the GPUs that it needs).
    """

    why: str


class End(NamedTuple):
    """How one attempt ended. `left_s`: seconds until a limit of the whole run; None: there is none.

    `by_person`: somebody stopped it, at whatever point. `survivors`: processes of it cannot be ended.
    `cut_off`: nothing can be connected to the client's streams any more.
    """

    outcome: Outcome
    out_of_memory: bool = False
    by_person: bool = False
    survivors: bool = False
    left_s: float | None = None
    cut_off: bool = False

    @property
    def kind(self) -> RetryOn | None:
        """The class of the end; None for one after which nothing is started again."""
        kind = _KINDS.get(self.outcome.name)
        return RetryOn.OOM if self.out_of_memory and kind in _MEMORY_LIKE else kind


def decide(policy: RetryPolicy, restarts: int, end: End, seed: str) -> Again | Stop:
    """After an attempt that `restarts` restarts went before. The same arguments, the same answer."""
    kind = end.kind
    if policy.max_restarts == 0:
        return Stop("no-policy")
    if end.outcome.name == "succeeded":
        return Stop("succeeded")
    if end.by_person:
        return Stop("person")
    if kind is None:
        return Stop("final")
    if kind not in policy.on:
        return Stop("not-listed")
    if restarts >= policy.max_restarts:
        return Stop("used-up")
    if end.survivors:
        return Stop("still-running")
    if end.cut_off:
        return Stop("no-streams")
    after_s = back_off(policy.backoff_s, restarts, seed)
    if end.left_s is not None and after_s >= end.left_s:
        return Stop("no-time")
    return Again(after_s)


def may_follow(policy: RetryPolicy, restarts: int, outcome: Outcome | None, *, by_person: bool) -> bool:
    """Could another attempt follow an end that is known this far? What is still open counts as a yes."""
    if outcome is None or by_person or restarts >= policy.max_restarts:
        return False
    return _KINDS.get(outcome.name) is not None


def back_off(first_s: float, restarts: int, seed: str) -> float:
    """Seconds before the restart that follows `restarts` others: twice as long with each."""
    share = int.from_bytes(hashlib.sha256(f"{seed}/{restarts}".encode()).digest()[:8], "big") / 2**64
    doubled = min(first_s * 2.0 ** min(restarts, 64), LONGEST_S)
    return min(doubled * (1 - JITTER + 2 * JITTER * share), LONGEST_S)


def changed_environment(policy: RetryPolicy, ooms: int) -> dict[str, str]:
    """What `env_on_oom` says, when memory ran out `ooms` times; of too few values the last."""
    if ooms == 0:
        return {}
    return {name: values[min(ooms, len(values)) - 1] for name, values in policy.env_on_oom if values}
