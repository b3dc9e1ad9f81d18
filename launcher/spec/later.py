"""Keys of the job file whose behaviour comes later: checked like all others, then refused as such. Pure.

When one of them comes to life, its function moves to schema.py and returns what it reads.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from launcher.spec import quantities
from launcher.spec.messages import Refused, shown
from launcher.spec.unknown import close

if TYPE_CHECKING:
    from launcher.spec.reader import Field, MappingReader

RESTART_REASONS = ["oom", "error"]


def read_later(reader: MappingReader, level: str) -> None:
    """Take the keys of `level` (`top` or `release`) that come later."""
    for name, check in _LATER[level].items():
        field = reader.take(name)
        if field is not None:
            field.problem_at_key("later")
            check(field)


def _duration(field: Field) -> None:
    field.read(quantities.duration, example="10m")


def _budget(field: Field) -> None:
    budget = field.mapping(example="{compute_units: 40}")
    if budget is None:
        return
    units, usd = budget.take("compute_units"), budget.take("usd")
    for amount in (units, usd):
        if amount is not None:
            amount.read(lambda text: quantities.number(text, example="40"), example="40")
    if units is not None and usd is not None:
        usd.problem_at_key("conflict-instead", other="compute_units")
    close(budget)


def _retry(field: Field) -> None:
    retry = field.mapping(example="{max_restarts: 2}")
    if retry is None:
        return
    restarts = retry.take("max_restarts")
    if restarts is not None:
        restarts.read(
            lambda text: quantities.integer(text, least=0, most=1000, example="max_restarts: 2"), example="2"
        )
    reasons = retry.take("on")
    for reason in reasons.items(example="[oom, error]") if reasons is not None else []:
        reason.choice(RESTART_REASONS)
    close(retry)


def _notify(field: Field) -> None:
    def parse(text: str) -> str:
        if re.fullmatch(r"https?://[^\s/]+\S*", text) is None:
            raise Refused("url", found=shown(text.split("/")[0]))  # the rest may be a secret
        return text

    example = "{webhook: 'https://example.org/hook'}"
    for item in field.items(example=f"[{example}]"):
        target = item.mapping(example=example)
        if target is not None:
            webhook = target.need("webhook", example="https://example.org/hook")
            if webhook is not None:
                webhook.read(parse, example="https://example.org/hook")
            close(target)


def _checks(field: Field) -> None:
    checks = field.mapping(example="{packages: [torch>=2.4]}")
    if checks is None:
        return
    for name, example in (
        ("packages", "torch>=2.4"),
        ("files", "data/train.csv"),
        ("network", "huggingface.co"),
    ):
        wanted = checks.take(name)
        for item in wanted.items(example=f"[{example}]") if wanted is not None else []:
            item.text(example=example)
    close(checks)


_LATER = {
    "top": {
        "budget": _budget,
        "retry": _retry,
        "notify": _notify,
        "checks": _checks,
    },
    "release": {"after": _duration},
}
