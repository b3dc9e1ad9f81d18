"""`retry:` and `budget:` of the job file: how often a job is started again, and what it may cost. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.spec import quantities
from launcher.spec.fields import parse_env_name, read_duration
from launcher.spec.messages import Refused
from launcher.spec.model import Budget, RetryOn, RetryPolicy
from launcher.spec.unknown import close

if TYPE_CHECKING:
    from launcher.spec.reader import Field

MOST_RESTARTS = 1000


def read_retry(field: Field | None) -> RetryPolicy:
    """`{max_restarts: 2, on: [oom, error], backoff: 10s, env_on_oom: {BATCH: [16, 8]}}`."""
    default = RetryPolicy()
    retry = field.mapping(example="{max_restarts: 2}") if field is not None else None
    if retry is None:
        return default
    restarts = retry.need("max_restarts", example="2")
    times = restarts.read(_parse_restarts, example="2") if restarts is not None else None
    reasons = retry.take("on")
    items = reasons.items(example="[oom, error]") if reasons is not None else []
    named = [item.choice([reason.value for reason in RetryOn]) for item in items]
    backoff = read_duration(retry.take("backoff"), example="10s", zero=True)
    on_oom = _read_env_on_oom(retry.take("env_on_oom"))
    close(retry)
    return RetryPolicy(
        max_restarts=times or 0,
        on=tuple(dict.fromkeys(RetryOn(name) for name in named if name)) or default.on,
        backoff_s=default.backoff_s if backoff is None else backoff,
        env_on_oom=on_oom,
    )


def _parse_restarts(text: str) -> int:
    return quantities.integer(text, least=0, most=MOST_RESTARTS, example="max_restarts: 2")


def _read_env_on_oom(field: Field | None) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """One value, or one for each time that memory ran out; the last of them stays."""
    reader = field.mapping(example="{BATCH_SIZE: [16, 8]}") if field is not None else None
    found: list[tuple[str, tuple[str, ...]]] = []
    for entry, value in reader.every() if reader is not None else []:
        try:
            parse_env_name(entry.name)
        except Refused:
            value.problem_at_key("env-name")
        items = value.items(example="[16, 8]") if value.is_list else [value]
        texts = [item.text(example="16", blank=None) for item in items]
        found.append((entry.name, tuple(text for text in texts if text is not None)))
    return tuple(found)


def read_budget(field: Field | None) -> Budget | None:
    """`{compute_units: 40}`, `{usd: 4}`, or `{usd: 4, usd_per_hour: 1.19}` where no table has the rate."""
    budget = field.mapping(example="{compute_units: 40}") if field is not None else None
    if budget is None:
        return None
    units_field, usd_field, rate_field = map(budget.take, ("compute_units", "usd", "usd_per_hour"))
    units, usd, rate = (_read_amount(one) for one in (units_field, usd_field, rate_field))
    if units_field is not None and usd_field is not None:
        usd_field.problem_at_key("conflict-instead", other="compute_units")
    if rate_field is not None and usd_field is None:
        rate_field.problem_at_key("rate-without-usd")
    close(budget)
    return Budget(units, usd, rate)


def _read_amount(field: Field | None) -> float | None:
    return field.read(_parse_amount, example="40") if field is not None else None


def _parse_amount(text: str) -> float:
    return quantities.number(text, example="40")
