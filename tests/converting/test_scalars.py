"""What is written as YAML reads back as exactly what it was."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from launcher.converting.scalars import flow, scalar, script
from launcher.spec.nodes import decode, scan
from launcher.spec.report import Report
from launcher.spec.tree import Mapping, Scalar, Sequence

# Half a surrogate pair is no character; the rest of Unicode is.
TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
ODD = st.text(alphabet=":#-?!&*[]{},|>'\"%@` \t\n\\~=.0a：「", max_size=12)
VALUES = st.recursive(
    TEXTS | ODD,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3)
        | st.dictionaries(ODD.filter(bool), inner, min_size=1, max_size=3)
    ),
    max_leaves=6,
)


def read(text: str) -> Any:
    report = Report()
    source = decode(text.encode(), "x", report)
    assert source is not None
    root = scan(source, report)
    assert report.problems() == [], (text, report.problems())
    return plain(root)


def plain(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {name: plain(entry.value) for name, entry in node.entries.items()}
    if isinstance(node, Sequence):
        return [plain(one) for one in node.items]
    assert isinstance(node, Scalar)
    assert not node.is_null
    return node.text


@settings(max_examples=400, deadline=None)
@given(TEXTS | ODD)
@example("null")
@example("~")
@example("")
@example("a: b")
@example("a #b")
@example("ends: ")
@example("- a")
@example("...")
@example("\u2028\x85\x7f\ufeff")
def test_a_scalar(text: str) -> None:
    """As a value, and between brackets."""
    assert read(f"a: {scalar(text)}\n") == {"a": text}
    assert read(f"a: [{scalar(text, flow=True)}, b]\n") == {"a": [text, "b"]}


@settings(max_examples=300, deadline=None)
@given(VALUES)
def test_lists_and_mappings(value: Any) -> None:
    """On one line."""
    assert read(f"a: {flow(value)}\n") == {"a": value}


@settings(max_examples=400, deadline=None)
@given(TEXTS | ODD | st.lists(ODD, max_size=5).map("\n".join))
@example("  first\nsecond")
@example("\tfirst\nsecond")
@example("a\n\n\nb  \n")
@example("# a\n# b")
def test_a_script(text: str) -> None:
    """Line by line; blanks at the end of an empty line, and lines at both ends, do not count."""
    body = text.strip("\n")
    expected = "\n".join(line if line.strip() else line.rstrip() for line in body.split("\n"))
    said = read(f"run: {script(text, '  ')}\nnext: x\n")
    assert said["next"] == "x"
    assert said["run"].strip("\n") in (body, expected.strip("\n"))


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("python train.py --lr 3e-4", "python train.py --lr 3e-4"),
        ("A100:2", "A100:2"),
        ("no", "no"),
        ("=A100", '"=A100"'),
        ("-x", '"-x"'),
        ("學習 3", "學習 3"),
        ("a：b", '"a：b"'),
    ],
)
def test_quotes_stand_only_where_they_must(text: str, written: str) -> None:
    """People read the file."""
    assert scalar(text) == written
