"""`--set key=value`: changes to the tree of a job file before it is understood. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.spec import nodes
from launcher.spec.aliases import canonical, rename
from launcher.spec.tree import Entry, Mapping, Node, Place, Scalar

if TYPE_CHECKING:
    from launcher.spec.report import Report


def apply(
    root: Mapping, key: str, value: str, order: int, report: Report, *, pure_python: bool = False
) -> None:
    """Put `value` (a text in YAML) under the dotted `key`, in place of what is there.

    Problems have the source `--set KEY`; `order` counts the overrides from 1.
    """
    name = f"--set {key}"
    source = nodes.decode(_as_bytes(value), name, report, order)
    if source is None:
        return
    node: Node | None = nodes.scan(source, report, pure_python=pure_python)
    if node is None:
        node = Scalar(Place(source, 0), "", plain=True, end=0)
    place = Place(source, 0)
    *parents, last = key.split(".")
    if not all((*parents, last)):
        report.add("set-key", place, key)
        return
    if "[" in key:
        report.add("set-item", place, key, name=key.partition("[")[0])
        return
    mapping, path = root, ""
    for part in parents:
        inner = _descend(mapping, canonical(path, part), place)
        path = nodes.join(path, canonical(path, part))
        if inner is None:
            report.add("not-a-mapping", place, key, name=path)
            return
        mapping = inner
    entry = Entry(place, canonical(path, last), last, node, end=0)
    mapping.entries[entry.name] = entry
    if isinstance(node, Mapping):
        rename(node, nodes.join(path, entry.name), report)


def canonical_key(key: str) -> str:
    """A dotted key by our names, however it was written."""
    path = ""
    for part in key.split("."):
        path = nodes.join(path, canonical(path, part))
    return path


def _descend(mapping: Mapping, name: str, place: Place) -> Mapping | None:
    entry = mapping.entries.get(name)
    if entry is None:
        entry = mapping.entries[name] = Entry(place, name, name, Mapping(place, complete=True), end=0)
    elif isinstance(entry.value, Scalar) and entry.value.is_null:
        entry.value = Mapping(entry.value.place, complete=True)
    return entry.value if isinstance(entry.value, Mapping) else None


def _as_bytes(value: str) -> bytes:
    """A command line that is not UTF-8 comes with surrogates; decode() says which byte it is."""
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogatepass")
