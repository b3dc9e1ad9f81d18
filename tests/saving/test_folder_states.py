"""What comes back is what was saved: one state or another, as a whole."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import time
from pathlib import Path

import pytest

from helpers.outputs import (
    fill,
    layout,
    leftovers,
    recover,
    restore,
    restored,
    save,
    saved,
    saver,
    small_disk,
    tree,
)
from launcher.saving.journal import read_state
from launcher.saving.known import Known, rests
from launcher.saving.layout import Layout
from launcher.saving.listing import Entry

NASTY = ("line\nbreak", "quote'\"$HOME", "-rf", "漢字 ：", "x" * 255, os.fsdecode(b"caf\xe9"), ".colab-run")


def test_everything_comes_back(tmp_path: Path) -> None:
    """Bytes, modes, times, links, empty folders, and every kind of name."""
    out = fill(tmp_path / "out", "deep/er/a", "b", *NASTY)
    (out / "empty/inner").mkdir(parents=True)
    (out / "last").symlink_to("deep/er/a")
    (out / "b").chmod(0o750)
    (out / "deep/er/a").chmod(0o444)
    os.utime(out / "b", ns=(1, 1_600_000_000_123_456_789))
    saved(out, tmp_path / "to")
    assert leftovers(tmp_path / "to") == []
    place = tmp_path / "new/machine/out"
    assert restored(tmp_path / "to", place) == tree(out)
    assert stat.S_IMODE((place / "b").stat().st_mode) == 0o750
    assert stat.S_IMODE((place / "deep/er/a").stat().st_mode) == 0o444
    assert (place / "b").stat().st_mtime_ns == 1_600_000_000_123_456_789
    assert [path.name for path in place.parent.iterdir()] == ["out"]


def test_the_manifest_says_what_lies_there(tmp_path: Path) -> None:
    """Every file with its hash, who saved it, and of which story."""
    out = fill(tmp_path / "out", "a", os.fsdecode(b"caf\xe9"))
    report = saved(out, tmp_path / "to")
    state = read_state(layout(tmp_path / "to"))
    assert state is not None
    manifest = state.manifest
    assert (manifest.run_id, manifest.story, manifest.single) == ("run-1", "story-1", False)
    assert [(row.path, row.sha256) for row in manifest.files] == [
        (os.path.relpath(path, tmp_path / "to/out"), sha256) for path, _, sha256 in report.files
    ]
    assert read_state(Layout(str(tmp_path / "to"), "other")) is None


def test_one_file_comes_back(tmp_path: Path) -> None:
    """An output that is a file."""
    (tmp_path / "out").write_text("weights")
    saved(tmp_path / "out", tmp_path / "to")
    assert (tmp_path / "to/out").read_text() == "weights"
    assert restore(tmp_path / "to", tmp_path / "new/out").complete
    assert (tmp_path / "new/out").read_text() == "weights"


def test_an_empty_output_comes_back_empty(tmp_path: Path) -> None:
    """It was saved, too."""
    (tmp_path / "out").mkdir()
    saved(tmp_path / "out", tmp_path / "to")
    assert restored(tmp_path / "to", tmp_path / "new") == {}
    assert (tmp_path / "new").is_dir()


def test_a_second_save_moves_what_changed(tmp_path: Path) -> None:
    """Files at rest are not even read again; other runs read them, and move nothing."""
    out = fill(tmp_path / "out", "a", "b", "c")
    first = saved(out, tmp_path / "to")
    assert first.copied == 3
    assert saved(out, tmp_path / "to").copied == 0
    (out / "b").write_text("more")
    again = saved(out, tmp_path / "to")
    assert (again.copied, len(again.files)) == (4, 3)
    assert saved(out, tmp_path / "to", "run-2").copied == 0
    state = read_state(layout(tmp_path / "to"))
    assert state is not None
    manifest = state.manifest
    assert manifest.run_id == "run-2"
    assert restored(tmp_path / "to", tmp_path / "new") == tree(out)


def test_a_change_that_hides_is_seen(tmp_path: Path) -> None:
    """Same size, same time of change as before: the bytes decide as long as the clock was too coarse to."""
    out = fill(tmp_path / "out", "a")
    before = (out / "a").stat()
    saved(out, tmp_path / "to")
    (out / "a").write_text("b")
    os.utime(out / "a", ns=(before.st_atime_ns, before.st_mtime_ns))
    saved(out, tmp_path / "to")
    assert (tmp_path / "to/out/a").read_text() == "b"


def test_a_source_is_known_only_if_it_was_at_rest(tmp_path: Path) -> None:
    """Two changes within one tick of a file system's clock look like one."""
    out = fill(tmp_path / "out", "a")
    saved(out, tmp_path / "to")
    assert Known.read(Layout(str(tmp_path / "to"), "out")).files["a"].source == ()
    now = time.time_ns()
    for age_s, resting in ((0, False), (1, False), (5, True), (-5, True)):
        at = now - age_s * 1_000_000_000
        assert rests(Entry("a", "/a", 1, now, 0o644, (1, 2, 1, at, at))) == resting
    changed_lately = (1, 2, 1, now - 10**12, now)
    assert not rests(Entry("a", "/a", 1, now, 0o644, changed_lately))


@pytest.mark.parametrize("run_id", ["run-1", "run-2"])
def test_what_was_spoilt_at_the_target_is_copied_again(tmp_path: Path, run_id: str) -> None:
    """Edited, or gone: the source is the truth."""
    out = fill(tmp_path / "out", "a", "b")
    saved(out, tmp_path / "to")
    (tmp_path / "to/out/a").write_text("X")
    (tmp_path / "to/out/b").unlink()
    assert saved(out, tmp_path / "to", run_id).copied == 2
    assert tree(tmp_path / "to/out") == tree(out)


def test_what_left_the_output_stays_at_the_target_and_leaves_the_state(tmp_path: Path) -> None:
    """We delete nothing; a restore gives the last state and not a mixture."""
    out = fill(tmp_path / "out", "step1/a", "step2/a")
    saved(out, tmp_path / "to")
    (out / "step1/a").unlink()
    (out / "step1").rmdir()
    saved(out, tmp_path / "to")
    assert (tmp_path / "to/out/step1/a").exists()
    assert restored(tmp_path / "to", tmp_path / "new") == tree(out)


def test_some_fail_and_the_others_are_saved_and_the_last_whole_state_comes_back(tmp_path: Path) -> None:
    """Results first; what is restored is the last complete state, until the next one."""
    out = fill(tmp_path / "out", "a", "b", "c")
    saved(out, tmp_path / "to")
    first = tree(out)
    fill(out, "a", "b", "new", text="2")
    (tmp_path / "to/out/bad").mkdir()
    fill(out, "bad")
    for _ in range(2):
        report = save(out, tmp_path / "to")
        assert [Path(path).name for path, _ in report.failures] == ["bad"]
        assert not report.committed
        assert len(report.files) == 4
        assert (tmp_path / "to/out/a").read_text() == "a2"
        assert (tmp_path / "to/out/new").read_text() == "new2"
    assert restored(tmp_path / "to", tmp_path / "back1") == first
    (out / "a").write_text("third")
    save(out, tmp_path / "to")
    assert restored(tmp_path / "to", tmp_path / "back2") == first
    (tmp_path / "to/out/bad").rmdir()
    saved(out, tmp_path / "to")
    assert restored(tmp_path / "to", tmp_path / "back3") == tree(out)
    assert leftovers(tmp_path / "to") == []


def test_a_first_save_with_a_failure_is_no_state(tmp_path: Path) -> None:
    """What could be saved is there for people; it is never restored as if it were all."""
    out = fill(tmp_path / "out", "a", "bad")
    (tmp_path / "to/out/bad").mkdir(parents=True)
    assert len(save(out, tmp_path / "to").files) == 1
    assert (tmp_path / "to/out/a").exists()
    assert not restore(tmp_path / "to", tmp_path / "new").found


def test_what_is_not_settled_stays_as_it_was_saved(tmp_path: Path) -> None:
    """A unit that is being written keeps its last version as a whole; a new one is not there at all."""
    out = fill(tmp_path / "out", "step1/a", "step1/b", "step2/a")
    saved(out, tmp_path / "to")
    before = tree(out)
    with open(out / "step1/a", "a") as writer:
        writer.write("half")
        writer.flush()
        held = saver(out, tmp_path / "to", settled="0")
        # The writer is this process: another one has to look.
        report = json.loads(held.communicate(timeout=60)[0].splitlines()[1])
    assert report["unsettled"] == ["step1"]
    assert report["committed"]
    assert restored(tmp_path / "to", tmp_path / "back") == before
    late = saved(fill(out, "step3/a"), tmp_path / "to", settled_s=3600.0)
    assert late.unsettled == ["step1", "step2", "step3"]
    assert restored(tmp_path / "to", tmp_path / "back2") == before
    saved(out, tmp_path / "to")
    assert restored(tmp_path / "to", tmp_path / "back3") == tree(out)


def test_kept_versions_are_needed_as_long_as_a_unit_does_not_rest(tmp_path: Path) -> None:
    """One save fails in part, the next leaves the unit out: its last whole version is still the one."""
    out = fill(tmp_path / "out", "u/a", "v")
    saved(out, tmp_path / "to")
    (out / "u/a").write_text("second")
    (out / "bad").write_text("bad")
    (tmp_path / "to/out/bad").mkdir()
    save(out, tmp_path / "to")
    (out / "bad").unlink()
    with open(out / "u/a", "a"):
        report = json.loads(
            saver(out, tmp_path / "to", settled="0").communicate(timeout=60)[0].splitlines()[1]
        )
    assert (report["unsettled"], report["committed"]) == (["u"], True)
    assert restored(tmp_path / "to", tmp_path / "back")["u/a"] == tree(fill(tmp_path / "x", "u/a"))["u/a"]


def test_nothing_rests_yet(tmp_path: Path) -> None:
    """No state of nothing."""
    out = fill(tmp_path / "out", "a")
    report = save(out, tmp_path / "to", settled_s=3600.0)
    assert (report.failures, report.committed, report.unsettled) == ([], False, ["a"])
    assert not restore(tmp_path / "to", tmp_path / "new").found


def test_include_and_exclude(tmp_path: Path) -> None:
    """The state is what was chosen."""
    out = fill(tmp_path / "out", "a.pt", "deep/b.pt", "log.txt", "tmp/c.pt")
    saved(out, tmp_path / "to", include=("*.pt",), exclude=("tmp/",))
    assert [
        name for name, (kind, _) in restored(tmp_path / "to", tmp_path / "new").items() if kind == "file"
    ] == [
        "a.pt",
        "deep/b.pt",
    ]


def test_only_where_nothing_is(tmp_path: Path) -> None:
    """An empty folder gives its mode; a full one is left alone."""
    out = fill(tmp_path / "out", "a")
    saved(out, tmp_path / "to")
    (tmp_path / "empty").mkdir(mode=0o700)
    assert restored(tmp_path / "to", tmp_path / "empty") == tree(out)
    assert stat.S_IMODE((tmp_path / "empty").stat().st_mode) == 0o700
    full = fill(tmp_path / "full", "mine")
    report = restore(tmp_path / "to", full)
    assert (report.found, report.complete) == (True, False)
    assert report.failures == [(str(full), "it is not empty")]
    assert list(tree(full)) == ["mine"]


@pytest.mark.parametrize("how", ["content", "size", "gone"])
def test_what_does_not_match_is_not_restored(tmp_path: Path, how: str) -> None:
    """All of it, verified, or nothing."""
    out = fill(tmp_path / "out", "a", "b")
    saved(out, tmp_path / "to")
    victim = tmp_path / "to/out/b"
    if how == "gone":
        victim.unlink()
    else:
        victim.write_text("X" if how == "content" else "longer")
    report = restore(tmp_path / "to", tmp_path / "new/out")
    assert (report.found, report.complete) == (True, False)
    assert [Path(path).name for path, _ in report.failures] == ["b"]
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize("path", ["../evil", "/evil", "a/../../evil", ""])
def test_a_manifest_cannot_lead_out_of_the_output(tmp_path: Path, path: str) -> None:
    """It comes from far away."""
    out = fill(tmp_path / "out", "a")
    saved(out, tmp_path / "to")
    manifest = tmp_path / "to/.colab-run/out/saved.json"
    document = json.loads(manifest.read_text())
    document["files"][0]["path"] = path
    manifest.write_text(json.dumps(document))
    report = restore(tmp_path / "to", tmp_path / "new")
    assert not report.complete
    assert "names" in report.failures[0][1]
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"version": 99}', '{"version": 1, "files": 3}'])
def test_a_manifest_that_is_not_understood_is_kept(tmp_path: Path, text: str) -> None:
    """Not "nothing saved": it is neither restored nor written over, and the failure says which file it is."""
    out = fill(tmp_path / "out", "a")
    saved(out, tmp_path / "to")
    manifest = tmp_path / "to/.colab-run/out/saved.json"
    manifest.write_text(text)
    (tmp_path / "to/.colab-run/out/known.json").write_text(text)
    came = restore(tmp_path / "to", tmp_path / "new")
    assert (came.found, came.complete) == (True, False)
    assert came.failures[0][0] == str(manifest)
    (out / "a").write_text("from scratch")
    report = save(out, tmp_path / "to")
    assert (report.files, report.committed) == ([], False)
    assert [path for path, _ in report.failures] == [str(manifest)]
    assert ("newer" if "99" in text else "move it away") in report.failures[0][1]
    assert (tmp_path / "to/out/a").read_text() == "a"
    assert manifest.read_text() == text
    manifest.unlink()
    saved(out, tmp_path / "to")


def test_staged_files_alone_are_no_state(tmp_path: Path) -> None:
    """A saver that was killed before its commit: nothing to restore, and the next one cleans up."""
    staged = tmp_path / "to/.colab-run/out/staged/run-0"
    fill(staged, "half", "lock")
    assert not restore(tmp_path / "to", tmp_path / "new").found
    recover(tmp_path / "to")
    assert not staged.exists()
    recover(tmp_path / "nowhere")


def test_a_read_only_target_is_restored(tmp_path: Path) -> None:
    """Nothing has to be written there when no commit is pending."""
    out = fill(tmp_path / "out", "a", "deep/b")
    with small_disk(tmp_path / "to", "size=4M") as target:
        saved(out, target)
        subprocess.run(["mount", "-o", "remount,ro", target], check=True)
        assert restored(target, tmp_path / "new") == tree(out)
        report = save(fill(out, "c"), target)
        assert report.failures[0][1] == "Read-only file system"
        assert not report.committed


def test_a_folder_of_the_target_on_another_file_system(tmp_path: Path) -> None:
    """A rename does not go there: the file is copied once more, beside its place."""
    out = fill(tmp_path / "out", "sub/a", "b")
    (tmp_path / "to/out").mkdir(parents=True)
    with small_disk(tmp_path / "to/out/sub", "size=4M"):
        saved(out, tmp_path / "to")
        fill(out, "sub/a", text="2")
        saved(out, tmp_path / "to")
        assert tree(tmp_path / "to/out") == tree(out)
        assert restored(tmp_path / "to", tmp_path / "new") == tree(out)


def test_a_target_without_links_has_content_twice(tmp_path: Path) -> None:
    """Drive: `symlink` is refused (by strace here)."""
    out = fill(tmp_path / "out", "best", "deep/a")
    (out / "last").symlink_to("best")
    (out / "folder").symlink_to("deep")
    strace = (
        "strace",
        "-f",
        "-qq",
        "-o",
        str(tmp_path / "trace"),
        "-e",
        "inject=symlink,symlinkat:error=EPERM",
    )
    if subprocess.run([*strace, "true"], capture_output=True).returncode:
        pytest.skip("strace may not trace here")
    answer = saver(out, tmp_path / "to", before=strace).communicate(timeout=60)[0]
    report = json.loads(answer.splitlines()[1])
    assert (report["failures"], report["committed"]) == ([], True)
    assert (tmp_path / "to/out/last").read_text() == "best"
    assert (tmp_path / "to/out/folder/a").read_text() == "deep/a"
    assert not (tmp_path / "to/out/last").is_symlink()


def test_two_runs_save_at_once(tmp_path: Path) -> None:
    """Neither spoils the other: one of both states is the saved one, whole."""
    outs = [fill(tmp_path / name, *(f"{n}/x" for n in range(200)), text=name) for name in ("one", "two")]
    for round_ in range(3):
        savers = [saver(out, tmp_path / "to", f"run-{number}") for number, out in enumerate(outs)]
        for process in savers:
            report = json.loads(process.communicate(timeout=60)[0].splitlines()[1])
            assert report["failures"] == []
            assert report["committed"]
        assert restored(tmp_path / "to", tmp_path / f"back{round_}") in [tree(out) for out in outs]
        assert leftovers(tmp_path / "to") == []
