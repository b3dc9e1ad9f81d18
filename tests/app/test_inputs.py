"""`checks.files` and `inputs` as a user meets them: there, large enough, room for what is made of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from helpers.checks import findings

if TYPE_CHECKING:
    from helpers.scene import Scene


def test_files_and_inputs(scene: Scene) -> None:
    """There, missing, too small, a folder with all that is below it."""
    (scene.work / "data/deep").mkdir(parents=True)
    (scene.work / "data/a.bin").write_bytes(b"x" * 3000)
    (scene.work / "data/deep/b.bin").write_bytes(b"x" * 2000)
    job = (
        "run: x\nchecks: {files: [data/a.bin, data, nothing.csv]}\n"
        "inputs: [data/a.bin, {path: data, size: 5KB}, {path: data/a.bin, size: 4KB}, gone/]\n"
    )
    ended = scene.run("check", scene.write_job(job), "--json")
    assert [(one["requirement"], one["found"], one["status"]) for one in ended.document["findings"]] == [
        ("file data/a.bin", "there", "met"),
        ("file data", "there", "met"),
        ("file nothing.csv", "missing", "short"),
        ("input data/a.bin", "there", "met"),
        ("input data", 5000, "met"),
        ("input data/a.bin", 3000, "short"),
        ("input gone/", "missing", "short"),
    ]
    assert {one["code"] for one in ended.document["findings"]} == {"CR171", "CR173"}


def test_what_is_on_a_drive_that_is_not_mounted(scene: Scene) -> None:
    """Says what to do, not that it is missing."""
    found = findings(scene, "run: x\ninputs: [/content/drive/MyDrive/images.tar]\n")
    assert found["input /content/drive/MyDrive/images.tar"]["code"] == "CR161"


def test_room_is_counted_together_and_beside_disk(scene: Scene) -> None:
    """Each of three would fit, all of them do not."""
    status = os.statvfs(scene.work)
    third = status.f_bavail * status.f_frsize * 2 // 5 // 10**6
    (scene.work / "a").touch()
    one = f"{{path: a, room: {third}MB}}"
    assert findings(scene, f"run: x\ninputs: [{one}, {one}]\n")["room"]["status"] == "met"
    assert findings(scene, f"run: x\ninputs: [{one}, {one}, {one}]\n")["room"]["status"] == "short"
    found = findings(scene, f"run: x\nresources: {{disk: {third}MB}}\ninputs: [{one}, {one}]\n")
    assert (found["room"]["status"], found["room"]["code"], found["disk"]["status"]) == (
        "short",
        "CR174",
        "met",
    )
    assert found["room"]["wanted"] == 3 * third * 10**6
