"""docs/guard.md says what there is: files, states, reasons, figures, tests."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from helpers.catalogs import shipped
from helpers.scene import until
from launcher import busy, holds
from launcher.cli.main import LOOKS_AFTER_OTHERS
from launcher.guard import client, emergency, streams, viewer, watcher
from launcher.ledger import spool, store
from launcher.ledger.model import State
from launcher.release import lease, look, marks, protocol
from launcher.release.protocol import Others, Sight, speaks_against

if TYPE_CHECKING:
    from helpers.scene import Scene

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "guard.md").read_text(encoding="utf-8")
PROSE = " ".join(PAGE.split())
# Only after a bug of ours, and only if a person put it there.
SELDOM = {"attempt", "guard.err", "HOLD"}
WITH_OUTPUT = "run: mkdir out; echo x > out/x\noutputs: [{path: out, to: saved}]\n"


def first_column(after: str) -> list[str]:
    """What stands in backquotes in the first column of the table that follows these words."""
    _, _, rest = PAGE.partition(after)
    table = re.search(r"(?:^\|.*\n)+", rest, re.MULTILINE)
    assert table is not None, after
    cells = [line.split("|")[1] for line in table.group().splitlines()[2:]]
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def test_every_file_of_a_run_is_named(scene: Scene) -> None:
    """What a real run leaves in its folder stands in the table, and nothing else does."""
    assert scene.run_job(WITH_OUTPUT).code == 0
    until(lambda: not scene.guards(), "the end of the guard")
    (folder,) = (scene.home / "runs").iterdir()
    assert {path.name for path in folder.iterdir()} == set(first_column("`COLAB_RUN_HOME/runs/ID/`")) - SELDOM


def test_every_state_of_the_ledger_is_named() -> None:
    """Each once, and none that there is not."""
    assert sorted(first_column("**The ledger**")) == sorted(state.value for state in State)


def test_every_reason_to_wait_is_named() -> None:
    """What speaks against a release, by what the guard sees."""
    sights = (
        Sight(kept=True),
        Sight(hold_file=True),
        Sight(others=Others.RUN),
        Sight(lost=True),
        Sight(busy=True),
    )
    _, _, bullet = PAGE.partition("- **Who releases.**")
    named = re.findall(r"\(`([a-z-]+)`\)", bullet.partition("\n- **")[0])
    assert sorted(named) == sorted(map(speaks_against, sights))


def test_every_command_that_looks_for_lost_runs_is_named() -> None:
    """All others leave them alone."""
    _, _, bullet = PAGE.partition("- **A lost run.**")
    assert set(re.findall(r"`([a-z]+)`", bullet.partition(")")[0])) == LOOKS_AFTER_OTHERS


def test_every_kind_of_file_beside_the_leases_is_named(tmp_path: Path) -> None:
    """Made by the functions that make them, and looked at."""
    held = lease.hold_shared("t", tmp_path)
    note = marks.announce("t", marks.RunNote("1", "/home", "n", 0, "t"), folder=tmp_path)
    marks.keep("t", 60.0, "keep", folder=tmp_path)
    marks.note_accepted("t", "1", "nonce", folder=tmp_path)
    endings = {path.suffix for path in tmp_path.iterdir()} | {Path(holds._path("t", "1")).suffix}
    note.close()
    assert held is not None
    held.close()
    _, _, text = PAGE.partition("**`/tmp/colab-run.leases/`**")
    assert set(re.findall(r"`(\.[a-z]+)`", text.partition("\n\n")[0])) == endings


TIMING = shipped().colab.release


@pytest.mark.parametrize(
    ("sentence", "figure"),
    [
        ("still at the job {:g} s after `max_duration`", emergency.UNKILLABLE_S + watcher.LATE_S),
        ("the watcher kills it {:g} s after", emergency.UNKILLABLE_S + watcher.LATE_S),
        ("is waited for {:g} s; then", emergency.UNKILLABLE_S),
        ("ends {:g} s after the last byte", client.STALLED_READER_S),
        ("{:g} s for one that takes nothing", viewer.STALLED_S),
        ("keeps the machine for {:g} minutes", marks.KEEP_AFTER_STOP_S / 60),
        ("It looks every {:g} s", protocol.HELD_LOOK_S),
        ("are read every {:g} s and", look.KERNELS_EVERY_S),
        ("before a request, {:g} s at most", busy.KERNELS_DEADLINE_S),
        ("every {:g} min at least", protocol.LONGEST_LATE_WAIT_S / 60),
        ("on its way**, up to {:g} s, ends with 69", TIMING.attempt_timeout_s),
        ("on its way ({:g} s) nobody is answered", TIMING.attempt_timeout_s),
        ("at most {:g} s (each times a random part)", TIMING.longest_wait_s),
        ("After {:g} min the client ends with 75", TIMING.give_up_after_s / 60),
        ("about {:g} s for somebody else's lock", store.PATIENCE_S),
        ("at most {:g} KiB, on a terminal", streams.CHUNK / 1024),
        ("at most {:g} KiB missing", streams.CHUNK / 1024),
    ],
)
def test_figure_is_the_one_in_the_code(sentence: str, figure: float) -> None:
    """Whoever changes one of them is told here."""
    assert sentence.format(figure) in PROSE


def test_ninth_answer() -> None:
    """An accepted release is asked for again so many times."""
    plan = protocol.Plan(grace_s=0.0, confirm_s=1.0, give_up_after_s=1.0)
    at, answers = protocol.taken_up(None, plan, 0.0), 0
    while (move := protocol.next_move(at, Sight(alone=True), plan, at.due)).do is not protocol.Do.DONE:
        due = at.due
        at = protocol.after_move(at, move, plan, due)
        if move.do is protocol.Do.PREPARE:
            at = protocol.after_prepared(at)
        elif move.do is protocol.Do.ASK:
            answers += 1
            at = protocol.after_accepted(at, plan, due)
    assert answers == 9
    assert "After the ninth answer 200" in PROSE


def test_spool_is_named() -> None:
    """Where rows go that could not be written."""
    assert f"`{spool.SPOOL}`" in PAGE


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`(tests/[a-z_/.]+)`", PAGE))))
def test_test_that_is_pointed_at_exists(path: str) -> None:
    """A page that promises a test must not outlive it."""
    assert (ROOT / path).exists()
