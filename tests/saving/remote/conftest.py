"""Targets to save to: the real rclone, and stand-ins for the tools that need an account."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from launcher.saving.meter import Meter
from launcher.saving.model import Order, RestoreReport, SaveReport, parse_target
from launcher.saving.remote.engine import restore_remote, save_remote

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent


@dataclass
class Place:
    """A target, an output that goes there, and the environment of the tool."""

    to: str
    root: Path
    environ: dict[str, str]
    stored: Path
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def source(self) -> Path:
        return self.root / "work" / "out"

    def order(self, run: str = "run1", source: Path | None = None, **rest: object) -> Order:
        target = parse_target(self.to, "/")
        return Order(str(source or self.source), target, "out", run, "story", **rest)  # type: ignore[arg-type]

    def save(self, run: str = "run1", **rest: object) -> SaveReport:
        return save_remote(self.order(run, **rest), Meter(), self.environ | self.extra)  # type: ignore[arg-type]

    def restore(self, name: str = "back") -> tuple[RestoreReport, Path]:
        back = self.root / "next" / name
        return restore_remote(self.order("run2", back), Meter(), self.environ | self.extra), back

    def write(self, path: str, content: bytes | str) -> Path:
        place = self.source / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content if isinstance(content, bytes) else content.encode())
        return place

    def wrap(self, tool: str, script: str) -> None:
        """Put a shell script in front of a tool; `$REAL` is the tool itself."""
        real = shutil.which(tool, path=self.environ["PATH"])
        folder = self.root / f"wrapped-{len(list(self.root.iterdir()))}"
        folder.mkdir()
        (folder / tool).write_text(f"#!/bin/bash\nREAL={real}\n{script}\n")
        (folder / tool).chmod(0o755)
        self.environ["PATH"] = f"{folder}:{self.environ['PATH']}"


def rclone_place(root: Path, crypt: bool = False) -> Place:
    if shutil.which("rclone") is None:
        pytest.skip("rclone is not installed")
    store = root / "store"
    store.mkdir(parents=True)
    config = root / "rclone.conf"
    text = f"[box]\ntype = alias\nremote = {store}\n"
    if crypt:
        secret = subprocess.run(["rclone", "obscure", "secret"], capture_output=True, text=True, check=True)
        text += f"[safe]\ntype = crypt\nremote = {store}\npassword = {secret.stdout.strip()}\n"
    config.write_text(text)
    environ = {**clean_environ(root), "RCLONE_CONFIG": str(config)}
    return Place(f"rclone:{'safe' if crypt else 'box'}:base", root, environ, store / "base")


def stand_in_place(root: Path, tool: str) -> Place:
    folder, store = root / "bin", root / "store"
    folder.mkdir()
    script = folder / tool
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -I {HERE}/stand_in_{tool}.py "$@"\n')
    script.chmod(0o755)
    environ = {**clean_environ(root), "STAND_IN_ROOT": str(store)}
    environ["PATH"] = f"{folder}:{environ['PATH']}"
    to, stored = {
        "gcloud": ("gs://bucket/base", store / "bucket/base"),
        "aws": ("s3://bucket/base", store / "bucket/base"),
        "hf": ("hf://datasets/user/repo/base", store / "datasets/user/repo"),
    }[tool]
    (store / "bucket").mkdir(parents=True)
    return Place(to, root, environ, stored)


def clean_environ(root: Path) -> dict[str, str]:
    (root / "tmp").mkdir(parents=True, exist_ok=True)
    return {"PATH": os.environ["PATH"], "HOME": str(root), "TMPDIR": str(root / "tmp")}


KINDS = ("rclone", "stand_in_gcloud", "stand_in_aws", "stand_in_hf")


def place_of(kind: str, root: Path) -> Place:
    if kind.startswith("rclone"):
        return rclone_place(root, crypt=kind.endswith("crypt"))
    return stand_in_place(root, kind.removeprefix("stand_in_"))


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Each kind of target, with an output that has a bit of everything."""
    yield from furnished(request.param, tmp_path)


@pytest.fixture(params=(*KINDS, "rclone-crypt"))
def any_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """The same and a remote without hashes."""
    yield from furnished(request.param, tmp_path)


@pytest.fixture
def chosen_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """The kinds that a test names (`indirect`)."""
    yield from furnished(request.param, tmp_path)


def furnished(kind: str, tmp_path: Path) -> Iterator[Place]:
    place = place_of(kind, tmp_path)
    fill(place)
    yield place
    left = [one.name for one in (tmp_path / "tmp").iterdir()] + [
        one.name for one in place.source.parent.iterdir() if one.name.startswith(".")
    ]
    assert left == [], "temporary files were left behind"


@pytest.fixture
def rclone(tmp_path: Path) -> Place:
    """The real rclone with a remote that is a folder."""
    place = rclone_place(tmp_path)
    fill(place)
    return place


def fill(place: Place) -> None:
    place.write("model.bin", os.urandom(9_000_000))
    place.write("deep/er/a b", "space")
    place.write("漢字", "名")
    place.write('it\'s "q" $x, [1]{2}.txt', "quotes")
    place.write("-dash", "dash")
    place.write("empty", "")
    place.write("run.sh", "#!/bin/sh\n").chmod(0o755)
    (place.source / "nothing here").mkdir()
    (place.source / "latest").symlink_to("deep/er")
