"""What others wrote at a target moves and removes nothing but what is ours."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from helpers.outputs import fill, restore, save, saved, saver, tree

if TYPE_CHECKING:
    from pathlib import Path

SHA = "0" * 64


def commit(target: Path, **parts: Any) -> Path:
    """A `commit.json` that nobody of ours wrote."""
    document = {"version": 1, "run_id": "run-0", "files": [], "links": [], "folders": [], "keep": {}}
    path = target / ".colab-run/out/commit.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**document, "state": None, **parts}))
    return path


@pytest.mark.parametrize(
    "parts",
    [
        {"run_id": "{base}/victim"},
        {"run_id": "../../../../victim"},
        {"run_id": ".."},
        {"files": [["../../../../../victim/thesis", "stolen", 6, SHA]]},
        {"files": [["{base}/victim/thesis", "stolen", 6, SHA]]},
        {"files": [["a", "../../victim/thesis", 6, SHA]]},
        {"links": [["../../victim/thesis", "nowhere"]]},
        {"folders": ["../../victim/new"]},
        {"files": [["a", "a", 1, SHA]], "keep": {"a": "../../../../victim/thesis"}},
        {"files": [["a", "a", "1", SHA]]},
        {"files": [["a", "a\\u0000", 1, SHA]]},
        {"keep": 3},
        {"links": [[3, 4]]},
    ],
)
def test_a_commit_of_a_stranger_moves_nothing(tmp_path: Path, parts: dict[str, Any]) -> None:
    """Neither a save nor a restore touches what it names."""
    fill(tmp_path / "victim", "thesis", "sub/x")
    before = tree(tmp_path / "victim")
    target = tmp_path / "to"
    fill(target / ".colab-run/out/staged/run-0", "a")
    parts = json.loads(json.dumps(parts).replace("{base}", str(tmp_path)).replace("\\\\u", "\\u"))
    commit(target, **parts)
    came = restore(target, tmp_path / "new")
    assert (came.found, came.complete) == (True, False)
    assert tree(tmp_path / "victim") == before
    saved(fill(tmp_path / "out", "a", text="mine"), target)
    assert tree(tmp_path / "victim") == before
    assert (target / "out/a").read_text() == "amine"
    assert restore(target, tmp_path / "back").complete


@pytest.mark.parametrize("where", ["", "out", "out/staged", "out/kept", "out/staged/run-1"])
def test_links_in_our_place_are_not_followed(tmp_path: Path, where: str) -> None:
    """A folder of ours that is a link to somebody else's."""
    fill(tmp_path / "victim", "docs/x", "secret")
    before = tree(tmp_path / "victim")
    link = tmp_path / "to/.colab-run" / where
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "victim")
    report = save(fill(tmp_path / "out", "a"), tmp_path / "to")
    assert [path for path, _ in report.failures] == [str(link)]
    assert not report.committed
    assert not restore(tmp_path / "to", tmp_path / "new").complete
    assert tree(tmp_path / "victim") == before


@pytest.mark.parametrize("name", ["saved.json", "commit.json", "lock", "staged/run-1/lock"])
def test_files_of_ours_that_are_links_are_not_written_through(tmp_path: Path, name: str) -> None:
    """What they lead to stays as it is, and is not made."""
    fill(tmp_path / "victim", "x")
    for end in ("x", "new"):
        target = tmp_path / f"to-{end}"
        link = target / ".colab-run/out" / name
        link.parent.mkdir(parents=True)
        link.symlink_to(tmp_path / "victim" / end)
        save(fill(tmp_path / "out", "a"), target)
        restore(target, tmp_path / "new")
        assert os.listdir(tmp_path / "victim") == ["x"]
        assert (tmp_path / "victim/x").read_text() == "x"


def test_a_commit_of_a_newer_colab_run_waits_for_it(tmp_path: Path) -> None:
    """It is neither followed nor written over."""
    path = commit(tmp_path / "to", version=2)
    text = path.read_text()
    report = save(fill(tmp_path / "out", "a"), tmp_path / "to")
    assert [where for where, _ in report.failures] == [str(path)]
    assert "newer" in report.failures[0][1]
    assert restore(tmp_path / "to", tmp_path / "new").found
    assert path.read_text() == text


def test_a_lock_that_root_made_keeps_nobody_out(tmp_path: Path) -> None:
    """0644 and somebody else's: open for reading it locks as well."""
    if os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    out, target = fill(tmp_path / "out", "a"), tmp_path / "to"
    saved(out, target)
    lock = target / ".colab-run/out/lock"
    assert lock.stat().st_uid == 0
    for folder, names, files in os.walk(tmp_path):
        for name in (*names, *files):
            if os.path.join(folder, name) != str(lock):
                os.chown(os.path.join(folder, name), 65534, 65534)
    for folder in (tmp_path, *tmp_path.parents):
        if not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o711)
    fill(out, "a", text="2")
    report = save_as_nobody(out, target)
    assert (report["failures"], report["committed"]) == ([], True)


def save_as_nobody(out: Path, target: Path) -> dict[str, Any]:
    """What a saver reports that is not root."""
    process = saver(out, target, before=("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"))
    said, errors = process.communicate(timeout=60)
    assert len(said.splitlines()) == 2, errors
    return dict(json.loads(said.splitlines()[1]))
