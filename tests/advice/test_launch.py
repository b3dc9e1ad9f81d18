"""What is said once when a job starts on a managed runtime, beside its output and never in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from helpers.scene import Scene

STAYS = "run: echo done\nrelease: {when: never}\n"
GOES = "run: echo done\nrelease: {when: always, grace: 0s, unsaved: discard}\n"


def words_of(text: str) -> str:
    """As one line, without the margin."""
    return " ".join(text.replace("colab-run:", " ").split())


@pytest.mark.parametrize(
    ("plan", "said"),
    [("", "Keep this tab open, unless you have Pro+"), ("pro+", "You may close this tab: Pro+ goes on")],
)
def test_may_the_tab_be_closed(scene: Scene, plan: str, said: str) -> None:
    """By plan; and that closing it leaves a runtime on that nothing else releases."""
    scene.env["COLAB_RUN_PLAN"] = plan
    with scene.managed():
        ended = scene.run_job(STAYS)
    assert ended.code == 0
    assert said in words_of(ended.err)
    assert words_of(ended.err).count("Closing it does not release the runtime: it goes on costing.") == 1
    assert ended.out == "done\n"


def test_what_is_released_needs_no_warning(scene: Scene) -> None:
    """The job file says who does."""
    with scene.managed() as endpoint:
        ended = scene.run_job(GOES)
        assert (ended.code, len(endpoint.requests)) == (0, 1), ended.err
    assert "Keep this tab open" in words_of(ended.err)
    assert "does not release" not in words_of(ended.err)


def test_elsewhere_there_is_no_tab(scene: Scene) -> None:
    """On a machine of one's own nothing of Colab's is said."""
    ended = scene.run_job("run: echo done\n")
    assert ended.code == 0
    assert "this tab" not in words_of(ended.err)


def test_a_plan_that_there_is_not_starts_nothing(scene: Scene) -> None:
    """64, before anything."""
    scene.env["COLAB_RUN_PLAN"] = "gold"
    ended = scene.run_job("run: touch started\n")
    assert ended.code == 64
    assert not (scene.work / "started").exists()
