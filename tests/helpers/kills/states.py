"""What lies in a folder, and what a manifest says: read without anything of colab-run's, to be compared."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

# path -> what is there: ("file", sha256), ("link", text) or ("folder", ""), which is an empty one.
State = dict[str, tuple[str, str]]


def state_of(folder: Path) -> State | None:
    """Everything below a folder; None where there is none."""
    if not folder.is_dir():
        return None
    found: State = {}
    for at, folders, files in os.walk(folder):
        if not folders and not files and at != str(folder):
            found[os.path.relpath(at, folder)] = ("folder", "")
        for name in (*files, *folders):
            path = os.path.join(at, name)
            if os.path.islink(path):
                found[os.path.relpath(path, folder)] = ("link", os.readlink(path))
            elif name in files:
                found[os.path.relpath(path, folder)] = ("file", sha256(path))
    return found


def sha256(path: str | Path) -> str:
    """Of a file's content."""
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def ours(target: Path, name: str) -> Path:
    """Where the manifest of an output lies."""
    return target / ".colab-run" / name


def manifest_of(target: Path, name: str) -> dict[str, Any] | None:
    """`saved.json`; None for none. A half one raises ValueError."""
    path = ours(target, name) / "saved.json"
    return json.loads(path.read_text()) if path.exists() else None


def promised(manifest: dict[str, Any]) -> State:
    """The state that a manifest names."""
    files = {row["path"]: ("file", row["sha256"]) for row in manifest["files"]}
    links = {path: ("link", text) for path, text in manifest["links"]}
    return {**files, **links, **{path: ("folder", "") for path in manifest["folders"]}}


def there(target: Path, name: str, manifest: dict[str, Any]) -> State:
    """What really lies where the manifest says that its files lie."""
    found: State = {}
    kept = set(manifest.get("kept", ()))
    for row in manifest["files"]:
        path = target / name / row["path"]
        place = ours(target, name) / "kept" / row["sha256"] if row["path"] in kept else path
        if place.is_file() and not place.is_symlink():
            found[row["path"]] = ("file", sha256(place))
    for path, _ in manifest["links"]:
        if (target / name / path).is_symlink():
            found[path] = ("link", os.readlink(target / name / path))
    found.update({path: ("folder", "") for path in manifest["folders"] if (target / name / path).is_dir()})
    return found


def left_over(target: Path, name: str) -> list[str]:
    """What a finished or recovered save has no business to leave."""
    folder = ours(target, name)
    usual = {"saved.json", "known.json", "lock", "staged"}
    found = [str(path.relative_to(target)) for path in folder.rglob("*") if path.name not in usual]
    parts = [str(path.relative_to(target)) for path in (target / ".colab-run").glob("*.part")]
    return sorted(found + parts)


def stamps(folder: Path) -> dict[str, tuple[int, ...]]:
    """Inode, size and times of every file: as long as these are the same, so is the content."""
    found = {}
    for at, _, files in os.walk(folder):
        for name in files:
            status = os.lstat(os.path.join(at, name))
            key = os.path.relpath(os.path.join(at, name), folder)
            found[key] = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return found
