"""The YAML of other tools: anchors, aliases and merge keys are followed, within bounds. Pure.

Text stays what stands there, as in a job file: nothing is resolved by YAML 1.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher.errors import JobFileError
from launcher.spec import nodes
from launcher.spec.nodes import _Scanner
from launcher.spec.report import Report
from launcher.spec.tree import Mapping, Node, Place, Scalar, Sequence

if TYPE_CHECKING:
    from launcher.spec.tree import Source

# What all aliases of a file may stand for together: a bomb of them costs no more than this.
MOST_NODES = 5000
MERGE = "<<"


def read_foreign(data: bytes, name: str) -> Node | None:
    """The nodes of another tool's file; None when it is empty. Raises JobFileError with what is no YAML."""
    report = Report()
    source = nodes.decode(data, name, report)
    root = nodes.scan(source, report, scanner=_Follower) if source is not None else None
    problems = report.problems()
    if problems:
        lines = source.lines() if source is not None else nodes.printable_lines(data)
        raise JobFileError(problems, lines)
    return root


class _Follower(_Scanner):
    """Puts what was anchored where its aliases stand."""

    def __init__(self, source: Source, report: Report, loader: type[Any]) -> None:
        super().__init__(source, report, loader)
        self.anchored: dict[str, Node] = {}
        self.waiting: str | None = None  # the anchor of the node that comes next
        self.spent = 0

    def anchor(self, name: str, place: Place, path: str) -> None:
        self.waiting = name

    def alias(self, name: str | None, place: Place, path: str) -> None:
        node = self.anchored.get(name or "")
        # Inside of itself it would never end.
        if node is None or any(one.node is node for one in self.open):
            super().alias(name, place, path)
            return
        self.spent += _weight(node, MOST_NODES - self.spent)
        if self.spent > MOST_NODES:
            super().alias(name, place, path)
            return
        self.put(node)

    def put(self, node: Node) -> None:
        if self.waiting is not None:
            self.anchored[self.waiting], self.waiting = node, None
        super().put(node)

    def key(self, node: Node, mapping: Mapping, mapping_path: str) -> Scalar | None:
        if isinstance(node, Scalar) and node.plain and node.text == MERGE and MERGE not in mapping.entries:
            return node
        return super().key(node, mapping, mapping_path)

    def close(self) -> None:
        closed = None if self.skipping > 0 else self.open[-1]
        super().close()
        if closed is None or not isinstance(closed.node, Mapping):
            return
        entry = closed.node.entries.pop(MERGE, None)
        if entry is None:
            return
        merged = entry.value.items if isinstance(entry.value, Sequence) else [entry.value]
        for one in merged:
            if not isinstance(one, Mapping):
                self.report.add("merge", entry.key, nodes.join(closed.path, MERGE))
                continue
            for name, inner in one.entries.items():
                closed.node.entries.setdefault(name, inner)


def _weight(node: Node, most: int) -> int:
    """How many nodes there are below, counted no further than to `most` + 1."""
    count, waiting = 0, [node]
    while waiting and count <= most:
        one = waiting.pop()
        count += 1
        if isinstance(one, Mapping):
            waiting += [entry.value for entry in one.entries.values()]
        elif isinstance(one, Sequence):
            waiting += one.items
    return count
