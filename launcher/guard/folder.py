"""The state folder (COLAB_RUN_HOME) and the folder of one run in it. All of it is 0700 and ours."""

from __future__ import annotations

import json
import os
import stat
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from launcher.errors import StateFolderError
from launcher.words import reason, words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.clock import Clock


def state_folder(environ: Mapping[str, str]) -> str:
    """COLAB_RUN_HOME, or ~/.local/state/colab-run. Raises StateFolderError without a home."""
    named = environ.get("COLAB_RUN_HOME")
    if named:
        return os.path.abspath(named)
    home = environ.get("HOME") or os.path.expanduser("~")
    if not os.path.isabs(home):
        raise StateFolderError(
            words("there is no home folder"), words("set COLAB_RUN_HOME to a folder of yours")
        )
    return os.path.join(home, ".local", "state", "colab-run")


def new_run_id(wall: float) -> str:
    """`20261122-114501-417b`: sorts by time to the millisecond; the last digit is chance."""
    seconds = time.strftime("%Y%m%d-%H%M%S", time.localtime(wall))
    return f"{seconds}-{int(wall * 1000) % 1000:03d}{os.urandom(1).hex()[0]}"


class RunFolder:
    """`COLAB_RUN_HOME/runs/ID`: job.yaml as it was read, log, plan.json, result.json, receipt.json."""

    def __init__(self, path: str) -> None:
        self.path = path

    @property
    def run_id(self) -> str:
        """The last part of the path."""
        return os.path.basename(self.path)

    @property
    def log(self) -> str:
        """Exactly the job's bytes."""
        return os.path.join(self.path, "log")

    @property
    def result(self) -> str:
        """The run's record, rewritten at every change of state."""
        return os.path.join(self.path, "result.json")

    @property
    def stacks(self) -> str:
        """Where each Python process of the job stood when it showed no sign of life."""
        return os.path.join(self.path, "stacks.txt")

    @property
    def plan(self) -> str:
        """What the end of the run needs, for whoever finds it without a guard."""
        return os.path.join(self.path, "plan.json")

    @property
    def stopped(self) -> str:
        """A file that is there when a person has stopped the run."""
        return os.path.join(self.path, "stopped")

    @property
    def attempt(self) -> str:
        """A file with the number of the attempt that was let through its gate last, or is about to be."""
        return os.path.join(self.path, "attempt")

    def note_attempt(self, number: int) -> None:
        """Before the first instruction of it: whoever finds the run without a guard is to count it."""
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(self.attempt, flags, 0o600)
            try:
                os.pwrite(descriptor, b"%d\n" % number, 0)
            finally:
                os.close(descriptor)
        except OSError:
            return  # The ledger tells most of it.

    def noted_attempt(self) -> int:
        """That number; 0 where none was noted."""
        try:
            with open(self.attempt, encoding="ascii") as file:
                return int(file.read(20))
        except (OSError, ValueError):
            return 0

    def note_stop(self) -> None:
        """A person has stopped the run: whoever finds it without a guard is to know that."""
        try:
            os.close(os.open(self.stopped, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        except OSError:
            return  # A full disk: what is noted in memory still counts.

    def remove_unbegun(self) -> None:
        """The folder of a run that is not begun after all; what is more than it was made with stays."""
        with suppress(OSError):
            for name in ("job.yaml", "log", "plan.json"):
                with suppress(FileNotFoundError):
                    os.unlink(os.path.join(self.path, name))
            os.rmdir(self.path)

    @property
    def receipt(self) -> str:
        """What was asked, what happened and what was saved, as it lies beside the outputs too."""
        return os.path.join(self.path, "receipt.json")


def make_run_folder(home: str, job_file: bytes, clock: Clock) -> RunFolder:
    """A new run's folder, with the job file as it was read and an empty log. Raises StateFolderError."""
    try:
        # One by one: makedirs gives the mode to the last folder only.
        for place in (home, os.path.join(home, "runs")):
            os.makedirs(place, mode=0o700, exist_ok=True)
            _check_ours(place)
        folder = _claim_folder(home, clock)
        for path, content in ((os.path.join(folder.path, "job.yaml"), job_file), (folder.log, b"")):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(path, flags, 0o600), "wb") as file:
                file.write(content)
    except OSError as error:
        raise StateFolderError(
            words("the state folder {folder} cannot be used: {why}", folder=home, why=reason(error.strerror)),
            words("set COLAB_RUN_HOME to a folder that you can write to"),
        ) from error
    return folder


def _claim_folder(home: str, clock: Clock) -> RunFolder:
    while True:
        folder = RunFolder(os.path.join(home, "runs", new_run_id(clock.wall())))
        try:
            os.mkdir(folder.path, 0o700)
        except FileExistsError:
            continue  # Another run of the same millisecond.
        return folder


def _check_ours(home: str) -> None:
    """Results, logs and secrets' names go there: it must not be another user's."""
    status = os.stat(home)
    if status.st_uid != os.geteuid() or not stat.S_ISDIR(status.st_mode):
        raise StateFolderError(
            words("the state folder {folder} belongs to another user", folder=home),
            words("set COLAB_RUN_HOME to a folder of yours"),
        )


def make_durable(path: str) -> None:
    """What was written there is still there after a power cut, as far as the file system can tell."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # A FUSE or full file system.
    finally:
        os.close(descriptor)


def write_json(path: str, document: Mapping[str, object], *, durable: bool = True) -> None:
    """Replace `path` atomically: a reader sees the old document or the new one. Raises OSError.

    `durable`: and after a power cut, too.
    """
    temporary = f"{path}.{os.getpid()}.part"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with open(os.open(temporary, flags, 0o600), "w", encoding="utf-8") as file:
            json.dump(document, file, indent=2)
            file.write("\n")
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.rename(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
