"""Disks that are full, that fail, that lie; sources that do not hold still. Nothing half, no lies."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from helpers.outputs import (
    STRACE,
    Tree,
    fill,
    leftovers,
    needs_strace,
    order,
    recover,
    restore,
    save,
    saved,
    saver,
    small_disk,
    tree,
)
from launcher.saving.disk import Disk
from launcher.saving.save import Onlooker, save_output


def whole(target: Path, versions: list[Tree]) -> None:
    """Every file in its place is one that was meant to be there."""
    known = {(path, what) for version in versions for path, what in version.items()}
    assert set(tree(target / "out").items()) <= known if (target / "out").exists() else True


def report_of(said: str) -> dict[str, Any] | None:
    """What a saver printed, None if it did not come to that."""
    lines = said.splitlines()
    return dict(json.loads(lines[1])) if len(lines) > 1 else None


# --- full disks ----------------------------------------------------------------------------------


def test_a_full_disk_takes_what_fits(tmp_path: Path) -> None:
    """The small files are saved though the large one did not fit, and its room is given back."""
    out = fill(tmp_path / "out", *(f"small/{n}" for n in range(100)))
    (out / "big").write_bytes(b"x" * 3_000_000)
    with small_disk(tmp_path / "to", "size=2M") as target:
        report = save(out, target)
        assert [(Path(path).name, why) for path, why in report.failures] == [
            ("big", "No space left on device")
        ]
        assert len(report.files) == 100
        assert not report.committed
        assert not (target / "out/big").exists()
        assert leftovers(target) == []
        (out / "big").unlink()
        saved(out, target)


def test_a_disk_full_of_small_files(tmp_path: Path) -> None:
    """There is room for the commit even then; what was saved before comes back."""
    out = fill(tmp_path / "out", "a")
    with small_disk(tmp_path / "to", "size=1M") as target:
        saved(out, target)
        before = tree(out)
        for number in range(200):
            (out / str(number)).write_bytes(b"x" * 10_000)
        report = save(out, target)
        assert 20 < len(report.files) < 120
        assert len(report.files) + len(report.failures) == 201
        assert {why for _, why in report.failures} == {"No space left on device"}
        assert len(list((target / "out").iterdir())) == len(report.files)
        assert leftovers(target) == []
        assert restore(target, tmp_path / "back").complete
        assert tree(tmp_path / "back") == before


def test_no_inodes_left(tmp_path: Path) -> None:
    """As full, though there is room."""
    out = fill(tmp_path / "out", *map(str, range(50)))
    with small_disk(tmp_path / "to", "size=4M,nr_inodes=30") as target:
        report = save(out, target)
        assert {why for _, why in report.failures} == {"No space left on device"}
        assert 5 < len(report.files) < 30
        assert len(list((target / "out").iterdir())) == len(report.files)
        assert leftovers(target) == []


def test_a_target_with_no_room_at_all(tmp_path: Path) -> None:
    """Not even for our folder."""
    out = fill(tmp_path / "out", "a")
    with small_disk(tmp_path / "to", "size=1M,nr_inodes=1") as target:
        report = save(out, target)
        assert (report.files, report.committed) == ([], False)
        assert report.failures[0][1] == "No space left on device"


def test_files_may_not_be_so_large(tmp_path: Path) -> None:
    """RLIMIT_FSIZE: its signal would kill the saver, a child in which no signal is ignored."""
    out = fill(tmp_path / "out", "small")
    (out / "big").write_bytes(b"x" * 3_000_000)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        row = save_output(order(out, tmp_path / "to2"), {}, Onlooker())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [(Path(path).name, why) for path, why in row.failures] == [("big", "File too large")]
    limit = (
        f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({1 << 20}, {resource.RLIM_INFINITY})); "
    )
    run = limit + "import os, sys; os.execv(sys.argv[1], sys.argv[1:])"
    child = saver(out, tmp_path / "to", before=(sys.executable, "-c", run))
    report = report_of(child.communicate(timeout=60)[0])
    assert report is not None
    assert [(Path(path).name, why) for path, why in report["failures"]] == [("big", "File too large")]
    assert [Path(path).name for path, _, _ in report["files"]] == ["small"]
    assert leftovers(tmp_path / "to") == []


# --- system calls that fail ----------------------------------------------------------------------


FAULTS = [
    ("fsync,fdatasync,syncfs", "EIO"),
    ("copy_file_range,pwrite64", "ENOSPC"),
    ("pwrite64,copy_file_range", "EDQUOT"),
    ("rename", "EIO"),
    ("mkdir", "EIO"),
    ("symlink", "EIO"),
    ("unlink,rmdir,unlinkat", "EIO"),
    ("preadv,preadv2,readv", "EIO"),
]
ALL = os.environ.get("COLAB_RUN_SYSCALLS") == "all"


@pytest.mark.parametrize("from_then_on", ["", "+"], ids=["once", "for-ever"])
@pytest.mark.parametrize(("calls", "error"), FAULTS, ids=[calls.split(",")[0] for calls, _ in FAULTS])
def test_any_system_call_may_fail(tmp_path: Path, calls: str, error: str, from_then_on: str) -> None:
    """The first, the second, and so on: a report that is true, and one state or the other comes back."""
    needs_strace()
    old = fill(tmp_path / "old", "u/a", "u/b", "v")
    new = fill(tmp_path / "new", "u/a", "u/c", "v", "deep/er/w", text="2")
    (new / "big").write_bytes(os.urandom(700_000))
    (new / "last").symlink_to("big")
    states = [tree(old), tree(new)]
    base = tmp_path / "base"
    saved(old, base, "run-0")
    number = 0
    while True:
        number += 1
        target = tmp_path / f"to{number}"
        shutil.copytree(base, target, symlinks=True)
        trace = tmp_path / "trace"
        inject = f"inject={calls}:error={error}:when={number}{from_then_on}"
        child = saver(new, target, before=(*STRACE, "-o", str(trace), "-e", inject))
        said, err = child.communicate(timeout=60)
        report = report_of(said)
        assert report is not None, f"{inject}: {err}"
        assert report["committed"] == (not report["failures"]), inject
        for path, size, _ in report["files"]:
            assert os.path.getsize(path) == size, inject
        recover(target)
        whole(target, states)
        back = tmp_path / f"back{number}"
        again = restore(target, back)
        assert again.failures == [], inject
        assert tree(back) in states, inject
        assert tree(back) == states[1] or not report["committed"], inject
        assert set(leftovers(target)) <= {name for name in leftovers(target) if name.startswith("kept")}, (
            inject
        )
        saved(new, target, "run-3")
        assert leftovers(target) == [], inject
        if "(INJECTED)" not in trace.read_text(errors="replace"):
            assert report["committed"]
            break
        shutil.rmtree(target)
        assert number < 60, "there is no end to it"
        if number >= 12 and not ALL:
            break


@pytest.mark.parametrize(
    ("calls", "error"), [("copy_file_range", "EIO"), ("copy_file_range", "ENOSPC"), ("preadv,preadv2", "EIO")]
)
def test_one_hiccup_is_tried_again(tmp_path: Path, calls: str, error: str) -> None:
    """A file gets a second chance before it is called a failure."""
    needs_strace()
    out = tmp_path / "out"
    out.mkdir()
    (out / "big").write_bytes(b"x" * 700_000)
    trace = tmp_path / "trace"
    strace = (*STRACE, "-o", str(trace), "-e", f"inject={calls}:error={error}:when=1")
    report = report_of(saver(out, tmp_path / "to", before=strace).communicate(timeout=60)[0])
    assert "(INJECTED)" in trace.read_text(errors="replace")
    assert report is not None
    assert (report["failures"], report["committed"]) == ([], True)
    assert tree(tmp_path / "to/out") == tree(out)


def test_where_one_sync_for_all_fails_each_file_is_synced(tmp_path: Path) -> None:
    """It could not be told whose error it was; a file that cannot be synced either is a failure."""
    needs_strace()
    out = fill(tmp_path / "out", "a", "b", "c")
    trace = tmp_path / "trace"
    failing = (*STRACE, "-y", "-o", str(trace), "-e", "trace=fsync,syncfs", "-e", "inject=syncfs:error=EIO")
    report = report_of(saver(out, tmp_path / "to", before=failing).communicate(timeout=60)[0])
    assert report is not None
    assert (report["failures"], report["committed"]) == ([], True)
    if not Disk.of(str(tmp_path)).quick:
        pytest.skip("no file system for which one sync is enough")
    assert "syncfs(" in trace.read_text()
    synced = [
        line for line in trace.read_text().splitlines() if " fsync(" in line and "/staged/run-1/" in line
    ]
    assert len(synced) == 3
    none = (*STRACE, "-o", str(trace), "-e", "inject=syncfs,fsync:error=EIO")
    report = report_of(saver(out, tmp_path / "to2", before=none).communicate(timeout=60)[0])
    assert report is not None
    assert (report["files"], report["committed"]) == ([], False)


@pytest.mark.parametrize("when", ["1", "1+"])
@pytest.mark.parametrize(("call", "sizes"), [("pwrite64", (100, 100)), ("copy_file_range", (700_000,))])
def test_a_disk_that_lies(tmp_path: Path, call: str, sizes: tuple[int, ...], when: str) -> None:
    """It says that the bytes are written, and writes none: what is read back is what counts."""
    needs_strace()
    out = tmp_path / "out"
    out.mkdir()
    for number, size in enumerate(sizes):
        (out / str(number)).write_bytes(b"x" * size)
    trace = tmp_path / "trace"
    strace = (*STRACE, "-o", str(trace), "-e", f"inject={call}:retval={sizes[0]}:when={when}")
    report = report_of(saver(out, tmp_path / "to", before=strace).communicate(timeout=60)[0])
    assert "(INJECTED)" in trace.read_text(errors="replace")
    assert report is not None
    if when == "1":
        assert (report["failures"], report["committed"]) == ([], True)
        assert tree(tmp_path / "to/out") == tree(out)
    else:
        assert {why for _, why in report["failures"]} == {"what was read back differs from what was written"}
        assert report["files"] == []
        assert tree(tmp_path / "to/out") == {}


def test_a_commit_is_durable_before_it_counts(tmp_path: Path) -> None:
    """A release is a power cut: every staged file is synced before commit.json takes its name."""
    needs_strace()
    out = fill(tmp_path / "out", "a", "b")
    (out / "big").write_bytes(b"x" * 1_000_000)
    trace = tmp_path / "trace"
    watched = "trace=fsync,fdatasync,syncfs,rename,pwrite64,copy_file_range"
    child = saver(out, tmp_path / "to", before=(*STRACE, "-y", "-o", str(trace), "-e", watched))
    report = report_of(child.communicate(timeout=60)[0])
    assert report is not None
    assert report["committed"]
    steps: list[str] = []
    dirty: set[str] = set()
    for line in trace.read_text().splitlines():
        call = line.split(None, 1)[1]
        name = call.partition("(")[0]
        if name in ("pwrite64", "copy_file_range"):
            dirty.add("bytes")
        elif name in ("fsync", "fdatasync", "syncfs"):
            if "staged" in call:
                dirty.discard("bytes")
            if name == "syncfs":
                steps.append("names")
            else:
                steps.append(
                    "names" if "/to/out>" in call else "staged" if "/staged/run-1>" in call else "sync"
                )
        elif "commit.json" in call:
            assert "staged" in steps, "the names of the staged files are durable"
            assert dirty == set(), "bytes were written after the last sync"
            steps.append("commit")
        elif "saved.json" in call:
            assert "names" in steps[steps.index("commit") :], "names are durable before the manifest says so"
            steps.append("saved")
    assert [step for step in steps if step in ("commit", "saved")] == ["commit", "saved"]


# --- sources that do not hold still --------------------------------------------------------------


def writer(program: str, path: Path) -> subprocess.Popen[bytes]:
    """A process that spoils `path`, and is at it when this returns."""
    child = subprocess.Popen([sys.executable, "-c", program, path], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    return child


REWRITES = """
import os, sys
descriptor = os.open(sys.argv[1], os.O_WRONLY)
size = os.fstat(descriptor).st_size
print("ready", flush=True)
number = 0
while True:
    number += 1
    for place in range(0, size, 1 << 20):
        os.pwrite(descriptor, bytes([number % 256]) * 64, place)
"""
REPLACES = """
import os, sys
size = os.path.getsize(sys.argv[1])
print("ready", flush=True)
number = 0
while True:
    number += 1
    with open(sys.argv[1] + ".new", "wb") as f:
        f.write(bytes([number % 256]) * size)
    os.rename(sys.argv[1] + ".new", sys.argv[1])
"""


@pytest.mark.parametrize("settled_s", [None, 0.0])
def test_a_file_that_is_rewritten_is_not_called_saved(tmp_path: Path, settled_s: float | None) -> None:
    """At the end of a run it is a failure; while the job runs it is a unit that does not rest."""
    out = fill(tmp_path / "out", "calm")
    (out / "hot").write_bytes(b"\0" * 20_000_000)
    child = writer(REWRITES, out / "hot")
    try:
        report = save(out, tmp_path / "to", settled_s=settled_s)
    finally:
        child.kill()
        child.communicate()
    assert [Path(path).name for path, _, _ in report.files] == ["calm"]
    assert not (tmp_path / "to/out/hot").exists()
    if settled_s is None:
        assert [(Path(path).name, why) for path, why in report.failures] == [
            ("hot", "it changed while it was copied")
        ]
        assert not report.committed
    else:
        assert (report.failures, report.unsettled, report.committed) == ([], ["hot"], True)
    saved(out, tmp_path / "to")
    assert tree(tmp_path / "to/out") == tree(out)


@pytest.mark.parametrize("settled_s", [None, 0.0])
def test_a_file_that_is_replaced_is_one_version_or_none(tmp_path: Path, settled_s: float | None) -> None:
    """A writer that renames: what is called saved is one of its versions, from the first byte to the last."""
    out = fill(tmp_path / "out", "calm")
    (out / "hot").write_bytes(b"\0" * 20_000_000)
    child = writer(REPLACES, out / "hot")
    try:
        for _ in range(5):
            report = save(out, tmp_path / "to", include=("calm", "hot"), settled_s=settled_s)
            assert not report.failures or settled_s is None
            if (tmp_path / "to/out/hot").exists():
                assert len(set((tmp_path / "to/out/hot").read_bytes())) == 1
    finally:
        child.kill()
        child.communicate()


def test_a_file_that_nobody_may_read(tmp_path: Path) -> None:
    """As another user: it is a failure, and the others are saved."""
    out = fill(tmp_path / "out", "a", "locked", "shut/b")
    (out / "locked").chmod(0)
    (out / "shut").chmod(0)
    place = tmp_path / "to"
    place.mkdir()
    drop: tuple[str, ...] = ()
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("no setpriv")
        drop = ("setpriv", "--inh-caps=-all", "--bounding-set=-all")
        if subprocess.run([*drop, "true"], capture_output=True).returncode:
            pytest.skip("capabilities cannot be given up here")
    try:
        report = report_of(saver(out, place, before=drop).communicate(timeout=60)[0])
    finally:
        (out / "shut").chmod(0o700)
    assert report is not None
    assert sorted((Path(path).name, why) for path, why in report["failures"]) == [
        ("locked", "Permission denied"),
        ("shut", "Permission denied"),
    ]
    assert [Path(path).name for path, _, _ in report["files"]] == ["a"]
    assert not report["committed"]
