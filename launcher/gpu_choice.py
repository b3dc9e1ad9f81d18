"""A run gets its GPUs: what the job asks for against what other runs have. `check` looks, the guard takes."""

from __future__ import annotations

import os
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
    if not isinstance(found, TooFew) or not found.taken:
        return []
    return [
        Finding(
            requirement="free gpu",
            wanted=found.wanted,
            found=found.free,
            status=Status.SHORT,
            code=FindingCode.GPU_TAKEN,
            wanted_text=words("{count} of its own", count=found.wanted),
            found_text=_found(found, holders),
            note=words("wait for it with --wait 30m, or share one: resources.gpu_sharing"),
        )
    ]


def claim_gpus(wish: Wish, run_id: str, *, shared: bool) -> Claimed:
    """Take them for this run. Raises GpusTaken, StateFolderError; may be called again."""
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
                )
            held, lost = _take(found, run_id, shared=shared)
            if lost is None:
                return Claimed(found.uuids, found.visible, held)
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


def _found(few: TooFew, holders: Mapping[str, str]) -> Text:
    runs = sorted({holders[uuid] for uuid in few.taken if holders.get(uuid)})
    who = listed(runs) if runs else words("another run")
    return words("{free} free, {taken} taken by {who}", free=few.free, taken=len(few.taken), who=who)
