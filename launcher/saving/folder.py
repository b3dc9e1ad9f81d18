"""Copy an output into a folder, so that each file there is whole or absent, and verified.

Each file is copied under a temporary name, fsynced, renamed, and read back: size and sha256 of what
lies at the destination are compared with what was read. Runs in a child (`saving/save.py`): a dead
network mount can hang for ever.

Links that lead to something inside the output stay links; what they lead to elsewhere is copied,
because it goes with the machine.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field

CHUNK = 1 << 20
# How file systems say that they have no symbolic links.
NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)
TEMPORARY = ".colab-run-{token}.part"


@dataclass(slots=True)
class CopyReport:
    """What one copy did; JSON-able through `as_dict`."""

    files: list[tuple[str, int, str]] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, object]:
        """As it crosses the pipe from the child."""
        return {"files": self.files, "failures": self.failures, "skipped": self.skipped}


def copy_output(source: str, target_folder: str, token: str, name: str = "") -> CopyReport:
    """Copy the file or folder `source` into `target_folder`, under its own name or `name`.

    One unreadable file does not stop the others: it is listed in `failures`, and everything else is
    saved. `token` makes the temporary names ours.
    """
    report = CopyReport()
    root = os.path.realpath(source)
    target = os.path.join(target_folder, name or os.path.basename(os.path.normpath(source)))
    targets = frozenset((os.path.realpath(target_folder), os.path.realpath(target)))
    problem = _why_not(root, targets)
    if problem:
        report.failures.append((source, problem))
        return report
    try:
        os.makedirs(target_folder, exist_ok=True)
    except OSError as error:
        report.failures.append((target_folder, _why(error)))
        return report
    copier = _Copier(root, targets, TEMPORARY.format(token=token), report)
    copier.copy(root, target, ())
    copier.sync_folder(target_folder)
    return report


def _why_not(root: str, targets: frozenset[str]) -> str:
    """What makes `root` no output that could be copied; empty if nothing does."""
    if root in targets:
        return "the target is the output itself"
    if not os.path.isdir(root) and not os.path.isfile(root):
        return "it is neither a file nor a folder"
    return ""


class _Copier:
    def __init__(self, root: str, targets: frozenset[str], temporary: str, report: CopyReport) -> None:
        self.root, self.targets = root, targets
        self.temporary, self.report = temporary, report

    def copy(self, source: str, target: str, above: tuple[str, ...]) -> None:
        """Copy whatever `source` is; `above` are the real folders that we are inside of."""
        try:
            mode = os.lstat(source).st_mode
            if stat.S_ISLNK(mode):
                self._link(source, target, above)
            elif stat.S_ISDIR(mode):
                self._folder(source, target, above)
            elif stat.S_ISREG(mode):
                self._file(source, target)
            else:
                self.report.skipped.append(source)  # A socket or a pipe holds no result.
        except (OSError, CopyProblem) as error:
            self.report.failures.append((source, _why(error)))

    def _folder(self, source: str, target: str, above: tuple[str, ...]) -> None:
        real = os.path.realpath(source)
        if real in above or real in self.targets:
            # A link that leads back to where we come from, or the very folder that we copy into.
            self.report.skipped.append(source)
            return
        if os.path.islink(target):
            os.unlink(target)  # An earlier copy's link: what it leads to is not this folder.
        os.makedirs(target, exist_ok=True)
        for name in sorted(os.listdir(source)):
            self.copy(os.path.join(source, name), os.path.join(target, name), (*above, real))
        self.sync_folder(target)

    def _link(self, source: str, target: str, above: tuple[str, ...]) -> None:
        real = os.path.realpath(source)
        if os.path.exists(real) and not self._inside(real):
            self.copy(real, target, above)
            return
        temporary = os.path.join(os.path.dirname(target), self.temporary)
        try:
            _remove(temporary)
            os.symlink(_relative(source, real), temporary)
            os.rename(temporary, target)
        except OSError as error:
            # Drive and other FUSE targets know no links: the content then stands there twice.
            if error.errno not in NO_LINKS or not os.path.exists(real):
                raise
            self.copy(real, target, above)

    def _inside(self, real: str) -> bool:
        return real == self.root or real.startswith(self.root + os.sep)

    def _file(self, source: str, target: str) -> None:
        temporary = os.path.join(os.path.dirname(target), self.temporary)
        try:
            for _ in range(2):
                before = _identity(source)
                size, digest = _copy_bytes(source, temporary)
                if _identity(source) == before:
                    break
            else:
                raise CopyProblem("it changed while it was copied, twice")
            _keep_times(source, temporary)
            os.rename(temporary, target)
        except BaseException:
            _remove(temporary)
            raise
        if _read_back(target) != (size, digest):
            raise CopyProblem("what was read back differs from what was written")
        self.report.files.append((target, size, digest))

    def sync_folder(self, folder: str) -> None:
        """Make the renames in `folder` durable, where the file system knows how."""
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return
        try:
            os.fsync(descriptor)
        except OSError:
            pass  # FUSE file systems refuse it; the files themselves were synced.
        finally:
            os.close(descriptor)


def _relative(link: str, real: str) -> str:
    """Where a link inside the output leads, in words that still hold at the target."""
    text = os.readlink(link)
    if not os.path.isabs(text) or not os.path.exists(real):
        return text
    return os.path.relpath(real, os.path.realpath(os.path.dirname(link)))


class CopyProblem(Exception):
    """A file that cannot be vouched for."""


def _identity(path: str) -> tuple[int, int, int]:
    status = os.stat(path)
    return status.st_ino, status.st_size, status.st_mtime_ns


def _copy_bytes(source: str, target: str) -> tuple[int, str]:
    """(bytes, sha256) of what was written and fsynced at `target`, which must not be a link."""
    _remove(target)
    import hashlib  # in the child that copies: OpenSSL is not for the guard

    digest, size = hashlib.sha256(), 0
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(source, "rb", buffering=0) as reader:
        mode = stat.S_IMODE(os.fstat(reader.fileno()).st_mode)
        with open(os.open(target, flags, mode & 0o777 | stat.S_IWUSR), "wb", buffering=0) as writer:
            while data := reader.read(CHUNK):
                digest.update(data)
                size += len(data)
                view = memoryview(data)
                while view:
                    view = view[writer.write(view) or 0 :]
            os.fsync(writer.fileno())
    return size, digest.hexdigest()


def _read_back(path: str) -> tuple[int, str]:
    import hashlib  # in the child that copies: OpenSSL is not for the guard

    digest, size = hashlib.sha256(), 0
    with open(path, "rb", buffering=0) as reader:
        while data := reader.read(CHUNK):
            digest.update(data)
            size += len(data)
    return size, digest.hexdigest()


def _keep_times(source: str, target: str) -> None:
    status = os.stat(source)
    try:
        os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
    except OSError:
        pass  # A convenience: some targets keep their own times.


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)
