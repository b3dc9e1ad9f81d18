"""Why a text is not YAML, in our own words: a pure look at the characters around the place.

The parser's prose is never passed on, and never read either: it differs between libyaml and the
Python parser, and says `did not find expected <block end>` where a person wants `a tab`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from launcher.words import words

if TYPE_CHECKING:
    from launcher.spec.tree import Source

_FULL = words("full-width")
_CURLY = words("a curly quote")
_SPECIAL = {
    "、": (_FULL, ", "),
    "。": (_FULL, "."),
    "“": (_CURLY, '"'),
    "”": (_CURLY, '"'),
    "‘": (_CURLY, "'"),
    "’": (_CURLY, "'"),
    "「": (_FULL, '"'),
    "」": (_FULL, '"'),
    "：": (_FULL, ": "),
    "，": (_FULL, ", "),
    "＃": (_FULL, " #"),
    "　": (words("a full-width space"), " "),
    "\u00a0": (words("a no-break space"), " "),
}
_FULL_WIDTH = re.compile("[、。“”‘’「」\u3000\u00a0\uff01-\uff5e]")
# Which of them explain what: a full-width comma in a running text, say, explains no missing colon.
_EXPLAINED_BY = {
    "open-quote": re.compile("[“”‘’「」]"),
    "second-colon": re.compile("[“‘「]"),
    "no-colon": re.compile("："),
    "indentation": re.compile("[：\u3000\u00a0]"),
    "syntax": re.compile("[：“”‘’「」\u3000\u00a0]"),
    "open-bracket": _FULL_WIDTH,
    "stray-bracket": _FULL_WIDTH,
}
_COLON = re.compile(r":(?=\s|\Z)")
_TIGHT_COLON = re.compile(r"\s*[\w.-]+:(?=[^\s/])")
_FULL_WIDTH_COLON = re.compile(r"\s*[\w.-]+：")
_QUOTED_QUOTE = {'"': re.compile(r"\\."), "'": re.compile("''")}
_CLOSING = {"[": "]", "{": "}"}


class Explanation(NamedTuple):
    """The id of a wording, the place as an offset, and what fills the words in."""

    wording: str
    offset: int
    fields: dict[str, Any]


def full_width_in(text: str, begin: int, end: int) -> int | None:
    """The offset of the first full-width character or curly quote in text[begin:end]."""
    match = _FULL_WIDTH.search(text, begin, end)
    return match.start() if match else None


def describe_full_width(char: str) -> dict[str, Any]:
    """The fields of the wording `full-width` for this character."""
    kind, plain = _SPECIAL.get(char) or (_FULL, chr(ord(char) - 0xFEE0))
    return {
        "found": char if char not in "\u00a0\u3000" else f"U+{ord(char):04X}",
        "kind": kind,
        "ascii": plain,
    }


def explain(source: Source, at: int, context: int | None) -> Explanation:
    """Why reading stopped at the offset `at`; `context` is where the construct in question begins."""
    found = _explain(
        source, at, context if context is not None and _is_open(source.text, context, at) else None
    )
    if found.wording == "syntax" and context is not None:
        found = _explain_line(source, at, context)
    explained_by = _EXPLAINED_BY.get(found.wording)
    if explained_by is None:
        return found
    begin, end = source.line_around(found.offset)
    if found.wording in ("open-quote", "open-bracket"):
        begin, end = found.offset, source.line_around(at)[1]
    return _pointing_at(source, explained_by.search(source.text, begin, end)) or found


def explain_no_mapping(source: Source, begin: int, end: int) -> Explanation:
    """The text between `begin` and `end` stands where keys with values should, and more follows."""
    full_width = _pointing_at(source, _EXPLAINED_BY["no-colon"].search(source.text, begin, end))
    if full_width is not None:
        return full_width
    match = _TIGHT_COLON.match(source.text, begin, end)
    if match is not None:
        return Explanation("colon-space", match.end() - 1, {})
    return Explanation("no-colon", begin, {})


def explain_escape(source: Source, at: int) -> Explanation:
    """The backslash at or just before `at` begins no escape that exists."""
    offset = source.text.rfind("\\", max(0, at - len("\\U12345678")), at + 1)
    if offset < 0:
        return Explanation("syntax", at, {})
    return Explanation("escape", offset, {"found": source.text[offset : offset + 2]})


def _pointing_at(source: Source, match: re.Match[str] | None) -> Explanation | None:
    if match is None:
        return None
    return Explanation("full-width", match.start(), describe_full_width(match.group()))


def _explain(source: Source, at: int, context: int | None) -> Explanation:
    """Most telling sign first: the opened thing that `context` points at, then the line around `at`."""
    text = source.text
    char = text[at : at + 1]
    opener = text[context : context + 1] if context is not None else ""
    if context is not None and opener and opener in "\"'":
        if opener == '"' and re.search(r"\\[xuU]?\Z", text[max(context, at - 2) : at]) and at < len(text):
            return explain_escape(source, at)
        return Explanation("open-quote", context, {"found": opener})
    if char == "\t":
        return Explanation("tab", at, {})
    if context is not None and opener and opener in "[{":
        if char == "?":
            return Explanation("question-mark", at, {})
        return Explanation("open-bracket", context, {"found": opener, "closing": _CLOSING[opener]})
    if context is not None and opener and opener in "|>":
        return Explanation("block-header", context, {"found": opener})
    for offset, mark in ((context, opener), (at, char)):
        if offset is not None and mark and mark in "*&@`%":
            return Explanation(
                "first-character", offset, {"found": words("a backtick") if mark == "`" else f"`{mark}`"}
            )
        if offset is not None and mark == "!":
            return Explanation("tag", offset, {"name": text[offset:].split(None, 1)[0][:40]})
    if char and char in "]}":
        return Explanation("stray-bracket", at, {"found": char})
    return _explain_line(source, at, context)


def _is_open(text: str, context: int, at: int) -> bool:
    """Whether what begins at `context` is still open at `at`; it may also be the first key of a mapping."""
    opener = text[context : context + 1]
    inside = text[context + 1 : at]
    if opener in _QUOTED_QUOTE:
        return opener not in _QUOTED_QUOTE[opener].sub("", inside)
    if opener in _CLOSING:
        return inside.count(_CLOSING[opener]) <= inside.count(opener)
    return opener == "" or opener not in "*&!|>" or "\n" not in inside


def _explain_line(source: Source, at: int, context: int | None) -> Explanation:
    text = source.text
    begin, end = source.line_around(at)
    first = begin + len(text[begin:end]) - len(text[begin:end].lstrip(" \t"))
    tab = text.find("\t", begin, first)
    if tab >= 0:
        return Explanation("tab", tab, {})
    if text[at : at + 1] == ":":
        # `key: value` whose indentation made it the next line of the text above.
        if begin > 0 and first > begin and not _COLON.search(text, begin, at) and text[first] not in "-?":
            above = source.line_around(begin - 1)
            if _TIGHT_COLON.match(text, *above) or _FULL_WIDTH_COLON.match(text, *above):
                return explain_no_mapping(source, *above)
            return Explanation("indentation", first, {})
        return Explanation("second-colon", at, {})
    if context is not None and not _COLON.search(text, *source.line_around(context)):
        return Explanation("no-colon", context, {})
    if at == first:
        return Explanation("indentation", at, {})
    return Explanation("syntax", at, {})
