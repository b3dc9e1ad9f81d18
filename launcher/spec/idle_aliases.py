"""`autostop` of SkyPilot and `idle_duration` of dstack: read as `release: {when: idle, after: …}`. Pure."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from launcher.spec import quantities
from launcher.spec.aliases import IDLE_ALIASES
from launcher.spec.model import When
from launcher.spec.reader import MappingReader
from launcher.spec.tree import Mapping, Scalar
from launcher.spec.unknown import close

if TYPE_CHECKING:
    from launcher.spec.model import ReleasePolicy
    from launcher.spec.reader import Field
    from launcher.words import Text

# Theirs for "not at all", and for "as they think best".
_NEVER = ("false", "off", "-1")
_DEFAULT = ("true", "on")


def read_idle_aliases(
    top: MappingReader, release: Field | None, policy: ReleasePolicy, read_as: list[Text]
) -> ReleasePolicy:
    """The policy with what they say; they stand under `resources` or at the top, and not beside `release`."""
    for field, unit in _found(top):
        read = _read(field, unit, policy)
        if release is not None:
            field.problem_at_key("conflict-instead", other="release")
        elif read is not None:
            policy = read
            read_as.append(f"{field.path} -> release: {_shown(policy, _written(field, unit))}")
    return policy


def _found(top: MappingReader) -> list[tuple[Field, str]]:
    places = [top]
    resources = top.node.entries.get("resources")
    if resources is not None and isinstance(resources.value, Mapping):
        places.append(MappingReader(resources.value, "resources", top.report))
    taken = ((reader.take(name), unit) for reader in places for name, unit in IDLE_ALIASES.items())
    return [(field, unit) for field, unit in taken if field is not None]


def _read(field: Field, unit: str, policy: ReleasePolicy) -> ReleasePolicy | None:
    if isinstance(field.node, Mapping):
        inner = field.mapping(example="{idle_minutes: 30}")
        if inner is None:
            return None
        minutes = inner.need("idle_minutes", example="30")
        down = inner.take("down")  # They tell stopping from deleting; here a machine goes.
        if down is not None:
            down.choice(["true", "false"])
        close(inner)
        return None if minutes is None else _read(minutes, "m", policy)
    word = _word(field)
    if word in _NEVER:
        return replace(policy, when=When.NEVER)
    if word in _DEFAULT:
        return replace(policy, when=When.IDLE)
    bare = _unit_for(word, unit)
    after = field.read(lambda text: quantities.duration(text.strip() + bare, zero=True), example="30m")
    if after is None:
        return None
    return replace(policy, when=When.IDLE, after_s=after) if after else replace(policy, when=When.ALWAYS)


def _word(field: Field) -> str:
    return field.node.text.strip() if isinstance(field.node, Scalar) and not field.node.is_null else ""


def _unit_for(word: str, unit: str) -> str:
    return unit if re.fullmatch("[0-9]+", word) else ""


def _written(field: Field, unit: str) -> str:
    """The time as it was written, with the unit that it has there."""
    if isinstance(field.node, Mapping):
        node = field.node.entries["idle_minutes"].value
        return f"{node.text.strip()}m" if isinstance(node, Scalar) else ""
    word = _word(field)
    return word + _unit_for(word, unit)


def _shown(policy: ReleasePolicy, after: str) -> str:
    if policy.when is not When.IDLE:
        return f"{{when: {policy.when.value if policy.when else ''}}}"
    return f"{{when: idle, after: {after}}}" if after[:1].isdigit() else "{when: idle}"
