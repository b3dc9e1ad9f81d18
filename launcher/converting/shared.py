"""What SkyPilot's and dstack's files have in common. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from launcher.converting import quantities
from launcher.converting.keys import UNREADABLE, Keys
from launcher.converting.secret import is_secret
from launcher.spec.fields import parse_env_name
from launcher.spec.messages import Refused
from launcher.spec.quantities import LONGEST_QUANTITY
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.converting.keys import Item
    from launcher.converting.model import Draft

FROM_SHELL = words("the value is taken from your environment when the job is started")
NOT_COPIED = words("the value is not copied into the file: put it into your environment")
_INTERPOLATED = re.compile(r"\$\{\{\s*secrets\.(\w+)\s*\}\}")
OFF = ("off", "false", "-1", "no")


def take_env(draft: Draft, item: Item | None) -> None:
    """A mapping, or a list of `NAME=value` and `NAME`; names without a value are asked of the environment."""
    if item is None:
        return
    keys = item.keys()
    if keys is not None:
        for key, under in keys.every():
            _take_variable(draft, key, under, under.text, given=not under.empty)
        return
    for one in item.items():
        name, equals, value = (one.text or "").partition("=")
        _take_variable(draft, name.strip(), one, value, given=bool(equals))


def _take_variable(draft: Draft, name: str, item: Item, value: str | None, *, given: bool) -> None:
    try:
        parse_env_name(name)
    except Refused:
        item.leave(UNREADABLE)
        return
    if not given:
        add_secret(draft, name)
        item.leave(FROM_SHELL)
    elif value is None:
        item.leave(UNREADABLE)
    elif _INTERPOLATED.search(value) or is_secret(name, value):
        add_secret(draft, name)
        item.leave(NOT_COPIED)
    else:
        draft.within("env")[name] = value


def take_secrets(draft: Draft, item: Item | None) -> None:
    """Names stay, values never."""
    keys = item.keys() if item is not None else None
    if keys is not None:
        for name, value in keys.every():
            add_secret(draft, name)
            if not value.empty:
                value.leave(NOT_COPIED)
    elif item is not None:
        for one in item.items():
            if one.text is None:
                one.leave(UNREADABLE)
            else:
                add_secret(draft, one.text)


def add_secret(draft: Draft, name: str) -> None:
    """The name alone: the value comes from the environment at the start."""
    names = draft.keys.setdefault("secrets", [])
    env = draft.keys.get("env")
    if isinstance(env, dict):
        env.pop(name, None)
    if isinstance(names, list) and name not in names:
        names.append(name)


def take_least(draft: Draft, item: Item | None, key: str, read: Callable[[str], str | None]) -> None:
    """A quantity, of which the lower end counts."""
    if item is None:
        return
    text, upper = quantities.least(item.text or "")
    value = read(text) if text else None
    if value is None:
        item.leave(UNREADABLE)
        return
    draft.within("resources")[key] = value
    if upper:
        item.leave(quantities.NO_UPPER_END)


def binary_size(text: str) -> str | None:
    """`32`, `32GB` as `32GiB`."""
    return quantities.size(text, "g")


def number(text: str) -> str | None:
    """`4`, `0.5`."""
    return text if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) else None


def take_folder(draft: Draft, item: Item | None, is_folder: Callable[[str], bool]) -> None:
    """`workdir`, where there is such a folder."""
    if item is None:
        return
    if item.text is None or not is_folder(item.text):
        item.leave(words("there is no such folder here: the job runs where this file is"))
    elif item.text not in (".", "./"):
        draft.keys["workdir"] = item.text


def seconds_of(text: str | None, bare_s: int) -> float | None:
    """`90`, `2h`, `1w`, `1d12h`; `bare_s` is how many seconds a number alone counts in."""
    if text is None or len(text) > LONGEST_QUANTITY:
        return None
    parts = re.findall(
        r"([0-9]+)\s*(seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d|weeks?|w)?", text.lower()
    )
    if not parts or re.sub(r"[0-9\sa-z]", "", text.lower()):
        return None
    lengths = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "": bare_s}
    return float(sum(int(figure) * lengths[unit[:1]] for figure, unit in parts))


def close(draft: Draft, keys: Keys) -> None:
    """List what was not taken, and drop a mapping that stayed empty."""
    keys.leave_rest()
    for name in ("resources", "env"):
        if draft.keys.get(name) == {}:
            del draft.keys[name]
