"""Sentences that are in no language yet: an English template, which is also their id, and what fills it.

Data carries `Words`, never prose. JSON renders them in English, a screen in the user's language, at
the last moment. Templates are collected from calls of `words(...)`, `counted(...)`, `within(...)`
and `message(...)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

# (template of one, template of several or None, count) -> the template in some language
Translate = Callable[[str, "str | None", int], str]
# Between a context and its template, as gettext writes it.
CONTEXT_END = "\x04"


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


Text = Words | str


def words(template: str, **fields: object) -> Words:
    """`words("no GPU class {name}", name="A1000")`."""
    return Words(template, tuple(fields.items()))


def counted(one: str, several: str, count: int, **fields: object) -> Words:
    """`counted("{count} file", "{count} files", 3)`; `count` is a field of both templates."""
    return Words(one, (("count", count), *fields.items()), several, count)


def within(context: str, template: str) -> Words:
    """Where one English word is two in another language: `within("end of a run", "FAIL")`."""
    return Words(f"{context}{CONTEXT_END}{template}")


def message(template: str) -> str:
    """The template itself, for whoever looks it up later, such as the help of an option."""
    return template


def english(template: str, several: str | None, count: int) -> str:
    """The language that templates are written in."""
    return template.rpartition(CONTEXT_END)[2] if several is None or count == 1 else several


def to_plain(sentence: Text) -> object:
    """As JSON, for somebody who is to put it into a language: text as it is, Words as an object."""
    if isinstance(sentence, str):
        return sentence
    fields = {name: _plain(value) for name, value in sentence.fields}
    return {
        "template": sentence.template,
        "fields": fields,
        "several": sentence.several,
        "count": sentence.count,
    }


def _plain(value: object) -> object:
    if isinstance(value, Words):
        return to_plain(value)
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def from_plain(plain: object) -> Text:
    """The other way round; text for what is none of ours."""
    if not isinstance(plain, dict) or not isinstance(plain.get("template"), str):
        return plain if isinstance(plain, str) else ""
    several, count, fields = plain.get("several"), plain.get("count"), plain.get("fields")
    return Words(
        plain["template"],
        tuple((str(name), _field(value)) for name, value in fields.items())
        if isinstance(fields, dict)
        else (),
        several if isinstance(several, str) else None,
        count if isinstance(count, int) else 1,
    )


def _field(value: object) -> object:
    return from_plain(value) if isinstance(value, dict) else value


def render(sentence: Text, translate: Translate) -> str:
    """The sentence in the language of `translate`, fields included."""
    if isinstance(sentence, str):
        return sentence
    filled = {
        name: render(value, translate) if isinstance(value, Words) else value
        for name, value in sentence.fields
    }
    return translate(sentence.template, sentence.several, sentence.count).format(**filled)


# --- what sentences are often made of -------------------------------------------------------------

_JOINED = message("{sentence} {next}")


def listed(parts: Iterable[Text]) -> Text:
    """`a, b, c`; in Chinese `a、b、c`."""
    first, *rest = list(parts) or [""]
    whole: Text = first
    for part in rest:
        whole = words("{first}, {second}", first=whole, second=part)
    return whole


def alternated(parts: Iterable[Text]) -> Text:
    """`a; b; c`, for parts that have commas of their own."""
    first, *rest = list(parts) or [""]
    whole: Text = first
    for part in rest:
        whole = words("{first}; {second}", first=whole, second=part)
    return whole


def joined(*parts: Text) -> Text:
    """Whole sentences, one after the other; empty ones are left out."""
    first, *rest = [part for part in parts if part] or [""]
    whole: Text = first
    for part in rest:
        whole = Words(_JOINED, (("sentence", whole), ("next", part)))
    return whole


def apart(text: Text) -> tuple[Text, Text]:
    """(the first of the sentences that `joined` put together, the others)."""
    if not isinstance(text, Words) or text.template != _JOINED:
        return text, ""
    fields = dict(text.fields)
    whole, last = _text(fields["sentence"]), _text(fields["next"])
    first, others = apart(whole)
    return first, joined(others, last)


def _text(value: object) -> Text:
    return value if isinstance(value, Words) else str(value)


def spelled(seconds: float) -> Text:
    """Seconds for a person: `0.4 s`, `42 s`, `2 m 5 s`, `1 h 12 m`, `3 d 4 h`."""
    if seconds < 10 and seconds != int(seconds):
        return words("{figure} s", figure=f"{seconds:.1f}")
    whole = round(seconds)
    days, rest = divmod(whole, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, secs = divmod(rest, 60)
    parts = [
        (days, words("{figure} d", figure=days)),
        (hours, words("{figure} h", figure=hours)),
        (minutes, words("{figure} m", figure=minutes)),
        (secs, words("{figure} s", figure=secs)),
    ]
    while len(parts) > 1 and parts[0][0] == 0:
        parts.pop(0)
    first, *others = parts[:2]
    shown: Text = first[1]
    for figure, part in others:
        if figure:
            shown = words("{long} {short}", long=shown, short=part)
    return shown


# What the operating system and a copy say, for `reason`.
_REASONS = frozenset(
    (
        message("No space left on device"),
        message("Disk quota exceeded"),
        message("Read-only file system"),
        message("Permission denied"),
        message("Operation not permitted"),
        message("No such file or directory"),
        message("Not a directory"),
        message("Is a directory"),
        message("File exists"),
        message("File name too long"),
        message("Input/output error"),
        message("Transport endpoint is not connected"),
        message("Stale file handle"),
        message("Exec format error"),
        message("Argument list too long"),
        message("Cannot allocate memory"),
        message("Resource temporarily unavailable"),
        message("Too many open files"),
        message("Network is unreachable"),
        message("No route to host"),
        message("Connection reset by peer"),
        message("the target is the output itself"),
        message("it changed while it was copied, twice"),
        message("what was read back differs from what was written"),
        message("it changed while it was copied"),
        message("the save there is not whole: an earlier one was cut off and cannot be completed"),
        message("what is noted of the save there is cut off, or of a newer version of colab-run"),
        message("another save of this run is at work"),
        message("what an earlier try left there cannot be removed"),
    )
)


def reason(text: str | None) -> Text:
    """What somebody else said, as far as we know it in other languages."""
    return Words(text) if text in _REASONS else text or ""
