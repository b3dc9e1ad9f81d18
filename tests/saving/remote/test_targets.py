"""What holds for every target: whole or absent, and nothing that is not byte-identical is called saved."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from launcher.saving.meter import Meter
from launcher.saving.model import parse_target
from launcher.saving.remote.engine import canary, put_file, target_problem
from launcher.saving.remote.model import harmless


def content(root: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    for one in sorted(root.rglob("*")):
        path = str(one.relative_to(root))
        if one.is_symlink():
            found[path] = os.readlink(one)
        elif one.is_dir():
            found[path] = "folder"
        else:
            found[path] = (one.read_bytes(), one.stat().st_mode & 0o777, one.stat().st_mtime_ns)
    return found


def test_what_is_saved_comes_back_as_it_was(any_place: Any) -> None:
    """Bytes, modes, times, links and empty folders; the report has sizes and sha256 of every file."""
    report = any_place.save()
    assert (report.failures, report.committed) == ([], True)
    files = {path: one for path, one in content(any_place.source).items() if isinstance(one, tuple)}
    assert sorted(report.files) == sorted(
        (f"{any_place.to}/out/{path}", len(data), hashlib.sha256(data).hexdigest())
        for path, (data, _, _) in files.items()
    )
    restored, back = any_place.restore()
    assert (restored.found, restored.complete, restored.failures) == (True, True, [])
    assert (restored.run_id, restored.story, restored.files) == ("run1", "story", len(files))
    assert content(back) == content(any_place.source)


def test_only_what_changed_goes_up(place: Any) -> None:
    """The second save moves nothing, the third one file; the state that holds is always the last."""
    assert place.save().copied > 9_000_000
    assert place.save().copied == 0
    place.write("deep/er/a b", "other")
    (place.source / "-dash").unlink()
    assert place.save().copied == len("other")
    assert place.save(run="run9").copied == 0
    restored, back = place.restore()
    assert (restored.complete, restored.run_id) == (True, "run9")
    assert content(back) == content(place.source)


def test_an_output_that_is_one_file(any_place: Any) -> None:
    """It lies under the name of the output, and comes back as a file."""
    file = any_place.root / "work" / "weights.pt"
    file.write_bytes(b"w" * 100)
    for text in (b"w" * 100, b"x" * 100):
        file.write_bytes(text)
        report = any_place.save(source=file)
        assert (report.failures, [row[0] for row in report.files]) == ([], [f"{any_place.to}/out"])
    restored, back = any_place.restore("weights.pt")
    assert restored.complete
    assert back.read_bytes() == b"x" * 100


@pytest.mark.parametrize("path", ["line\nbreak", os.fsdecode(b"no\xffutf8")])
def test_names_that_a_tool_cannot_take_are_failures(place: Any, path: str) -> None:
    """Never lost in silence; the other files arrive, and what is there is not called a saved state."""
    place.write(path, "x")
    report = place.save()
    assert [row[0] for row in report.failures] == [str(place.source / path)]
    assert not report.committed
    assert len(report.files) == 7
    assert not place.restore()[0].found


def test_a_failure_leaves_the_older_state(place: Any) -> None:
    """With a file that cannot be saved the state before stays, whole, and can be restored."""
    before = content(place.source)
    assert place.save().committed
    place.write("run.sh", "changed")
    place.write("line\nbreak", "x")
    report = place.save()
    assert not report.committed
    assert len(report.failures) == 1
    restored, back = place.restore()
    assert restored.complete
    assert content(back) == before
    (place.source / "line\nbreak").unlink()
    assert place.save().committed
    restored, back = place.restore("again")
    assert content(back) == content(place.source)


def test_a_store_that_keeps_other_bytes_is_noticed(any_place: Any) -> None:
    """One flipped bit: the file is a failure, and there is no saved state."""
    if any_place.to.startswith("rclone:"):
        data = "x=$(find " + str(any_place.stored.parent) + r" -path '*/base/*' -size +8M | head -1)"
        if "safe:" in any_place.to:
            data = f"x=$(find {any_place.stored.parent} -size +8M | head -1)"
        flip = f'{data}; [ -z "$x" ] || printf "\\377\\001" | dd of="$x" bs=1 seek=5000000 conv=notrunc'
        any_place.wrap("rclone", f'"$REAL" "$@"; code=$?; if [ "$1" = copy ]; then {flip}; fi; exit $code')
    any_place.extra["STAND_IN_FLAW"] = "other bytes"
    report = any_place.save()
    assert [Path(path).name for path, _ in report.failures] == ["model.bin"]
    assert not any("model" in path for path, _, _ in report.files)
    assert not report.committed
    assert not any_place.restore()[0].found


def test_what_was_changed_at_the_store_is_not_restored(any_place: Any) -> None:
    """A file that is not what the manifest says: nothing at all is left at the source."""
    assert any_place.save().committed
    victims = [
        one for one in any_place.stored.parent.rglob("*") if one.is_file() and one.stat().st_size > 8 << 20
    ]
    for one in victims:
        data = bytearray(one.read_bytes())
        data[5_000_000] ^= 1
        one.write_bytes(data)
    restored, back = any_place.restore()
    assert victims
    assert (restored.found, restored.complete, len(restored.failures)) == (True, False, 1)
    assert not back.exists()


def test_nothing_is_restored_over_something(place: Any) -> None:
    """Only what is absent or empty is filled."""
    assert place.save().committed
    back = place.root / "next" / "back"
    back.mkdir(parents=True)
    (back / "mine").write_text("mine")
    restored, _ = place.restore()
    assert not restored.complete
    assert content(back).keys() == {"mine"}
    (back / "mine").unlink()
    assert place.restore()[0].complete


def test_a_source_that_always_changes_is_a_failure(place: Any) -> None:
    """Tried twice; the older content is not called the new one."""
    tool = "rclone" if place.to.startswith("rclone") else {"g": "gcloud", "s": "aws", "h": "hf"}[place.to[0]]
    place.wrap(tool, f'echo more >> {place.source}/run.sh; exec "$REAL" "$@"')
    report = place.save()
    assert report.failures == [(str(place.source / "run.sh"), "it changed while it was copied, twice")]
    assert not report.committed


def test_a_file_beside_the_outputs(place: Any) -> None:
    """The log and the receipt: one file, verified, over an older one."""
    log = place.root / "log"
    for text in ("one", "two two"):
        log.write_text(text)
        report = put_file(str(log), parse_target(place.to, "/"), "run.log", Meter(), place.environ)
        digest = hashlib.sha256(text.encode()).hexdigest()
        assert report.failures == []
        assert report.files == [(f"{place.to}/run.log", len(text), digest)]


def test_the_canary_goes_there_and_back(place: Any) -> None:
    """Nothing is known against the target, and nothing stays there."""
    target = parse_target(place.to, "/")
    assert target_problem(target, place.environ) == ""
    assert canary(target, Meter(), place.environ) == ""
    heads = (
        [(place.stored / (place.stored / "branch-main").read_text())] if "hf:" in place.to else [place.stored]
    )
    assert [one for head in heads for one in head.rglob("canary-*")] == []


def test_a_tool_that_is_not_installed(place: Any) -> None:
    """Said before the job, with where to get it, and again when somebody saves."""
    place.environ["PATH"] = str(place.root / "tmp")
    assert "not installed" in str(target_problem(parse_target(place.to, "/"), place.environ))
    assert "not installed" in canary(parse_target(place.to, "/"), Meter(), place.environ).__str__()
    report = place.save()
    assert "not installed" in report.failures[0][1]
    assert not report.committed


def test_where_the_store_has_no_hash_it_is_read_back(any_place: Any) -> None:
    """A composite object, an object under a KMS key, a crypt remote: then the bytes have to come."""
    any_place.extra["STAND_IN_FLAW"] = "no hashes"
    report = any_place.save()
    assert (report.failures, report.committed) == ([], True)
    by_hash = any_place.to.startswith("rclone:box")
    assert report.verified == ("checksum" if by_hash else "read-back")


@pytest.mark.parametrize(
    "to",
    [
        "rclone:box",
        "rclone:no such remote:x",
        "rclone:-box:x",
        "gs://",
        "gs://b*/x",
        "s3://",
        "hf://x",
        "hf://buckets/a/b",
    ],
)
def test_targets_that_cannot_work(to: str, tmp_path: Path) -> None:
    """Found without a network."""
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    for tool in ("gcloud", "aws", "hf", "rclone"):
        (bin_folder / tool).write_text("#!/bin/sh\necho box:\n")
        (bin_folder / tool).chmod(0o755)
    assert str(target_problem(parse_target(to, "/"), {"PATH": f"{bin_folder}:/usr/bin:/bin"})) != ""


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/x", "a//b", "", ".", "a\0b"])
def test_paths_that_are_in_no_output(path: str) -> None:
    """What a manifest says is checked before it is believed."""
    assert not harmless(path)
    assert harmless("a/b..c/.d")
