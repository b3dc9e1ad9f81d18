"""Notebook kernels as signs of life: what every Jupyter server of this machine says of its kernels."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from launcher.probes.kernel_servers import survey
from launcher.probes.kernels import running_kernels
from launcher.values import Known, Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

# A server that answers does so in milliseconds; the sampler replaces a child that hangs for 5 s.
DEADLINE_S = 2.0
# A sample is one short line.
MOST_KERNELS = 64
_LONGEST_NAME = 40
_LONGEST_REASON = 40


def kernels_reader(
    environ: Mapping[str, str],
    every_s: float,
    own: Callable[[], Collection[str]] = frozenset,
    *,
    deadline_s: float = DEADLINE_S,
    proc: str = "/proc",
) -> Callable[[], Reading[Any]]:
    """Reads `{"asked", "kernels", "unread", "without"}`, asking at most every `every_s` seconds.

    `asked` is when that was (epoch seconds). Each kernel is `{"id", "name", "server", "state",
    "last_activity"}`, the last two null where the server does not say; `unread` are `{"server", "reason"}`;
    `without` are the ids of kernels that run, and that no server names: nobody says whether they are busy.
    `own()` are the ids of kernels that do not count, such as that whose cell hosts our client. To be asked
    in a process that may be killed, as the sampler's child is: it asks without another one between.
    """
    asked_at = 0.0
    answer: dict[str, Any] = {}

    def read() -> Reading[Any]:
        nonlocal asked_at, answer
        now = time.monotonic()
        if not answer or now - asked_at >= every_s:
            asked_at = now
            asked = time.time()
            # Before the servers are asked: a kernel that one starts meanwhile is not taken for one without.
            running = running_kernels(proc)
            found, ours = survey(environ, now + deadline_s), frozenset(own())
            named = ours.union(kernel["kernel_id"] for kernel in found["kernels"])
            without = sorted(
                kernel_id
                for kernel_id, pids in running.items()
                if kernel_id not in named and any(os.path.exists(f"{proc}/{pid}") for pid in pids)
            )
            answer = {"asked": asked, **_told(found, ours), "without": without[:MOST_KERNELS]}
        return Known(answer)

    return read


def _told(found: dict[str, list[dict[str, Any]]], own: frozenset[str]) -> dict[str, Any]:
    kernels = [
        {
            "id": kernel["kernel_id"],
            "name": kernel["name"][:_LONGEST_NAME],
            "server": kernel["server"],
            "state": kernel["state"],
            "last_activity": kernel["last_activity"],
        }
        for kernel in found["kernels"]
        if kernel["kernel_id"] not in own
    ]
    # Where there are more than fit, those that speak for life come first.
    kernels.sort(key=lambda kernel: (kernel["state"] == "idle", -(kernel["last_activity"] or 0.0)))
    unread = [{"server": one["server"], "reason": one["reason"][:_LONGEST_REASON]} for one in found["unread"]]
    return {"kernels": kernels[:MOST_KERNELS], "unread": unread[:MOST_KERNELS]}
