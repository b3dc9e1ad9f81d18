"""`command:` any shell command that takes a path; its exit code is its word."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from launcher.saving.listing import list_output
from launcher.saving.meter import Meter
from launcher.saving.model import Order, SaveReport, Target, TargetKind, parse_target
from launcher.saving.remote.engine import (
    canary,
    put_file,
    restore_remote,
    save_remote,
    target_problem,
)

ENVIRON = {"PATH": os.environ["PATH"]}


def order(source: Path, command: str, **rest: object) -> Order:
    target = parse_target(f"command: {command}", "/")
    return Order(str(source), target, source.name, "run1", "story", **rest)  # type: ignore[arg-type]


def save(one: Order) -> SaveReport:
    return save_remote(one, Meter(), ENVIRON)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "it's $HOME; out"
    (source / "deep").mkdir(parents=True)
    (source / "model.bin").write_bytes(b"m" * 1000)
    (source / "deep/notes.txt").write_text("notes")
    return source


def test_the_path_is_one_word_for_the_shell(source: Path, tmp_path: Path) -> None:
    """Whatever is in its name; the files that were handed over are in the report with their hashes."""
    report = save(order(source, f"cp -r {{path}} {tmp_path}/to"))
    assert (report.failures, report.verified, report.committed) == ([], "exit-code", True)
    assert (tmp_path / "to/model.bin").read_bytes() == b"m" * 1000
    assert [(Path(path).name, size) for path, size, _ in report.files] == [
        ("notes.txt", 5),
        ("model.bin", 1000),
    ]


def test_what_it_says_last_is_the_reason(source: Path) -> None:
    """Exit code and last line."""
    report = save(order(source, "echo first >&2; echo 'quota exceeded' >&2; exit 3 # {path}"))
    assert report.failures == [(str(source), "bash (exit code 3): quota exceeded")]
    assert not report.committed


def test_a_selection_is_a_tree_of_just_these_files(source: Path, tmp_path: Path) -> None:
    """It has the output's name, real files, and is gone afterwards."""
    one = order(source, f"find {{path}} -type f > {tmp_path}/seen", include=("*.txt",))
    report = save(one)
    seen = (tmp_path / "seen").read_text().splitlines()
    assert (report.failures, len(seen)) == ([], 1)
    assert seen[0].endswith(f"/{source.name}/deep/notes.txt")
    assert not Path(seen[0]).exists()
    assert (source / "deep/notes.txt").stat().st_nlink == 1


def test_what_is_still_written_is_left_out(source: Path, tmp_path: Path) -> None:
    """A checkpoint while the job runs: only what rests."""
    with open(source / "growing", "w") as stream:
        writer = subprocess.Popen(["sleep", "60"], stdout=stream)
    try:
        one = order(source, f"ls {{path}} > {tmp_path}/seen", settled_s=0.05)
        deadline = time.monotonic() + 10
        while len(list_output(one).files) < 2:
            assert time.monotonic() < deadline, "the files never rest"
        report = save(one)
    finally:
        writer.kill()
        writer.wait()
    assert (tmp_path / "seen").read_text().split() == ["deep", "model.bin"]
    assert report.unsettled == ["growing"]


def test_a_source_that_changes_under_the_command(source: Path) -> None:
    """Twice is a failure."""
    report = save(order(source, "echo more >> {path}/model.bin"))
    assert [why for _, why in report.failures] == ["it changed while it was copied, twice"]
    assert not report.committed


def test_a_child_that_stays_is_not_waited_for(source: Path) -> None:
    """The command's end counts, not that of a process which it left with our pipes."""
    begin = time.monotonic()
    assert save(order(source, "sleep 20 & : {path}")).committed
    assert time.monotonic() - begin < 15


def test_a_file_and_the_canary(source: Path, tmp_path: Path) -> None:
    """The log under the name that it is to have; a small file to see whether the command works."""
    target = order(source, f"cp {{path}} {tmp_path}/to/").target
    assert canary(target, Meter(), ENVIRON) != ""
    (tmp_path / "to").mkdir()
    assert canary(target, Meter(), ENVIRON) == ""
    assert put_file(str(source / "deep/notes.txt"), target, "run.log", Meter(), ENVIRON).failures == []
    assert (tmp_path / "to/run.log").read_text() == "notes"


def test_nothing_comes_back(source: Path, tmp_path: Path) -> None:
    """A command only takes."""
    report = restore_remote(order(tmp_path / "next", "true {path}"), Meter(), ENVIRON)
    assert (report.found, report.complete) == (False, False)


def test_a_command_without_its_place() -> None:
    """Said before the job."""
    assert "{path}" in str(target_problem(Target(TargetKind.COMMAND, "scp x host:"), ENVIRON))
    assert target_problem(Target(TargetKind.COMMAND, "scp {path} host:"), ENVIRON) == ""


def test_links_that_lead_out_are_handed_over_as_files(source: Path, tmp_path: Path) -> None:
    """The machine goes, and what they lead to with it; links within the output stay links."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/weights").write_text("weights")
    (source / "best").symlink_to(tmp_path / "elsewhere/weights")
    (source / "latest").symlink_to("deep")
    report = save(order(source, f"cp -a {{path}} {tmp_path}/to"))
    assert (report.failures, report.committed, len(report.files)) == ([], True, 3)
    (tmp_path / "elsewhere/weights").unlink()
    assert not (tmp_path / "to/best").is_symlink()
    assert (tmp_path / "to/best").read_text() == "weights"
    assert os.readlink(tmp_path / "to/latest") == "deep"


def test_a_source_that_is_a_link_is_handed_over_as_what_it_leads_to(source: Path, tmp_path: Path) -> None:
    """`cp -a` of the link itself would save nothing."""
    link = tmp_path / "out"
    link.symlink_to(source)
    assert save(order(link, f"cp -a {{path}} {tmp_path}/to")).committed
    assert not (tmp_path / "to").is_symlink()
    assert (tmp_path / "to/model.bin").is_file()


def test_parts_from_anywhere_are_one_tree_with_the_name_of_the_output(source: Path, tmp_path: Path) -> None:
    """A command gets real files under the output's name, and runs in the folder that they are taken from."""
    parts = (("a.pt", str(source / "model.bin")), ("sub/b.txt", str(source / "deep/notes.txt")))
    target = parse_target(f"command: cp -a {{path}} {tmp_path}/ && pwd > {tmp_path}/cwd", "/")
    report = save(Order(str(source), target, "chosen", "run1", "story", parts=parts))
    assert (report.failures, report.committed) == ([], True)
    tree = tmp_path / "chosen"
    assert sorted(str(one.relative_to(tree)) for one in tree.rglob("*")) == ["a.pt", "sub", "sub/b.txt"]
    assert (tree / "a.pt").read_bytes() == b"m" * 1000
    assert (tmp_path / "cwd").read_text().strip() == str(source)


def test_a_folder_beside_which_nothing_can_be_made(source: Path, tmp_path: Path) -> None:
    """The tree is planted among the temporary files then, as copies."""
    mounted = tmp_path / "readonly"
    mounted.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "none", mounted], capture_output=True).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        shutil.copytree(source, mounted / "out")
        subprocess.run(["mount", "-o", "remount,ro", mounted], check=True)
        report = save(order(mounted / "out", f"cp -a {{path}} {tmp_path}/to", exclude=("*.txt",)))
        assert (report.failures, report.committed) == ([], True)
    finally:
        subprocess.run(["umount", mounted], check=True)
    assert [one.name for one in (tmp_path / "to").iterdir()] == ["model.bin"]
