"""Typed reads of one mapping of a data file; every mistake names the file and the place.

Users may point COLAB_RUN_CONFIGS at their own copy, so a slip in these files is a user's problem,
never a traceback.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.errors import UsageError
from launcher.values import BadValue, parse_duration, parse_size
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Row:
    """A mapping of a data file and where it stands: `configs/accelerators.yaml: accelerators.T4`.

    The readers without `maybe` need the key; all raise UsageError for a value of the wrong kind.
    """

    where: str
    values: dict[object, object]

    @classmethod
    def of(cls, where: str, value: object) -> Row:
        """`value` as a row. Raises UsageError when it is not a mapping."""
        if not isinstance(value, dict):
            raise _wrong(where, "a mapping", value)
        return cls(where, value)

    def row(self, key: str) -> Row:
        """The mapping under `key`."""
        return Row.of(self._at(key), self.values.get(key))

    def rows(self, key: str) -> Iterator[tuple[str, Row]]:
        """Name and mapping of each entry of the mapping of mappings under `key`."""
        table = self.row(key)
        for name in table.values:
            yield str(name), table.row(str(name))

    def items(self, key: str) -> tuple[object, ...]:
        """The list under `key`; empty when the key is missing."""
        value = self.values.get(key, [])
        if not isinstance(value, list):
            raise _wrong(self._at(key), "a list", value)
        return tuple(value)

    def texts(self, key: str) -> tuple[str, ...]:
        """The list of texts under `key`."""
        items = self.items(key)
        for item in items:
            if not isinstance(item, str):
                raise _wrong(self._at(key), "a list of texts", item)
        return tuple(str(item) for item in items)

    def text(self, key: str) -> str:
        """The text under `key`."""
        value = self.maybe_text(key)
        if value is None:
            raise _wrong(self._at(key), "a text", None)
        return value

    def maybe_text(self, key: str) -> str | None:
        """The text or date under `key`."""
        value = self.values.get(key)
        if isinstance(value, datetime.date):
            return value.isoformat()
        if value is None or isinstance(value, str):
            return value
        raise _wrong(self._at(key), "a text", value)

    def date(self, key: str) -> str:
        """The date under `key`, in ISO 8601."""
        value = self.maybe_date(key)
        if value is None:
            raise _wrong(self._at(key), "a date such as 2026-11-22", None)
        return value

    def maybe_date(self, key: str) -> str | None:
        """The date under `key`, in ISO 8601."""
        text = self.maybe_text(key)
        try:
            return None if text is None else datetime.date.fromisoformat(text).isoformat()
        except ValueError:
            raise _wrong(self._at(key), "a date such as 2026-11-22", text) from None

    def number(self, key: str) -> float:
        """The number under `key`."""
        value = self.maybe_number(key)
        if value is None:
            raise _wrong(self._at(key), "a number", None)
        return value

    def maybe_number(self, key: str) -> float | None:
        """The number under `key`: finite, not negative."""
        value = self.values.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
            raise _wrong(self._at(key), "a number", value)
        return float(value)

    def size(self, key: str) -> int:
        """The size under `key`, such as `15360MiB`, in bytes."""
        value = self.maybe_size(key)
        if value is None:
            raise _wrong(self._at(key), "a size with a unit", None)
        return value

    def maybe_size(self, key: str) -> int | None:
        """The size under `key` in bytes."""
        text = self._quantity(key)
        if text is None:
            return None
        try:
            return parse_size(text)
        except BadValue as error:
            raise _wrong(self._at(key), error.hint, text) from None

    def duration(self, key: str) -> float:
        """The duration under `key`, such as `30s`, in seconds."""
        text = self._quantity(key)
        if text is None:
            raise _wrong(self._at(key), "a duration with a unit", None)
        try:
            return parse_duration(text)
        except BadValue as error:
            raise _wrong(self._at(key), error.hint, text) from None

    def flag(self, key: str) -> bool:
        """The truth value under `key`; false when the key is missing."""
        value = self.values.get(key, False)
        if not isinstance(value, bool):
            raise _wrong(self._at(key), "true or false", value)
        return value

    def wrong(self, key: str, wanted: str) -> UsageError:
        """The error for a value of `key` that is not what it should be."""
        return _wrong(self._at(key), wanted, self.values.get(key))

    def _quantity(self, key: str) -> str | None:
        """The text of a quantity; a bare number is one too, and the parser then asks for its unit."""
        value = self.values.get(key)
        return str(value) if isinstance(value, int | float) else self.maybe_text(key)

    def _at(self, key: str) -> str:
        return f"{self.where}.{key}"


def _wrong(where: str, wanted: str, found: object) -> UsageError:
    if found is None:
        said = words("{place}: the value is missing", place=where)
    else:
        said = words("{place}: {found} stands there", place=where, found=repr(found))
    return UsageError(said, words("write {wanted}", wanted=wanted))
