"""Hands out the values of a mapping by name and type, and notes what is wrong at its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from launcher.spec.messages import Refused, nearest, shown
from launcher.spec.nodes import join
from launcher.spec.tree import Entry, Mapping, Node, Scalar, Sequence, Unread
from launcher.words import words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from launcher.spec.report import Report
    from launcher.words import Text

T = TypeVar("T")


class Field:
    """One value with its dotted path. Every method returns None when it has noted a problem."""

    __slots__ = ("alias", "key", "node", "path", "report", "required")

    def __init__(self, node: Node, path: str, report: Report, entry: Entry | None = None) -> None:
        self.node = node
        self.path = path
        self.report = report
        self.key = entry.key if entry is not None else node.place
        # Written with the name of another tool, and read with the meaning that it has there.
        self.required = entry is None
        self.alias = entry is not None and entry.written != entry.name

    @property
    def is_list(self) -> bool:
        """Whether a list stands here."""
        return isinstance(self.node, Sequence)

    def problem(self, wording: str, **fields: Any) -> None:
        """Note a problem of this value."""
        if isinstance(self.node, Scalar):
            self.report.about(wording, self.node, self.path, **fields)
        else:
            self.report.add(wording, self.node.place, self.path, **fields)

    def problem_at_key(self, wording: str, **fields: Any) -> None:
        """Note a problem of the key itself."""
        self.report.add(wording, self.key, self.path, **fields)

    def text(self, *, example: str, empty: str = "empty", blank: str | None = "empty") -> str | None:
        """The text as it was written.

        `empty` is the wording for a value that is not there, `blank` the one for a text without a
        letter (None allows it).
        """
        node = self.node
        if isinstance(node, Unread):
            return None
        if not isinstance(node, Scalar):
            self.problem("want-text", found=describe(node), hint=_as_in(example))
            return None
        missing = empty if node.is_null else blank if not node.text.strip() else None
        if missing is not None:
            hint = words("write a value, such as `{example}`", example=example)
            self.problem(missing, hint=self._or_remove(hint), example=example)
            return None
        if "\0" in node.text:
            self.problem("nul")
            return None
        return node.text

    def read(self, parse: Callable[[str], T], *, example: str, blank: str = "empty") -> T | None:
        """The value of a text that `parse` understands; what it refuses is noted."""
        text = self.text(example=example, blank=blank)
        if text is None:
            return None
        try:
            return parse(text)
        except Refused as refused:
            self.problem(refused.kind, **refused.fields)
            return None

    def choice(self, choices: list[str]) -> str | None:
        """One of the words in `choices`."""
        text = self.text(example=choices[0])
        if text is None or text in choices:
            return text
        near = nearest(text, choices)
        wording = "choice" if near is None else "choice-near"
        self.problem(wording, found=shown(text), choices=", ".join(choices), near=near)
        return None

    def mapping(self, *, example: str) -> MappingReader | None:
        """The keys and values inside."""
        node = self.node
        if isinstance(node, Mapping) and (node.entries or not node.complete):
            return MappingReader(node, self.path, self.report)
        self._wrong_collection("want-mapping", Mapping, example)
        return None

    def items(self, *, example: str, hint: Text = "") -> list[Field]:
        """The items of a list that is not empty; none at all when a problem was noted."""
        node = self.node
        if isinstance(node, Sequence) and (node.items or not node.complete):
            return [
                Field(item, f"{self.path}[{index}]", self.report) for index, item in enumerate(node.items)
            ]
        self._wrong_collection("want-list", Sequence, example, hint)
        return []

    def _or_remove(self, hint: Text) -> Text:
        return hint if self.required else words("{hint}, or remove the key", hint=hint)

    def _wrong_collection(self, wording: str, wanted: type[Node], example: str, hint: Text = "") -> None:
        node = self.node
        if isinstance(node, wanted) or (isinstance(node, Scalar) and node.is_null):
            fill = hint or words("fill it as in `{example}`", example=example)
            self.problem("empty", hint=self._or_remove(fill))
        elif not isinstance(node, Unread):
            self.problem(wording, found=describe(node), hint=hint or _as_in(example))


class MappingReader:
    """The entries of one mapping. What nobody asked for by the time of `rest()` is unknown."""

    def __init__(self, node: Mapping, path: str, report: Report) -> None:
        self.node = node
        self.path = path
        self.report = report
        self._asked: list[str] = []

    def take(self, name: str) -> Field | None:
        """The value under `name`, or None when the key is not there."""
        self._asked.append(name)
        entry = self.node.entries.get(name)
        return self._field(entry) if entry is not None else None

    def need(self, name: str, *, example: str) -> Field | None:
        """As `take`; a key that is not there is a problem of the mapping, unless the rest was unreadable."""
        found = self.take(name)
        if found is not None:
            found.required = True
        if found is None and self.node.complete:
            self.report.add("missing", self.node.place, join(self.path, name), name=name, example=example)
        return found

    def rest(self) -> Iterator[tuple[Entry, str]]:
        """The entries that nobody asked for, with their paths."""
        for entry in self.node.entries.values():
            if entry.name not in self._asked:
                yield entry, join(self.path, entry.written)

    @property
    def known(self) -> list[str]:
        """The keys that were asked for."""
        return list(self._asked)

    def every(self) -> list[tuple[Entry, Field]]:
        """All entries, for mappings whose keys are the user's own."""
        return [(entry, self._field(entry)) for entry in self.node.entries.values()]

    def _field(self, entry: Entry) -> Field:
        return Field(entry.value, join(self.path, entry.written), self.report, entry)


def describe(node: Node) -> Text:
    """A word for what stands there, without its content: it may be a secret."""
    if isinstance(node, Mapping):
        return words("keys with values")
    if isinstance(node, Sequence):
        return words("a list")
    return words("one value")


def _as_in(example: str) -> Text:
    return words("write it as in `{example}`", example=example)
