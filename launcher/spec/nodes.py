"""The text of a job file as a small tree of nodes with places. Pure; the one file that imports yaml.

Only the *events* of PyYAML are used: nothing is resolved, so `no`, `1:30` and `0755` stay the text
that they are, and no alias is ever followed, so a bomb of them costs what its bytes cost. What a job
file may not contain (anchors, tags, a second document, …) is noted at its place and reading goes on.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import islice
from typing import TYPE_CHECKING, Any

import yaml

from launcher.spec.messages import shown
from launcher.spec.syntax import Explanation, explain, explain_escape, explain_no_mapping
from launcher.spec.tree import Entry, Mapping, Node, Place, Scalar, Sequence, Source, Unread

if TYPE_CHECKING:
    from launcher.spec.report import Report

LARGEST_TEXT = 64 * 1024
DEEPEST = 32
MOST_CONTROLS = 20  # a file that is no text at all has thousands

# Line separators of YAML 1.1 that no editor shows are refused too: lines are what editors count.
_INVISIBLE = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_SURROGATE_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|.)", re.DOTALL)
_WORD = re.compile(r"\S+")
_CORE_TAGS = {
    f"tag:yaml.org,2002:{name}": node
    for node, names in ((Scalar, "str int float bool null"), (Sequence, "seq"), (Mapping, "map"))
    for name in names.split()
}
_TEXT_TAG = "tag:yaml.org,2002:str"


class _Stop(Exception):
    """Reading cannot go on. Without an explanation, it has been given already."""

    def __init__(self, explanation: Explanation | None = None) -> None:
        super().__init__()
        self.explanation = explanation


class _Unclean(Exception):
    """libyaml found a syntax error; the Python parser is asked, so that places are the same everywhere."""


def decode(data: bytes, name: str, report: Report, order: int = 0) -> Source | None:
    """The text of `data`, or None when it is not worth reading; control characters become blanks."""
    if len(data) > LARGEST_TEXT:
        report.add("too-large", Place(Source(name, "", order), 0), "", size=len(data), most=LARGEST_TEXT)
        return None
    bom = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    try:
        text = data[bom:].decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[bom : bom + error.start].decode("utf-8")
        byte, offset = f"{error.object[error.start]:02x}", bom + error.start
        report.add("not-utf8", Place(Source(name, before, order), len(before)), "", byte=byte, offset=offset)
        return None
    source = Source(name, _INVISIBLE.sub(" ", text), order)
    for match in islice(_INVISIBLE.finditer(text), MOST_CONTROLS):
        char = match.group()
        label = f"U+{ord(char):04X} {unicodedata.name(char, '')}".rstrip()
        report.add("control", Place(source, match.start()), "", name=label)
    return source


def printable_lines(data: bytes) -> list[str]:
    """The lines of a file that decode() refused, as far as they can be shown."""
    return Source("", _INVISIBLE.sub(" ", data[:LARGEST_TEXT].decode("utf-8", "replace"))).lines()


# What the two parsers do not agree about: a tab or a `?` here and there, tags but the plainest, and a
# comment right behind the `|` of a text.
_READ_DIFFERENTLY = re.compile(r"[\t?]|!(?!![a-z]+\s)\S|[|>][-+0-9]*#")


def scan(
    source: Source, report: Report, *, pure_python: bool = False, scanner: type[_Scanner] | None = None
) -> Node | None:
    """The nodes of the one document in `source`, as far as it can be read; None when it is empty.

    libyaml is used where PyYAML has it (the same answer, ten times sooner); `pure_python` does without.
    `scanner`: that of another tool's files (foreign.py).
    """
    made = scanner or _Scanner
    # Where the parsers may disagree, the Python one is stricter, and decides.
    doubtful = pure_python or _READ_DIFFERENTLY.search(source.text) is not None
    fast = None if doubtful else getattr(yaml, "CSafeLoader", None)
    if fast is not None:
        trial = type(report)()
        try:
            root = made(source, trial, fast).run()
        except _Unclean:
            pass
        else:
            report.extend(trial)
            return root
    return made(source, report, yaml.SafeLoader).run()


class _Scanner:
    """One pass over the events of one text."""

    def __init__(self, source: Source, report: Report, loader: type[yaml.SafeLoader]) -> None:
        self.source = source
        self.report = report
        self.loader = loader
        self.root: Node | None = None
        # The open collections, each with its dotted path and, in a mapping, the key that waits for a value.
        self.open: list[_Open] = []
        self.skipping = 0
        self.documents = 0

    def run(self) -> Node | None:
        loader = self.loader(self.source.text)
        try:
            while loader.check_event():
                self.take(loader.get_event())  # type: ignore[no-untyped-call]
        except _Stop as stop:
            if stop.explanation is not None:
                self.report.at_offset(self.source, stop.explanation)
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            if self.loader is not yaml.SafeLoader:
                raise _Unclean from None
            self.report.at_offset(self.source, self.why(error, loader))
        finally:
            loader.dispose()
        return self.root

    def why(self, error: Exception, loader: yaml.SafeLoader) -> Explanation:
        at = getattr(error, "problem_mark", None)
        if at is None:  # chr() of a number that is no character
            return explain_escape(self.source, loader.get_mark().index)
        if isinstance(self.root, Scalar):
            root, self.root = self.root, None
            return explain_no_mapping(self.source, root.place.offset, root.end)
        if self.root is not None and not self.open:
            return Explanation("second-document", at.index, {})
        mark = getattr(error, "context_mark", None)
        context = mark.index if mark is not None else None
        if self.open and (context is None or context >= len(self.source.text)):
            context = self.open[-1].node.place.offset
        return explain(self.source, at.index, context)

    def take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.NodeEvent):
            self.take_node(event)
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            self.close()
        elif isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise _Stop(Explanation("second-document", _offset(event.start_mark), {}))

    def take_node(self, event: yaml.NodeEvent) -> None:
        collection = isinstance(event, yaml.CollectionStartEvent)
        if self.skipping:
            self.skipping += collection
            if self.skipping > 10 * DEEPEST:
                raise _Stop
            return
        place = Place(self.source, _offset(event.start_mark))
        path = self.path()
        if isinstance(event, yaml.AliasEvent):
            self.alias(event.anchor, place, path)
            return
        self.check_properties(event, path)
        if isinstance(event, yaml.ScalarEvent):
            self.put(self.scalar(event, place))
        elif len(self.open) == DEEPEST:
            self.report.add("too-deep", place, path, most=DEEPEST)
            self.put(Unread(place))
            self.skipping = 1
        else:
            node = Mapping(place) if isinstance(event, yaml.MappingStartEvent) else Sequence(place)
            self.put(node)
            self.open.append(_Open(node, path))

    def scalar(self, event: yaml.ScalarEvent, place: Place) -> Scalar:
        if event.style == '"' and any("\ud800" <= char <= "\udfff" for char in event.value):
            # libyaml refuses half a surrogate pair, the Python parser does not.
            for match in _SURROGATE_ESCAPE.finditer(self.source.text, place.offset):
                code = match.group(1) or match.group(2)
                if code and 0xD800 <= int(code, 16) <= 0xDFFF:
                    raise _Stop(explain_escape(self.source, match.start()))
        plain = event.style in (None, "") and event.tag != _TEXT_TAG
        if plain and event.value == "":
            # Nothing is written: libyaml says it stands before the next token, we say behind the colon.
            offset = place.offset
            while offset and self.source.text[offset - 1] == " ":
                offset -= 1
            place = Place(self.source, offset)
        return Scalar(place, event.value, plain, _offset(event.end_mark))

    def check_properties(self, event: yaml.NodeEvent, path: str) -> None:
        """Anchors and tags stand before the node, in either order."""
        begin = _offset(event.start_mark)
        if event.anchor is not None:
            offset = self.source.text.find(f"&{event.anchor}", begin)
            self.anchor(event.anchor, Place(self.source, offset), path)
        tag = getattr(event, "tag", None)
        kind = {yaml.ScalarEvent: Scalar, yaml.SequenceStartEvent: Sequence}.get(type(event), Mapping)
        if tag is not None and _CORE_TAGS.get(tag) is not kind:
            offset = self.source.text.find("!", begin)
            name = _WORD.match(self.source.text, offset)
            self.report.add(
                "tag", Place(self.source, offset), path, name=shown(name.group() if name else "!")
            )

    def alias(self, name: str | None, place: Place, path: str) -> None:
        self.report.add("alias", place, path, name=name)
        self.put(Unread(place))

    def anchor(self, name: str, place: Place, path: str) -> None:
        self.report.add("anchor", place, path, name=name)

    def path(self) -> str:
        """The dotted path of the node that comes next."""
        if not self.open:
            return ""
        top = self.open[-1]
        if isinstance(top.node, Sequence):
            return f"{top.path}[{len(top.node.items)}]"
        if top.key is None:
            return top.path
        return join(top.path, top.key.text)

    def put(self, node: Node) -> None:
        """Hang the node where it belongs: root, next item, next key, or value of the waiting key."""
        if not self.open:
            self.root = node
            return
        top = self.open[-1]
        if isinstance(top.node, Sequence):
            top.node.items.append(node)
        elif not top.has_key:
            top.has_key = True
            top.key = self.key(node, top.node, top.path)
        else:
            key, top.key, top.has_key = top.key, None, False
            if key is not None:
                top.node.entries[key.text] = Entry(key.place, key.text, key.text, node, key.end)

    def key(self, node: Node, mapping: Mapping, mapping_path: str) -> Scalar | None:
        """The key that waits for its value, or None when its value is not wanted."""
        if isinstance(node, Unread):
            mapping.hidden = True
            return None
        if not isinstance(node, Scalar) or node.text == "":
            self.report.add("key-not-text", node.place, mapping_path)
            mapping.hidden = True
            return None
        path = join(mapping_path, node.text)
        if node.plain and node.text == "<<":
            self.report.add("merge", node.place, path)
            mapping.hidden = True
            return None
        first = mapping.entries.get(node.text)
        if first is not None:
            self.report.add("duplicate", node.place, path, name=shown(node.text), line=first.key.line)
            return None
        return node

    def close(self) -> None:
        if self.skipping > 0:
            self.skipping -= 1
            return
        closed = self.open.pop()
        closed.node.complete = not (isinstance(closed.node, Mapping) and closed.node.hidden)


class _Open:
    """A collection whose end has not come yet."""

    __slots__ = ("has_key", "key", "node", "path")

    def __init__(self, node: Mapping | Sequence, path: str) -> None:
        self.node = node
        self.path = path
        self.key: Scalar | None = None
        self.has_key = False


def _offset(mark: Any) -> int:
    """Both parsers count characters."""
    return int(mark.index)


def join(path: str, name: str) -> str:
    """The dotted path of a key."""
    name = shown(name, 100)
    return f"{path}.{name}" if path else name
