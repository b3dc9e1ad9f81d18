"""Copies are whole or absent, verified, and nothing is reported as saved that is not byte-identical."""

from __future__ import annotations

import hashlib
import os
import random
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from launcher.saving.folder import save_to_folder
from launcher.saving.meter import Meter
from launcher.saving.model import Order, SaveReport, Target, TargetKind
from launcher.saving.save import Onlooker, save_output


def order(source: Path, target: Path) -> Order:
    return Order(str(source), Target(TargetKind.FOLDER, str(target)), source.name, "run-1", "run-1")


def copy(source: Path, target: Path) -> SaveReport:
    report = save_to_folder(order(source, target), Meter())
    assert report.committed == (not report.failures)
    return report


def parts(folder: Path) -> list[Path]:
    """Temporary files that were left behind."""
    ours = [path for path in folder.rglob("*") if ".colab-run" in str(path)]
    return [path for path in ours if path.is_file() and path.name not in ("saved.json", "known.json", "lock")]


def test_a_folder_arrives_under_its_own_name(tmp_path: Path) -> None:
    """Every file with its bytes, mode and time; size and hash in the report."""
    source = tmp_path / "out"
    (source / "deep").mkdir(parents=True)
    content = random.Random(1).randbytes(3_000_000)
    (source / "deep" / "model.bin").write_bytes(content)
    (source / "empty").write_bytes(b"")
    (source / "run.sh").write_bytes(b"#!/bin/sh\n")
    (source / "run.sh").chmod(0o755)
    os.utime(source / "run.sh", (1_600_000_000, 1_600_000_000))
    report = copy(source, tmp_path / "to")
    arrived = tmp_path / "to" / "out"
    assert report.failures == []
    assert sorted(report.files) == sorted(
        [
            (str(arrived / "deep/model.bin"), len(content), hashlib.sha256(content).hexdigest()),
            (str(arrived / "empty"), 0, hashlib.sha256(b"").hexdigest()),
            (str(arrived / "run.sh"), 10, hashlib.sha256(b"#!/bin/sh\n").hexdigest()),
        ]
    )
    assert (arrived / "deep/model.bin").read_bytes() == content
    assert stat.S_IMODE((arrived / "run.sh").stat().st_mode) == 0o755
    assert (arrived / "run.sh").stat().st_mtime == 1_600_000_000
    assert parts(tmp_path) == []


def test_a_single_file_replaces_the_older_one(tmp_path: Path) -> None:
    """The target's old content is there until the new one is whole."""
    (tmp_path / "model").write_text("new")
    (tmp_path / "to").mkdir()
    (tmp_path / "to/model").write_text("old and longer")
    assert copy(tmp_path / "model", tmp_path / "to").failures == []
    assert (tmp_path / "to/model").read_text() == "new"


@pytest.mark.parametrize("name", ["line\nbreak", "quote'\"$HOME", "-rf", "漢字 ：", "x" * 255])
def test_nasty_names(tmp_path: Path, name: str) -> None:
    """Names are never words of a command."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("1")
    assert copy(tmp_path / "out", tmp_path / "to").failures == []
    assert (tmp_path / "to/out" / name).read_text() == "1"


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    """File names are bytes; the whole way through the child and back."""
    name = os.fsdecode(b"caf\xe9")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("1")
    saved = save_output(order(tmp_path / "out", tmp_path / "to"), {}, Onlooker())
    assert saved.complete
    assert [Path(file.path).name for file in saved.files] == [name]


def test_links_inside_stay_links_and_links_out_become_what_they_show(tmp_path: Path) -> None:
    """What a link shows elsewhere goes with the machine, so its content is copied."""
    source = tmp_path / "out"
    source.mkdir()
    (source / "best").write_text("weights")
    (source / "last").symlink_to("best")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/blob").write_text("from the cache")
    (source / "blob").symlink_to(tmp_path / "cache/blob")
    (source / "folder").symlink_to(tmp_path / "cache")
    (source / "dangling").symlink_to("nowhere")
    report = copy(source, tmp_path / "to")
    arrived = tmp_path / "to/out"
    assert report.failures == []
    assert os.readlink(arrived / "last") == "best"
    assert os.readlink(arrived / "dangling") == "nowhere"
    assert not (arrived / "blob").is_symlink()
    assert (arrived / "blob").read_text() == (arrived / "folder/blob").read_text() == "from the cache"


def test_an_absolute_link_inside_still_leads_there_at_the_target(tmp_path: Path) -> None:
    """The machine's own path goes with the machine, so the link is written anew, relative."""
    source = tmp_path / "out"
    (source / "deep").mkdir(parents=True)
    (source / "best").write_text("weights")
    (source / "deep/link").symlink_to(source / "best")
    copy(source, tmp_path / "to")
    source.rename(tmp_path / "gone")
    assert (tmp_path / "to/out/deep/link").read_text() == "weights"


def test_a_folder_does_not_go_through_the_link_of_an_earlier_copy(tmp_path: Path) -> None:
    """Run 1 saved `latest -> step1`; run 2 has a real `latest`: step1 stays what it was."""
    source = tmp_path / "out"
    (source / "step1").mkdir(parents=True)
    (source / "step1/model").write_text("1")
    (source / "latest").symlink_to("step1")
    copy(source, tmp_path / "to")
    (source / "latest").unlink()
    (source / "latest").mkdir()
    (source / "latest/model").write_text("2")
    copy(source, tmp_path / "to")
    assert (tmp_path / "to/out/step1/model").read_text() == "1"
    assert (tmp_path / "to/out/latest/model").read_text() == "2"


def test_loops_end(tmp_path: Path) -> None:
    """A link to the folder above, inside and outside, does not copy for ever."""
    source = tmp_path / "out"
    source.mkdir()
    (source / "up").symlink_to(source)
    (source / "outside").symlink_to(tmp_path)
    (source / "a").write_text("1")
    assert (tmp_path / "out/up/up/a").exists()
    report = copy(source, tmp_path / "to")
    assert (tmp_path / "to/out/a").read_text() == "1"
    assert len(report.files) < 10


def test_a_target_inside_the_output_is_not_copied_into_itself(tmp_path: Path) -> None:
    """`path: .` into `saved`: earlier copies are no results of this run."""
    (tmp_path / "a").write_text("1")
    for _ in range(2):
        report = copy(tmp_path, tmp_path / "saved")
        assert [Path(path).name for path, _, _ in report.files] == ["a"]
    assert copy(tmp_path / "a", tmp_path).failures[0][1] == "the target is the output itself"
    assert (tmp_path / "a").read_text() == "1"


def test_what_holds_no_bytes_is_named(tmp_path: Path) -> None:
    """A pipe or a socket among the results is skipped, and said."""
    source = tmp_path / "out"
    source.mkdir()
    os.mkfifo(source / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        folder = os.open(source, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{folder}/socket")
        os.close(folder)
        report = copy(source, tmp_path / "to")
    assert report.failures == []
    assert sorted(Path(path).name for path in report.skipped) == ["pipe", "socket"]


def test_one_bad_file_does_not_stop_the_others(tmp_path: Path) -> None:
    """What cannot be put in place is listed; everything else is saved."""
    source = tmp_path / "out"
    source.mkdir()
    for name in ("a", "b", "c"):
        (source / name).write_text(name)
    (tmp_path / "to/out/b").mkdir(parents=True)
    report = copy(source, tmp_path / "to")
    assert [Path(path).name for path, _ in report.failures] == ["b"]
    assert [Path(path).name for path, _, _ in report.files] == ["a", "c"]
    assert parts(tmp_path) == []


def test_a_full_target_loses_nothing_and_says_so(tmp_path: Path) -> None:
    """A real file system of 1 MB: the file that does not fit is a failure, and no half of it stays."""
    target = tmp_path / "small"
    target.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", target], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a tmpfs here: {mounted.stderr.strip()}")
    try:
        source = tmp_path / "out"
        source.mkdir()
        (source / "big").write_bytes(b"x" * 3_000_000)
        (source / "small").write_bytes(b"y" * 1000)
        report = copy(source, target)
        assert [Path(path).name for path, _ in report.failures] == ["big"]
        assert [Path(path).name for path, _, _ in report.files] == ["small"]
        assert sorted(path.name for path in (target / "out").iterdir()) == ["small"]
    finally:
        subprocess.run(["umount", target], check=True)


def test_a_file_that_changes_underneath_is_not_called_saved(tmp_path: Path) -> None:
    """A writer that never stops: the copy is a failure, not a lie."""
    source = tmp_path / "log"
    source.write_bytes(b"x" * 20_000_000)
    writer = subprocess.Popen(
        ["bash", "-c", 'echo ready; while :; do printf y >> "$0"; done', source],
        stdout=subprocess.PIPE,
    )
    assert writer.stdout is not None
    writer.stdout.readline()
    try:
        report = copy(source, tmp_path / "to")
    finally:
        writer.kill()
        writer.communicate()
    assert report.files == []
    assert "changed" in report.failures[0][1]
    assert not (tmp_path / "to/log").exists()


def test_a_copy_can_be_ended(tmp_path: Path) -> None:
    """A person's second press ends a copy that hangs, and it is not called complete."""
    reader = tmp_path / "hangs"
    os.mkfifo(reader)
    source = tmp_path / "out"
    source.mkdir()
    (source / "a").write_text("1")
    saved = save_output(order(source, tmp_path / "to"), {}, Onlooker(stop=lambda: True))
    assert not saved.complete
    assert "aborted" in str(saved.failures[0][1])


def test_nothing_there_is_missing_and_not_complete(tmp_path: Path) -> None:
    """A declared output that the job never made."""
    saved = save_output(order(tmp_path / "none", tmp_path), {}, Onlooker())
    assert (saved.missing, saved.complete) == (True, False)


def test_a_device_error_is_told(tmp_path: Path) -> None:
    """A target that refuses every write (/dev/full cannot be a folder: a file in the way stands for it)."""
    (tmp_path / "out").write_text("1")
    (tmp_path / "file").write_text("in the way")
    report = copy(tmp_path / "out", tmp_path / "file" / "below")
    assert report.files == []
    assert report.failures[0][1] == "Not a directory"
