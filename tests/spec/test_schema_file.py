"""configs/job.schema.json says to editors what the reader says to users."""

from __future__ import annotations

import json
import re

import jsonschema
import pytest

from launcher.spec import nodes
from launcher.spec.problems import ProblemCode as Code
from launcher.spec.report import Report
from launcher.spec.tree import Mapping, Scalar, Sequence

# What a schema cannot say: how the text is written, which classes exist, what stands elsewhere in the
# file, and what comes later (the schema describes it).
BEYOND_A_SCHEMA = {
    *(code for code in Code if code.value < Code.UNKNOWN_KEY.value),
    Code.DUPLICATE_KEY,
    Code.CONFLICTING_KEYS,
    Code.NOT_AVAILABLE_YET,
    Code.KEY_NOT_TEXT,
    Code.UNKNOWN_CLASS,
}
# Files whose problems a schema of JSON values cannot see, each with its reason.
EXCEPTIONS = {
    "duration-tiny": "the number is not zero; that it is nothing beside a second is arithmetic",
    "matrix-large": "how many combinations there are is arithmetic",
}


@pytest.fixture(scope="module")
def schema(repository):
    document = json.loads((repository / "configs" / "job.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(document)
    return document


def as_editor_sees(node):
    """The values of the YAML 1.2 core schema, as the language servers of editors resolve them."""
    if isinstance(node, Mapping):
        return {name: as_editor_sees(entry.value) for name, entry in node.entries.items()}
    if isinstance(node, Sequence):
        return [as_editor_sees(item) for item in node.items]
    assert isinstance(node, Scalar)
    text = node.text
    if node.is_null:
        return None
    if not node.plain:
        return text
    if text in ("true", "false"):
        return text == "true"
    if re.fullmatch("[-+]?[0-9]+", text):
        return int(text)
    if re.fullmatch(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", text):
        return float(text)
    return text


def tree_of(data):
    report = Report()
    source = nodes.decode(data, "job.yaml", report)
    return nodes.scan(source, report)


def test_good_files_satisfy_the_schema(schema, good_file):
    """What loads is fine in an editor."""
    jsonschema.validate(as_editor_sees(tree_of(good_file.read_bytes())), schema)


def test_bad_files_do_not_satisfy_the_schema(reader, schema, repository):
    """What the reader refuses is refused in an editor, unless no schema can say it."""
    validator = jsonschema.Draft202012Validator(schema)
    accepted, judged = set(), 0
    for file in sorted((repository / "tests/assets/spec/bad").glob("*.yaml")):
        codes = {problem.code for problem in reader.problems(file.read_bytes())}
        not_plain_yaml = any(code.value < Code.UNKNOWN_KEY.value for code in codes)
        if codes <= BEYOND_A_SCHEMA or not_plain_yaml:
            continue
        judged += 1
        if validator.is_valid(as_editor_sees(tree_of(file.read_bytes()))):
            accepted.add(file.stem)
    assert accepted == set(EXCEPTIONS)
    assert judged > 50


def test_what_comes_later_satisfies_the_schema(schema, repository):
    """Keys that are not available yet are described, so that editors know them."""
    data = (repository / "tests/assets/spec/bad/later-all.yaml").read_bytes()
    jsonschema.validate(as_editor_sees(tree_of(data)), schema)


def test_every_key_is_described(schema):
    """Every property of the schema has a description."""

    def properties(part):
        for name, inner in part.items() if isinstance(part, dict) else ():
            if name == "properties":
                yield from inner.items()
            for value in inner if isinstance(inner, list) else [inner]:
                yield from properties(value)

    found = list(properties(schema))
    assert len(found) > 50
    assert [name for name, inner in found if not inner.get("description")] == []
