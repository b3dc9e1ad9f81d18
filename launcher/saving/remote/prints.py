"""Prints of files: read once, both digests in one go; and what their prints are as pieces, as S3 has it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from launcher.saving.remote.model import Print

if TYPE_CHECKING:
    from launcher.saving.meter import Meter

CHUNK = 1 << 20


def print_of(source: str, algorithm: str, meter: Meter) -> Print:
    """`algorithm` is the one of the store; empty if it knows none. Raises OSError."""
    import hashlib

    sha, size = hashlib.sha256(), 0
    other = sha if algorithm in ("", "sha256") else hashlib.new(algorithm, usedforsecurity=False)
    with open(source, "rb", buffering=0) as reader:
        while data := reader.read(CHUNK):
            sha.update(data)
            if other is not sha:
                other.update(data)
            size += len(data)
            meter.add()
    digest = other.hexdigest() if algorithm else ""
    return Print(source, size, sha.hexdigest(), digest)


def sha256_of(source: str, meter: Meter) -> tuple[int, str]:
    """(bytes, sha256). Raises OSError."""
    one = print_of(source, "sha256", meter)
    return one.size, one.sha256


def md5_of_pieces(source: str, piece: int, meter: Meter) -> str:
    """What S3 says of a file that came in pieces of so many bytes: `md5 of the md5s - how many`."""
    import hashlib

    whole, count = hashlib.md5(usedforsecurity=False), 0
    with open(source, "rb", buffering=0) as reader:
        left = os.fstat(reader.fileno()).st_size
        while left > 0:
            part, want = hashlib.md5(usedforsecurity=False), min(piece, left)
            while want and (data := reader.read(min(CHUNK, want))):
                part.update(data)
                want, left = want - len(data), left - len(data)
                meter.add()
            if want:
                break  # It has become shorter: the result fits nothing.
            whole.update(part.digest())
            count += 1
    return f"{whole.hexdigest()}-{count}"


class Hasher:
    """A sink for what a tool reads back."""

    def __init__(self) -> None:
        import hashlib

        self._sha = hashlib.sha256()
        self.size = 0

    def feed(self, data: bytes) -> None:
        """The next bytes."""
        self._sha.update(data)
        self.size += len(data)

    @property
    def sha256(self) -> str:
        """Of all so far."""
        return self._sha.hexdigest()
