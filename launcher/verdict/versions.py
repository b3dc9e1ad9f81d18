"""Versions of Python packages, as PEP 440 compares them: no more of it than `torch>=2.4,<3` needs. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

_VERSION = re.compile(
    r"v?(?:(?P<epoch>[0-9]+)!)?(?P<release>[0-9]+(?:\.[0-9]+)*)"
    r"(?:[-_.]?(?P<pre>a|b|c|rc|alpha|beta|pre|preview)[-_.]?(?P<pre_n>[0-9]*))?"
    r"(?:(?:[-_.]?(?:post|rev|r)[-_.]?(?P<post>[0-9]*))|-(?P<post2>[0-9]+))?"
    r"(?:[-_.]?dev[-_.]?(?P<dev>[0-9]*))?(?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"(===|~=|==|!=|<=|>=|<|>)\s*([A-Za-z0-9.*+!_-]+)")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_PRE = {"a": 0, "alpha": 0, "b": 1, "beta": 1, "c": 2, "rc": 2, "pre": 2, "preview": 2}
_FINAL = 3
_NO_DEV = float("inf")


class Version(NamedTuple):
    """A version in the order of PEP 440, its local part (`cu128`) aside."""

    epoch: int
    release: tuple[int, ...]
    pre: tuple[int, int]
    post: int
    dev: float
    local: str = ""

    @property
    def public(self) -> tuple[int, tuple[int, ...], tuple[int, int], int, float]:
        """Without the local part, which only `===` and an exact `==` look at."""
        return self.epoch, self.release, self.pre, self.post, self.dev

    @property
    def is_early(self) -> bool:
        """A pre-release, or a version from its development."""
        return self.pre < (_FINAL, 0) or self.dev < _NO_DEV


def parse(text: str) -> Version | None:
    """The version that `text` says; None for what is none."""
    match = _VERSION.fullmatch(text.strip())
    if match is None:
        return None
    numbers = [int(part) for part in match["release"].split(".")]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    is_dev, is_post = match["dev"] is not None, (match["post"] or match["post2"]) is not None
    pre = (_PRE[match["pre"].lower()], int(match["pre_n"] or 0)) if match["pre"] else (_FINAL, 0)
    if is_dev and not match["pre"] and not is_post:
        pre = (-1, 0)  # 2.0.dev1 stands before 2.0a1
    return Version(
        epoch=int(match["epoch"] or 0),
        release=tuple(numbers),
        pre=pre,
        post=int(match["post"] or match["post2"] or 0) if is_post else -1,
        dev=float(match["dev"] or 0) if is_dev else _NO_DEV,
        local=re.sub(r"[-_]", ".", (match["local"] or "").lower()),
    )


def name_of(requirement: str) -> str:
    """The package of `torch[extra]>=2.4`, spelled as indexes do: `scikit-learn`."""
    match = _NAME.match(requirement.strip())
    return normal(match.group() if match else requirement)


def normal(name: str) -> str:
    """`Scikit_Learn` and `scikit.learn` are one package."""
    return re.sub(r"[-_.]+", "-", name).lower()


def meets(requirement: str, version: str) -> bool | None:
    """Does `version` meet every clause of `torch>=2.4,<3`? None where that cannot be told."""
    found = parse(version)
    answers = []
    for operator, wanted in _CLAUSE.findall(requirement):
        if operator == "===":
            answers.append(version.lower() == wanted.lower())
        else:
            answers.append(None if found is None else _holds(operator, wanted, found))
    if False in answers:
        return False
    return None if None in answers else True


def _holds(operator: str, wanted: str, found: Version) -> bool | None:
    if wanted.endswith(".*"):
        asked = parse(wanted[:-2])
        if asked is None or operator not in ("==", "!="):
            return None
        # Zeros at the end are not kept, so the prefix is counted as it was written.
        length = wanted[:-2].count(".") + 1
        same = found.epoch == asked.epoch and _padded(found, length) == _padded(asked, length)
        return same == (operator == "==")
    asked = parse(wanted)
    if asked is None:
        return None
    if operator in ("==", "!="):
        same = found.public == asked.public and (not asked.local or asked.local == found.local)
        return same == (operator == "==")
    if operator == "~=":
        length = wanted.partition("+")[0].count(".")
        same = found.epoch == asked.epoch and _padded(found, length) == _padded(asked, length)
        return length > 0 and same and found.public >= asked.public
    return _ordered(operator, asked, found)


def _ordered(operator: str, asked: Version, found: Version) -> bool:
    if operator == ">=":
        return found.public >= asked.public
    if operator == "<=":
        return found.public <= asked.public
    if operator == ">":
        # 2.4.post1 is not newer than 2.4 to PEP 440: it is 2.4 again.
        again = found._replace(post=-1, dev=_NO_DEV).public == asked.public
        return found.public > asked.public and not again
    # Nor is 2.4rc1 older than 2.4, unless a pre-release was asked about.
    same_release = (found.epoch, found.release) == (asked.epoch, asked.release)
    of_it = asked.post < 0 or (found.pre, found.post) == (asked.pre, asked.post)
    before = same_release and of_it and found.is_early and not asked.is_early
    return found.public < asked.public and not before


def _padded(version: Version, length: int) -> tuple[int, ...]:
    return (*version.release, *[0] * length)[:length]
