"""Carry the bytes of one file to another place, and prove that they are there.

What counts is read back: the bytes at the target are compared with the source read a second time, and the
sha256 is taken of what was read back. So a source that changes meanwhile, a disk that lies and a half-copied
file from an earlier attempt are all seen; what is already there and equal is not written again.
"""

from __future__ import annotations

import errno
import os
import queue
import stat
import threading
from typing import TYPE_CHECKING, NamedTuple, Protocol

from launcher.saving.disk import begin_writing, drop_cache
from launcher.saving.listing import Entry, identity_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from launcher.saving.disk import Disk

CHUNK = 1 << 20
# So much is on its way between the one who writes and the one who reads back.
WINDOW = 32 << 20
_NO_RANGES = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF, errno.EPERM)
_CANNOT_SET = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EROFS)


class Ticking(Protocol):
    """Who is told that bytes were moved or looked at: a Meter, or something in front of it."""

    def add(self, size: int = 0, files: int = 0) -> None:
        """So much more; 0 and 0: we live."""


class CopyProblem(Exception):
    """A file that cannot be vouched for."""


class Changed(CopyProblem):
    """The source is not what it was when it was listed."""

    def __init__(self, text: str = "it changed while it was copied") -> None:
        super().__init__(text)


class Carried(NamedTuple):
    """Bytes and sha256 of what was read back; `written`: how many of them had to be moved."""

    size: int
    sha256: str
    written: int


def carry(entry: Entry, target: str, disk: Disk, ticks: Ticking) -> Carried:
    """Make the file `target` equal to the source of `entry`, durable, with its mode and time.

    Goes on with what is there. Raises OSError or CopyProblem; the file is then whatever it is.
    """
    reader = open_source(entry)
    proof = None
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        writer = os.open(target, flags, entry.mode & 0o777 | 0o200)
        try:
            proof = _Proof(reader, writer, entry.size, ticks)
            begun = _whole_part(proof, writer, entry.size)
            if disk.quick:
                _write_and_prove(proof, begun)
            else:
                _write(reader, writer, begun, entry.size, lambda _: ticks.add())
            keep_attributes(writer, entry)
            os.fsync(writer)
        finally:
            # FUSE file systems tell the last errors here.
            os.close(writer)
        if not disk.quick:
            _prove_anew(proof, target)
        check_unchanged(entry)
    except BaseException as error:
        if proof is not None:
            ticks.add(-proof.place)  # It will be counted again, or never.
        if isinstance(error, CopyProblem):
            check_unchanged(entry)  # If it did change, that is why the two differ.
        raise
    finally:
        os.close(reader)
    return Carried(entry.size, proof.sha256(), entry.size - begun)


def open_source(entry: Entry) -> int:
    """A descriptor of the very file that was listed. Raises Changed if it is another one now."""
    # Not to hang if a pipe lies there by now.
    reader = os.open(entry.source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    status = os.fstat(reader)
    if identity_of(status) != entry.identity or not stat.S_ISREG(status.st_mode):
        os.close(reader)
        raise Changed
    return reader


def check_unchanged(entry: Entry) -> None:
    """What has the name is still what was listed (and opened: an inode is one file), or Changed is raised."""
    try:
        again = os.lstat(entry.source)
    except FileNotFoundError:
        raise Changed from None
    if identity_of(again) != entry.identity:
        raise Changed


def digest_source(entry: Entry, ticks: Ticking) -> str:
    """The sha256 of a source as it was listed. Raises Changed, OSError."""
    reader = open_source(entry)
    try:
        size, sha256 = digest(reader, ticks)
        check_unchanged(entry)
    finally:
        os.close(reader)
    if size != entry.size:
        raise Changed
    return sha256


def digest_target(path: str, ticks: Ticking) -> tuple[int, str]:
    """(bytes, sha256) of a file at a target, from the disk where we can have it so."""
    reader = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        drop_cache(reader)
        return digest(reader, ticks)
    finally:
        os.close(reader)


def digest(reader: int, ticks: Ticking) -> tuple[int, str]:
    """(bytes, sha256) from where a descriptor stands to its end."""
    import hashlib  # in the child that copies: OpenSSL is not for the guard

    sha, size = hashlib.sha256(), 0
    buffer = memoryview(bytearray(CHUNK))
    while count := os.readv(reader, [buffer]):
        sha.update(buffer[:count])
        size += count
        ticks.add()
    return size, sha.hexdigest()


class _Proof:
    """Reads source and target side by side, from the start; hashes what is equal."""

    def __init__(self, reader: int, target: int, size: int, ticks: Ticking) -> None:
        import hashlib  # in the child that copies: OpenSSL is not for the guard

        self.reader, self.target, self.size = reader, target, size
        self.ticks = ticks
        self.sha = hashlib.sha256()
        self.place = 0
        small = min(CHUNK, max(size, 1))
        self.buffers = bytearray(small), bytearray(small)

    def sha256(self) -> str:
        return self.sha.hexdigest()

    def up_to(self, end: int) -> bool:
        """Go on to `end`; False as soon as the two differ (`place` is then where to write from)."""
        drop_cache(self.target, self.place, end - self.place)
        while self.place < end:
            count = min(len(self.buffers[0]), end - self.place)
            if count < len(self.buffers[0]):
                self.buffers = bytearray(count), bytearray(count)
            for descriptor, buffer in zip((self.reader, self.target), self.buffers, strict=True):
                if not _read_full(descriptor, buffer, self.place):
                    return False
            if self.buffers[0] != self.buffers[1]:
                return False
            self.sha.update(self.buffers[1])
            self.place += count
            self.ticks.add(count)
        return True


def _read_full(descriptor: int, buffer: bytearray, place: int) -> bool:
    view, done = memoryview(buffer), 0
    while done < len(buffer):
        count = os.preadv(descriptor, [view[done:]], place + done)
        if not count:
            return False
        done += count
    return True


def _whole_part(proof: _Proof, writer: int, size: int) -> int:
    """How much of an earlier attempt holds; the rest is cut off."""
    there = os.fstat(writer).st_size
    if there:
        proof.up_to(min(there, size))
        os.ftruncate(writer, proof.place)
        # The end of a chunk that was shorter than usual: from here on in whole ones.
        proof.buffers = bytearray(CHUNK), bytearray(CHUNK)
    return proof.place


def _write_and_prove(proof: _Proof, begun: int) -> None:
    """One thread writes, window by window; this one reads back what has reached the disk."""
    if proof.size - begun <= WINDOW:
        _write(proof.reader, proof.target, begun, proof.size, lambda _: None)
        _must(proof.up_to(proof.size))
        return
    written: queue.Queue[int | BaseException] = queue.Queue(maxsize=2)
    over = threading.Event()

    def work() -> None:
        try:
            place = begun
            while place < proof.size and not over.is_set():
                end = min(place + WINDOW, proof.size)
                _write(proof.reader, proof.target, place, end, lambda _: None)
                begin_writing(proof.target, place, end - place)
                place = end
                written.put(place)
        except BaseException as error:
            written.put(error)

    thread = threading.Thread(target=work, name="writer")
    thread.start()
    try:
        while proof.place < proof.size:
            end = written.get()
            if isinstance(end, BaseException):
                raise end
            _must(proof.up_to(end))
    finally:
        over.set()
        while thread.is_alive():
            _drain(written)
            thread.join(0.01)


def _drain(written: queue.Queue[int | BaseException]) -> None:
    try:
        while True:
            written.get_nowait()
    except queue.Empty:
        pass


def _prove_anew(proof: _Proof, target: str) -> None:
    """Open it again, as the next one will who reads it."""
    proof.target = os.open(target, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _must(proof.up_to(proof.size) and os.fstat(proof.target).st_size == proof.size)
    finally:
        os.close(proof.target)


def _must(equal: bool) -> None:
    if not equal:
        raise CopyProblem("what was read back differs from what was written")


def _write(reader: int, writer: int, start: int, end: int, moved: Callable[[int], None]) -> None:
    """The bytes from `start` to `end`; Changed if the source has fewer."""
    place = start
    for count in _in_kernel(reader, writer, start, end):
        place += count
        moved(count)
    buffer = memoryview(bytearray(CHUNK)) if place < end else memoryview(b"")
    while place < end:
        count = os.preadv(reader, [buffer[: end - place]], place)
        if not count:
            raise Changed
        rest = buffer[:count]
        while rest:
            done = os.pwrite(writer, rest, place)
            rest, place = rest[done:], place + done
        moved(count)


def _in_kernel(reader: int, writer: int, start: int, end: int) -> Iterator[int]:
    """Let the kernel copy, as far as it does; nothing or less where it cannot."""
    place = start
    while place < end:
        try:
            count = os.copy_file_range(reader, writer, min(end - place, WINDOW), place, place)
        except OSError as error:
            if error.errno in _NO_RANGES:
                return
            raise
        except AttributeError:
            return
        if not count:
            return
        place += count
        yield count


def keep_attributes(writer: int, entry: Entry) -> None:
    """Mode and time of the source: a convenience, some targets keep their own."""
    mode = entry.mode & 0o777 | 0o200
    try:
        if os.fstat(writer).st_mode & 0o777 != mode:
            os.fchmod(writer, mode)
        os.utime(writer, ns=(entry.mtime_ns, entry.mtime_ns))
    except OSError as error:
        if error.errno not in _CANNOT_SET:
            raise
