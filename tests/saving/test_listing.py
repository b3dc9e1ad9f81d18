"""What belongs to an output, and what of it rests."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from launcher.saving.listing import Listing, identity_of, is_young, list_output
from launcher.saving.model import Order, Target, TargetKind
from launcher.saving.patterns import patterns

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONG_AGO = 1_000_000_000.0


def order(source: Path, **more: object) -> Order:
    return Order(
        str(source),
        Target(TargetKind.FOLDER, "/nowhere"),
        source.name,
        "run-1",
        "run-1",
        **more,  # type: ignore[arg-type]
    )


def listed(source: Path, **more: object) -> Listing:
    return list_output(order(source, **more))


def paths(listing: Listing) -> list[str]:
    return [entry.path for entry in listing.files]


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


@pytest.mark.parametrize(
    ("pattern", "fits", "does_not"),
    [
        ("*.pt", ["a.pt", "b/c/a.pt", "d.pt/inside", ".pt"], ["a.ptx", "a.pt.tmp", "pt"]),
        ("logs", ["logs", "logs/a", "b/logs/c/d"], ["logs2", "my-logs/a"]),
        ("logs/", ["logs/a", "b/logs/c/d"], ["logs", "b/logs"]),
        ("a/b/*", ["a/b/c", "a/b/c/d"], ["a/b", "x/a/b/c"]),
        ("/a.txt", ["a.txt"], ["b/a.txt"]),
        ("./a.txt", ["a.txt"], ["xa.txt"]),
        ("a/**/z", ["a/z", "a/b/z", "a/b/c/z"], ["az", "b/a/z", "a/bz"]),
        ("a/**", ["a/b", "a/b/c"], ["a", "ab/c"]),
        ("**/z", ["z", "a/z", "a/b/z"], ["az"]),
        ("step-?", ["step-1", "x/step-2/w"], ["step-12", "step-/"]),
        ("[ab]x", ["ax", "c/bx"], ["cx", "x"]),
        ("[!ab]x", ["cx"], ["ax", "/x"]),
        ("[]]x", ["]x"], ["x"]),
        ("[a", ["[a"], ["a"]),
        ("a+b(1).c", ["a+b(1).c"], ["aab(1)xc"]),
        ("*", ["a\nb", os.fsdecode(b"caf\xe9"), "a/b"], []),
    ],
)
def test_patterns(pattern: str, fits: list[str], does_not: list[str]) -> None:
    """The same words choose and leave out."""
    chosen, left_out = patterns([pattern], []), patterns([], [pattern])
    for path in fits:
        assert chosen.takes(path), path
        assert not left_out.takes(path), path
    for path in does_not:
        assert not chosen.takes(path), path
        assert left_out.takes(path), path


def test_exclude_wins_and_its_folders_are_not_entered(tmp_path: Path) -> None:
    """Names and places together."""
    out = fill(tmp_path / "out", "a.pt", "tmp/b.pt", "deep/tmp/c.pt", "deep/d.pt", "notes.txt")
    assert paths(listed(out, include=("*.pt",), exclude=("tmp/",))) == ["a.pt", "deep/d.pt"]
    assert paths(listed(out, exclude=("deep",))) == ["a.pt", "notes.txt", "tmp/b.pt"]
    assert paths(listed(out, include=("nothing",))) == []


def test_a_file_as_it_is(tmp_path: Path) -> None:
    """Everything that a copy needs to know."""
    out = fill(tmp_path / "out", "a")
    (out / "a").chmod(0o640)
    status = (out / "a").stat()
    (entry,) = listed(out).files
    assert (entry.path, entry.source, entry.size) == ("a", str(out / "a"), 1)
    assert (entry.mode, entry.mtime_ns, entry.identity) == (0o640, status.st_mtime_ns, identity_of(status))
    alone = listed(out / "a")
    assert alone.single
    assert paths(alone) == [""]


def test_nothing_there_and_the_target_itself(tmp_path: Path) -> None:
    """Neither is an output."""
    assert listed(tmp_path / "none").failures == [
        (str(tmp_path / "none"), "it is neither a file nor a folder")
    ]
    found = list_output(order(tmp_path), frozenset([str(tmp_path)]))
    assert found.failures[0][1] == "the target is the output itself"


def test_a_folder_that_is_copied_into_is_no_part_of_the_output(tmp_path: Path) -> None:
    """`path: .` into `saved`."""
    fill(tmp_path, "a", "saved/a")
    found = list_output(order(tmp_path), frozenset([str(tmp_path / "saved")]))
    assert paths(found) == ["a"]
    assert found.skipped == [str(tmp_path / "saved")]


def test_empty_folders_and_what_holds_no_bytes(tmp_path: Path) -> None:
    """The first are kept, the second named."""
    out = fill(tmp_path / "out", "deep/a")
    (out / "empty/inner").mkdir(parents=True)
    os.mkfifo(out / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        folder = os.open(out, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{folder}/socket")
        os.close(folder)
    found = listed(out)
    assert found.folders == ["empty/inner"]
    assert sorted(found.skipped) == [str(out / "pipe"), str(out / "socket")]


def test_links(tmp_path: Path) -> None:
    """Inside they stay, whatever way they were written; outside they are what they show."""
    out = fill(tmp_path / "out", "best", "deep/a")
    fill(tmp_path / "cache", "blob")
    (out / "last").symlink_to("best")
    (out / "deep/absolute").symlink_to(out / "best")
    (out / "deep/round").symlink_to("../../out/best")
    (out / "folder").symlink_to("deep")
    (out / "blob").symlink_to(tmp_path / "cache/blob")
    (out / "cache").symlink_to(tmp_path / "cache")
    (out / "dangling").symlink_to("nowhere")
    (out / "me").symlink_to("me")
    (tmp_path / "cache/back").symlink_to(out / "best")
    found = listed(out)
    assert dict(found.links) == {
        "last": "best",
        "deep/absolute": "../best",
        "deep/round": "../best",
        "folder": "deep",
        "dangling": "nowhere",
        "me": "me",
        "cache/back": "../best",
    }
    assert paths(found) == ["best", "blob", "cache/blob", "deep/a"]
    assert found.failures == []


def test_where_there_are_no_links_content_stands_twice(tmp_path: Path) -> None:
    """Drive: a link to a folder that it is in ends, one that leads nowhere holds nothing."""
    out = fill(tmp_path / "out", "best", "deep/a")
    (out / "last").symlink_to("best")
    (out / "folder").symlink_to("deep")
    (out / "deep/up").symlink_to(out)
    (out / "dangling").symlink_to("nowhere")
    found = list_output(order(out), keep_links=False)
    assert found.links == []
    assert paths(found) == ["best", "deep/a", "folder/a", "last"]
    assert str(out / "dangling") in found.skipped


def test_a_link_to_what_is_not_taken_brings_its_content(tmp_path: Path) -> None:
    """`include: latest.pt` alone would save a link to nothing; what is excluded stays out."""
    out = fill(tmp_path / "out", "steps/1.pt", "tmp/x")
    (out / "latest.pt").symlink_to("steps/1.pt")
    (out / "t").symlink_to("tmp")
    found = listed(out, include=("latest.pt", "t"), exclude=("tmp/",))
    assert paths(found) == ["latest.pt"]
    assert found.links == [("t", "tmp")]


def test_a_link_to_a_folder_without_files_stays_a_link(tmp_path: Path) -> None:
    """One that holds only links, or only empty folders."""
    out = fill(tmp_path / "out", "a")
    (out / "links").mkdir()
    (out / "links/a").symlink_to("../a")
    (out / "empty/inner").mkdir(parents=True)
    (out / "l").symlink_to("links")
    (out / "e").symlink_to("empty")
    found = listed(out)
    assert dict(found.links) == {"l": "links", "e": "empty", "links/a": "../a"}
    assert paths(found) == ["a"]


def test_a_link_to_what_cannot_be_reached_is_a_failure(tmp_path: Path) -> None:
    """A mount whose program died: what the link shows may be there, and would not be saved."""
    out = fill(tmp_path / "out", "a")
    (tmp_path / "mount").mkdir()
    (out / "shard").symlink_to(tmp_path / "mount/x")
    with dead_mount(tmp_path / "mount"):
        found = listed(out)
        assert [path for path, _ in found.failures] == [str(out / "shard")]
        assert (paths(found), found.links) == (["a"], [])
        assert listed(out, exclude=("shard",)).failures == []
    assert listed(out).links == [("shard", str(tmp_path / "mount/x"))]


@contextmanager
def dead_mount(place: Path) -> Iterator[None]:
    """A FUSE mount that nobody answers for: ENOTCONN."""
    try:
        device = os.open("/dev/fuse", os.O_RDWR)
    except OSError:
        pytest.skip("no /dev/fuse")
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    mounted = libc.mount(b"dead", os.fsencode(place), b"fuse", 0, options)
    os.close(device)
    if mounted:
        pytest.skip("cannot mount FUSE here")
    try:
        yield
    finally:
        assert libc.umount2(os.fsencode(place), 2) == 0


def test_loops_end(tmp_path: Path) -> None:
    """A link to the folder above, inside and outside."""
    out = fill(tmp_path / "out", "a")
    (out / "up").symlink_to(out)
    (out / "outside").symlink_to(tmp_path)
    found = listed(out)
    assert paths(found) == ["a"]
    assert ("up", ".") in found.links


def test_a_tree_deeper_than_python_recurses(tmp_path: Path) -> None:
    """1,500 folders below each other."""
    deep = tmp_path / "out"
    deep.mkdir()
    folder = os.open(deep, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=folder)
        folder, before = os.open("d", os.O_RDONLY, dir_fd=folder), folder
        os.close(before)
    os.close(folder)
    found = listed(deep)
    subprocess.run(["rm", "-rf", deep], check=True)  # pytest could not.
    assert found.folders == ["/".join(["d"] * 1500)]
    assert found.failures == []


def aged(out: Path, seconds: float) -> float:
    """A `settled_s` for which everything in `out` rests that has been there for `seconds`."""
    newest = max(path.lstat().st_ctime for path in (out, *out.rglob("*")))
    deadline = time.monotonic() + 30
    while time.time() - newest < seconds:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return seconds


def test_only_units_that_rest(tmp_path: Path) -> None:
    """A young file makes its whole folder wait, and the link that points at it; the rest is taken."""
    out = fill(tmp_path / "out", "step1/a", "step1/b", "step2/a")
    settled_s = aged(out, 0.3)
    (out / "step2/b").write_text("half")
    (out / "latest").symlink_to("step2")
    os.utime(out / "step2/b", (LONG_AGO, LONG_AGO))
    found = listed(out, settled_s=settled_s)
    assert found.unsettled == ["latest", "step2"]
    assert paths(found) == ["step1/a", "step1/b"]
    assert found.links == []
    assert listed(out, settled_s=0.0, include=("step1",)).unsettled == []
    assert listed(out).unsettled == []


def test_a_clock_that_was_set_back() -> None:
    """A file from an hour ahead is not one that is being written; one from a moment ahead may be."""
    now = 1_700_000_000_000_000_000
    assert [is_young(now + seconds * 10**9, now, 5.0) for seconds in (-6, -4, 0, 4, 6, 3600)] == [
        False,
        True,
        True,
        True,
        False,
        False,
    ]


def test_an_old_link_waits_for_what_it_leads_to(tmp_path: Path) -> None:
    """`latest -> step2`, made long ago, while step2 is being written again."""
    out = fill(tmp_path / "out", "step1/a", "step2/a")
    (out / "latest").symlink_to("step2")
    (out / "newest").symlink_to("latest")
    settled_s = aged(out, 0.3)
    (out / "step2/a").write_text("again")
    found = listed(out, settled_s=settled_s)
    assert found.unsettled == ["latest", "newest", "step2"]


def test_a_file_that_is_open_for_writing_is_not_complete(tmp_path: Path) -> None:
    """However long nothing came: the writer may be at it. A reader does not count."""
    out = fill(tmp_path / "out", "written", "read")
    program = (
        "import sys; a = open(sys.argv[1], 'ab'); b = open(sys.argv[2]); print('ready', flush=True); input()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, out / "written", out / "read"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n"
        found = listed(out, settled_s=0.0)
        alone = listed(out / "written", settled_s=0.0)
    finally:
        holder.kill()
        holder.communicate()
    assert found.unsettled == ["written"]
    assert paths(found) == ["read"]
    assert (alone.unsettled, alone.files) == ([""], [])
    assert listed(out, settled_s=0.0).unsettled == []


def test_ten_thousand_files_are_listed_quickly(tmp_path: Path) -> None:
    """A look every few minutes costs the job nothing that it would notice."""
    out = tmp_path / "out"
    for folder in range(100):
        (out / str(folder)).mkdir(parents=True)
        for name in range(100):
            (out / f"{folder}/{name}").touch()
    began = time.process_time()
    found = listed(out, settled_s=0.0)
    assert len(found.files) == 10_000
    assert time.process_time() - began < 2.0
