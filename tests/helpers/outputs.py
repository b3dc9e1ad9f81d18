"""What the tests of saving share: orders, trees to compare, a saver as a process of its own, small disks."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from launcher.saving import journal
from launcher.saving.folder import save_to_folder
from launcher.saving.layout import Layout
from launcher.saving.meter import Meter
from launcher.saving.model import Order, RestoreReport, SaveReport, Target, TargetKind
from launcher.saving.restore import restore_from_folder
from launcher.saving.stage import Ticks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Tree = dict[str, tuple[str, str]]


def order(source: Path, target: Path, run_id: str = "run-1", **more: Any) -> Order:
    """`target` is a folder."""
    to = Target(TargetKind.FOLDER, str(target))
    return Order(str(source), to, "out", run_id, "story-1", **more)


def save(source: Path, target: Path, run_id: str = "run-1", **more: Any) -> SaveReport:
    """In this process."""
    return save_to_folder(order(source, target, run_id, **more), Meter())


def saved(source: Path, target: Path, run_id: str = "run-1", **more: Any) -> SaveReport:
    """As `save`; everything went well."""
    report = save(source, target, run_id, **more)
    assert report.failures == []
    assert report.committed
    return report


def layout(target: Path) -> Layout:
    """Of the output that all tests save there."""
    return Layout(str(target), "out")


def recover(target: Path) -> None:
    """What the next one does after a saver was killed."""
    journal.recover(layout(target), Ticks(Meter()))


def restore(target: Path, place: Path, run_id: str = "run-2") -> RestoreReport:
    """In this process."""
    return restore_from_folder(order(place, target, run_id), Meter())


def tree(folder: Path) -> Tree:
    """path -> (kind, content's hash or link's text) of everything below."""
    found: Tree = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = "link", os.readlink(path)
        elif path.is_dir():
            found[name] = "folder", ""
        else:
            found[name] = "file", hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def restored(target: Path, place: Path) -> Tree:
    """What comes back; all of it."""
    report = restore(target, place)
    assert report.failures == []
    assert report.complete
    return tree(place)


def fill(folder: Path, *names: str, text: str = "") -> Path:
    """Small files that say their name."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(os.fsencode(name + text))
    return folder


def leftovers(target: Path) -> list[str]:
    """Everything of ours that has no business there after a save."""
    ours = target / ".colab-run" / "out"
    usual = {"saved.json", "known.json", "lock", "staged"}
    return [str(path.relative_to(ours)) for path in ours.rglob("*") if path.name not in usual]


STRACE = ("strace", "-f", "-qq")


def needs_strace() -> None:
    """Skips without it."""
    if shutil.which("strace") is None:
        pytest.skip("no strace")
    if subprocess.run([*STRACE, "-o", os.devnull, "true"], capture_output=True).returncode:
        pytest.skip("strace may not trace here")


# argv: source, target, run id, settled_s or "-".
PROGRAM = """
import json, sys
from launcher.saving.folder import save_to_folder
from launcher.saving.meter import Meter
from launcher.saving.model import Order, Target, TargetKind
source, target, run_id, settled = sys.argv[1:]
settled_s = None if settled == "-" else float(settled)
order = Order(source, Target(TargetKind.FOLDER, target), "out", run_id, "story-1", settled_s=settled_s)
print("ready", flush=True)
print(json.dumps(save_to_folder(order, Meter()).as_dict()), flush=True)
"""


def saver(
    source: Path, target: Path, run_id: str = "run-1", *, before: tuple[str, ...] = (), settled: str = "-"
) -> subprocess.Popen[str]:
    """A process that says `ready`, saves, and prints its report."""
    return subprocess.Popen(
        [*before, sys.executable, "-c", PROGRAM, source, target, run_id, settled],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@contextmanager
def small_disk(place: Path, options: str) -> Iterator[Path]:
    """A real tmpfs at `place`; skips where none can be mounted."""
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a tmpfs here: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)
