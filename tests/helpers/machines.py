"""The next machine: another boot id, in a mount namespace of its own, and another state folder."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from helpers.cli import command
from helpers.scene import Ended

if TYPE_CHECKING:
    from pathlib import Path

    from helpers.scene import Scene

BOOT_ID = "/proc/sys/kernel/random/boot_id"
IN_PLACE = f'mount --bind "$1" {BOOT_ID} && shift && exec "$@"'


class NextMachine:
    """Runs commands as a machine that was started later; `scene` is the one before it."""

    def __init__(self, scene: Scene, name: str = "next", home: Path | None = None) -> None:
        self._scene = scene
        self.home = home or scene.folder / f"home of {name}"
        self.boot_id = str(uuid.uuid4())
        self._boot_id_file = scene.folder / f"boot id of {name}"
        self._boot_id_file.write_text(f"{self.boot_id}\n")
        seen = self._run(["cat", BOOT_ID])
        if seen.out.strip() != self.boot_id:
            pytest.skip(f"no mount namespace of our own here: {seen.err.strip()}")

    def run(self, *words: str, **env: str) -> Ended:
        """`colab-run WORDS` there."""
        return self._run([*command(), *words], **env)

    def _run(self, argv: list[str], **env: str) -> Ended:
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", IN_PLACE, "sh", str(self._boot_id_file), *argv],
            cwd=self._scene.work,
            env={**self._scene.env, "COLAB_RUN_HOME": str(self.home), **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)


class Mirror:
    """The files of a mirror."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> list[str]:
        """What is listed there, with what is unfinished."""
        return sorted(os.listdir(self.folder)) if self.folder.is_dir() else []

    def kinds(self, run_id: str = "") -> list[str]:
        """`planned`, `started`… of a run, or of the only one, in the order of the numbers."""
        own = [name for name in self.names() if name.startswith(run_id) and name.endswith(".json")]
        return [name[21:].partition("-")[2].removesuffix(".json") for name in own]

    def read(self, kind: str) -> dict[str, Any]:
        """The last file of a kind."""
        return json.loads(
            (self.folder / [name for name in self.names() if f"-{kind}" in name][-1]).read_text()
        )

    def grow_older(self, seconds: float) -> None:
        """As if all of it had been written so long ago."""
        for name in self.names():
            if name.startswith("."):
                continue  # What somebody who was killed had begun to write.
            row = json.loads((self.folder / name).read_text())
            if "wall" in row:
                (self.folder / name).write_text(json.dumps({**row, "wall": row["wall"] - seconds}))
