"""A run gets its GPUs: what the job asks for against what other runs have. `check` looks, the guard takes."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from launcher import gpu_claims
from launcher.errors import GpusTaken, StateFolderError
from launcher.spec.model import GpuNone
from launcher.values import Unknown
from launcher.verdict.model import Finding, FindingCode, Status
from launcher.verdict.picking import Chosen, TooFew, Wish, pick
from launcher.words import listed, words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.catalog.model import Catalog
    from launcher.probes.model import RuntimeFacts
    from launcher.spec.model import JobSpec
    from launcher.words import Text

VISIBLE, ORDER = "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"
# A claim of this very run is one that its watcher has been told to drop, and is about to.
OWN_PATIENCE_S = 2.0
_PAUSE_S = 0.02


class Claimed(NamedTuple):
    """What a run has: UUIDs, CUDA_VISIBLE_DEVICES (None: as it is), and what holds the claims."""

    uuids: tuple[str, ...]
    visible: str | None
    descriptors: tuple[int, ...]


def wish_of(spec: JobSpec, facts: RuntimeFacts, catalog: Catalog, environ: Mapping[str, str]) -> Wish | None:
    """What the job asks for; None where it asks for no GPU, or nobody can tell which it would see."""
    request = spec.resources.gpu
    if request is None or isinstance(request, GpuNone) or isinstance(facts.gpu.gpus, Unknown):
        return None
    from launcher.verdict.choose import AsItIs, wish_for  # not in a guard

    own = dict(spec.env)
    wish = wish_for(
        request,
        facts.gpu.gpus.value,
        catalog,
        visible=own.get(VISIBLE, environ.get(VISIBLE)),
        device_order=own.get(ORDER, environ.get(ORDER, "")),
    )
    if isinstance(wish, AsItIs) or not wish.seen:
        return None
    # Whoever says which in the job file gets those, all of them.
    return Wish(((len(wish.seen), wish.seen),), wish.seen) if VISIBLE in own else wish


def judge_taken(spec: JobSpec, wish: Wish | None) -> list[Finding]:
    """A finding where other runs have too many of the GPUs; nothing is taken."""
    if wish is None or spec.resources.gpu_sharing:
        return []
    try:
        holders = _holders(wish)
    except StateFolderError:
        return []  # The start says so, and what to do.
    found = pick(wish, holders)
    return [_taken(found, holders)] if isinstance(found, TooFew) and found.taken else []


def judge_visible(
    spec: JobSpec, facts: RuntimeFacts, catalog: Catalog, environ: Mapping[str, str]
) -> list[Finding]:
    """A finding where the GPUs that are here would do, and an inherited CUDA_VISIBLE_DEVICES hides them."""
    request, inherited, gpus = spec.resources.gpu, environ.get(VISIBLE), facts.gpu.gpus
    # Whoever says which in the job file has said it.
    if isinstance(gpus, Unknown) or inherited is None or VISIBLE in dict(spec.env):
        return []
    from launcher.verdict.choose import visible_gpus
    from launcher.verdict.compare import judge_gpu

    device_order = dict(spec.env).get(ORDER, environ.get(ORDER, ""))
    seen = visible_gpus(gpus.value, inherited, device_order)
    whole = judge_gpu(request=request, facts=facts.gpu, catalog=catalog)
    if isinstance(seen, Unknown) or whole is None or whole.status is Status.SHORT:
        return []
    found = judge_gpu(request=request, facts=replace(facts.gpu, gpus=seen), catalog=catalog)
    if found is None or found.status is not Status.SHORT:
        return []
    note = words("{name} is {value}: the job would see no other GPU", name=VISIBLE, value=inherited or '""')
    return [replace(found, requirement="visible gpu", note=note)]


def room_for(spec: JobSpec, facts: RuntimeFacts, catalog: Catalog, environ: Mapping[str, str]) -> int | None:
    """How many runs of this job get GPUs of their own now; None where they need none, or nobody can tell.

    Raises StateFolderError.
    """
    wish = wish_of(spec, facts, catalog, environ)
    if wish is None or spec.resources.gpu_sharing:
        return None
    taken, count = set(_holders(wish)), 0
    while isinstance(found := pick(wish, taken), Chosen) and found.uuids:
        taken.update(found.uuids)
        count += 1
    return count


def claim_gpus(wish: Wish, run_id: str, *, shared: bool) -> Claimed:
    """Take them for this run. Raises GpusTaken, StateFolderError; may be called again."""
    give_up = time.monotonic() + OWN_PATIENCE_S
    with gpu_claims.choosing():
        holders = {uuid: by for uuid, by in _holders(wish).items() if by != run_id}
        while True:
            found = pick(wish, holders)
            if isinstance(found, TooFew) and shared:
                found = pick(wish, ())
            if isinstance(found, TooFew):
                raise GpusTaken(
                    words("too few GPUs are free: {found}", found=_found(found, holders)),
                    words("wait for them with --wait 30m, or let the job share one: resources.gpu_sharing"),
                    _taken(found, holders).as_json(),
                )
            held, lost = _take(found, run_id, shared=shared)
            if lost is None:
                return Claimed(found.uuids, found.visible, held)
            if gpu_claims.holder(lost) == run_id and time.monotonic() < give_up:
                time.sleep(_PAUSE_S)
            else:
                holders[lost] = ""


def _take(found: Chosen, run_id: str, *, shared: bool) -> tuple[tuple[int, ...], str | None]:
    """What holds them; or which of them somebody has taken meanwhile."""
    held: list[int] = []
    for uuid in found.uuids:
        descriptor = gpu_claims.take(uuid, run_id, shared=shared)
        if descriptor is not None:
            held.append(descriptor)
        elif not shared:
            for one in held:
                os.close(one)
            return (), uuid
    return tuple(held), None


def _holders(wish: Wish) -> dict[str, str]:
    """Who has which GPU; the id of a run is empty where nobody knows it."""
    found = {uuid: gpu_claims.holder(uuid) for uuid in wish.seen}
    return {uuid: run_id for uuid, run_id in found.items() if run_id is not None}


def _taken(few: TooFew, holders: Mapping[str, str]) -> Finding:
    return Finding(
        requirement="free gpu",
        wanted=few.wanted,
        found=few.free,
        status=Status.SHORT,
        code=FindingCode.GPU_TAKEN,
        wanted_text=words("{count} of its own", count=few.wanted),
        found_text=_found(few, holders),
        note=words("wait for it with --wait 30m, or share one: resources.gpu_sharing"),
        run_ids=_runs(few, holders),
    )


def _runs(few: TooFew, holders: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(sorted({holders[uuid] for uuid in few.taken if holders.get(uuid)}))


def _found(few: TooFew, holders: Mapping[str, str]) -> Text:
    runs = _runs(few, holders)
    who = listed(runs) if runs else words("another run")
    return words("{free} free, {taken} taken by {who}", free=few.free, taken=len(few.taken), who=who)
