"""What is written down so that another call can start the job once more: for `retry: {on: [lost]}` only."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from launcher.gpu_choice import ORDER, VISIBLE
from launcher.masking import mask_json
from launcher.spec.model import (
    Argv,
    Budget,
    IdleAction,
    IdlePolicy,
    Leftovers,
    RetryOn,
    RetryPolicy,
    Script,
)
from launcher.verdict.picking import Wish

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.plan import Plan


def again_json(plan: Plan) -> dict[str, Any] | None:
    """`again` of plan.json; None where nobody else is to start the job, or a secret would be in it."""
    spec = plan.spec
    if spec.retry.max_restarts == 0 or RetryOn.LOST not in spec.retry.on:
        return None
    told = {
        "argv": list(plan.argv),
        "env": [list(pair) for pair in spec.env],
        "setup": None if spec.setup is None else spec.setup.text,
        "max_duration_s": spec.max_duration_s,
        "gpus": _wish_json(plan.gpus),
        "gpu_sharing": spec.resources.gpu_sharing,
        "cuda": {name: plan.environ.get(name) for name in (VISIBLE, ORDER)},
        "leftovers": spec.leftovers.value,
        "idle": {"after_s": spec.idle.after_s, "action": spec.idle.action.value},
        "budget": None if spec.budget is None else asdict(spec.budget),
        "retry": {
            "max_restarts": spec.retry.max_restarts,
            "on": [reason.value for reason in spec.retry.on],
            "backoff_s": spec.retry.backoff_s,
            "env_on_oom": [[name, list(values)] for name, values in spec.retry.env_on_oom],
        },
    }
    return told if mask_json(told, plan.secrets) == told else None


def with_again(plan: Plan, told: Mapping[str, Any]) -> Plan:
    """The plan of a run that was left behind, able to start its job once more.

    It gets pipes: the client whose terminal it had is gone. Raises as `plan_from_json`.
    """
    retry, idle = told["retry"], told["idle"]
    argv = tuple(map(str, told["argv"]))
    setup, limit = told["setup"], told["max_duration_s"]
    spec = replace(
        plan.spec,
        run=Argv(argv),
        setup=None if setup is None else Script(str(setup)),
        max_duration_s=None if limit is None else float(limit),
        resources=replace(plan.spec.resources, gpu_sharing=bool(told.get("gpu_sharing"))),
        leftovers=Leftovers(told["leftovers"]),
        idle=IdlePolicy(float(idle["after_s"]), IdleAction(idle["action"])),
        budget=None if told["budget"] is None else Budget(**told["budget"]),
        retry=RetryPolicy(
            int(retry["max_restarts"]),
            tuple(RetryOn(reason) for reason in retry["on"]),
            float(retry["backoff_s"]),
            tuple((str(name), tuple(map(str, values))) for name, values in retry["env_on_oom"]),
        ),
    )
    environ = {name: value for name, value in plan.environ.items() if name not in (VISIBLE, ORDER)}
    environ |= {name: str(value) for name, value in told.get("cuda", {}).items() if value is not None}
    return replace(
        plan,
        spec=spec,
        argv=argv,
        options=replace(plan.options, detach=True),
        environ=environ,
        gpus=_wish(told.get("gpus")),
    )


def _wish_json(wish: Wish | None) -> dict[str, Any] | None:
    if wish is None:
        return None
    return {"ways": [[count, list(able)] for count, able in wish.ways], "seen": list(wish.seen)}


def _wish(told: Mapping[str, Any] | None) -> Wish | None:
    """The GPUs that would do, by UUID: those of a machine do not change while it runs."""
    if told is None:
        return None
    ways = tuple((int(count), tuple(map(str, able))) for count, able in told["ways"])
    return Wish(ways, tuple(map(str, told["seen"])))


def may_start(plan: Plan, *, same_user: bool) -> bool:
    """Is the caller who the run belongs to, with every secret that it needs?"""
    return same_user and all(plan.environ.get(name) for name in plan.spec.secrets)
