"""Small rules of the house that a machine can hold."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

MOST_LINES = 400


def test_no_file_is_longer_than_a_person_reads_at_once(root: Path) -> None:
    """Above 400 lines a file is split."""
    files = [path for folder in ("launcher", "tests", "examples") for path in (root / folder).rglob("*.py")]
    assert len(files) > 10, f"{len(files)} Python files under {root}: this test would prove nothing"
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    long = [f"{path.relative_to(root)}: {lines}" for path, lines in lengths.items() if lines > MOST_LINES]
    assert not long


def test_the_changelog_has_the_version(root: Path, project: dict[str, Any]) -> None:
    """The newest section is the version of pyproject.toml, below the unreleased one."""
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    sections = re.findall(r"^## \[([^\]]+)\]", text, flags=re.MULTILINE)
    assert sections[:2] == ["Unreleased", project["version"]]
