"""The variables that a release command names, and whether another environment has the same values.

Their values are nobody's to write down: what is noted of each is a digest that takes a while to reckon, with
a salt. It is reckoned in a child: OpenSSL would take 3 MB in every guard.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from launcher.children import call_in_child
from launcher.values import Known

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What bash sets by itself, whatever it was given.
_OF_BASH = frozenset({"_", "BASHPID", "EUID", "OLDPWD", "PPID", "PWD", "RANDOM", "SECONDS", "SHLVL", "UID"})
_ROUNDS = 20_000
_DEADLINE_S = 20.0
# Of a value that could not be digested: it is like no other.
_UNLIKE = "?"


def names(command: str, environ: Iterable[str]) -> tuple[str, ...]:
    """The variables that a command may refer to, in order: `$NAME`, or as a word (`printenv NAME`).

    Those with a dollar sign are among them whether `environ` has them or not.
    """
    there = set(environ)
    referred = set(re.findall(r"\$\{?[!#]?([A-Za-z_][A-Za-z0-9_]*)", command))
    found = (name for name in _NAME.findall(command) if name in there or name in referred)
    return tuple(dict.fromkeys(name for name in found if name not in _OF_BASH))


def digests(names: Iterable[str], environ: Mapping[str, str], salt: str) -> dict[str, str | None]:
    """A digest of each variable's value; None where `environ` lacks it. Never raises."""
    values = {name: environ.get(name) for name in names}
    there = {name: value for name, value in values.items() if value is not None}
    if not there:
        return dict.fromkeys(values)
    answer = call_in_child(lambda: _digests(there, salt), deadline_s=_DEADLINE_S)
    found = answer.value if isinstance(answer, Known) else {}
    return {name: None if value is None else found.get(name, _UNLIKE) for name, value in values.items()}


def unlike(noted: Mapping[str, str | None], environ: Mapping[str, str], salt: str) -> tuple[str, ...]:
    """Those of the noted variables that `environ` lacks, or has with another value."""
    wanted = {name: digest for name, digest in noted.items() if digest is not None}
    here = digests(wanted, environ, salt)
    return tuple(name for name, digest in wanted.items() if digest == _UNLIKE or here[name] != digest)


def without_absent(environ: Mapping[str, str], noted: Mapping[str, str | None]) -> dict[str, str]:
    """`environ` without the variables that were noted as absent."""
    return {name: value for name, value in environ.items() if noted.get(name, "") is not None}


def _digests(values: Mapping[str, str], salt: str) -> dict[str, str]:
    import hashlib

    def digest(name: str, value: str) -> str:
        data = f"{name}={value}".encode("utf-8", "surrogateescape")
        return hashlib.pbkdf2_hmac("sha256", data, salt.encode(), _ROUNDS, 16).hex()

    return {name: digest(name, value) for name, value in values.items()}
