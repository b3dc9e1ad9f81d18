"""Texts of the job file as quantities. Pure; everything here raises messages.Refused.

The parsing of sizes and durations is that of launcher.values; this file adds what a person may have
meant instead, and how SkyPilot and dstack count.
"""

from __future__ import annotations

import re

from launcher.spec.messages import Refused, shown
from launcher.values import DURATION_UNITS, BadValue, parse_duration, parse_size
from launcher.words import words

LONGEST_QUANTITY = 100
_NOT_FINITE = re.compile(r"[-+]?(\.?inf(inity)?|\.?nan)[A-Za-z]{0,3}", re.IGNORECASE)
_NEGATIVE = re.compile(r"-\s*[.0-9]")
_RANGE = re.compile(
    r"(?P<lower>[^.]*(?:\.[0-9][^.]*)?)(?:\.\.|(?<=[0-9A-Za-z])\s*-\s*(?=[0-9]))\s*(?P<upper>[.0-9].*)"
)
_PEER_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*(?:\+|\.\.)?")
_PEER_UNITS = {"": 2**30, "M": 2**20, "G": 2**30, "T": 2**40}
_NUMBER = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?|\.[0-9]{1,15}")
_SIZE_SPELLINGS = ["B", "KB", "MB", "GB", "TB", "KiB", "MiB", "GiB", "TiB"]
_DURATION_SPELLINGS = {
    **dict.fromkeys(("sec", "secs", "second", "seconds", "S"), "s"),
    **dict.fromkeys(("min", "mins", "minute", "minutes", "M"), "m"),
    **dict.fromkeys(("hr", "hrs", "hour", "hours", "H"), "h"),
    **dict.fromkeys(("day", "days", "D"), "d"),
}
_CHINESE_UNITS = {
    **dict.fromkeys(("秒", "秒鐘", "秒钟"), "s"),
    **dict.fromkeys(("分", "分鐘", "分钟"), "m"),
    **dict.fromkeys(("時", "时", "小時", "小时", "鐘頭", "钟头"), "h"),
    **dict.fromkeys(("天", "日"), "d"),
}
_CHINESE_QUANTITY = re.compile(r"[0-9.]+\s*(?:個|个)?([\u4e00-\u9fff]+)")


def size(text: str) -> int:
    """`50GB`, `48 GiB`, `50GB+`, `50GB..` as bytes: at least so much."""
    _refuse_odd(text, "not-size")
    _refuse_range(text)
    try:
        return parse_size(text)
    except BadValue as error:
        raise _explain_size(text, error) from None


def peer_size(text: str) -> int:
    """`32`, `32+`, `32GB`, `32GB..` as SkyPilot and dstack count: GB is 2^30 bytes, and so is no unit."""
    _refuse_odd(text, "not-size")
    _refuse_range(text)
    match = _PEER_SIZE.fullmatch(text.strip())
    unit = match.group(2).upper().removesuffix("B").removesuffix("I") if match else ""
    if match is None or unit not in _PEER_UNITS:
        return size(text)  # to say what is wrong
    try:
        return parse_size(match.group(1), bare_unit=_PEER_UNITS[unit])
    except BadValue as error:
        raise _explain_size(text, error) from None


def duration(text: str, *, zero: bool = False) -> float:
    """`90s`, `20m`, `6h`, `1d`, `1h30m` as seconds; more than 0 unless `zero` is allowed."""
    _refuse_odd(text, "not-duration")
    try:
        seconds = parse_duration(text)
    except BadValue as error:
        raise _explain_duration(text, error) from None
    if seconds <= 0 and not zero:
        raise Refused("zero", found=shown(text), hint=words("write more than `0s`"))
    return seconds


def cpus(text: str) -> float:
    """`4`, `1.5`, `4+`, `4..`: at least so many."""
    _refuse_odd(text, "not-number", example="4")
    _refuse_range(text)
    return number(re.sub(r"\s*(\+|\.\.)\Z", "", text.strip()), example="4", most=100_000)


def number(text: str, *, example: str, most: int = 10**9) -> float:
    """A decimal number above 0."""
    _refuse_odd(text, "not-number", example=example)
    if _NUMBER.fullmatch(text.strip()) is None:
        raise Refused("not-number", found=shown(text), example=example)
    value = float(text)
    if value > most:
        raise Refused("too-much", found=shown(text), most=str(most))
    if value <= 0:
        raise Refused(
            "zero",
            found=shown(text),
            hint=words("write a number above 0, such as `{example}`", example=example),
        )
    return value


def integer(text: str, *, least: int, most: int, example: str) -> int:
    """Digits only: no sign, no underscore, no exponent, and `010` is ten."""
    _refuse_odd(text, "not-integer", example=example)
    digits = text.strip()
    if re.fullmatch("[0-9]+", digits) is None:
        raise Refused("not-integer", found=shown(text), example=example)
    if len(digits.lstrip("0")) > len(str(most)) or int(digits) > most:
        raise Refused("too-much", found=shown(text), most=str(most))
    if int(digits) < least:
        raise Refused("zero", found=shown(text), hint=words("write at least {least}", least=least))
    return int(digits)


def flag(text: str) -> bool:
    """`true` or `false`, and no other word of YAML 1.1."""
    if text not in ("true", "false"):
        raise Refused("not-flag", found=shown(text))
    return text == "true"


def compute_capability(text: str) -> tuple[int, int]:
    """`8.0` as (8, 0)."""
    match = re.fullmatch(r"([0-9]{1,2})\.([0-9])(?:\s*(?:\+|\.\.))?", text.strip())
    if match is None:
        raise Refused("not-capability", found=shown(text))
    return int(match.group(1)), int(match.group(2))


def format_gib(size_bytes: int) -> str:
    """Bytes in binary units, for sizes that SkyPilot and dstack wrote: `32GiB`, `512MiB`."""
    unit, factor = ("GiB", 2**30) if size_bytes >= 2**30 else ("MiB", 2**20)
    return f"{size_bytes / factor:g}{unit}"


def _refuse_odd(text: str, wording: str, **fields: str) -> None:
    """What no quantity can be. Long texts go here too: the patterns below are not made for them."""
    stripped = text.strip()
    if len(stripped) > LONGEST_QUANTITY:
        raise Refused(wording, found=shown(text), **fields)
    if _NOT_FINITE.fullmatch(stripped):
        raise Refused("not-finite", found=shown(text), hint=words("write a number, or remove the key"))
    if _NEGATIVE.match(stripped):
        raise Refused("negative", found=shown(text))


def _refuse_range(text: str) -> None:
    match = _RANGE.fullmatch(text.strip())
    if match is None:
        return
    lower, upper = match.group("lower").strip(), match.group("upper").strip()
    if lower and lower[-1].isdigit():  # `16..64GB`
        lower += "".join(char for char in upper if char.isalpha())
    hint = (
        words("write `{instead}`", instead=shown(lower))
        if lower
        else words("write the least that will do, without `..` before it")
    )
    raise Refused("upper-bound", found=shown(text), hint=hint)


def _explain_size(text: str, error: BadValue) -> Refused:
    found = shown(text.strip())
    if error.kind == "unit-missing":
        return Refused("unit-missing-size", found=found.rstrip("+. "))
    if error.kind == "unit-unknown":
        unit = "".join(char for char in found if char.isalpha())
        if unit[0].upper() in "KMGT":  # `Gi`, `gig`, `Gb/s`
            near = unit[0].upper() + ("iB" if unit[1:2] in ("i", "I") and len(unit) < len("GiBB") else "B")
            return Refused("unit-unknown-near", unit=unit, what=words("size"), near=near)
        return Refused("unit-unknown", unit=unit, what=words("size"), units=", ".join(_SIZE_SPELLINGS))
    if error.kind == "too-large":
        return Refused("too-much", found=found, most="1000000TB")
    return Refused("not-size", found=found)


def _explain_duration(text: str, error: BadValue) -> Refused:
    found = shown(text.strip())
    chinese = _CHINESE_QUANTITY.match(found)
    if chinese is not None and (near := _CHINESE_UNITS.get(chinese.group(1))) is not None:
        return Refused("unit-unknown-near", unit=chinese.group(1), what=words("duration"), near=near)
    if error.kind == "unit-missing":
        return Refused("unit-missing-duration", found=found)
    if error.kind == "unit-unknown":
        units = re.findall("[A-Za-z]+", text)
        unit = next((unit for unit in units if unit not in DURATION_UNITS), "")
        near = _DURATION_SPELLINGS.get(unit) or _DURATION_SPELLINGS.get(unit.lower())
        if near is not None:
            return Refused("unit-unknown-near", unit=shown(unit), what=words("duration"), near=near)
        return Refused("unit-unknown", unit=shown(unit), what=words("duration"), units="s, m, h, d")
    if error.kind == "too-large":
        return Refused("too-much", found=found, most="366d")
    return Refused("not-duration", found=found)
