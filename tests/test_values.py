"""Sizes and durations: read, refused and printed."""

from __future__ import annotations

import pytest

from launcher.clock import iso_utc
from launcher.masking import mask_json, mask_text
from launcher.values import BadValue, format_size, parse_duration, parse_size

SIZES = {
    "50GB": 50 * 10**9,
    "50 GiB": 50 * 2**30,
    "50GB+": 50 * 10**9,
    "48GiB..": 48 * 2**30,
    "1.5TB": 15 * 10**11,
    ".5GB": 5 * 10**8,
    "0GB": 0,
    "12B": 12,
    "7gb": 7 * 10**9,
}
DURATIONS = {"90s": 90.0, "20m": 1200.0, "6h": 21600.0, "1d": 86400.0, "1h30m": 5400.0, "0s": 0.0, ".5s": 0.5}


@pytest.mark.parametrize("text", SIZES)
def test_sizes(text: str) -> None:
    """GB is 10^9 and GiB is 2^30; `+` and `..` say what is meant anyway: at least."""
    assert parse_size(text) == SIZES[text]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("50", "unit-missing"),
        ("5x", "unit-unknown"),
        ("-1GB", "size"),
        ("nan", "size"),
        ("9" * 400 + "GB", "too-large"),
        ("1e400GB", "size"),
        ("", "size"),
        ("GB", "size"),
        ("5GB6", "size"),
    ],
)
def test_what_is_no_size(text: str, kind: str) -> None:
    """A unit is never guessed, and no text overflows."""
    with pytest.raises(BadValue) as error:
        parse_size(text)
    assert error.value.kind == kind


@pytest.mark.parametrize("text", DURATIONS)
def test_durations(text: str) -> None:
    """Parts add up."""
    assert parse_duration(text) == DURATIONS[text]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("90", "unit-missing"),
        ("42D", "unit-unknown"),
        ("-1h", "duration"),
        ("inf", "duration"),
        ("", "duration"),
        ("9" * 99 + "d", "too-large"),
        ("1:30", "duration"),
    ],
)
def test_what_is_no_duration(text: str, kind: str) -> None:
    """A bare number has no unit, and no limit can be so large that it fires at once."""
    with pytest.raises(BadValue) as error:
        parse_duration(text)
    assert error.value.kind == kind


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 KB"),
        (260_037, "260.0 KB"),
        (13_613_000_000, "13.6 GB"),
        (50 * 10**9, "50 GB"),
        (10**12, "1 TB"),
        (42_949_672_960, "42.9 GB"),
    ],
)
def test_sizes_for_a_person(size: int, text: str) -> None:
    """Decimal units, and one figure behind the point unless the size is exactly whole."""
    assert format_size(size) == text


def test_masking() -> None:
    """Every value goes, the longer ones first; a value too short to be one stays."""
    assert mask_text("key abcdef and abcd", ["abcd", "abcdef"]) == "key *** and ***"
    assert mask_text("a b", ["a"]) == "a b"
    document = {"abcdef": ["x abcdef", {"n": 1, "deep": "abcdef"}], "none": None}
    assert mask_json(document, ["abcdef"]) == {"***": ["x ***", {"n": 1, "deep": "***"}], "none": None}


@pytest.mark.parametrize(
    ("wall", "text"),
    [
        (0.0, "1970-01-01T00:00:00Z"),
        (-1e20, "1970-01-01T00:00:00Z"),
        (253402300799.0, "9999-12-31T23:59:59Z"),
        (1e20, "9999-12-31T23:59:59Z"),
        (float("inf"), "9999-12-31T23:59:59Z"),
    ],
)
def test_a_time_has_four_digits_for_its_year(wall: float, text: str) -> None:
    """Whatever a file holds, or a large budget at a small rate comes to."""
    assert iso_utc(wall) == text
