"""docs/job-file.md shows files that work, and every key."""

from __future__ import annotations

import json
import re

import pytest

from launcher.spec.problems import ProblemCode

BLOCK = re.compile(r"(<!-- later -->\n)?```yaml\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def page(repository):
    return (repository / "docs" / "job-file.md").read_text()


def test_examples_in_the_documentation_load(reader, page):
    """Every example loads; one under `<!-- later -->` has no problem but that it comes later."""
    blocks = BLOCK.findall(page)
    assert len(blocks) > 15
    for later, text in blocks:
        allowed = {ProblemCode.NOT_AVAILABLE_YET} if later else set()
        assert {problem.code for problem in reader.problems(text)} <= allowed, text


def test_every_key_is_documented(repository, page):
    """Each key of the schema appears in the page as code."""

    def keys(part):
        if isinstance(part, dict):
            yield from part.get("properties", {}) if isinstance(part.get("properties"), dict) else ()
            for inner in part.values():
                yield from keys(inner)
        elif isinstance(part, list):
            for inner in part:
                yield from keys(inner)

    schema = json.loads((repository / "configs" / "job.schema.json").read_text())
    shown = set(re.findall(r"[a-z_]+", " ".join(re.findall(r"```yaml.*?```|`[^`]+`", page, re.DOTALL))))
    assert set(keys(schema)) - {"command", "idle_minutes", "down"} - shown == set()


def test_schema_and_documentation_name_the_same_top_level_keys(repository, reader):
    """The key list that an unknown key is answered with is the schema's, without other tools' names."""
    (problem,) = reader.problems("run: x\nxyzzy: 1\n")
    schema = json.loads((repository / "configs" / "job.schema.json").read_text())
    ours = {name for name, inner in schema["properties"].items() if not inner.get("deprecated")}
    assert set(problem.hint.removeprefix("use one of: ").split(", ")) == ours
