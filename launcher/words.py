"""Sentences that are in no language yet: an English template, which is also their id, and what fills it.

Data carries `Words`, never prose. JSON renders them in English, a screen in the user's language, at
the last moment. Templates are collected from calls of `words(...)` and `counted(...)`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

# (template of one, template of several or None, count) -> the template in some language
Translate = Callable[[str, "str | None", int], str]


@dataclass(frozen=True, slots=True)
class Words:
    """One sentence or part of one; `fields` are (name, value) pairs, and a value may be Words again."""

    template: str
    fields: tuple[tuple[str, object], ...] = ()
    several: str | None = None
    count: int = 1

    def __str__(self) -> str:
        """In English."""
        return render(self, english)


def words(template: str, **fields: object) -> Words:
    """`words("no GPU class {name}", name="A1000")`."""
    return Words(template, tuple(fields.items()))


def counted(one: str, several: str, count: int, **fields: object) -> Words:
    """`counted("{count} file", "{count} files", 3)`; `count` is a field of both templates."""
    return Words(one, (("count", count), *fields.items()), several, count)


def english(template: str, several: str | None, count: int) -> str:
    """The language that templates are written in."""
    return template if several is None or count == 1 else several


def render(sentence: Words | str, translate: Translate) -> str:
    """The sentence in the language of `translate`, fields included."""
    if isinstance(sentence, str):
        return sentence
    filled = {
        name: render(value, translate) if isinstance(value, Words) else value
        for name, value in sentence.fields
    }
    return translate(sentence.template, sentence.several, sentence.count).format(**filled)
