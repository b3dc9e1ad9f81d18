"""`--wait`: look again until the GPUs that a job needs are nobody else's. Starts nothing.

Waited for is only what time can change: GPUs that other runs have taken, and memory of GPUs that other
processes hold where the job asks for some. Everything else is for the verdict, at once.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from launcher import gpu_claims
from launcher.events import Waiting
from launcher.gpu_choice import wish_of
from launcher.judging import check
from launcher.probes.gpu_users import read_gpu_users
from launcher.probes.nvml import read_gpus
from launcher.spec.model import GpuProperties
from launcher.values import Known, Unknown, format_size
from launcher.verdict.model import Finding, FindingCode, Status, Verdict
from launcher.verdict.picking import TooFew, pick
from launcher.words import counted, words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.events import Audience, Judged
    from launcher.guard.inbox import Inbox
    from launcher.jobs import Job
    from launcher.judging import Here
    from launcher.probes.model import Gpu, RuntimeFacts
    from launcher.spec.model import JobSpec
    from launcher.words import Text

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 10.0
_GROWS = 1.5
# The driver keeps some memory for itself; more than this is somebody's, also where it tells no processes.
_DRIVERS_OWN_BYTES = 1 << 30
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class InUse:
    """Of `wanted` GPUs only `free` would do now; `by` says who has the others, `taken` that it is runs.

    `run_ids` are those that are known. With `in_vain` not even all others' end would be enough: this
    notebook's own kernel holds what is missing, and it cannot let go while its cell waits for us.
    """

    wanted: int
    free: int
    by: Text
    taken: bool
    run_ids: tuple[str, ...] = ()
    in_vain: bool = False

    @property
    def finding(self) -> Finding:
        """What the verdict says of it when the time is over."""
        return Finding(
            "free gpu",
            self.wanted,
            self.free,
            Status.SHORT,
            FindingCode.GPU_TAKEN if self.taken else FindingCode.GPU_IN_USE,
            words("{count} free", count=self.wanted),
            words("{count} free", count=self.free),
            words("Others use what is missing: {who}.", who=self.by),
            self.run_ids,
        )


def in_time(verdict: Verdict) -> Verdict:
    """What stands in the verdict for good: without what may end by itself."""
    return Verdict(tuple(one for one in verdict.findings if one.code is not FindingCode.GPU_TAKEN))


def in_use(spec: JobSpec, facts: RuntimeFacts, here: Here) -> InUse | None:
    """What keeps the job from its GPUs now and may end by itself; None where nothing does, or nobody knows.

    Raises StateFolderError.
    """
    gpus, request = facts.gpu.gpus, spec.resources.gpu
    wish = wish_of(spec, facts, here.catalog, here.environ)
    if wish is None or isinstance(gpus, Unknown):
        return None
    wanted = request.memory_bytes if isinstance(request, GpuProperties) else None
    users: dict[str, Text] = {}
    claimed: dict[str, str] = {}
    ours: set[str] = set()
    whose: Mapping[int, str] | None = None
    for gpu in gpus.value:
        if isinstance(gpu.uuid, Unknown):
            continue
        run = None if spec.resources.gpu_sharing else gpu_claims.holder(gpu.uuid.value)
        if run is not None:
            claimed[gpu.uuid.value] = run
            users[gpu.uuid.value] = words("run {run_id}", run_id=run) if run else words("another run")
        elif wanted is not None and _held(gpu, wanted):
            if whose is None:
                whose = {user.pid: user.whose for user in read_gpu_users(facts.gpu)}
            users[gpu.uuid.value] = _who(gpu, whose)
            if _too_much_is_ours(gpu, wanted, whose):
                ours.add(gpu.uuid.value)
    chosen = pick(wish, users)
    # What nobody else has is not enough even with the taken ones: that is the verdict's to say.
    if not isinstance(chosen, TooFew) or not chosen.taken:
        return None
    named = list(dict.fromkeys(users[uuid] for uuid in chosen.taken))
    runs = sorted({claimed[uuid] for uuid in chosen.taken if claimed.get(uuid)})
    return InUse(
        chosen.wanted,
        chosen.free,
        _list(named),
        taken=claimed.keys() >= set(chosen.taken),
        run_ids=tuple(runs),
        in_vain=isinstance(pick(wish, ours), TooFew),
    )


def _list(named: list[Text]) -> Text:
    text, *rest = named[:_MOST_NAMED]
    for one in rest:
        text = words("{first}, {second}", first=text, second=one)
    return text


def _held(gpu: Gpu, wanted: int) -> bool:
    """Too little is free, and that is somebody's doing."""
    total, free = gpu.memory_total_bytes, gpu.memory_free_bytes
    if isinstance(total, Unknown) or isinstance(free, Unknown) or free.value >= wanted:
        return False
    told = isinstance(gpu.processes, Known) and bool(gpu.processes.value)
    return told or total.value - free.value > _DRIVERS_OWN_BYTES


def _too_much_is_ours(gpu: Gpu, wanted: int, whose: Mapping[int, str]) -> bool:
    """Would too little be free even if everybody but this notebook's kernel let go?"""
    total = gpu.memory_total_bytes
    if isinstance(total, Unknown) or isinstance(gpu.processes, Unknown):
        return False
    own = [one.memory_bytes for one in gpu.processes.value if whose.get(one.pid) == "own-kernel"]
    return total.value - sum(size.value for size in own if isinstance(size, Known)) < wanted


def _who(gpu: Gpu, whose: Mapping[int, str]) -> Text:
    free = format_size(gpu.memory_free_bytes.value) if isinstance(gpu.memory_free_bytes, Known) else "?"
    if isinstance(gpu.processes, Unknown) or not gpu.processes.value:
        return words("a process that the driver does not tell ({size} free)", size=free)
    pids = [process.pid for process in gpu.processes.value]
    kernels = [pid for pid in pids if whose.get(pid) in ("own-kernel", "kernel")]
    named = ", ".join(map(str, (kernels or pids)[:_MOST_NAMED]))
    if kernels:
        # It lets go when its session is restarted, and hardly ever before.
        return words("a notebook kernel, process {pid} ({size} free)", pid=named, size=free)
    return words("process {pid} ({size} free)", pid=named, size=free)


def wait_until_free(
    judged: Judged, job: Job, here: Here, *, wait_s: float, inbox: Inbox, audience: Audience
) -> Judged | int:
    """The verdict once nobody else has the GPUs, or at the end of the time, then with what is missing.

    At once where it would be waited for in vain.

    The number of the signal where a person stopped it. Raises as `check`.
    """
    began = time.monotonic()
    until = time.strftime("%H:%M", time.localtime(time.time() + wait_s))
    pause, waited = FIRST_PAUSE_S, False
    while True:
        missing = in_use(job.spec, judged.facts, here)
        if missing is None and waited:
            # The rest of the machine is looked at again too: much may have happened.
            judged, waited = check(job, here), False
            if in_time(judged.verdict).status is not Status.SHORT:
                continue
        if missing is None:
            return replace(judged, verdict=in_time(judged.verdict))
        passed = time.monotonic() - began
        if passed >= wait_s or missing.in_vain:
            return replace(judged, verdict=Verdict((*in_time(judged.verdict).findings, missing.finding)))
        said = counted(
            "waiting for {count} GPU, {free} free: {who}; until {time}",
            "waiting for {count} GPUs, {free} free: {who}; until {time}",
            missing.wanted,
            free=missing.free,
            who=missing.by,
            time=until,
        )
        audience.tell(Waiting(said, passed))
        if (number := _pause(min(pause, wait_s - passed), inbox)) is not None:
            return number
        pause, waited = min(pause * _GROWS, LONGEST_PAUSE_S), True
        gpu = read_gpus(here.catalog)
        judged = replace(judged, facts=replace(judged.facts, gpu=gpu))


def _pause(seconds: float, inbox: Inbox) -> int | None:
    """Wait; the signal of a person who stops it. Children that end and windows that change wake nobody."""
    over = time.monotonic() + seconds
    while True:
        for number in inbox.take():
            if number in (signal.SIGINT, signal.SIGTERM):
                return number
            if number == signal.SIGTSTP:
                os.kill(os.getpid(), signal.SIGSTOP)  # Ctrl-Z, which the inbox keeps from us.
        left = over - time.monotonic()
        if left <= 0:
            return None
        inbox.wait(left)
