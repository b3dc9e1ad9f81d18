"""Versions and requirements, held against the library that pip itself uses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from launcher.verdict.versions import meets, name_of, parse

NUMBERS = st.integers(0, 12).map(str)
VERSIONS = st.builds(
    lambda release, pre, post, dev, local: ".".join(release) + pre + post + dev + local,
    st.lists(NUMBERS, min_size=1, max_size=4),
    st.sampled_from(["", "", "a1", "b2", "rc1", "rc"]),
    st.sampled_from(["", "", ".post1", ".post0"]),
    st.sampled_from(["", "", ".dev20250310", ".dev0"]),
    st.sampled_from(["", "", "+cu128", "+cpu"]),
)
OPERATORS = st.sampled_from([">=", "<=", ">", "<", "==", "!="])


@given(VERSIONS, VERSIONS, OPERATORS)
def test_a_clause_means_what_it_means_to_pip(found: str, wanted: str, operator: str) -> None:
    """Local parts stand beside the order, as PEP 440 has it; post and pre-releases at their own edges."""
    public = wanted.partition("+")[0]
    clause = f"{operator}{wanted if operator in ('==', '!=') else public}"
    assert meets(f"x{clause}", found) == SpecifierSet(clause).contains(Version(found), prereleases=True)


@given(VERSIONS, st.lists(NUMBERS, min_size=1, max_size=3), st.sampled_from(["==", "!="]))
def test_a_prefix(found: str, prefix: list[str], operator: str) -> None:
    """`==2.9.*`."""
    clause = f"{operator}{'.'.join(prefix)}.*"
    assert meets(f"x{clause}", found) == SpecifierSet(clause).contains(Version(found), prereleases=True)


@given(VERSIONS, st.lists(NUMBERS, min_size=2, max_size=4))
def test_compatible_release(found: str, wanted: list[str]) -> None:
    """`~=2.4`."""
    clause = f"~={'.'.join(wanted)}"
    assert meets(f"x{clause}", found) == SpecifierSet(clause).contains(Version(found), prereleases=True)


@pytest.mark.parametrize(
    ("requirement", "version", "answer"),
    [
        ("torch", "2.9.1", True),
        ("torch", "made by hand", True),
        ("torch >= 2.4, <3", "2.9.1+cu128", True),
        ("torch >=2.4,<2.9", "2.9.1", False),
        ("torch>=2.4", "made by hand", None),
        ("torch>=2.4,==abc", "2.9.1", None),
        ("torch<2.4,==abc", "2.9.1", False),
        ("torch===2.9.1+cu128", "2.9.1+cu128", True),
        ("torch==2.9.1+cu126", "2.9.1+cu128", False),
    ],
)
def test_a_whole_requirement(requirement: str, version: str, answer: bool | None) -> None:
    """Every clause must hold; one that cannot be told does not outweigh one that fails."""
    assert meets(requirement, version) is answer


@pytest.mark.parametrize("text", ["", "abc", "1..2", "1.0-", "1.0+", "v"])
def test_what_is_no_version(text: str) -> None:
    """Is not taken for one."""
    assert parse(text) is None


def test_names_as_indexes_spell_them() -> None:
    """With extras and versions, and however they are separated."""
    assert name_of(" Scikit_Learn[extra] >= 1") == "scikit-learn"
    assert name_of("jax[cuda12]") == "jax"
