"""What `check` finds, for tests of what is looked at before the start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from helpers.scene import Scene


def findings(scene: Scene, text: str, *words: str) -> dict[str, dict[str, Any]]:
    """The findings of `check --json`, by requirement; nothing is started by it."""
    ended = scene.run("check", scene.write_job(text), "--json", *words)
    assert ended.code in (0, 69), ended.err
    assert not list(scene.home.glob("runs/*"))
    return {one["requirement"]: one for one in ended.document["findings"]}


def hints(scene: Scene, text: str, *words: str) -> str:
    """What `check` says beside a verdict that is met."""
    ended = scene.run("check", scene.write_job(text), "--json", *words)
    assert ended.code == 0, ended.out
    return "\n".join(ended.document["hints"])
