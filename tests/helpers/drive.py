"""A Colab VM with Drive: a real mount at /content/drive, and a stand-in for the program that flushes it.

Everything lies in a mount namespace of its own. The stand-in takes only what Colab's own function passes to
the real one; "Google" is a folder, into which it copies what lies on the mount before it unmounts it.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from helpers.cli import command
from helpers.outputs import small_disk
from helpers.scene import Scene
from launcher.release import lease

if TYPE_CHECKING:
    from collections.abc import Iterator

POINT = Path("/content/drive")
PROGRAM = Path("/opt/google/drive/drive")
# Mount points have to be there outside of the namespace too.
PLACES = (POINT, PROGRAM.parent)
# $1 the drive, $2 the folder of the program, $3 a folder for leases, $4 where leases are.
SET_UP = f"""
mount --make-rprivate / && mount --bind "$1" {POINT} && mount --bind "$2" {PROGRAM.parent} &&
mkdir -p -m 1777 "$4" && mount --bind "$3" "$4" && echo ready && exec cat
"""
STAND_IN = f"""#!/bin/sh
echo "$@" >> "$(dirname "$0")/calls"
[ "$*" = "--push_changes_and_quit --single_process --timeout_sec=900" ] || exit 64
case "$(cat "$(dirname "$0")/mode")" in
    fail) echo "no connection to Google" >&2; exit 1;;
    hang) sleep 1000;;
    stays) exit 0;;
esac
cp -a {POINT}/. {{google}}/ && umount {POINT}
"""
INSIDE = 'cd "$1" && shift && exec "$@"'


@dataclass
class DriveScene(Scene):
    """Its commands see the mount. `drive` is what lies on it, `google` what has reached Google."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.drive, self.google = self.folder / "drive", self.folder / "google"
        self.opt = self.folder / "opt"
        self.google.mkdir()
        self.opt.mkdir()
        self._keeper: subprocess.Popen[str] | None = None

    @property
    def my_drive(self) -> Path:
        """As `/content/drive/MyDrive`, also when it is not mounted there any more."""
        return self.drive / "MyDrive"

    def flush_is(self, mode: str) -> None:
        """What the stand-in does: `ok`, `fail`, `hang`, or `stays`: it says yes, and unmounts nothing."""
        (self.opt / "mode").write_text(f"{mode}\n")

    @property
    def flushes(self) -> int:
        """How often it was asked."""
        with suppress(FileNotFoundError):
            return len((self.opt / "calls").read_text().splitlines())
        return 0

    @contextmanager
    def mounted(self, options: str = "size=64m") -> Iterator[None]:
        """With Drive."""
        if os.geteuid() != 0:
            pytest.skip("only root can mount something at /content/drive")
        program = self.opt / PROGRAM.name
        program.write_text(STAND_IN.format(google=self.google))
        program.chmod(0o755)
        self.flush_is("ok")
        leases = self.folder / "leases"
        leases.mkdir()
        leases.chmod(0o1777)
        with small_disk(self.drive, options), _mount_points():
            self.my_drive.mkdir()
            words = [str(self.drive), str(self.opt), str(leases), str(lease.FOLDER)]
            with subprocess.Popen(
                ["unshare", "-m", "sh", "-c", SET_UP, "sh", *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            ) as self._keeper:
                try:
                    if self._keeper.stdout.readline() != "ready\n":  # type: ignore[union-attr]
                        pytest.skip(f"no mount namespace here: {self._keeper.communicate()[1].strip()}")
                    yield
                finally:
                    self.vanish()
                    self._keeper.kill()

    def start(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """Start `colab-run WORDS` where Drive is mounted."""
        return self.start_there(*command(), *words, **options)

    def start_there(self, *argv: str, **options: Any) -> subprocess.Popen[str]:
        """Start any command there."""
        assert self._keeper is not None, "not mounted"
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        enter = ["nsenter", "-m", "-t", str(self._keeper.pid), "sh", "-c", INSIDE, "sh", str(self.work)]
        return subprocess.Popen([*enter, *argv], env=self.env, text=True, **{**pipes, **options})

    def seen_there(self) -> list[str]:
        """What /content/drive shows now: nothing once it is unmounted, unless somebody wrote after that."""
        return sorted(self.end(self.start_there("ls", "-A", str(POINT))).out.split())


@contextmanager
def _mount_points() -> Iterator[None]:
    made = []
    for place in PLACES:
        for folder in (*reversed(place.parents), place):
            with suppress(FileExistsError):
                folder.mkdir()
                made.append(folder)
    try:
        yield
    finally:
        for folder in reversed(made):
            with suppress(OSError):
                folder.rmdir()
