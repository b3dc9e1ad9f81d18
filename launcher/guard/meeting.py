"""Where guards can be asked: one socket for each run, in one short folder of each user on this machine.

Not in COLAB_RUN_HOME: a path of a socket ends at 107 bytes, and `ps` in another cell may know another
state folder.
"""

from __future__ import annotations

import os
import stat

LONGEST_PATH = 107


def folder() -> str:
    """The folder of this user's guards, whether it exists or not."""
    return f"/tmp/colab-run-{os.geteuid()}"  # noqa: S108 - see make_folder


def make_folder() -> str:
    """The same, 0700 and ours. Raises OSError where it is another user's, or no folder."""
    path = folder()
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    check(path)
    return path


def check(path: str) -> None:
    """Raise PermissionError where `path` is not a folder for us alone, OSError where there is none.

    Anybody may have made it before us, in a folder that all share.
    """
    status = os.lstat(path)
    ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
    if not ours or status.st_mode & 0o077:
        raise PermissionError(13, "not a folder for us alone", path)


def run_ids() -> list[str]:
    """The runs that can be asked, oldest first."""
    path = folder()
    try:
        check(path)
        return sorted(name for name in os.listdir(path) if "." not in name)
    except OSError:
        return []


def socket_of(run_id: str) -> str:
    """Where the guard of a run is asked. Raises PermissionError where what lies there is not ours.

    Raises FileNotFoundError where nothing does.
    """
    place = folder()
    check(place)
    path = os.path.join(place, os.path.basename(run_id))
    status = os.lstat(path)
    if not stat.S_ISSOCK(status.st_mode) or status.st_uid != os.geteuid():
        raise PermissionError(13, "not a socket of ours", path)
    return path


def forget(run_id: str) -> None:
    """Remove what a guard left behind that was killed, and that nobody takes over."""
    try:
        os.unlink(socket_of(run_id))
    except OSError:
        return  # Somebody else was quicker.
